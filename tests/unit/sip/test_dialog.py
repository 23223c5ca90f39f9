"""Dialogs (RFC 3261 12): identity, routes by the examples of 16.12.1, sequence numbers, targets."""

import pytest

from mediaproxy.sip.dialog import (
    Dialog,
    DialogId,
    new_call_id,
    new_tag,
)
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.responses import respond
from tests.support.sip_build import numbered_bytes, request_in, request_out

ROUTES = "Record-Route: <sip:p2.example;lr>\r\nRecord-Route: <sip:p1.example;lr>\r\n"


def uas(more: str = "") -> Dialog:
    return Dialog.uas(request_in(more=more), "ours")


def accept(*routes: str, contact: str = "<sip:bob@192.0.2.7>", status: int = 200) -> Response:
    headers = [("Record-Route", route) for route in routes]
    if contact:
        headers.append(("Contact", contact))
    return respond(request_out(), status, tag="theirs", headers=Headers.of(*headers))


def uac(*routes: str) -> Dialog:
    return Dialog.uac(request_out(), accept(*routes))


def test_both_ends_know_the_dialog() -> None:
    assert uas().id == DialogId("call-2", "ours", "theirs")
    assert uac().id == DialogId("call-1", "ours", "theirs")


def test_requests_of_the_callee() -> None:
    dialog = uas()
    bye = dialog.request("BYE")
    assert (bye.method, bye.uri, bye.call_id) == ("BYE", "sip:there@192.0.2.2", "call-2")
    assert (str(bye.from_), str(bye.to)) == (
        "<sip:here@192.0.2.1>;tag=ours",
        "<sip:there@192.0.2.2>;tag=theirs",
    )
    assert bye.max_forwards == 70
    assert [bye.cseq.number, dialog.request("BYE").cseq.number] == [1, 2]


def test_requests_of_the_caller() -> None:
    dialog = uac()
    info = dialog.request("INFO", headers=Headers.of(("Record", "on")), body=b"x")
    assert (info.uri, info.cseq.number, info.to.tag) == ("sip:bob@192.0.2.7", 2, "theirs")
    assert (info.headers.first("Record"), info.body) == ("on", b"x")
    ack = dialog.ack(1)
    assert (ack.method, str(ack.cseq), ack.uri) == ("ACK", "1 ACK", "sip:bob@192.0.2.7")
    assert dialog.request("BYE").cseq.number == 3


def test_the_route_set_of_the_callee_is_in_order_and_the_callers_reversed() -> None:
    assert uas(ROUTES).request("BYE").route == ("<sip:p2.example;lr>", "<sip:p1.example;lr>")
    called = uac("<sip:p2.example;lr>", "<sip:p1.example;lr>")
    assert called.request("BYE").route == ("<sip:p1.example;lr>", "<sip:p2.example;lr>")
    assert str(called.next_hop) == "sip:p1.example;lr"
    assert str(uac().next_hop) == "sip:bob@192.0.2.7"


def test_a_strict_router_finds_itself_in_the_request_uri() -> None:
    bye = uac("<sip:p2.example;lr>", "<sip:p1.example>").request("BYE")
    assert bye.uri == "sip:p1.example"
    assert bye.route == ("<sip:p2.example;lr>", "<sip:bob@192.0.2.7>")


@pytest.mark.parametrize(
    ("numbers", "statuses"), [((1, 2, 9), (None, None, None)), ((5, 4, 6), (None, 500, None))]
)
def test_numbers_only_grow(numbers: tuple[int, ...], statuses: tuple[int | None, ...]) -> None:
    dialog = uas()
    told = [dialog.receive_request(request_in("INFO", cseq=number, to_tag="ours")) for number in numbers]
    assert tuple(told) == statuses


def test_ack_and_cancel_count_for_nothing() -> None:
    dialog = uas()
    assert dialog.receive_request(request_in("INFO", cseq=5)) is None
    assert dialog.receive_request(request_in("ACK", cseq=1)) is None
    assert dialog.receive_request(request_in("INFO", cseq=4)) == 500


def test_the_target_moves_with_a_reinvite_alone() -> None:
    dialog = uac()
    moved = request_in("INVITE", cseq=2).headers.with_("Contact", "<sip:new@192.0.2.9?x=y>")
    assert dialog.receive_request(Request("INFO", "sip:x@y", moved.with_("CSeq", "2 INFO"))) is None
    assert dialog.request("BYE").uri == "sip:bob@192.0.2.7"
    assert dialog.receive_request(Request("INVITE", "sip:x@y", moved.with_("CSeq", "3 INVITE"))) is None
    assert dialog.request("BYE").uri == "sip:new@192.0.2.9"  # headers have no place there (19.1.5)


def test_an_old_reinvite_moves_nothing() -> None:
    dialog = uas()
    dialog.receive_request(request_in("INFO", cseq=9))
    moved = request_in(cseq=2).replace(headers=request_in(cseq=2).headers.with_("Contact", "<sip:x@y>"))
    assert dialog.receive_request(moved) == 500
    assert dialog.request("BYE").uri == "sip:there@192.0.2.2"


def test_an_early_dialog_takes_target_and_routes_from_its_2xx() -> None:
    dialog = Dialog.uac(request_out(), accept(contact="", status=180))
    assert dialog.request("PRACK").uri == "sip:there@192.0.2.2"
    dialog.confirm(accept("<sip:p1.example;lr>"))
    bye = dialog.request("BYE")
    assert (bye.uri, bye.route) == ("sip:bob@192.0.2.7", ("<sip:p1.example;lr>",))


def test_a_peer_without_tags_has_an_empty_one() -> None:
    old = request_in(from_tag="x")
    old = old.replace(headers=old.headers.with_("From", "<sip:there@192.0.2.2>"))
    assert Dialog.uas(old, "ours").id.remote_tag == ""


def test_names_of_our_own_come_from_the_random_bytes() -> None:
    random_bytes = numbered_bytes()
    assert new_tag(random_bytes) == f"{1:016x}"
    assert new_call_id(random_bytes) == f"{2:032x}"
