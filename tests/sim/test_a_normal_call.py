"""A carrier's call to an agent and back, as the wire, the plane and the log see it."""

from mediaproxy.calls.events import CallAnswered, CallEnded, CallStarted
from mediaproxy.calls.model import Policy
from mediaproxy.calls.plane import Allocate, Connect, Describe, LegId, Release, WatchCodes, WatchMedia
from mediaproxy.net import Endpoint
from mediaproxy.sip.parser import parse_message
from tests.support.phone import NS, WALL_OFFSET_NS, Phone, PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, BOB, CARRIER, PLAN


def a_call(world: World, number: str = "+15550100", **options: object) -> tuple[PhoneCall, Phone]:
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    return carrier.invite(number, **options), alice  # type: ignore[arg-type]  # what invite takes


def test_the_caller_hangs_up() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(11.05)
    call.bye()
    world.run(40)
    assert call.statuses == [100, 180, 200, 200]
    assert [request.method for request in alice.calls[0].requests] == ["INVITE", "BYE"]
    assert len(alice.calls[0].acks) == 1
    assert world.names() == ["CallStarted", "CallRinging", "CallAnswered", "CallEnded"]
    assert (world.last.disposition, world.last.sip_status, world.last.ended_by) == ("answered", 200, "caller")
    world.assert_settled()


def test_the_callee_hangs_up() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(5)
    alice.calls[0].bye(Reason="Q.850;cause=16")
    world.run(40)
    assert [request.method for request in call.requests] == ["BYE"]
    assert call.requests[0].headers.first("reason") == "Q.850;cause=16"
    assert world.last.ended_by == "callee"
    world.assert_settled()


def test_an_answered_call_needs_no_timer_of_ours() -> None:
    world = World(PLAN)
    a_call(world)
    world.run(2)
    assert len(world.proxy._context.schedule) == 0


def test_we_hang_up() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(5)
    world.proxy.hang_up(world.events[0].call.id, now_ns=world.now_ns)  # type: ignore[attr-defined]  # CallStarted
    world.settle()
    world.run(40)
    assert [request.method for request in call.requests] == ["BYE"]
    assert alice.calls[0].requests[-1].method == "BYE"
    assert (world.last.disposition, world.last.ended_by) == ("answered", "us")
    world.assert_settled()


def test_the_call_clock_begins_with_the_2xx_and_ends_with_the_bye() -> None:
    world = World(PLAN)
    begun_ns = world.now_ns
    call, _ = a_call(world)
    world.run(3)
    hung_up_ns = world.now_ns
    call.bye()
    world.run(40)
    answered = next(event for event in world.events if isinstance(event, CallAnswered))
    ended = next(event for event in world.events if isinstance(event, CallEnded))
    one_way_ns = NS // 100
    assert answered.answered_ns == begun_ns + 3 * one_way_ns + NS  # two ways there, 1 s of ringing, one back
    assert ended.ended_ns == hung_up_ns + one_way_ns
    record = ended.call
    assert record.started_at_ms == (begun_ns + one_way_ns + WALL_OFFSET_NS) // 1_000_000
    assert record.answered_at_ms == (answered.answered_ns + WALL_OFFSET_NS) // 1_000_000
    lasted_ms = (ended.ended_ns - answered.answered_ns) // 1_000_000
    assert record.ended_at_ms == record.answered_at_ms + lasted_ms
    assert [(who.from_ms, who.to_ms) for who in record.participants] == [(0, lasted_ms)] * 2


def test_what_the_log_hears() -> None:
    world = World(PLAN)
    a_call(world)
    world.run(5)
    started = world.events[0]
    assert isinstance(started, CallStarted)
    assert (started.call.direction, started.call.agent, started.call.trunk) == ("inbound", "alice", "carrier")
    assert (started.call.from_user, started.call.to_user) == ("carrier", "+15550100")
    assert (started.call.from_name, started.call.state) == ("Carol C", "trying")
    answered = next(event for event in world.events if isinstance(event, CallAnswered))
    assert (answered.agent_leg, answered.carrier_leg) == (LegId.B, LegId.A)
    assert answered.policy.policy is Policy.ON_DEMAND
    assert [(who.kind, who.name, who.number) for who in answered.call.participants] == [
        ("trunk", "carrier", "carrier"),
        ("agent", "alice", "+15550100"),
    ]


def test_an_agent_calls_out() -> None:
    world = World(PLAN)
    alice, carrier = world.phone("alice", ALICE), world.phone("carrier", CARRIER)
    alice.invite("+1 555 0199".replace(" ", "-"), headers=(("P-Asserted-Identity", "<sip:boss@x>"),))
    world.run(5)
    invite = carrier.calls[0].requests[0]
    assert invite.uri == "sip:+15550199@127.0.0.2:15070"
    assert "p-asserted-identity" not in invite.headers
    answered = next(event for event in world.events if isinstance(event, CallAnswered))
    assert (answered.call.direction, answered.agent_leg, answered.carrier_leg) == (
        "outbound",
        LegId.A,
        LegId.B,
    )
    assert (answered.call.agent, answered.call.trunk) == ("alice", "carrier")


def test_two_agents_talk() -> None:
    world = World(PLAN)
    alice, bob = world.phone("alice", ALICE), world.phone("bob", BOB)
    alice.invite("bob")
    world.run(5)
    answered = next(event for event in world.events if isinstance(event, CallAnswered))
    assert (answered.call.direction, answered.agent_leg, answered.carrier_leg) == (
        "internal",
        LegId.B,
        LegId.A,
    )
    assert [operation.leg for operation in world.operations(WatchCodes)] == [LegId.A, LegId.B]
    assert answered.call.agent == "bob"
    assert bob.calls


def test_two_trunks_talk_and_nobody_commands() -> None:
    world = World(PLAN)
    carrier, other = world.phone("carrier", CARRIER), world.phone("other", Endpoint("127.0.0.7", 15070))
    carrier.invite("+19991")
    world.run(5)
    answered = next(event for event in world.events if isinstance(event, CallAnswered))
    assert (answered.agent_leg, answered.carrier_leg) == (None, LegId.A)
    assert world.operations(WatchCodes) == []
    assert other.calls


def test_the_plane_is_told_before_the_wire() -> None:
    world = World(PLAN)
    call, alice = a_call(world, body=sdp("127.0.0.2", 6000, formats="0 8 101"))
    alice.media = sdp("127.0.0.3", 7000, formats="8 96", lines="a=rtpmap:96 telephone-event/8000\r\n")
    world.run(3)
    call.bye()
    world.run(40)
    a_side, b_side = world.operations(Connect)
    assert (a_side.leg, a_side.remote.rtp, a_side.remote.rtcp) == (
        LegId.A,
        Endpoint("127.0.0.2", 6000),
        Endpoint("127.0.0.2", 6001),
    )
    assert (b_side.leg, b_side.remote.rtp) == (LegId.B, Endpoint("127.0.0.3", 7000))
    # By the description we sent to that leg: the caller was sent the callee's types.
    described = {operation.leg: operation for operation in world.operations(Describe)}
    assert set(described[LegId.A].audio) == {8}
    assert described[LegId.A].digits == {96}
    assert set(described[LegId.B].audio) == {0, 8}
    assert described[LegId.B].digits == {101}
    assert [type(operation) for operation in world.plane] == [
        *(Allocate, Connect, Describe, Connect, Describe, WatchCodes, WatchMedia, Release)
    ]


def test_each_leg_is_told_its_own_port() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    world.run(3)
    assert b"m=audio 20002 " in alice.calls[0].requests[0].body
    assert b"m=audio 20000 " in call.response(200).body


def test_early_media_is_anchored_too() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(183, after=0.5), Say(180, after=0.7), Say(200, after=2)]
    world.run(1)
    assert b"m=audio 20000 " in call.response(183).body
    assert len(world.operations(Connect)) == 2
    world.run(5)
    assert call.response(200).body == call.response(183).body  # not even the version moves
    assert len(world.operations(Connect)) == len(world.operations(Describe)) == 2


def test_an_answer_that_was_given_early_need_not_be_repeated() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(183, after=0.5), Say(200, after=2, body=b"")]
    world.run(5)
    assert call.response(200).body == call.response(183).body != b""
    assert call.response(200).content_type == "application/sdp"


def test_what_the_callee_reads() -> None:
    """contract: On the wire (B-leg)."""
    world = World(PLAN)
    kept = (
        ("P-Asserted-Identity", "<sip:+1555@carrier.example>"),
        ("Privacy", "id"),
        ("X-Two", "b"),
        ("X-One ", "  a  "),
        ("X-Two", "a"),
        ("User-Agent", "Carrier/1.0"),
        ("Supported", "100rel, path,timer"),
        ("Require", "privacy"),
    )
    gone = (("Proxy-Authorization", "Digest x"), ("Authorization", "Digest y"), ("Allow", "PRACK"))
    routes = (("Record-Route", "<sip:127.0.0.2:15070;lr>"), ("Route", "<sip:127.0.0.1:15060;lr>"))
    call, alice = a_call(world, headers=kept + gone + routes, max_forwards=7)
    world.run(1)
    invite = alice.calls[0].requests[0]
    assert invite.uri == "sip:alice@127.0.0.3:15080;x=Y"
    assert invite.headers.first("to") == "<sip:alice@127.0.0.3:15080;x=Y>"
    assert str(invite.from_.uri) == "sip:carrier@pbx.example"
    assert invite.from_.display == "Carol C"
    assert invite.from_.tag != call.local_tag
    assert call.invite is not None
    assert invite.call_id != call.invite.call_id
    assert invite.max_forwards == 6
    assert len(invite.headers.all("via")) == 1
    assert [header.text for header in invite.headers][8:] == [
        "P-Asserted-Identity: <sip:+1555@carrier.example>",
        "Privacy: id",
        "X-Two: b",
        "X-One :   a  ",
        "X-Two: a",
        "User-Agent: Carrier/1.0",
        "Supported: path",
        "Require: privacy",
        "Content-Type: application/sdp",
        "Supported: timer",
        f"Content-Length: {len(invite.body)}",
    ]
    assert invite.headers.all("allow") == ["INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"]


def test_what_the_caller_reads() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [
        Say(180, headers=(("Require", "100rel"), ("RSeq", "1"))),
        Say(200, after=0.5, headers=(("Server", "Alice/2"), ("Supported", "timer"), ("X-Deep", "1"))),
    ]
    world.run(3)
    ringing, answer = call.response(180), call.response(200)
    assert "require" not in ringing.headers
    assert answer.headers.first("server") == "Alice/2"
    assert answer.headers.first("x-deep") == "1"
    assert answer.headers.all("supported") == ["timer"]  # ours, on this leg
    assert answer.headers.first("contact") == "<sip:127.0.0.1:15060>"
    assert ringing.to.tag == answer.to.tag


def test_the_rows_delay_delays_the_answer_but_not_for_long() -> None:
    world = World(PLAN)
    world.row_delay_s = 1.2
    call, _ = a_call(world)
    world.run(1.15)
    assert call.final is None
    world.run(0.10)
    assert call.final == 200

    world = World(PLAN)
    world.row_delay_s = None
    call, _ = a_call(world)
    world.run(1.38)
    assert call.final is None
    world.run(0.10)
    assert call.final == 200  # 400 ms: the call comes first


def test_lost_acks_and_answers_are_repeated() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    lost = {b"SIP": iter([True] * 4 + [False] * 20), b"ACK": iter([True] * 2 + [False] * 20)}
    world.drops = lambda data: data.startswith((b"SIP/2.0 200", b"ACK")) and next(lost[data[:3]])
    world.run(30)
    assert call.final == 200
    assert len(alice.calls[0].acks) == 1
    assert "CallEnded" not in world.names()


def test_every_message_we_send_parses() -> None:
    world = World(PLAN)
    call, _ = a_call(world)
    world.run(3)
    call.bye()
    world.run(40)
    for _, data in world.wire:
        parse_message(data)
