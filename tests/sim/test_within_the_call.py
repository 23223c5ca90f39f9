"""Re-INVITEs, hold, late offers, INFO and demands: what happens between answer and end."""

import pytest

from mediaproxy.calls.events import CallHeld
from mediaproxy.calls.model import RecordingPolicy
from mediaproxy.calls.plane import Connect, Describe, DigitsSeen, LegId, WatchCodes, WatchMedia
from mediaproxy.net import Endpoint
from mediaproxy.sip.headers import Headers
from tests.support.phone import Phone, PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, BOB, CARRIER, PLAN, SIX, with_plan


def a_call(world: World) -> tuple[PhoneCall, PhoneCall, Phone]:
    """Confirmed: the caller's call, the callee's, the callee."""
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100")
    world.run(2)
    assert call.final == 200
    return call, alice.calls[0], alice


def held(world: World) -> list[bool]:
    return [event.held for event in world.events if isinstance(event, CallHeld)]


def heard(world: World) -> dict[LegId, bool]:
    return {operation.leg: operation.heard for operation in world.operations(Describe)}


def watched(world: World) -> list[float]:
    return [operation.timeout_s for operation in world.operations(WatchMedia)]


# -- re-INVITE


@pytest.mark.parametrize("lines", ["a=sendonly\r\n", "a=inactive\r\n"])
def test_hold_and_resume(lines: str) -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    answer = {"a=sendonly\r\n": "a=recvonly\r\n", "a=inactive\r\n": "a=inactive\r\n"}[lines]
    world.phones[CARRIER].reinvite_answers = [Say(200, body=sdp("127.0.0.2", 6070, lines=answer))]
    other.request("INVITE", body=sdp("127.0.0.3", 6080, lines=lines, version=2))
    world.run(1)
    assert other.statuses == [200]
    assert lines.encode() in call.requests[-1].body
    assert len(call.acks) == 1
    assert held(world) == [True]
    assert watched(world) == [60.0, 0.0]
    assert heard(world) == {LegId.A: False, LegId.B: lines == "a=sendonly\r\n"}  # music is heard
    world.phones[CARRIER].reinvite_answers = [Say(200)]
    other.request("INVITE", body=sdp("127.0.0.3", 6080, version=3))
    world.run(1)
    assert held(world) == [True, False]
    assert watched(world) == [60.0, 0.0, 60.0]
    assert heard(world) == {LegId.A: True, LegId.B: True}
    assert len(world.operations(Connect)) == 2  # nobody moved
    call.bye()
    world.run(40)
    world.assert_settled()


def test_hold_as_it_was_done_of_old() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    call.request("INVITE", body=sdp("0.0.0.0", 6070, version=2))
    world.run(1)
    assert b"c=IN IP4 0.0.0.0\r\n" in other.requests[-1].body
    assert held(world) == [True]
    assert heard(world) == {LegId.A: True, LegId.B: False}
    assert all(operation.remote.rtp.host != "0.0.0.0" for operation in world.operations(Connect))
    call.request("INVITE", body=sdp("127.0.0.2", 6070, version=3))
    world.run(1)
    assert held(world) == [True, False]


def test_media_that_moves() -> None:
    world = World(PLAN)
    call, _, _ = a_call(world)
    call.request("INVITE", body=sdp("127.0.0.2", 9000, formats="8 101", version=2))
    world.run(1)
    assert world.operations(Connect)[-1].remote.rtp == Endpoint("127.0.0.2", 9000)
    described = {operation.leg: set(operation.audio) for operation in world.operations(Describe)}
    assert described == {LegId.A: {0}, LegId.B: {8}}
    assert len(world.operations(Connect)) == 3


def test_our_version_rises_with_what_we_say_and_our_ids_stay() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    for port, formats, version in ((9000, "0 101", 2), (9000, "8 101", 3), (9002, "8 101", 4)):
        call.request("INVITE", body=sdp("127.0.0.2", port, formats=formats, version=version))
        world.run(1)
    origins = [request.body.split(b"\r\n")[1].split() for request in other.requests]
    assert len({origin[1] for origin in origins}) == 1
    # Where the other leg's media comes from is no word of ours.
    assert [int(origin[2]) for origin in origins] == [1, 1, 2, 2]


@pytest.mark.parametrize("status", [488, 491, 500])
def test_a_refused_re_invite_leaves_the_call_as_it_was(status: int) -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    before = list(world.plane)
    alice.reinvite_answers = [Say(status)]
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    world.run(40)
    assert call.statuses[-1] == status
    assert world.plane == before
    assert world.ended() == []


@pytest.mark.parametrize("status", [481, 408])
def test_a_leg_that_no_longer_knows_us_ends_the_call(status: int) -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.reinvite_answers = [Say(status)]
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    world.run(40)
    assert call.statuses[-1] == status
    assert [request.method for request in call.requests] == ["BYE"]
    world.assert_settled()


def test_a_broken_offer_is_refused_alone() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    call.request("INVITE", body=sdp().replace(b"RTP/AVP", b"RTP/SAVP"))
    world.run(1)
    assert call.statuses[-1] == 488
    assert len(other.requests) == 1
    assert world.ended() == []


def test_glare() -> None:
    """14.1: both ask at once; each is told 491 and may ask again after a while of its own."""
    world = World(PLAN)
    call, other, _ = a_call(world)
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    other.request("INVITE", body=sdp("127.0.0.3", 9100, version=2))
    world.run(1)
    assert sorted([call.statuses[-1], other.statuses[-1]]) == [200, 491]
    other.request("INVITE", body=sdp("127.0.0.3", 9100, version=3))
    world.run(1)
    assert other.statuses[-1] == 200
    call.bye()
    world.run(40)
    world.assert_settled()


def test_asking_twice_without_waiting() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.reinvite_answers = [Say(200, after=2)]
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    call.request("INVITE", body=sdp("127.0.0.2", 9002, version=3))
    world.run(1)
    answer = call.responses[-1]
    if answer.status == 100:
        answer = call.responses[-2]
    assert answer.status == 500
    assert answer.headers.first("retry-after") is not None


def test_a_re_invite_before_the_callers_ack_is_glare() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    world.drops = lambda data: data.startswith(b"ACK sip:127.0.0.1")
    carrier.invite("+15550100")
    world.run(2)
    other = alice.calls[0]
    other.request("INVITE", body=alice.media)
    world.run(0.1)
    assert other.statuses[-1] == 491


def test_a_cancelled_re_invite() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.reinvite_answers = [Say(180)]
    transaction = call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    world.run(1)
    world.phones[CARRIER].layer.cancel(transaction, now_ns=world.now_ns)
    world.phones[CARRIER].flush()
    world.run(5)
    assert call.statuses[-1] == 487
    assert world.ended() == []
    call.bye()
    world.run(40)
    world.assert_settled()


def test_a_re_invite_that_nobody_ever_answers() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.reinvite_answers = [Say(180)]
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    world.run(31)
    assert call.statuses[-1] == 100
    world.run(2)
    assert call.statuses[-1] == 487


def test_a_bye_in_the_middle_of_a_re_invite() -> None:
    world = World(PLAN)
    call, other, alice = a_call(world)
    alice.reinvite_answers = [Say(180), Say(200, after=1)]
    call.request("INVITE", body=sdp("127.0.0.2", 9000, version=2))
    world.run(0.5)
    other.bye()
    world.run(60)
    assert 487 in call.statuses
    world.assert_settled()


def test_a_re_invite_without_an_offer() -> None:
    world = World(PLAN)
    call, other, alice = a_call(world)
    alice.reinvite_answers = [Say(200, body=sdp("127.0.0.3", 9200, version=2))]
    call.late_answer = sdp("127.0.0.2", 9300, version=2)
    call.request("INVITE")
    world.run(1)
    assert b"m=audio 20000 " in call.responses[-1].body
    assert b"m=audio 20002 " in other.acks[-1].body
    moved = {operation.leg: operation.remote.rtp.port for operation in world.operations(Connect)}
    assert moved == {LegId.A: 9300, LegId.B: 9200}


def test_an_ack_without_the_answer_ends_the_call() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    call.request("INVITE")
    world.run(60)
    assert other.requests[-1].method == "BYE"
    world.assert_settled()


def test_the_remote_target_follows_the_contact() -> None:
    world = World(PLAN)
    call, other, alice = a_call(world)
    moved = world.phone("alice", BOB)
    moved._by_tag = alice._by_tag
    other.phone = moved
    other.flow = moved.flow
    other.request("INVITE", body=sdp("127.0.0.3", 6080, version=2))
    world.run(1)
    call.request("OPTIONS")
    call.bye()
    world.run(1)
    assert other.requests[-1].method == "BYE"
    assert [flow.remote for flow, data in world.wire if data.startswith(b"BYE")] == [BOB]


# -- late offer


def test_the_callee_offers_and_the_caller_answers_in_its_ack() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100", body=b"")
    call.late_answer = sdp("127.0.0.2", 6100, formats="8 101")
    world.run(5)
    assert alice.calls[0].requests[0].body == b""
    assert b"m=audio 20000 " in call.response(200).body
    (ack,) = alice.calls[0].acks
    assert b"m=audio 20002 RTP/AVP 8 101" in ack.body
    described = {operation.leg: set(operation.audio) for operation in world.operations(Describe)}
    assert described == {LegId.A: {0}, LegId.B: {8}}
    assert "CallAnswered" in world.names()
    call.bye()
    world.run(40)
    world.assert_settled()


def test_a_late_offer_without_an_answer_ends_the_call() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100", body=b"")
    world.run(60)
    assert [request.method for request in alice.calls[0].requests] == ["INVITE", "BYE"]
    assert [request.method for request in call.requests] == ["BYE"]
    world.assert_settled()


def test_the_caller_hangs_up_before_it_answers_a_late_offer() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    call = carrier.invite("+15550100", body=b"")
    world.drops = lambda data: data.startswith(b"ACK sip:127.0.0.1")
    world.run(2)
    call.bye()
    world.run(60)
    assert len(alice.calls[0].acks) == 1
    assert alice.calls[0].requests[-1].method == "BYE"
    world.assert_settled()


# -- transports and routes


def test_over_tcp() -> None:
    world = World(PLAN)
    carrier = world.phone("carrier", CARRIER)
    tess = world.phone("tess", Endpoint("127.0.0.5", 15080), transport="tcp")
    call = carrier.invite("+15550105")
    world.run(3)
    assert call.final == 200
    invite = tess.calls[0].requests[0]
    assert invite.headers.first("contact") == "<sip:127.0.0.1:15060;transport=tcp>"
    assert invite.via.transport == "TCP"
    tess.calls[0].bye()
    world.run(40)
    assert call.requests[-1].method == "BYE"
    world.assert_settled()


def test_a_connection_is_used_whatever_the_contact_says() -> None:
    """A phone behind NAT names an address that nobody reaches."""
    world = World(PLAN)
    carrier = world.phone("carrier", CARRIER)
    tess = world.phone("tess", Endpoint("127.0.0.5", 15080), transport="tcp")
    carrier.invite("+15550105")
    world.run(0.1)
    tess.at = Endpoint("10.9.8.7", 5060)  # from here on it says so in its Contact
    world.run(3)
    to_tess = [flow.remote for flow, data in world.wire if data.startswith(b"ACK")]
    assert to_tess == [Endpoint("127.0.0.5", 15080)]
    assert next(data for _, data in world.wire if data.startswith(b"ACK")).startswith(
        b"ACK sip:tess@10.9.8.7"
    )


def test_over_ipv6() -> None:
    world = World(PLAN)
    carrier, six = world.phone("carrier", CARRIER), world.phone("six", SIX)
    call = carrier.invite("+15550106")
    world.run(3)
    body = six.calls[0].requests[0].body
    assert b"c=IN IP6 ::1\r\n" in body
    assert six.calls[0].requests[0].headers.first("contact") == "<sip:[::1]:15060>"
    assert b"c=IN IP4 127.0.0.1\r\n" in call.response(200).body
    call.bye()
    world.run(40)
    world.assert_settled()


def test_route_sets_of_both_legs() -> None:
    world = World(PLAN)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    edge = world.phone("edge", Endpoint("127.0.0.2", 15099))
    alice.answers = [Say(200, headers=(("Record-Route", "<sip:127.0.0.3:15077;lr>"),))]
    carrier.invite("+15550100", headers=(("Record-Route", "<sip:127.0.0.2:15099;lr>"),))
    world.run(1)
    assert edge.calls == []
    ack = next(flow for flow, data in world.wire if data.startswith(b"ACK"))
    assert ack.remote == Endpoint("127.0.0.3", 15077)
    alice.calls[0].bye()
    world.run(1)
    flow, data = next((flow, data) for flow, data in world.wire if data.startswith(b"BYE"))
    assert flow.remote == Endpoint("127.0.0.2", 15099)
    assert b"\r\nRoute: <sip:127.0.0.2:15099;lr>\r\n" in data
    assert data.startswith(b"BYE sip:carrier@127.0.0.2:15070 ")


def test_rtcp_mux_is_agreed_by_both_or_not_at_all() -> None:
    for answer, mux in (("a=rtcp-mux\r\n", True), ("", False)):
        world = World(PLAN)
        carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
        alice.media = sdp("127.0.0.3", 6080, lines=answer)
        carrier.invite("+15550100", body=sdp("127.0.0.2", 6070, lines="a=rtcp-mux\r\n"))
        world.run(3)
        assert [operation.remote.rtcp_mux for operation in world.operations(Connect)] == [mux, mux]
        assert [operation.remote.rtcp.port for operation in world.operations(Connect)] == (
            [6070, 6080] if mux else [6071, 6081]
        )


# -- INFO


def test_info_goes_from_end_to_end_with_its_body() -> None:
    world = World(PLAN)
    call, other, alice = a_call(world)
    alice.info_status = 415
    call.request("INFO", body=b"\x00payload", content_type="application/x-any")
    world.run(1)
    info = other.requests[-1]
    assert (info.method, info.body, info.content_type) == ("INFO", b"\x00payload", "application/x-any")
    assert call.statuses[-1] == 415


def test_info_to_somebody_deaf() -> None:
    world = World(PLAN)
    call, _, alice = a_call(world)
    alice.silent = True
    call.request("INFO", body=b"x", content_type="application/x-any")
    world.run(40)
    assert "TimedOut" in call.failures or call.statuses[-1] == 408


def record(call: PhoneCall, value: str) -> None:
    call.request("INFO", headers=Headers.of(("Record", value)))


@pytest.mark.parametrize(("value", "action"), [("on", "start"), ("Off", "stop")])
def test_the_agent_demands_by_info(value: str, action: str) -> None:
    world = World(PLAN)
    _, other, _ = a_call(world)
    record(other, value)
    world.run(1)
    (demand,) = world.demands
    assert (demand.leg, demand.action, demand.means) == (LegId.B, action, "sip")
    assert other.statuses == []  # it waits until the demand is in effect
    assert demand.reply is not None
    world.proxy.record_outcome(demand.reply, 200, now_ns=world.now_ns)
    world.settle()
    world.run(1)
    assert other.statuses == [200]


def test_a_demand_that_is_not_allowed() -> None:
    world = World(PLAN)
    _, other, _ = a_call(world)
    record(other, "on")
    world.run(0.1)
    assert world.demands[0].reply is not None
    world.proxy.record_outcome(world.demands[0].reply, 403, now_ns=world.now_ns)
    world.proxy.record_outcome(world.demands[0].reply, 200, now_ns=world.now_ns)  # once only
    world.settle()
    world.run(1)
    assert other.statuses == [403]


def test_a_demand_that_the_calls_end_overtakes() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    record(other, "on")
    world.run(0.1)
    call.bye()
    world.run(40)
    assert other.statuses[0] == 481
    world.assert_settled()


def test_the_carrier_never_opens() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    record(call, "on")
    world.run(1)
    assert call.statuses[-1] == 403
    assert world.demands == []
    assert len(other.requests) == 1


def test_a_record_header_that_says_nothing_known() -> None:
    world = World(PLAN)
    _, other, _ = a_call(world)
    record(other, "perhaps")
    world.run(1)
    assert other.statuses == [400]


def dial(call: PhoneCall, digits: str, world: World, *, plain: bool = False) -> None:
    for digit in digits:
        body = digit if plain else f"Signal= {digit}\r\nDuration= 160\r\n"
        kind = "application/dtmf" if plain else "application/dtmf-relay"
        call.request("INFO", body=body.encode(), content_type=kind)
        world.run(0.2)


def digits(call: PhoneCall) -> list[bytes]:
    return [request.body.split(b"\r\n")[0] for request in call.requests if request.method == "INFO"]


@pytest.mark.parametrize("plain", [False, True])
def test_a_code_by_info_is_acted_upon_and_kept(plain: bool) -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    dial(other, "*1", world, plain=plain)
    world.run(5)
    (demand,) = world.demands
    assert (demand.leg, demand.action, demand.means, demand.reply) == (LegId.B, "start", "dtmf", None)
    assert other.statuses == [200, 200]
    assert digits(call) == []


def test_digits_that_are_no_code_go_on() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    dial(other, "*95", world)
    world.run(1)
    assert digits(call) == [b"Signal= *", b"Signal= 9", b"Signal= 5"]
    assert other.statuses == [200, 200, 200]
    assert world.demands == []


def test_the_digits_of_a_code_never_come_back() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    dial(other, "*1*95", world)
    world.run(5)
    assert digits(call) == [b"Signal= *", b"Signal= 9", b"Signal= 5"]
    assert len(world.demands) == 1


def test_a_lonely_star_goes_on_after_a_while() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    dial(other, "*", world)
    world.run(1)
    assert digits(call) == []
    world.run(1)
    assert digits(call) == [b"Signal= *"]


def test_the_carriers_digits_are_never_a_code() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    dial(call, "*1", world)
    assert digits(other) == [b"Signal= *", b"Signal= 1"]
    assert world.demands == []


def test_digits_that_rfc_4733_told_too_are_answered_and_ignored() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    world.tell(DigitsSeen(world.events[0].call.id, LegId.B, world.now_ns))
    dial(other, "*1", world)
    assert world.demands == []
    assert digits(call) == []
    assert other.statuses == [200, 200]
    world.run(2)
    dial(other, "*1", world)
    assert [demand.action for demand in world.demands] == ["start"]


def test_digits_that_info_told_first_are_forgotten_when_rfc_4733_tells_them() -> None:
    world = World(PLAN)
    call, other, _ = a_call(world)
    dial(other, "*", world)
    world.tell(DigitsSeen(world.events[0].call.id, LegId.B, world.now_ns))
    dial(other, "1", world)
    world.run(5)
    assert world.demands == []
    assert digits(call) == []


def test_a_code_that_begins_another_is_demanded_at_once_and_for_certain_later() -> None:
    world = World(with_plan(codes=(("start", "*1"), ("stop", "*11"))))
    call, other, _ = a_call(world)
    dial(other, "*1", world)
    world.run(3)
    dial(other, "*11", world)
    world.run(3)
    assert [(demand.action, demand.certain) for demand in world.demands] == [
        *(("start", False), ("start", True)),
        *(("start", False), ("stop", True)),
    ]
    assert len({demand.arrived_ns for demand in world.demands}) == 3
    assert digits(call) == []


def test_what_follows_a_shorter_code_goes_on() -> None:
    world = World(with_plan(codes=(("start", "*1"), ("stop", "*112"))))
    call, other, _ = a_call(world)
    dial(other, "*119", world)
    world.run(3)
    assert [(demand.action, demand.certain) for demand in world.demands] == [
        ("start", False),
        ("start", True),
    ]
    assert digits(call) == [b"Signal= 1", b"Signal= 9"]
    assert other.statuses == [200, 200, 200, 200]


def codes_watched(world: World) -> dict[LegId, dict[str, str]]:
    return {op.leg: dict(op.codes or {}) for op in world.operations(WatchCodes)}


def test_the_carriers_leg_is_watched_for_what_closes_where_the_policy_says_so() -> None:
    codes = (("start", "*1"), ("stop", "*2"), ("toggle", "*3"), ("pause", "*4"), ("resume", "*5"))
    policy = RecordingPolicy(codes=codes, carrier_closes=True)
    world = World(with_plan(recording=policy))
    call, _, _ = a_call(world)
    assert codes_watched(world) == {
        LegId.A: {"stop": "*2", "toggle": "*3", "pause": "*4"},
        LegId.B: dict(codes),
    }
    dial(call, "*1*2", world)
    assert [(demand.leg, demand.action) for demand in world.demands] == [(LegId.A, "stop")]


def test_a_policy_without_codes_of_its_own_has_the_plans() -> None:
    world = World(PLAN)
    a_call(world)
    assert codes_watched(world) == {LegId.B: dict(PLAN.codes)}


def test_without_codes_all_digits_go_on() -> None:
    world = World(with_plan(codes=()))
    call, other, _ = a_call(world)
    dial(other, "*1", world)
    assert digits(call) == [b"Signal= *", b"Signal= 1"]


def test_a_new_plan_is_for_new_calls() -> None:
    world = World(PLAN)
    _, other, _ = a_call(world)
    world.proxy.replace_plan(with_plan(routes=(), codes=()))
    second = world.phones[CARRIER].invite("+15550100")
    dial(other, "*1", world)
    assert second.final == 404
    assert len(world.demands) == 1
