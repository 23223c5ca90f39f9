"""Every plane: what goes in on one leg comes out on the other, byte for byte, and nothing else does."""

import pytest
import uvloop

from mediaproxy.calls.plane import Allocate, Describe, Latch, LegId, Release, SetTap, Tap, WatchCodes
from mediaproxy.ids import CallId
from mediaproxy.limits import MAX_RTP_BYTES
from mediaproxy.net import Endpoint, Family
from mediaproxy.rtp.packet import HEADER
from tests.support.planes import (
    CALLEE_HOST,
    CALLER_HOST,
    PLANE_HOST,
    PLANES,
    STRANGER_HOST,
    bench_of,
    connected,
    speech,
    until,
)

A, B = LegId.A, LegId.B
RR = b"\x80\xc9\x00\x01\x00\x00\x00\x07"
SR = b"\x80\xc8\x00\x06" + b"\x00\x00\x00\x07" + bytes(20)
# A receiver report on 0xA1: a quarter lost, 12 in all, jitter 240 samples.
LOSSY = b"\x81\xc9\x00\x07\x00\x00\x00\x07\x00\x00\x00\xa1\x40\x00\x00\x0c" + bytes(7) + b"\xf0" + bytes(8)
COMPOUND = SR + b"\x81\xca\x00\x03\x00\x00\x00\x07\x01\x03abc\x00\x00\x00"

pytestmark = pytest.mark.parametrize("plane", PLANES)


def odd_shapes() -> list[bytes]:
    fields = (7, 1120, 0xA1)
    return [
        HEADER.pack(0x80, 0x80, *fields) + b"m" * 160,
        HEADER.pack(0x82, 0, *fields) + b"csrccsrc" + b"p" * 80,
        HEADER.pack(0x90, 0, *fields) + b"\xbe\xde\x00\x01abcd" + b"p" * 80,
        HEADER.pack(0xA0, 0, *fields) + b"p" * 76 + b"\0\0\0\4",
        HEADER.pack(0x80, 127, *fields) + b"unknown type",
        HEADER.pack(0x80, 13, *fields) + b"\x40",
        HEADER.pack(0x80, 0, *fields),
        HEADER.pack(0x80, 0, *fields) + bytes(MAX_RTP_BYTES - 12),
    ]


@pytest.mark.parametrize("leg", LegId)
@pytest.mark.parametrize("tap", Tap)
async def test_rtp_of_any_shape_is_relayed_byte_for_byte(plane: str, leg: LegId, tap: Tap) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(tap)
        sent = [speech(n) for n in range(20)] + odd_shapes()
        for packet in sent:
            call.send(leg, packet)
        assert await call.hears(leg.other, len(sent)) == sent
        assert call.parties[leg.other].sources == {call.local[leg.other]}
        assert call.parties[leg].received == []
        counters = bench.counters(leg)
        assert (counters.packets, counters.relayed) == (len(sent), len(sent))


def test_the_products_loop_relays_as_well(plane: str) -> None:
    uvloop.run(both_directions_at_once(plane))


async def test_both_directions_at_once_and_calls_apart(plane: str) -> None:
    await both_directions_at_once(plane)


async def both_directions_at_once(plane: str) -> None:
    async with bench_of(plane) as bench:
        calls = [await connected(bench, CallId(f"call-{n}"), n) for n in range(8)]
        for seq in range(25):
            for n, call in enumerate(calls):
                call.send(A, speech(seq, ssrc=2 * n))
                call.send(B, speech(seq, ssrc=2 * n + 1))
        for n, call in enumerate(calls):
            assert await call.hears(B, 25) == [speech(seq, ssrc=2 * n) for seq in range(25)]
            assert await call.hears(A, 25) == [speech(seq, ssrc=2 * n + 1) for seq in range(25)]


async def test_ipv6_on_one_leg_and_ipv4_on_the_other(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate(families=(Family.IPV6, Family.IPV4))
        assert (local[A].host, local[B].host) == ("::1", PLANE_HOST)
        caller, callee = bench.party("::1"), bench.party(CALLEE_HOST)
        # Spelt otherwise than the socket spells it.
        bench.connect(A, Endpoint("0:0:0:0:0:0:0:1", caller.endpoint.port))
        bench.connect(B, callee.endpoint)
        caller.send(speech(1), local[A])
        callee.send(speech(2), local[B])
        assert await callee.hears(1) == [speech(1)]
        assert await caller.hears(1) == [speech(2)]


async def test_an_address_of_the_other_family_or_a_name_is_sent_nothing(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        caller = bench.party(CALLER_HOST)
        bench.connect(A, caller.endpoint)
        for host in ("::1", "localhost", "0.0.0.0"):
            bench.connect(B, Endpoint(host, 9), latch=Latch.ALWAYS)
            caller.send(speech(1), local[A])
        await until(lambda: bench.counters(A).packets == 3)
        assert bench.counters(A).relayed == 0
        assert bench.counters(A).send_failed == 0


# RTCP


async def test_rtcp_goes_from_port_to_port(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        caller_rtcp = bench.party(CALLER_HOST, call.parties[A].endpoint.port + 1)
        callee_rtcp = bench.party(CALLEE_HOST, call.parties[B].endpoint.port + 1)
        caller_rtcp.send(COMPOUND, Endpoint(PLANE_HOST, call.local[A].port + 1))
        callee_rtcp.send(RR, Endpoint(PLANE_HOST, call.local[B].port + 1))
        assert await callee_rtcp.hears(1) == [COMPOUND]
        assert await caller_rtcp.hears(1) == [RR]
        assert callee_rtcp.sources == {Endpoint(PLANE_HOST, call.local[B].port + 1)}
        assert bench.counters(A).rtcp == bench.counters(B).rtcp == 1
        assert bench.counters(A).packets == 0


async def test_rtcp_crosses_between_a_leg_that_multiplexes_and_one_that_does_not(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        muxing, plain = bench.party(CALLER_HOST), bench.party(CALLEE_HOST)
        plain_rtcp = bench.party(CALLEE_HOST)
        bench.connect(A, muxing.endpoint, rtcp=muxing.endpoint)
        bench.connect(B, plain.endpoint, rtcp=plain_rtcp.endpoint)
        muxing.send(speech(1), local[A])
        muxing.send(COMPOUND, local[A])
        assert await plain_rtcp.hears(1) == [COMPOUND]
        assert await plain.hears(1) == [speech(1)]
        plain_rtcp.send(RR, Endpoint(PLANE_HOST, local[B].port + 1))
        assert await muxing.hears(1) == [RR]
        assert muxing.sources == {local[A]}


async def test_rtcp_is_never_tapped_nor_counted_as_media(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        call.send(A, SR)
        call.send(A, speech(1))
        await call.hears(B, 1)
        assert [record["payload_type"] for record in bench.records()] == [0]
        assert (bench.counters(A).packets, bench.counters(A).rtcp) == (1, 1)


async def test_what_a_party_reports_is_kept_on_its_leg(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        for leg in LegId:
            bench.connect(leg, call.parties[leg].endpoint, rtcp=call.parties[leg].endpoint)
        call.send(A, speech(1, ssrc=0xA1))
        await call.hears(B, 1)
        call.send(B, LOSSY)
        call.send(A, LOSSY)  # of a stream that its sender was never sent
        assert await call.hears(A, 1) == [LOSSY]
        assert await call.hears(B, 2) == [speech(1, ssrc=0xA1), LOSSY]
        told = bench.counters(B)
        assert (told.rtcp, told.reports, told.reported_lost) == (1, 1, 12)
        assert (told.last_reported_loss_percent, told.worst_reported_loss_percent) == (25.0, 25.0)
        assert (told.last_reported_jitter_ms, told.worst_reported_jitter_ms) == (30.0, 30.0)
        assert (bench.counters(A).rtcp, bench.counters(A).reports) == (1, 0)


async def test_torn_rtcp_and_rtp_on_the_rtcp_port_are_counted_and_dropped(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        rtcp = bench.party(CALLER_HOST, call.parties[A].endpoint.port + 1)
        theirs = bench.party(CALLEE_HOST, call.parties[B].endpoint.port + 1)
        for bad in (SR[:-1], speech(1), b""):
            rtcp.send(bad, Endpoint(PLANE_HOST, call.local[A].port + 1))
        call.send(A, SR[:-4])
        rtcp.send(RR, Endpoint(PLANE_HOST, call.local[A].port + 1))
        assert await theirs.hears(1) == [RR]
        await until(lambda: bench.counters(A).malformed == 4)


async def test_a_strangers_rtcp_is_counted_and_dropped(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        theirs = bench.party(CALLEE_HOST, call.parties[B].endpoint.port + 1)
        at = Endpoint(PLANE_HOST, call.local[A].port + 1)
        stranger, rtcp = bench.party(STRANGER_HOST), bench.party(CALLER_HOST)
        stranger.send(SR, at)
        rtcp.send(RR, at)
        other_port = bench.party(CALLER_HOST)
        other_port.send(SR, at)
        assert await theirs.hears(1) == [RR]
        await until(lambda: bench.counters(A).wrong_source == 2)
        assert theirs.received == [RR]


# Whom it hears: the latch rule (RFC 4961), then a lock.


@pytest.mark.parametrize(
    ("latch", "accepted"),
    [
        # from: the SDP's address and port, its IP with another port, the signalling IP, another IP
        (Latch.AUTO, (True, True, True, False)),
        (Latch.ALWAYS, (True, True, True, True)),
        (Latch.NEVER, (True, False, False, False)),
    ],
)
@pytest.mark.parametrize("position", range(4))
async def test_the_latch_rule_decides_who_is_heard(
    plane: str, latch: Latch, accepted: tuple[bool, ...], position: int
) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        callee = bench.party(CALLEE_HOST)
        stated = bench.party(CALLER_HOST)
        candidates = [stated, bench.party(CALLER_HOST), bench.party("127.0.0.9"), bench.party(STRANGER_HOST)]
        bench.connect(A, stated.endpoint, latch=latch, signalling_host="127.0.0.9")
        bench.connect(B, callee.endpoint)
        candidates[position].send(speech(1), local[A])
        stated.send(speech(2), local[A])
        if accepted[position]:
            assert await callee.hears(1) == [speech(1)]
            assert bench.counters(A).packets >= 1
            # Locked: it also is where the other party's media goes.
            callee.send(speech(3), local[B])
            assert await candidates[position].hears(1) == [speech(3)]
        else:
            assert await callee.hears(1) == [speech(2)]
            assert bench.counters(A).wrong_source == 1


async def test_a_third_address_is_neither_relayed_nor_tapped_and_gets_nothing(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        stranger, same_host = bench.party(STRANGER_HOST), bench.party(CALLER_HOST)
        call.send(A, speech(1))
        await call.hears(B, 1)
        stranger.send(speech(2), call.local[A])
        same_host.send(speech(3), call.local[A])
        call.send(A, speech(4))
        call.send(B, speech(5))
        assert await call.hears(B, 2) == [speech(1), speech(4)]
        assert await call.hears(A, 1) == [speech(5)]
        assert stranger.received == same_host.received == []
        assert bench.counters(A).wrong_source == 2
        assert {record["seq"] for record in bench.records()} == {1, 4, 5}


async def test_garbage_and_rtcp_lock_nobody(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        callee, first, second = bench.party(CALLEE_HOST), bench.party(CALLER_HOST), bench.party(CALLER_HOST)
        bench.connect(A, first.endpoint, latch=Latch.ALWAYS)
        bench.connect(B, callee.endpoint)
        for bad in (b"", b"\x80", b"\x00" * 40, SR, bytes(MAX_RTP_BYTES + 1)):
            first.send(bad, local[A])
        second.send(speech(1), local[A])
        first.send(speech(2), local[A])
        second.send(speech(3), local[A])
        assert await callee.hears(2) == [speech(1), speech(3)]
        assert bench.counters(A).wrong_source == 1


async def test_a_changed_remote_is_learnt_anew_and_the_same_one_is_not(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        call.send(A, speech(1))
        await call.hears(B, 1)
        bench.connect(A, call.parties[A].endpoint)
        moved = bench.party(CALLER_HOST)
        moved.send(speech(2), call.local[A])
        call.send(A, speech(3))
        assert await call.hears(B, 2) == [speech(1), speech(3)]
        bench.connect(A, moved.endpoint)
        call.send(B, speech(4))
        assert await moved.hears(1) == [speech(4)]
        moved.send(speech(5), call.local[A])
        assert (await call.hears(B, 3))[2:] == [speech(5)]
        call.send(A, speech(6))
        moved.send(speech(7), call.local[A])
        assert (await call.hears(B, 4))[3:] == [speech(7)]


@pytest.mark.parametrize("latch", [Latch.AUTO, Latch.ALWAYS])
async def test_the_last_packets_from_where_a_party_left_do_not_lock_it_there_again(
    plane: str, latch: Latch
) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        old, new, callee = bench.party(CALLER_HOST), bench.party(CALLER_HOST), bench.party(CALLEE_HOST)
        bench.connect(A, old.endpoint, latch=latch)
        bench.connect(B, callee.endpoint)
        old.send(speech(1), local[A])
        await callee.hears(1)
        bench.connect(A, Endpoint(CALLER_HOST, 9), latch=latch)  # it hears there, and sends from elsewhere
        old.send(speech(2), local[A])
        new.send(speech(3), local[A])
        assert await callee.hears(2) == [speech(1), speech(3)]
        callee.send(speech(4), local[B])
        assert await new.hears(1) == [speech(4)]
        assert bench.counters(A).wrong_source == 1


async def test_a_party_that_returns_to_where_it_was_is_heard_at_once(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        call.send(A, speech(1))
        await call.hears(B, 1)
        bench.connect(A, Endpoint(CALLER_HOST, 9))
        bench.connect(A, call.parties[A].endpoint)
        call.send(A, speech(2))
        assert await call.hears(B, 2) == [speech(1), speech(2)]


async def test_a_change_of_the_rtcp_address_alone_keeps_the_lock(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        sender = bench.party(CALLER_HOST)
        bench.connect(A, Endpoint(CALLER_HOST, 9))
        sender.send(speech(1), call.local[A])
        await call.hears(B, 1)
        bench.connect(A, Endpoint(CALLER_HOST, 9), rtcp=Endpoint(CALLER_HOST, 9))
        other = bench.party(CALLER_HOST)
        other.send(speech(2), call.local[A])
        sender.send(RR, call.local[A])
        sender.send(speech(3), call.local[A])
        assert await call.hears(B, 2) == [speech(1), speech(3)]
        assert bench.counters(A).wrong_source == 1


# What never gets through


@pytest.mark.parametrize("size", [MAX_RTP_BYTES + 1, 9000, 60_000])
async def test_giant_packets_are_counted_and_dropped(plane: str, size: int) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        call.send(A, speech(1))
        call.send(A, speech(2)[:12] + bytes(size - 12))
        call.send(A, speech(3))
        assert await call.hears(B, 2) == [speech(1), speech(3)]
        assert bench.counters(A).oversize == 1
        assert len(bench.records()) == 2


async def test_garbage_is_counted_and_dropped(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        call.send(A, speech(1))
        garbage = [
            b"",
            b"\x80",
            speech(2)[:11],
            bytes(200),
            b"\xff" * 200,
            b"\x9f" + speech(2)[1:],
            b"INVITE sip:x SIP/2.0",
        ]
        for bad in garbage:
            call.send(A, bad)
        call.send(A, speech(3))
        assert await call.hears(B, 2) == [speech(1), speech(3)]
        assert bench.counters(A).malformed == len(garbage)
        assert len(bench.records()) == 2


# Before, between and after


async def test_early_media_reaches_the_caller_and_what_nobody_can_judge_yet_does_not(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        caller, callee = bench.party(CALLER_HOST), bench.party(CALLEE_HOST)
        bench.connect(A, caller.endpoint)
        callee.send(speech(1), local[B])  # before its description: from whom?
        caller.send(speech(2), local[A])  # to whom?
        await until(lambda: bench.counters(A).packets == 1 and bench.counters(B).wrong_source == 1)
        bench.connect(B, callee.endpoint)
        callee.send(speech(3), local[B])
        assert await caller.hears(1) == [speech(3)]
        caller.send(speech(4), local[A])
        assert await callee.hears(1) == [speech(4)]
        assert bench.counters(A).relayed == 1


async def test_operations_on_an_unknown_call_are_absorbed(plane: str) -> None:
    async with bench_of(plane) as bench:
        unknown = CallId("unknown")
        bench.connect(A, Endpoint(CALLER_HOST, 9), call=unknown)
        bench.perform(
            Describe(unknown, A, {}),
            SetTap(unknown, A, Tap.PAYLOAD),
            WatchCodes(unknown, A, None),
            Release(unknown),
        )
        assert bench.plane.counters(unknown) is None
        await connected(bench)
        bench.perform(Allocate(CallId("another"), 2))
        assert all(event.call != unknown for event in bench.events)
