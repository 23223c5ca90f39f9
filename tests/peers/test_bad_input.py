"""Malformed and impossible requests get the status that says why; the server minds none of them."""

import asyncio
import random
import re

import pytest

from tests.support.sip_wire import Message, host_port
from tests.support.softphone import connect, sdp_for

ON_DEMAND = "+15550100"


def headers_of(call, method="INVITE", **changes):
    """A well-formed request's lines with some replaced (value), dropped (None)."""
    request = call.request(method, b"")
    kept = [(n, changes.get(n.replace("-", "_"), v)) for n, v in request.headers]
    return [(n, v) for n, v in kept if v is not None]


def raw_request(call, start=None, body=b"", extra=(), method="INVITE", **changes):
    request = Message(start or f"{method} {call.target} SIP/2.0", headers_of(call, method, **changes), body)
    request.headers += [*extra]
    return request.encode()


def with_sdp(call, sdp=None, extra=(), **changes):
    body = sdp if sdp is not None else call.phone.sdp()
    return raw_request(call, body=body, extra=[("Content-Type", "application/sdp"), *extra], **changes)


def changed_sdp(call, pattern, by=b""):
    """An INVITE whose description is spoilt in one place."""
    return with_sdp(call, re.sub(pattern, by, call.phone.sdp(), flags=re.S))


def too_long(call):
    return with_sdp(call).replace(b"Content-Length: ", b"Content-Length: 9")


def odd_body(call):
    return raw_request(call, body=b"x=1", extra=[("Content-Type", "application/x-odd")])


CASES = {
    "CSeq of another method": ({400, 501}, lambda c: with_sdp(c, CSeq="1 BYE")),
    "overlarge CSeq": ({400}, lambda c: with_sdp(c, CSeq="36893488147419103232 INVITE")),
    "two From": ({400}, lambda c: with_sdp(c, extra=[("From", "<sip:x@y>;tag=2")])),
    "unclosed URI": ({400}, lambda c: with_sdp(c, To="<sip:x@y")),
    "Content-Length beyond the datagram": ({400}, too_long),
    "unknown method": ({501}, lambda c: raw_request(c, method="FROBNICATE")),
    "known method that is not for us": ({405, 501}, lambda c: raw_request(c, method="PUBLISH")),
    "unknown scheme": ({416}, lambda c: with_sdp(c, start="INVITE soap.beep://x SIP/2.0")),
    "unknown content type": ({415}, odd_body),
    "compressed body": ({415}, lambda c: with_sdp(c, extra=[("Content-Encoding", "gzip")])),
    "required extension": ({420}, lambda c: with_sdp(c, extra=[("Require", "nothingSupportsThis")])),
    "required 100rel": ({420}, lambda c: with_sdp(c, extra=[("Require", "100rel")])),
    "no hops left": ({483}, lambda c: with_sdp(c, Max_Forwards="0")),
    "another version": ({505}, lambda c: with_sdp(c, start=f"INVITE {c.target} SIP/7.0")),
    "BYE to no dialog": ({481}, lambda c: raw_request(c, method="BYE", To=f"{c.remote};tag=none")),
    "INVITE to no dialog": ({481}, lambda c: with_sdp(c, To=f"{c.remote};tag=none")),
    "CANCEL of nothing": ({481}, lambda c: raw_request(c, method="CANCEL")),
    "SRTP only": ({488}, lambda c: with_sdp(c, sdp_for(c.media.local, profile="RTP/SAVP"))),
    "SRTP with feedback": ({488}, lambda c: with_sdp(c, sdp_for(c.media.local, profile="RTP/SAVPF"))),
    "SDP that is none": ({400, 488}, lambda c: with_sdp(c, b"this is no description\r\n")),
    "SDP without audio": ({400, 488}, lambda c: changed_sdp(c, rb"m=audio.*")),
    "SDP with a port out of range": ({400, 488}, lambda c: changed_sdp(c, rb"m=audio \d+", b"m=audio 70000")),
    "SDP without an address": ({400, 488}, lambda c: changed_sdp(c, rb"c=.*?\r\n")),
    "body beyond all measure": ({413}, lambda c: with_sdp(c, c.phone.sdp() + b"a=%060000d\r\n" % 0)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_the_status_says_why(proxy, cast, case):
    statuses, build = CASES[case]
    carrier = await cast.carrier()
    call = carrier.dialog(ON_DEMAND)
    raw = build(call)
    carrier.wire.send(raw)
    answer = await _final(call, carrier)
    assert answer.status in statuses, answer.start
    if answer.method == "INVITE":
        call.sent_invite = Message.parse(raw)
        call.ack(answer)
    if 420 in statuses:
        assert answer.get("Unsupported")
    if 405 in statuses and answer.status == 405:
        assert "INVITE" in answer.get("Allow")


async def _final(call, phone):
    """A final response by Call-ID, or one that cannot name it."""
    for _ in range(80):
        while not call.inbox.empty():
            message = call.inbox.get_nowait()
            if message.status and message.status >= 200:
                return message
        if phone.strays:
            return phone.strays.pop(0)
        await asyncio.sleep(0.05)
    raise AssertionError("no answer")


@pytest.mark.parametrize("missing", ["CSeq", "To", "From", "Call_ID", "Via"])
async def test_what_no_response_could_name_is_dropped_or_400(proxy, cast, missing):
    carrier, alice = await cast.carrier(), await cast.alice()
    call = carrier.dialog(ON_DEMAND)
    carrier.wire.send(with_sdp(call, **{missing: None}))
    await alice.nothing_rings()
    answers = [*carrier.strays] + ([] if call.inbox.empty() else [call.inbox.get_nowait()])
    assert all(answer.status == 400 for answer in answers)


async def test_options_say_what_we_do(proxy, cast):
    carrier = await cast.carrier()
    call = carrier.dialog("")
    call.target = f"sip:{host_port(proxy.sip)}"
    call.remote = f"<{call.target}>"
    call.send(call.request("OPTIONS"))
    answer = await call.expect(200)
    assert {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"} <= set(re.split(r",\s*", answer.get("Allow")))
    assert call.retransmissions == 0


async def test_a_merged_request_is_a_loop(proxy, cast):
    """RFC 3261, 8.2.2.2: the same Call-ID, CSeq and From tag by another branch → 482."""
    carrier, alice = await cast.carrier(), await cast.alice()
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring()
    again = out.request("INVITE", carrier.sdp(), cseq=1)
    carrier.wire.send(again.encode())
    merged = await out.expect(482)
    out.sent_invite, first = again, out.sent_invite
    out.ack(merged)
    out.sent_invite = first
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    out.remote = f"<sip:{ON_DEMAND}@{host_port(proxy.sip)}>"
    out.ack(await out.expect(486))


async def test_the_torture_messages_do_no_harm(proxy, cast, corpora_path):
    """RFC 4475: each gets an answer or none, and a call goes through after all of them."""
    carrier, alice = await cast.carrier(), await cast.alice()
    for path in sorted((corpora_path / "rfc4475").glob("*.dat")):
        carrier.wire.send(path.read_bytes())
    await asyncio.sleep(0.5)
    await _a_call_goes_through(cast, carrier, alice)


async def test_noise_does_no_harm(proxy, cast):
    """Random bytes, and a valid INVITE cut, doubled and with bytes changed."""
    rng = random.Random(4)
    carrier, alice = await cast.carrier(), await cast.alice()
    whole = with_sdp(carrier.dialog("+10000"))
    for _ in range(300):
        spoilt = bytearray(whole.replace(b"z9hG4bK-t", b"z9hG4bK-n%d" % rng.randrange(1 << 30)))
        for _ in range(rng.randrange(1, 6)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        carrier.wire.send(bytes(spoilt[: rng.randrange(len(spoilt))] if rng.random() < 0.5 else spoilt))
        carrier.wire.send(rng.randbytes(rng.randrange(1, 200)))
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.3)
    await _a_call_goes_through(cast, carrier, alice)


async def _a_call_goes_through(cast, carrier, alice):
    while not alice.incoming.empty():
        stray = alice.incoming.get_nowait()
        stray.reply(stray.invite, 486)
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring()
    answering = asyncio.create_task(rang.answer())
    out.ack(await out.expect(200))
    await answering
    out.send(out.request("BYE"))
    await rang.hung_up()
    await out.expect(200)
    api = cast.api()
    assert (await api.ended((await api.call_of(out.call_id))["id"]))["disposition"] == "answered"


async def test_a_stray_response_is_dropped(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, ON_DEMAND)
    via = f"SIP/2.0/UDP {host_port(proxy.sip)};branch=z9hG4bKnone"
    ends = [("From", "<sip:a@b>;tag=1"), ("To", "<sip:c@d>;tag=2")]
    stray = Message("SIP/2.0 200 OK", [("Via", via), *ends, ("Call-ID", "none"), ("CSeq", "1 INVITE")])
    carrier.wire.send(stray.encode())
    await pair.caller.nothing_comes(0.3)
    await pair.callee.nothing_comes(0.0)
    await pair.hang_up()
