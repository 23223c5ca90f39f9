"""A trunk of several targets: what one cannot do the next one may, and what one says is final."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mediaproxy.calls.model import Place, Target
from mediaproxy.net import Endpoint
from tests.support.phone import Phone, PhoneCall, Say, World
from tests.support.plans import ALICE, CARRIER, PLAN

SECOND, THIRD = Endpoint("127.0.0.8", 15070), Endpoint("127.0.0.8", 15071)
PLACES = tuple(Place(Target("udp", at), priority) for priority, at in enumerate((CARRIER, SECOND, THIRD)))
TRUNK = replace(
    PLAN.trunks[0], places=PLACES, sources=(ip_network("127.0.0.2/32"), ip_network("127.0.0.8/32"))
)
SEVERAL = replace(PLAN, trunks=(TRUNK, *PLAN.trunks[1:]))


def carriers(world: World) -> list[Phone]:
    return [world.phone("carrier", at) for at in (CARRIER, SECOND, THIRD)]


def call_out(world: World) -> PhoneCall:
    return world.phone("alice", ALICE).invite("+4930")


def asked(phones: list[Phone]) -> list[int]:
    return [len(phone.calls) for phone in phones]


@pytest.mark.parametrize("status", [408, 503])
def test_the_next_target_is_tried_and_has_the_call(status: int) -> None:
    world = World(SEVERAL)
    phones = carriers(world)
    phones[0].answers = [Say(180, after=0.2), Say(status, after=0.5)]
    call = call_out(world)
    world.run(3)
    assert (asked(phones), call.final) == ([1, 1, 0], 200)
    assert phones[1].calls[0].requests[0].uri == f"sip:+4930@{SECOND}"
    call.bye()
    world.run(40)
    assert [request.method for request in phones[1].calls[0].requests] == ["INVITE", "BYE"]
    assert (world.last.disposition, world.last.trunk) == ("answered", "carrier")
    world.assert_settled()


def test_silence_and_a_dead_connection_count_as_failures() -> None:
    world = World(SEVERAL)
    phones = carriers(world)
    phones[0].silent = True
    call = call_out(world)
    world.run(1)
    world.run(33)
    assert asked(phones) == [0, 1, 0]
    assert call.final == 200
    again = call_out(world)
    world.run(0.1)
    invite = next(ident for data, ident in reversed(world.sent) if data.startswith(b"INVITE"))
    world.proxy.transport_failed(invite, now_ns=world.now_ns)
    world.settle()
    world.run(3)
    assert (asked(phones), again.final) == ([0, 2, 0], 200)


@pytest.mark.parametrize("status", [302, 404, 486, 500, 502, 603])
def test_any_other_refusal_is_final(status: int) -> None:
    world = World(SEVERAL)
    phones = carriers(world)
    phones[0].answers = [Say(503)]
    phones[1].answers = [Say(status, after=0.2)]
    call = call_out(world)
    world.run(40)
    assert (asked(phones), call.final) == ([1, 1, 0], status)
    world.assert_settled()


def test_whom_the_caller_hears_is_not_changed_for_another() -> None:
    world = World(SEVERAL)
    phones = carriers(world)
    phones[0].answers = [Say(183, after=0.2), Say(503, after=0.5)]
    call = call_out(world)
    world.run(40)
    assert (asked(phones), call.final) == ([1, 0, 0], 503)
    world.assert_settled()


def test_when_all_failed_the_last_ones_word_is_passed() -> None:
    world = World(SEVERAL)
    phones = carriers(world)
    for phone, status in zip(phones, (408, 503, 503), strict=True):
        phone.answers = [Say(status)]
    call = call_out(world)
    world.run(40)
    assert (asked(phones), call.final) == ([1, 1, 1], 503)
    world.assert_settled()


def test_who_hangs_up_meanwhile_calls_no_further_target() -> None:
    world = World(SEVERAL)
    phones = carriers(world)
    phones[0].answers = [Say(180, after=0.1), Say(503, after=1.0)]
    call = call_out(world)
    world.later(1.005, call.cancel)
    world.run(40)
    assert (asked(phones), call.final) == ([1, 0, 0], 487)
    world.assert_settled()


def test_the_ringing_time_is_for_all_targets_together() -> None:
    world = World(replace(SEVERAL, ring_timeout_s=10.0))
    phones = carriers(world)
    phones[0].answers = [Say(180, after=0.1), Say(503, after=6.0)]
    phones[1].answers = [Say(180, after=0.1)]
    call = call_out(world)
    world.run(9.5)
    assert call.final is None
    world.run(1.0)
    assert (asked(phones), call.final) == ([1, 1, 0], 480)
    world.run(40)
    world.assert_settled()
