"""UPDATE (RFC 3311): renegotiation without an ACK, target refresh, and who asks at the same time."""

import pytest

from mediaproxy.calls.events import CallHeld
from mediaproxy.calls.plane import Connect
from mediaproxy.net import Endpoint
from mediaproxy.sip.dialog import Dialog
from mediaproxy.sip.headers import Headers
from tests.support.phone import Phone, PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, BOB, CARRIER, PLAN

UPDATES = ("Allow", "INVITE, ACK, CANCEL, BYE, UPDATE")
MOVED = sdp("127.0.0.2", 9000, version=2)


def a_call(world: World, *, updates: bool = True) -> tuple[PhoneCall, PhoneCall, Phone]:
    """Confirmed; both ends allow UPDATE, or neither says so."""
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    headers = (UPDATES,) if updates else ()
    alice.answers = [Say(180, after=0.5), Say(200, after=1.0, headers=headers)]
    call = carrier.invite("+15550100", headers=headers)
    world.run(2)
    assert call.final == 200
    return call, alice.calls[0], alice


def ports(world: World) -> list[int]:
    return [operation.remote.rtp.port for operation in world.operations(Connect)]


@pytest.mark.parametrize("from_caller", [True, False])
def test_an_offer_goes_on_as_an_update_where_that_is_allowed(from_caller: bool) -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    asking, asked = (call, other) if from_caller else (other, call)
    asking.request("UPDATE", body=MOVED)
    world.run(1)
    answer = asking.responses[-1]
    assert (answer.status, answer.cseq.method) == (200, "UPDATE")
    assert b"m=audio 20000 " in answer.body if from_caller else b"m=audio 20002 " in answer.body
    assert answer.headers.first("contact") is not None
    assert asked.requests[-1].method == "UPDATE"
    assert b"m=audio 2000" in asked.requests[-1].body
    assert len(asked.acks) == (0 if asked is call else 1)  # the INVITE's, none of an UPDATE
    assert ports(world)[-1] == 9000
    call.bye()
    world.run(40)
    world.assert_settled()


def test_an_offer_goes_on_as_a_re_invite_where_update_is_unknown() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world, updates=False)
    call.request("UPDATE", body=MOVED)
    world.run(1)
    assert call.responses[-1].status == 200
    assert call.responses[-1].cseq.method == "UPDATE"
    assert [request.method for request in other.requests] == ["INVITE", "INVITE"]
    assert len(other.acks) == 2
    assert ports(world)[-1] == 9000
    other.bye()
    world.run(40)
    world.assert_settled()


def test_what_a_peer_said_last_counts() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    other.request("UPDATE", headers=Headers.of(("Allow", "INVITE, ACK, BYE")))
    world.run(1)
    call.request("UPDATE", body=MOVED)
    world.run(1)
    assert other.requests[-1].method == "INVITE"


def test_hold_and_resume_by_update() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.update_answer = Say(200, body=sdp("127.0.0.3", 6080, lines="a=recvonly\r\n", version=2))
    call.request("UPDATE", body=sdp("127.0.0.2", 6070, lines="a=sendonly\r\n", version=2))
    world.run(1)
    alice.update_answer = Say(200)
    call.request("UPDATE", body=sdp("127.0.0.2", 6070, version=3))
    world.run(1)
    assert [event.held for event in world.events if isinstance(event, CallHeld)] == [True, False]


def test_a_lost_update_is_repeated() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    lost: list[bytes] = []

    def drops(data: bytes) -> bool:
        first = data.startswith(b"UPDATE sip:alice") and not lost
        if first:
            lost.append(data)
        return first

    world.drops = drops
    call.request("UPDATE", body=MOVED)
    world.run(2)
    assert lost
    assert call.responses[-1].status == 200
    assert [request.method for request in other.requests] == ["INVITE", "UPDATE"]


def test_without_an_offer_the_target_alone_is_refreshed() -> None:
    world = World(PLAN)
    call, other, alice = a_call(world)
    moved = world.phone("alice", BOB)
    moved._by_tag = alice._by_tag
    other.phone, other.flow = moved, moved.flow
    before = list(world.plane)
    other.request("UPDATE")
    world.run(1)
    assert other.statuses == [200]
    assert len(call.requests) == 0
    assert world.plane == before
    call.bye()
    world.run(1)
    assert [flow.remote for flow, data in world.wire if data.startswith(b"BYE")] == [BOB]


@pytest.mark.parametrize("status", [488, 491, 500])
def test_a_refusal_leaves_the_call_as_it_was(status: int) -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.update_answer = Say(status)
    before = list(world.plane)
    call.request("UPDATE", body=MOVED)
    world.run(40)
    assert call.statuses[-1] == status
    assert (world.plane, world.ended()) == (before, [])


def test_a_leg_that_no_longer_knows_us_ends_the_call() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.update_answer = Say(481)
    call.request("UPDATE", body=MOVED)
    world.run(40)
    assert call.statuses[-1] == 481
    world.assert_settled()


def test_a_broken_offer_is_refused_alone() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    call.request("UPDATE", body=MOVED.replace(b"RTP/AVP", b"RTP/SAVP"))
    world.run(1)
    assert call.statuses[-1] == 488
    assert len(other.requests) == 1
    assert world.ended() == []


@pytest.mark.parametrize(
    ("first", "second"), [("UPDATE", "UPDATE"), ("INVITE", "UPDATE"), ("UPDATE", "INVITE")]
)
def test_glare(first: str, second: str) -> None:
    """5.2: whose offer meets one of ours is told 491, and may ask again."""
    world = World(PLAN)
    call, other, alice = a_call(world)
    alice.update_answer = Say(200, after=0.05)
    call.request(first, body=MOVED)
    world.run(0.02)
    other.request(second, body=sdp("127.0.0.3", 9100, version=2))
    world.run(1)
    assert (call.statuses[-1], other.statuses[-1]) == (200, 491)
    other.request(second, body=sdp("127.0.0.3", 9100, version=3))
    world.run(1)
    assert other.statuses[-1] == 200


@pytest.mark.parametrize("first", ["UPDATE", "INVITE"])
def test_asking_twice_without_waiting(first: str) -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.update_answer = Say(200, after=2)
    alice.reinvite_answers = [Say(200, after=2)]
    call.request(first, body=MOVED)
    call.request("UPDATE", body=sdp("127.0.0.2", 9002, version=3))
    world.run(1)
    answer = next(response for response in call.responses if response.status == 500)
    assert 0 <= int(answer.headers.first("retry-after") or "") <= 10
    world.run(5)
    assert ports(world)[-1] == 9000


def test_a_person_who_decides_a_re_invite_is_too_slow_for_an_update() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world, updates=False)
    alice.reinvite_answers = [Say(180)]
    call.request("UPDATE", body=MOVED)
    world.run(19)
    assert call.responses[-1].cseq.method == "INVITE"
    world.run(3)
    assert call.statuses[-1] == 504
    assert world.ended() == []


def test_a_bye_in_the_middle_of_an_update() -> None:
    world = World(PLAN)
    call, other, alice = a_call(world)
    alice.update_answer = Say(200, after=1)
    call.request("UPDATE", body=MOVED)
    world.run(0.5)
    other.bye()
    world.run(60)
    assert 481 in call.statuses
    world.assert_settled()


def early(world: World) -> tuple[PhoneCall, Phone]:
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = [Say(180, after=0.1), Say(200, after=2.0, headers=(UPDATES,))]
    call = carrier.invite("+15550100", headers=(UPDATES,))
    world.run(1)
    assert call.invite is not None
    call.dialog = Dialog.uac(call.invite, call.response(180))
    return call, alice


def test_before_the_answer_an_offer_has_to_wait_for_that_of_the_invite() -> None:
    world = World(PLAN)
    call, alice = early(world)
    call.request("UPDATE", body=MOVED)
    world.run(0.5)
    assert call.statuses[-1] == 500
    assert call.responses[-1].headers.first("retry-after") is not None
    world.run(3)
    assert call.final is not None
    assert call.response(200).cseq.method == "INVITE"
    assert len(alice.calls[0].requests) == 1


def test_before_the_answer_the_target_is_refreshed_for_later() -> None:
    world = World(PLAN)
    call, alice = early(world)
    moved = Endpoint("127.0.0.2", 15099)
    world.phone("carrier", moved)
    call.request("UPDATE", headers=Headers.of())
    world.run(0.5)
    assert call.responses[-1].status == 200
    call.phone.at = moved
    call.request("UPDATE")
    world.run(3)
    alice.calls[0].bye()
    world.run(1)
    assert [flow.remote for flow, data in world.wire if data.startswith(b"BYE")][:1] == [moved]


@pytest.mark.parametrize(
    ("headers", "status"),
    [((("Require", "precondition"),), 420), ((("Content-Encoding", "gzip"),), 415)],
)
def test_what_is_refused_in_an_invite_is_refused_in_an_update(
    headers: tuple[tuple[str, str], ...], status: int
) -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    call.request("UPDATE", body=MOVED, headers=Headers.of(*headers))
    world.run(1)
    assert call.statuses[-1] == status
    assert len(other.requests) == 1
