"""Headers of INVITEs to a trunk: what goes, what is put there, and what nobody touches."""

from dataclasses import replace

from mediaproxy.calls.model import HeaderRules
from mediaproxy.sip.headers import Headers
from tests.support.carrier_registrar import Carrier, with_account
from tests.support.phone import World
from tests.support.plans import ALICE, BOB, CARRIER, PLAN

RULES = HeaderRules(("x-internal", "s"), (("User-Agent", "acme"), ("X-New", "n")), (("X-Customer", "17"),))
SAID = (
    ("X-Internal", "secret"),
    ("Subject", "gossip"),
    ("User-Agent", "phone 1"),
    ("User-Agent", "phone 2"),
    ("X-Customer", "1"),
    ("Diversion", "<sip:x@y>;reason=user-busy"),
    ("X-Kept", "a , b"),
)


def ruled() -> World:
    first, *others = PLAN.trunks
    return World(replace(PLAN, trunks=(replace(first, headers=RULES), *others)))


def test_an_invite_says_what_its_trunk_wants_and_a_reinvite_too() -> None:
    world = ruled()
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = alice.invite("+4930123", headers=SAID)
    world.run(3)
    again = {"X-Internal": "secret", "X-Customer": "1"}
    call.request("INVITE", body=alice.media, headers=Headers.of(*again.items()))
    world.run(1)
    first, second = [one for one in carrier.calls[0].requests if one.method == "INVITE"]
    assert call.statuses.count(200) == 2
    for one in (first, second):
        assert "x-internal" not in one.headers
        assert one.headers.all("x-customer") == ["1", "17"]
        assert one.headers.all("user-agent") == ["acme"]
        assert one.headers.all("x-new") == ["n"]
    assert "subject" not in first.headers
    assert first.headers.all("diversion") == ["<sip:x@y>;reason=user-busy"]
    assert first.headers.all("x-kept") == ["a , b"]
    call.bye()
    world.run(1)
    world.assert_settled()


def test_nobody_else_is_told() -> None:
    world = ruled()
    alice, bob = world.phone("alice", ALICE), world.phone("bob", BOB)
    carrier = world.phone("carrier", CARRIER)
    alice.invite("bob", headers=SAID)
    carrier.invite("+15550100", headers=SAID)
    world.run(3)
    for one in (bob.calls[0].requests[0], next(call for call in alice.calls if call.requests).requests[0]):
        assert one.headers.all("x-internal") == ["secret"]
        assert one.headers.all("user-agent") == ["phone 1", "phone 2"]


def test_a_challenged_invite_says_it_once() -> None:
    first, *others = with_account().trunks
    world = World(replace(PLAN, trunks=(replace(first, headers=RULES), *others)))
    carrier = Carrier(world)
    carrier.challenges |= {"INVITE": 407}
    world.run(1)
    world.phone("alice", ALICE).invite("+4930123", headers=SAID)
    world.run(3)
    (invite,) = [one for one in carrier.calls[0].requests if one.method == "INVITE"]
    assert invite.headers.all("x-customer") == ["1", "17"]
    assert "proxy-authorization" in invite.headers
