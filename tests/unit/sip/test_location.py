"""Who is where: what RFC 3261 10.3, RFC 3327 and RFC 5626 make of one REGISTER after the other."""

from itertools import count

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.location import Binding, Location, Refused, read_registration
from mediaproxy.sip.messages import Request
from tests.support.sip_build import HERE, request_in

DESK, MOBILE = "<sip:alice@10.0.0.1:5060>", "<sip:alice@10.0.0.2:5060>"
URN = '"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
SOURCE = Flow("udp", HERE, Endpoint("192.0.2.9", 1024))

_branches = count()


def register(
    *contacts: str, expires: str | None = None, call_id: str = "a", cseq: int = 1, path: str = ""
) -> Request:
    more = "".join(f"Contact: {contact}\r\n" for contact in contacts)
    more += "" if expires is None else f"Expires: {expires}\r\n"
    more += f"Path: {path}\r\n" if path else ""
    request = request_in(
        "REGISTER", branch=f"z9hG4bK{next(_branches)}", call_id=call_id, cseq=cseq, more="X: y\r\n" + more
    )
    kept = [h for h in request.headers if h.key != "contact" or h.value != "<sip:there@192.0.2.2>"]
    return request.replace(headers=type(request.headers)(kept))


def put(
    location: Location, *contacts: str, now: float = 0.0, aor: str = "alice", **options: object
) -> list[Binding]:
    request = register(*contacts, **options)  # type: ignore[arg-type]  # those of register
    return location.register(aor, read_registration(request, SOURCE), now=now)


def uris(bindings: list[Binding]) -> list[str]:
    return [f"<{binding.contact}>" for binding in bindings]


def test_several_contacts_by_q_and_then_the_latest_first() -> None:
    location = Location()
    put(location, f"{DESK};q=0.5", "<sip:low@10.0.0.3>;q=0.1", call_id="a")
    found = put(location, f"{MOBILE};q=0.5", call_id="b")
    assert uris(found) == [MOBILE, DESK, "<sip:low@10.0.0.3>"]
    assert [binding.q for binding in found] == [500, 500, 100]
    assert found[2].header(0) == "<sip:low@10.0.0.3>;expires=3600;q=0.100"
    assert uris(location.find("alice", now=0)) == uris(found)
    assert location.find("bob", now=0) == []


@pytest.mark.parametrize(
    ("text", "q"),
    [("1", 1000), ("1.000", 1000), ("0", 0), ("0.7", 700), (".25", 250), ("0.0001", 1000), ("x", 1000)],
)
def test_q_is_three_digits_at_most(text: str, q: int) -> None:
    (binding,) = put(Location(), f"{DESK};q={text}")
    assert binding.q == q


@pytest.mark.parametrize(
    ("param", "header", "lasts"),
    [
        ("", None, 3600),
        ("", "120", 120),
        (";expires=90", "120", 90),
        (";expires=7200", None, 3600),
        ("", "4294967296", 3600),
        ("", "soon", 3600),
        (";expires=60", None, 60),
    ],
)
def test_how_long_a_binding_lasts(param: str, header: str | None, lasts: int) -> None:
    location = Location()
    put(location, DESK + param, expires=header, now=100.0)
    assert location.next_deadline() == 100 + lasts
    assert location.find("alice", now=99.9 + lasts)
    assert location.find("alice", now=100.0 + lasts) == []
    assert location.handle_timer(now=99.9 + lasts) == []
    assert len(location) == 1
    assert location.handle_timer(now=100.0 + lasts) == ["alice"]
    assert (len(location), location.aors, location.next_deadline()) == (0, (), None)
    assert not location.knows(SOURCE)


def test_too_brief_an_interval_changes_nothing() -> None:
    location = Location()
    with pytest.raises(Refused) as refused:
        put(location, MOBILE, f"{DESK};expires=59")
    assert refused.value.status == 423
    assert len(location) == 0


def test_a_refresh_lasts_from_now_on_and_is_no_second_binding() -> None:
    location = Location()
    put(location, DESK, expires="60", cseq=1)
    put(location, "<sip:alice@10.0.0.1:5060>", expires="60", cseq=2, now=50.0)
    assert location.handle_timer(now=60.0) == []
    assert len(location.find("alice", now=109.0)) == len(location) == 1
    assert location.handle_timer(now=110.0) == ["alice"]


def test_contacts_are_compared_as_uris_are() -> None:
    location = Location()
    put(location, "<sip:alice@Host.Example:5060;transport=tcp;ob>", cseq=1)
    assert len(put(location, "<sip:%61lice@host.example:5060;ob;transport=tcp>", cseq=2)) == 1
    assert len(put(location, "<sip:alice@host.example;ob;transport=tcp>", cseq=3)) == 2
    assert len(put(location, "<sip:Alice@host.example:5060;ob;transport=tcp>", cseq=4)) == 3


@pytest.mark.parametrize("cseq", [1, 2])
def test_what_comes_late_in_a_call_id_changes_nothing(cseq: int) -> None:
    location = Location()
    put(location, DESK, cseq=2)
    for contacts, expires in (((MOBILE, DESK), "600"), (("*",), "0")):
        with pytest.raises(Refused) as refused:
            put(location, *contacts, expires=expires, cseq=cseq)
        assert refused.value.status == 500
        assert uris(location.find("alice", now=0)) == [DESK]
    assert put(location, "*", expires="0", cseq=1, call_id="restarted") == []


def test_removing_one_or_all() -> None:
    location = Location()
    put(location, DESK, MOBILE)
    assert uris(put(location, f"{DESK};expires=0", cseq=2)) == [MOBILE]
    assert put(location, f"{DESK};expires=0", cseq=3)
    assert put(location, "*", expires="0", cseq=4) == []
    assert not location.knows(SOURCE)
    assert put(location) == []


@pytest.mark.parametrize(
    ("contacts", "options"),
    [
        (("*",), {}),
        (("*",), {"expires": "60"}),
        (("*", DESK), {"expires": "0"}),
        (("<tel:+1555>",), {}),
        (("<sips:a@b>",), {}),
        (("<sip:a@b",), {}),
        ((DESK,), {"path": "<p"}),
        ((DESK,), {"path": ",".join(["<sip:p;lr>"] * 9)}),
    ],
)
def test_what_cannot_be_understood_is_malformed(contacts: tuple[str, ...], options: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        read_registration(register(*contacts, **options), SOURCE)  # type: ignore[arg-type]


def test_asking_alone_changes_nothing() -> None:
    location = Location()
    put(location, DESK, expires="600")
    assert uris(put(location, now=10.0, cseq=2)) == [DESK]
    (binding,) = put(location, now=10.0, cseq=3)
    assert binding.header(10.0) == f"{DESK};expires=590;q=1.000"


def test_a_device_has_one_contact_wherever_it_is() -> None:
    location = Location()
    put(location, f"{DESK};+sip.instance={URN};reg-id=1", call_id="a")
    found = put(location, f"{MOBILE};+sip.instance={URN};reg-id=1", call_id="after a restart")
    assert uris(found) == [MOBILE]
    assert found[0].header(0) == f"{MOBILE};expires=3600;q=1.000;+sip.instance={URN};reg-id=1"
    assert len(put(location, f"{DESK};+sip.instance={URN};reg-id=2", call_id="other flow")) == 2
    assert len(put(location, f"<sip:alice@10.0.0.9>;+sip.instance={URN.replace('0A', '0B')};reg-id=1")) == 3


def test_the_way_there_is_kept() -> None:
    location = Location()
    (binding,) = put(location, DESK, path="<sip:p1.example;lr>, <sip:p2.example;lr>")
    assert binding.path == ("<sip:p1.example;lr>", "<sip:p2.example;lr>")
    assert binding.flow == SOURCE
    assert location.knows(SOURCE)
    assert not location.knows(SOURCE._replace(remote=Endpoint("192.0.2.9", 1025)))
    assert not location.knows(SOURCE._replace(transport="tcp"))


def test_a_source_is_known_as_long_as_any_binding_came_from_it() -> None:
    location = Location()
    put(location, DESK, aor="alice")
    put(location, MOBILE, aor="bob")
    put(location, "*", expires="0", cseq=2, aor="alice")
    assert location.knows(SOURCE)
    location.remove("bob")
    assert not location.knows(SOURCE)


def test_contacts_are_bounded_for_each_and_in_all() -> None:
    location = Location(most=2, most_in_all=3)
    put(location, DESK, MOBILE)
    with pytest.raises(Refused) as refused:
        put(location, "<sip:third@10.0.0.3>", cseq=2)
    assert refused.value.status == 503
    assert len(put(location, DESK, cseq=3)) == 2  # what is there may be refreshed
    put(location, DESK, aor="bob")
    with pytest.raises(Refused):
        put(location, DESK, aor="carol")
    assert len(location) == 3
    assert len(put(location, f"{MOBILE};expires=0", DESK, cseq=4)) == 1
    assert put(location, DESK, aor="carol")


def test_refreshes_leave_nothing_behind() -> None:
    location = Location()
    for cseq in range(1, 2_000):
        put(location, DESK, cseq=cseq, now=float(cseq))
    assert len(location._due) <= 2 * len(location) + 64
    assert location.handle_timer(now=1_999.0 + 3_600) == ["alice"]
    assert not location._due
