"""Messages that cross on the wire (RFC 3261 9, 13, 15; RFC 5407)."""

import pytest

from mediaproxy.calls.events import CallEnded
from mediaproxy.calls.plane import MediaLost, MediaTimedOut
from mediaproxy.sip.dialog import Dialog
from mediaproxy.sip.headers import Headers
from tests.support.phone import Link, Phone, PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN


def a_call(world: World) -> tuple[PhoneCall, Phone]:
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    return carrier.invite("+15550100"), alice


def methods(phone: Phone) -> list[str]:
    return [request.method for request in phone.calls[0].requests]


def test_cancelled_while_ringing() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(180)]
    world.run(2)
    call.cancel()
    world.run(40)
    assert call.final == 487
    assert (world.last.disposition, world.last.sip_status, world.last.ended_by) == (
        "cancelled",
        487,
        "caller",
    )
    assert b"CANCEL" in b"".join(data[:6] for _, data in world.wire)
    world.assert_settled()


def test_a_cancel_waits_for_the_first_provisional() -> None:
    """9.1: a CANCEL that overtook its INVITE would find nothing to cancel."""
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(180, after=5)]
    world.drops = lambda data: data.startswith(b"SIP/2.0 100") and b"pbx.example" in data  # of alice
    world.run(1)
    call.cancel()
    world.run(1)
    assert call.final == 487  # the caller does not wait
    assert not any(data.startswith(b"CANCEL") for _, data in world.wire)
    world.run(60)
    assert any(data.startswith(b"CANCEL") for _, data in world.wire)
    world.assert_settled()


def test_cancelled_before_there_are_ports() -> None:
    world = World(PLAN)
    world.plane_delay_s = 1.0
    call, alice = a_call(world)
    world.run(0.5)
    call.cancel()
    world.run(40)
    assert call.final == 487
    assert alice.calls == []
    world.assert_settled()


def test_the_callee_answers_while_the_caller_cancels() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(180), Say(200, after=1.0)]
    world.run(1.02)  # the 200 is under way to us, the CANCEL meets it there
    call.cancel()
    world.run(1)
    assert call.final == 200  # it was too late: the caller has to hang up
    call.bye()
    world.run(40)
    assert methods(alice) == ["INVITE", "BYE"]
    assert world.last.disposition == "answered"
    world.assert_settled()


def test_a_2xx_after_our_cancel_is_acknowledged_and_ended() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(180), Say(200, after=1.05)]
    world.run(1.0)
    world.drops = lambda data: data.startswith(b"CANCEL sip:alice")
    call.cancel()
    world.run(40)
    assert call.final == 487
    assert methods(alice) == ["INVITE", "BYE"]
    assert len(alice.calls[0].acks) == 1
    assert world.last.disposition == "cancelled"
    assert world.names().count("CallAnswered") == 0
    world.assert_settled()


def test_cancelled_while_the_answer_waits_for_the_log() -> None:
    world = World(PLAN)
    world.row_delay_s = None
    call, alice = a_call(world)
    alice.answers = [Say(200, after=0.5)]
    world.run(0.6)
    call.cancel()
    world.run(40)
    assert call.final == 487
    assert methods(alice) == ["INVITE", "BYE"]
    assert (world.last.disposition, world.last.ended_by) == ("answered", "caller")
    world.assert_settled()


def test_a_cancel_after_our_2xx_changes_nothing() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(200)]
    world.drops = lambda data: data.startswith(b"SIP/2.0 200") and b"carrier.example" in data
    world.run(1)
    call.cancel()  # before a provisional: it is never sent
    world.drops = lambda data: False
    world.run(10)
    assert call.final == 200
    assert methods(alice) == ["INVITE"]


def test_the_callee_hangs_up_before_the_callers_ack() -> None:
    """15: who was called may not say BYE before the ACK; that is our dialog with the caller."""
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(200)]
    world.drops = lambda data: data.startswith(b"ACK sip:127.0.0.1")
    world.run(0.5)
    alice.calls[0].bye()
    world.run(2)
    assert call.requests == []
    assert isinstance(world.events[-1], CallEnded)  # but for the log it ended with the BYE
    world.drops = lambda data: False
    world.run(40)
    assert [request.method for request in call.requests] == ["BYE"]
    assert world.last.ended_by == "callee"
    world.assert_settled()


def test_an_ack_that_never_comes() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.drops = lambda data: data.startswith(b"ACK sip:127.0.0.1")
    world.run(80)
    assert [request.method for request in call.requests] == ["BYE"]
    assert methods(alice) == ["INVITE", "BYE"]
    assert (world.last.disposition, world.last.ended_by) == ("answered", "us")
    world.assert_settled()


def test_both_hang_up_at_once() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(3)
    call.bye()
    alice.calls[0].bye()
    world.run(40)
    assert call.statuses[-1] == 200
    assert alice.calls[0].statuses[-1] in (200, 481)
    assert len(world.ended()) == 1
    world.assert_settled()


def test_a_bye_within_an_early_dialog() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(180)]
    world.run(1)
    assert call.invite is not None
    call.dialog = Dialog.uac(call.invite, call.response(180))
    call.bye()
    world.run(40)
    assert [(each.cseq.method, each.status) for each in call.responses[-2:]] == [
        ("BYE", 200),
        ("INVITE", 487),
    ]
    assert world.last.disposition == "cancelled"
    world.assert_settled()


def test_several_forks_ring_and_two_answer() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    other = sdp("127.0.0.33", 7777)
    alice.answers = [
        Say(180, after=0.1, tag="one"),
        Say(183, after=0.2, tag="two", body=other),
        Say(200, after=1.0, tag="two", body=other),
        Say(200, after=1.1, tag="one"),
    ]
    world.run(1.05)
    rings = {response.status: response.to.tag for response in call.responses if response.status < 200}
    assert rings[180] != rings[183]  # two early dialogs of the callee's are two of ours
    assert call.response(200).to.tag == rings[183]
    world.run(40)
    killed = [request.to.tag for request in alice.calls[0].requests if request.method == "BYE"]
    assert killed == ["one"]
    assert "CallEnded" not in world.names()
    call.bye()
    world.run(40)
    assert [request.to.tag for request in alice.calls[0].requests if request.method == "BYE"] == [
        "one",
        "two",
    ]
    world.assert_settled()


def test_a_fork_answers_after_the_call_has_ended() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(200, after=0.1, tag="one"), Say(200, after=8.0, tag="two")]
    world.run(2)
    call.bye()
    world.run(1)
    world.run(40)
    assert [request.to.tag for request in alice.calls[0].requests if request.method == "BYE"] == [
        "one",
        "two",
    ]
    world.assert_settled()


def test_media_that_stops() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(3)
    world.tell(MediaTimedOut(world.events[0].call.id))
    world.run(40)
    assert [request.method for request in call.requests] == ["BYE"]
    assert methods(alice) == ["INVITE", "BYE"]
    assert (world.last.disposition, world.last.ended_by) == ("media_timeout", "us")
    world.assert_settled()


def test_what_relayed_a_call_dies() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(3)
    world.tell(MediaLost(world.events[0].call.id))
    world.run(40)
    for request in (call.requests[-1], alice.calls[0].requests[-1]):
        assert request.method == "BYE"
        assert request.headers.first("reason") == 'Q.850;cause=41;text="Temporary failure"'
    assert (world.last.disposition, world.last.sip_status, world.last.ended_by) == ("interrupted", 200, "us")
    world.assert_settled()


def test_what_would_have_relayed_a_call_dies_while_it_rings() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(180)]
    world.run(2)
    world.tell(MediaLost(world.events[0].call.id))
    world.run(40)
    assert call.final == 503
    assert any(data.startswith(b"CANCEL") for _, data in world.wire)
    assert (world.last.disposition, world.last.sip_status) == ("interrupted", 503)
    world.assert_settled()


def test_what_was_asked_for_ports_dies() -> None:
    world = World(PLAN)
    world.plane_delay_s = 1.0
    call, alice = a_call(world)
    world.run(0.5)
    world.tell(MediaLost(world.events[0].call.id))
    world.run(40)
    assert (call.final, alice.calls) == (503, [])
    world.assert_settled()


def test_ports_that_come_too_late_are_given_back() -> None:
    world = World(PLAN)
    world.plane_delay_s = 20.0
    call, alice = a_call(world)
    world.run(60)
    assert call.final == 503
    assert alice.calls == []
    world.assert_settled()


def test_a_request_of_an_older_number_is_refused() -> None:
    world = World(PLAN)
    call, _ = a_call(world)
    world.run(3)
    assert call.dialog is not None
    call.dialog.local_seq = 10
    call.request("OPTIONS")
    world.run(0.5)
    call.dialog.local_seq = 5
    call.request("OPTIONS")
    world.run(0.5)
    assert call.statuses[-2:] == [200, 500]


@pytest.mark.parametrize("tag", ["to", "from"])
def test_a_request_with_a_wrong_tag_is_refused(tag: str) -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(3)
    assert call.dialog is not None
    if tag == "to":
        call.dialog.remote = call.dialog.remote.with_tag("wrong")
    else:
        call.dialog.local = call.dialog.local.with_tag("wrong")
    call.request("BYE", headers=Headers())
    world.run(1)
    assert call.statuses[-1] == 481
    assert methods(alice) == ["INVITE"]


def test_the_dialogs_follow_a_bad_network() -> None:
    world = World(PLAN, link=Link(0.02, jitter_s=0.3, loss=0.3, duplicate=0.2), seed=7)
    call, _ = a_call(world)
    world.run(60)
    call.bye()
    world.run(120)
    world.assert_settled()
