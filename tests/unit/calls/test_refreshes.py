"""A timer that fires a hair before its deadline, as rounding has it, must not fire for ever."""

from mediaproxy.sip.headers import Headers
from tests.support.phone import Say, World
from tests.support.plans import ALICE, CARRIER, PLAN


def test_deadlines_that_no_nanosecond_meets() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = [Say(200, headers=(("Session-Expires", "90;refresher=uas"),))]
    carrier.invite("+15550100")
    world.run(1)
    (call,) = world.proxy._calls.values()
    call.callee.session.since += 4e-10
    alice.calls[0].request("OPTIONS", headers=Headers())
    world.run(120)
    assert world.last.ended_by == "us"
