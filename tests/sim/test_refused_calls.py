"""Calls that come to nothing: by whose fault, with which status, and what the log says of it."""

import pytest

from mediaproxy.calls.plane import Allocate
from mediaproxy.sip.messages import Request
from tests.support.phone import Phone, PhoneCall, Say, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN, STRANGER, with_plan

SAVP = sdp().replace(b"RTP/AVP", b"RTP/SAVP")


def a_call(world: World, number: str = "+15550100", **options: object) -> tuple[PhoneCall, Phone]:
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    return carrier.invite(number, **options), alice


def outcome(world: World) -> tuple[str | None, int | None, str | None]:
    return world.last.disposition, world.last.sip_status, world.last.ended_by


@pytest.mark.parametrize(
    ("say", "told", "disposition"),
    [
        (Say(486), 486, "busy"),
        (Say(600), 600, "busy"),
        (Say(403), 403, "rejected"),
        (Say(603), 603, "rejected"),
        (Say(480), 480, "unavailable"),
        (Say(408), 408, "unavailable"),
        (Say(404), 404, "failed"),
        (Say(488), 488, "failed"),
        (Say(503, headers=(("Retry-After", "7"),)), 503, "failed"),
        (Say(401, headers=(("WWW-Authenticate", "Digest realm=x"),)), 403, "rejected"),
        (Say(407, headers=(("Proxy-Authenticate", "Digest realm=x"),)), 403, "rejected"),
        (Say(302, headers=(("Contact", "<sip:else@where>"),)), 302, "failed"),
    ],
)
def test_the_callee_refuses(say: Say, told: int, disposition: str) -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [say]
    world.run(40)
    assert call.final == told
    assert outcome(world) == (disposition, told, "callee")
    answer = call.response(told)
    assert not {"www-authenticate", "proxy-authenticate"} & {header.key for header in answer.headers}
    assert answer.headers.first("retry-after") == ("7" if told == 503 else None)
    assert len(alice.calls[0].requests) == 1  # credentials are never tried
    world.assert_settled()


def test_reason_and_cause_are_passed_on() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.answers = [Say(486, reason="Besetzt", headers=(("Reason", "Q.850;cause=17"),))]
    world.run(40)
    assert call.response(486).reason == "Besetzt"
    assert call.response(486).headers.first("reason") == "Q.850;cause=17"


def test_a_callee_that_rang_did_not_answer() -> None:
    world = World(PLAN)
    _, alice = a_call(world)
    alice.answers = [Say(180), Say(480, after=3)]
    world.run(40)
    assert outcome(world) == ("no_answer", 480, "callee")


def test_nobody_there() -> None:
    world = World(PLAN)
    call, alice = a_call(world)
    alice.silent = True
    world.run(80)
    assert call.final == 408
    assert outcome(world) == ("unavailable", 408, "callee")
    world.assert_settled()


def test_a_callee_that_can_not_be_reached() -> None:
    world = World(PLAN)
    call, _ = a_call(world)
    world.run(0.015)
    (transaction,) = [sent for data, sent in world.sent if data.startswith(b"INVITE")]
    world.proxy.transport_failed(transaction, now_ns=world.now_ns)
    world.settle()
    world.run(40)
    assert call.final == 503
    assert outcome(world) == ("failed", 503, "callee")
    world.assert_settled()


def test_ringing_for_too_long() -> None:
    world = World(with_plan(ring_timeout_s=20.0))
    call, alice = a_call(world)
    alice.answers = [Say(180)]
    world.run(60)
    assert call.final == 480
    assert outcome(world) == ("no_answer", 480, "us")
    world.run(40)
    world.assert_settled()


@pytest.mark.parametrize(
    ("number", "options", "status", "disposition"),
    [
        ("+15550199", {}, 404, "no_route"),
        ("+15550100", {"body": SAVP}, 488, "failed"),
    ],
)
def test_we_refuse_and_the_log_knows(
    number: str, options: dict[str, object], status: int, disposition: str
) -> None:
    world = World(PLAN)
    call, alice = a_call(world, number, **options)
    world.run(40)
    assert call.final == status
    assert outcome(world) == (disposition, status, "us")
    assert world.operations(Allocate) == []
    assert alice.calls == []
    world.assert_settled()


def test_no_ports_left() -> None:
    world = World(PLAN)
    world.ports_left = 0
    call, _ = a_call(world)
    world.run(40)
    assert call.final == 503
    assert call.response(503).headers.first("retry-after")
    assert outcome(world) == ("failed", 503, "us")
    world.assert_settled()


def test_a_plane_that_never_answers() -> None:
    world = World(PLAN)
    world.plane_delay_s = None
    call, _ = a_call(world)
    world.run(40)
    assert call.final == 503
    world.assert_settled()


def test_too_many_calls() -> None:
    world = World(with_plan(max_calls=1))
    first, alice = a_call(world)
    world.run(2)
    second = world.phones[CARRIER].invite("+15550100")
    world.run(2)
    assert (first.final, second.final) == (200, 503)
    assert second.response(503).headers.first("retry-after")
    first.bye()
    world.run(1)
    third = world.phones[CARRIER].invite("+15550100")
    world.run(2)
    assert third.final == 200
    assert len(alice.calls) == 2


def test_no_new_calls_while_we_end() -> None:
    world = World(PLAN)
    first, alice = a_call(world)
    world.run(2)
    world.proxy.refuse_new_calls()
    second = world.phones[CARRIER].invite("+15550100")
    world.run(1)
    assert second.final == 503
    alice.calls[0].bye()
    world.run(40)
    assert first.requests[-1].method == "BYE"
    world.assert_settled()


@pytest.mark.parametrize(
    ("options", "status", "header"),
    [
        ({"max_forwards": 0}, 483, None),
        ({"headers": (("Require", "100rel, privacy"),)}, 420, ("unsupported", "100rel")),
        (
            {"headers": (("Require", "timer"), ("Require", "replaces"))},
            420,
            ("unsupported", "replaces"),
        ),
        ({"headers": (("Require", "nothingSupportsThis"),)}, 420, ("unsupported", "nothingSupportsThis")),
        ({"content_type": "multipart/mixed"}, 415, ("accept", "application/sdp")),
        ({"headers": (("Content-Encoding", "gzip"),)}, 415, ("accept-encoding", "identity")),
        ({"uri": "tel:+15550100"}, 416, None),
        ({"uri": "sips:+15550100@127.0.0.1"}, 416, None),
        ({"body": b"hello"}, 400, None),
        ({"body": sdp() + b"a=x\r\n" * 2_000}, 413, None),
    ],
)
def test_an_invite_that_no_call_is_made_of(
    options: dict[str, object], status: int, header: tuple[str, str] | None
) -> None:
    world = World(PLAN)
    call, _ = a_call(world, **options)
    world.run(40)
    assert call.final == status
    if header is not None:
        assert call.response(status).headers.first(header[0]) == header[1]
    assert world.events == []
    world.assert_settled()


def test_a_stranger_is_counted_and_leaves_no_row() -> None:
    world = World(PLAN)
    stranger = world.phone("stranger", STRANGER)
    call = stranger.invite("+15550100")
    world.run(40)
    assert call.final == 403
    assert world.events == []
    assert world.proxy.counters.unknown_sources == 1


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("OPTIONS", 200),
        ("REGISTER", 405),
        ("UPDATE", 481),
        ("PRACK", 405),
        ("MESSAGE", 405),
        ("FROBNICATE", 501),
        ("BYE", 481),
    ],
)
def test_requests_outside_of_calls(method: str, status: int) -> None:
    world = World(PLAN)
    carrier = world.phone("carrier", CARRIER)
    call = carrier.invite("+15550100")
    assert call.invite is not None
    headers = call.invite.headers.with_("CSeq", f"7 {method}")
    request = Request(method, call.invite.uri, headers)
    carrier.send(call, request, carrier.flow)
    world.run(0.2)
    answer = next(response for response in call.responses if response.cseq.method == method)
    assert answer.status == status
    if status in (200, 405):
        assert answer.headers.first("allow") == "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"


def test_a_useless_answer_ends_the_callees_leg() -> None:
    for body in (b"", SAVP, b"nonsense"):
        world = World(PLAN)
        call, alice = a_call(world)
        alice.answers = [Say(200, body=body)]
        world.run(40)
        assert call.final == 488
        assert [request.method for request in alice.calls[0].requests] == ["INVITE", "BYE"]
        assert len(alice.calls[0].acks) == 1
        assert outcome(world) == ("failed", 488, "callee")
        world.assert_settled()
