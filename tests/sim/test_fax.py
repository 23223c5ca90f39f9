"""T.38 is not ours: a fax that asks for it hears 488, and goes on as audio."""

import pytest

from tests.support.phone import World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN

T38 = (
    b"v=0\r\no=- 1 2 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n"
    b"m=image 7000 udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n"
)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("from_caller", [True, False])
def test_an_offer_of_t38_is_refused_and_the_call_goes_on(method: str, from_caller: bool) -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100")
    world.run(2)
    other = alice.calls[0]
    asking, asked = (call, other) if from_caller else (other, call)
    before, heard = list(world.plane), len(asked.requests)
    asking.request(method, body=T38)
    world.run(40)
    assert asking.statuses[-1] == 488
    assert len(asked.requests) == heard
    assert (world.plane, world.ended()) == (before, [])
    asking.request("INVITE", body=sdp("127.0.0.2", 9000, version=3))  # it falls back to audio
    world.run(1)
    assert asking.statuses[-1] == 200
    call.bye()
    world.run(40)
    assert world.last.disposition == "answered"
    world.assert_settled()
