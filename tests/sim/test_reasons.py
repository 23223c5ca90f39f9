"""Why a call ends (RFC 3326, Q.850) reaches the other leg, whichever message says so."""

import pytest

from mediaproxy.sip.parser import parse_message
from tests.support.phone import Phone, PhoneCall, Say, World
from tests.support.plans import ALICE, CARRIER, PLAN

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def ringing(world: World, *answers: Say) -> tuple[PhoneCall, Phone]:
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = list(answers)
    return carrier.invite("+15550100"), alice


def cancel_reasons(world: World) -> list[list[str]]:
    """Of each CANCEL that the proxy sent."""
    sent = [parse_message(data) for _, data in world.wire if data.startswith(b"CANCEL")]
    return [message.headers.all("reason") for message in sent]


def test_of_a_cancel() -> None:
    world = World(PLAN)
    call, _ = ringing(world, Say(180))
    world.run(2)
    call.cancel(Reason=ELSEWHERE)
    world.run(40)
    assert cancel_reasons(world) == [[ELSEWHERE]]
    world.assert_settled()


def test_of_a_cancel_that_has_to_wait_for_a_provisional() -> None:
    world = World(PLAN)
    call, _ = ringing(world, Say(180, after=5))
    world.drops = lambda data: data.startswith(b"SIP/2.0 100") and b"pbx.example" in data  # of alice
    world.run(1)
    call.cancel(Reason=ELSEWHERE)
    world.run(1)
    assert cancel_reasons(world) == []
    world.run(40)
    assert set(map(tuple, cancel_reasons(world))) == {(ELSEWHERE,)}


def test_a_cancel_without_one_says_nothing() -> None:
    world = World(PLAN)
    call, _ = ringing(world, Say(180))
    world.run(2)
    call.cancel()
    world.run(40)
    assert cancel_reasons(world) == [[]]


@pytest.mark.parametrize("by_caller", [True, False])
def test_of_a_bye(by_caller: bool) -> None:
    world = World(PLAN)
    call, alice = ringing(world, Say(200))
    world.run(2)
    ends, hears = (call, alice.calls[0]) if by_caller else (alice.calls[0], call)
    ends.bye(Reason="Q.850;cause=31")
    world.run(40)
    assert hears.requests[-1].headers.all("reason") == ["Q.850;cause=31"]
    world.assert_settled()


@pytest.mark.parametrize("status", [404, 486, 503, 603])
def test_of_a_refusal(status: int) -> None:
    world = World(PLAN)
    causes = ("Q.850;cause=17", "SIP;cause=486")
    call, _ = ringing(world, Say(status, headers=tuple(("Reason", cause) for cause in causes)))
    world.run(40)
    assert call.response(status).headers.all("reason") == list(causes)


def test_of_a_progress() -> None:
    world = World(PLAN)
    call, _ = ringing(world, Say(183, headers=(("Reason", "Q.850;cause=1"),)), Say(404, after=2))
    world.run(40)
    assert call.response(183).headers.all("reason") == ["Q.850;cause=1"]
