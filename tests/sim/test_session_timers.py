"""Session timers (RFC 4028) on each leg by itself: refreshed by whoever has to, or the call ends."""

import pytest

from mediaproxy.sip.headers import Headers
from tests.support.phone import Phone, PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN, with_plan

TIMER = ("Supported", "timer")
UPDATES = ("Allow", "INVITE, ACK, BYE, UPDATE")
Lines = tuple[tuple[str, str], ...]


def expires(seconds: int, refresher: str = "") -> tuple[str, str]:
    return ("Session-Expires", f"{seconds};refresher={refresher}" if refresher else str(seconds))


def a_call(world: World, asks: Lines = (), answers: Lines = ()) -> tuple[PhoneCall, PhoneCall, Phone]:
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = [Say(180, after=0.1), Say(200, after=0.2, headers=answers)]
    call = carrier.invite("+15550100", headers=asks)
    world.run(1)
    assert call.final == 200
    return call, alice.calls[0], alice


def methods(call: PhoneCall) -> list[str]:
    return [request.method for request in call.requests]


def test_nobody_is_asked_and_nothing_is_timed_unless_somebody_wants_it() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world, (TIMER,), (TIMER,))
    invite, answer = other.requests[0], call.response(200)
    assert invite.headers.all("supported") == ["timer"]
    assert "session-expires" not in invite.headers
    assert "session-expires" not in answer.headers
    world.run(90_000)
    assert world.ended() == []
    assert methods(other) == ["INVITE"]


@pytest.mark.parametrize("updates", [True, False])
@pytest.mark.parametrize("by_caller", [True, False])
def test_we_refresh_the_leg_that_wants_it(by_caller: bool, updates: bool) -> None:
    world = World(PLAN)
    allow = (UPDATES,) if updates else ()
    wants = (TIMER, expires(300, "uas" if by_caller else "uac"), *allow)
    call, other, alice = a_call(world, *((wants, ()) if by_caller else ((), wants)))
    timed, quiet = (call, other) if by_caller else (other, call)
    said = timed.response(200).body if by_caller else timed.requests[0].body
    for phone in (world.phones[CARRIER], alice):
        agreed = (TIMER, expires(300, "uac"))
        phone.update_answer = Say(200, headers=agreed)
        phone.reinvite_answers = [Say(200, headers=agreed)]
    before, heard = len(timed.requests), len(quiet.requests)
    world.run(1_000)
    asked = timed.requests[before:]
    assert [request.method for request in asked] == ["UPDATE" if updates else "INVITE"] * 6
    assert {request.headers.first("session-expires") for request in asked} == {"300;refresher=uac"}
    assert {request.body for request in asked} == ({b""} if updates else {said})  # the same version
    assert len(quiet.requests) == heard
    timed.bye()
    world.run(60)
    assert world.last.ended_by == ("caller" if by_caller else "callee")
    world.assert_settled()


@pytest.mark.parametrize("by_caller", [True, False])
def test_a_peer_that_no_longer_refreshes_ends_the_call(by_caller: bool) -> None:
    """It died without a BYE."""
    world = World(PLAN)
    wants = (TIMER, expires(90, "uac" if by_caller else "uas"))
    call, other, _ = a_call(world, *((wants, ()) if by_caller else ((), wants)))
    world.phones[CARRIER if by_caller else ALICE].silent = True
    world.run(58)
    assert world.ended() == []
    world.run(3)
    assert (world.last.disposition, world.last.ended_by) == ("answered", "us")
    alive = other if by_caller else call
    assert methods(alive)[-1] == "BYE"
    assert alive.requests[-1].headers.first("reason") == 'Q.850;cause=102;text="Session timer expired"'
    world.run(60)
    world.assert_settled()


@pytest.mark.parametrize("updates", [True, False])
def test_a_peer_that_no_longer_answers_our_refreshes_ends_the_call(updates: bool) -> None:
    world = World(PLAN)
    allow = (UPDATES,) if updates else ()
    call, _, alice = a_call(world, (), (TIMER, expires(90, "uac"), *allow))
    alice.silent = True
    world.run(62)
    assert methods(call) == ["BYE"]
    world.run(100)
    world.assert_settled()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_peers_refresh_keeps_the_call(method: str) -> None:
    world = World(PLAN)
    wants = (TIMER, expires(90, "uac"))
    call, other, _ = a_call(world, wants)
    assert call.response(200).headers.first("session-expires") == "90;refresher=uac"
    assert call.response(200).headers.first("require") == "timer"
    for _ in range(4):
        world.run(40)
        body = sdp("127.0.0.2", 6070) if method == "INVITE" else b""
        call.request(method, headers=Headers.of(*wants), body=body)
        world.run(1)
        assert call.responses[-1].status == 200
        assert call.responses[-1].headers.first("session-expires") == "90;refresher=uac"
    assert world.ended() == []
    assert methods(other).count("UPDATE") == 0
    world.run(70)
    assert world.last.ended_by == "us"
    world.assert_settled()


def test_each_leg_has_its_own() -> None:
    world = World(with_plan(session_expires_s=600))
    call, other, _ = a_call(world, (TIMER, expires(1800)), (TIMER, expires(600, "uas")))
    assert other.requests[0].headers.all("session-expires") == ["600"]
    assert call.response(200).headers.all("session-expires") == ["1800;refresher=uac"]


def test_a_wish_of_ours_is_kept_with_who_knows_no_timers() -> None:
    world = World(with_plan(session_expires_s=120))
    call, other, alice = a_call(world)
    assert call.response(200).headers.first("session-expires") == "120;refresher=uas"
    assert "require" not in call.response(200).headers
    world.run(200)
    assert methods(call) == ["INVITE"] * 3
    assert methods(other) == ["INVITE"] * 4
    world.phones[CARRIER].silent = True
    world.run(120)
    assert methods(other)[-1] == "BYE"
    alice.silent = False
    world.run(60)
    world.assert_settled()


def test_a_caller_that_asks_for_less_than_90_seconds() -> None:
    world = World(PLAN)
    world.phone("alice", ALICE)
    call = world.phone("carrier", CARRIER).invite("+15550100", headers=(TIMER, expires(60)))
    world.run(2)
    assert call.final == 422
    assert call.response(422).headers.first("min-se") == "90"


def test_a_callee_that_takes_our_wish_for_too_brief_is_asked_again() -> None:
    world = World(with_plan(session_expires_s=120))
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = [Say(422, headers=(("Min-SE", "300"),))]
    call = carrier.invite("+15550100")
    world.run(0.03)
    alice.answers = [Say(180), Say(200, after=0.5, headers=(TIMER, expires(300, "uas")))]
    world.run(3)
    first, second = (phone.requests[0] for phone in alice.calls)
    assert second.headers.all("session-expires") == ["300"]
    assert second.headers.all("min-se") == ["300"]
    assert second.cseq.number == first.cseq.number + 1
    assert (second.call_id, second.from_.tag) == (first.call_id, first.from_.tag)
    assert [status for status in call.statuses if status > 100] == [180, 200]
    call.bye()
    world.run(40)
    assert methods(alice.calls[1])[-1] == "BYE"
    world.assert_settled()


def test_a_callee_that_never_has_enough_is_asked_twice_only() -> None:
    world = World(with_plan(session_expires_s=120))
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = [Say(422, headers=(("Min-SE", "300"),))]
    call = carrier.invite("+15550100")
    world.run(40)
    assert call.final == 422
    assert len(alice.calls) == 2
    world.assert_settled()


def test_a_refresh_that_is_too_brief_is_made_longer() -> None:
    world = World(PLAN)
    _, other, alice = a_call(world, (), (TIMER, expires(90, "uac"), UPDATES))
    alice.update_answer = Say(422, headers=(("Min-SE", "200"),))
    world.run(45)
    alice.update_answer = Say(200, headers=(TIMER, expires(200, "uac")))
    world.run(50)
    asked = [request.headers.first("session-expires") for request in other.requests[1:]]
    assert asked[:2] == ["90;refresher=uac", "200;refresher=uac"]
    assert world.ended() == []


def test_a_refresh_that_meets_an_offer_waits() -> None:
    world = World(PLAN)
    call, other, alice = a_call(world, (), (TIMER, expires(90, "uac")))
    alice.reinvite_answers = [Say(491)]
    world.run(46)
    alice.reinvite_answers = [Say(200, headers=(TIMER, expires(90, "uac")))]
    world.run(10)
    assert methods(other) == ["INVITE"] * 3
    assert world.ended() == []
    call.bye()
    world.run(40)
    world.assert_settled()


def test_our_refresh_is_an_offer_so_that_others_wait() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world, (), (TIMER, expires(90, "uac")))
    alice.reinvite_answers = [Say(200, after=2, headers=(TIMER, expires(90, "uac")))]
    world.run(45)
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    world.run(0.5)
    assert call.statuses[-1] == 491
    world.run(5)
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    world.run(5)
    assert call.statuses[-1] == 200


def test_a_bye_in_the_middle_of_our_refresh() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world, (), (TIMER, expires(90, "uac")))
    alice.reinvite_answers = [Say(180), Say(200, after=2)]
    world.run(45)
    call.bye()
    world.run(100)
    assert world.last.ended_by == "caller"
    world.assert_settled()
