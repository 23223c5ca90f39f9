"""What a call is about: from its INVITE, and as it is changed while the call lives."""

from mediaproxy.calls.events import CallUpdated
from mediaproxy.calls.metadata import MAX_KEYS, MAX_VALUE, merged
from tests.support.phone import World
from tests.support.plans import ALICE, CARRIER, with_plan


def test_headers_of_the_invite_begin_it_and_every_event_carries_it() -> None:
    world = World(with_plan(metadata_headers=("X-Ticket", "X-Queue", "X-None")))
    carrier, _ = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    headers = (("x-ticket", "T-1"), ("X-Queue", "v" * 300), ("X-Other", "no"))
    call = carrier.invite("+15550100", headers=headers)
    world.run(2)
    begun = (("X-Ticket", "T-1"), ("X-Queue", "v" * MAX_VALUE))
    assert {event.call.metadata for event in world.events} == {begun}  # type: ignore[attr-defined]  # call events
    ident = world.events[0].call.id  # type: ignore[attr-defined]
    world.proxy.annotate(ident, (("ticket", "2"),), now_ns=world.now_ns)
    world.settle()
    assert isinstance(world.events[-1], CallUpdated)
    call.bye()
    world.run(40)
    assert world.last.metadata == (("ticket", "2"),)
    assert world.names().count("CallUpdated") == 1
    world.assert_settled()


def test_a_call_that_is_turned_away_has_its_metadata_too() -> None:
    world = World(with_plan(metadata_headers=("X-Ticket",)))
    world.phone("carrier", CARRIER).invite("nobody", headers=(("X-Ticket", "T-1"),))
    world.run(2)
    assert world.last.metadata == (("X-Ticket", "T-1"),)


def test_an_ended_call_is_nobodys_to_change() -> None:
    world = World(with_plan())
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100")
    world.run(2)
    alice.silent = True  # our BYE to her is under way for long
    call.bye()
    world.run(0.1)
    assert len(world.proxy) == 1
    world.proxy.annotate(world.last.id, (("a", "b"),), now_ns=world.now_ns)
    world.run(40)
    assert world.names()[-1] == "CallEnded"


def test_keys_are_set_and_removed_and_the_others_stay() -> None:
    assert merged((("a", "1"), ("b", "2")), {"b": None, "c": "3", "a": "4"}) == (("a", "4"), ("c", "3"))
    full = tuple((str(n), "") for n in range(MAX_KEYS))
    assert merged(full, {"one more": ""}) is None
    assert merged(full, {"one more": "", "0": None}) is not None
