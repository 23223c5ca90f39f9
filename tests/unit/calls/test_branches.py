"""Which places ring when, and which failure of several is passed."""

import pytest

from mediaproxy.calls.branches import Branch, Branches, Way, ringing
from mediaproxy.calls.model import Agent
from mediaproxy.calls.signalling import Reply
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.location import Binding
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import TransactionId
from mediaproxy.sip.uri import parse_uri

LOCAL = Endpoint("127.0.0.1", 5060)
ERIN = Agent("erin")


def flow(host: str) -> Flow:
    return Flow("udp", LOCAL, Endpoint(host, 5060))


def way(q: int) -> Way:
    return Way(ERIN, flow("127.0.0.9"), q=q)


def binding(number: int, device: str | None = None, host: str = "127.0.0.9") -> Binding:
    named = None if device is None else (device, str(number))
    uri = parse_uri(f"sip:erin@127.0.0.9:{6000 + number}")
    return Binding("erin", uri, 1000, 60.0, "c", 1, flow(host), (), named, number)


def test_groups_go_by_falling_q() -> None:
    branches = Branches((way(900), way(900), way(500), way(0)))
    assert [len(branches.next_group()) for _ in range(4)] == [2, 1, 1, 0]


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((486, 603, 302), 603),
        ((500, 486, 302), 302),
        ((503, 404), 404),
        ((486, 407, 404), 407),
        ((408, 486), 486),
        ((487, 482, 480), 480),
        ((404, 486), 404),
        ((486, 404), 486),
        ((408,), 408),
    ],
)
def test_the_best_of_several_failures(statuses: tuple[int, ...], best: int) -> None:
    branches = Branches(())
    for number, status in enumerate(statuses):
        ident = TransactionId(number)
        branches.live[ident] = Branch(way(1000), Request("INVITE", "sip:erin@127.0.0.9", Headers()))
        branches.fail(Reply(ident, status, 0))
    assert branches.live == {}
    assert branches.best().status == best


def test_each_device_rings_once_and_those_without_a_name_each() -> None:
    bindings = [binding(1, "a"), binding(2), binding(3, "b"), binding(4, "a"), binding(5)]
    assert [each.number for each in ringing(bindings)] == [1, 2, 3, 5]


def test_the_preferred_bindings_family_is_everybodys() -> None:
    bindings = [binding(1), binding(2, host="::9"), binding(3)]
    assert [each.number for each in ringing(bindings)] == [1, 3]
