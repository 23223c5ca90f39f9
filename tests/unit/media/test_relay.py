"""What only the userspace plane does: passes, drain marks, floods, errors of sockets."""

import asyncio
import random

import pytest

from mediaproxy.calls.plane import LegCounters, LegId, PlayTone, Release, Tap, Tone, WatchCodes
from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import CallId
from mediaproxy.media.userspace import UserspacePlane, reports
from mediaproxy.media.userspace import relay as relay_module
from mediaproxy.media.userspace.leg import Action, Leg
from mediaproxy.net import Endpoint
from mediaproxy.rtp.packet import HEADER
from mediaproxy.rtp.rtcp import is_rtcp
from tests.support.planes import (
    CALL,
    CALLEE_HOST,
    CALLER_HOST,
    PLANE_HOST,
    STRANGER_HOST,
    Bench,
    InProcess,
    bench_of,
    connected,
    speech,
    until,
)

A, B = LegId.A, LegId.B
SR = b"\x80\xc8\x00\x06" + b"\x00\x00\x00\x07" + bytes(20)
SDES = b"\x81\xca\x00\x03\x00\x00\x00\x07\x01\x03abc\x00\x00\x00"
LOSSY = b"\x81\xc9\x00\x07\x00\x00\x00\x07\x00\x00\x00\xa1\x40\x00\x00\x0c" + bytes(16)  # RR on 0xA1


def plane_of(bench: Bench) -> UserspacePlane:
    assert isinstance(bench.plane, InProcess)
    return bench.plane._plane


def leg_of(bench: Bench, leg: LegId) -> Leg:
    return plane_of(bench)._calls[CALL].legs[leg]


async def test_a_flood_from_a_stranger_stops_neither_other_calls_nor_the_drain_mark() -> None:
    async with bench_of("userspace", slots=1024) as bench:
        flooded = await connected(bench)
        other = await connected(bench, CallId("other"), 2)
        bench.tap(Tap.PAYLOAD, CallId("other"))
        stranger = bench.party(STRANGER_HOST)
        heard = 0
        marks = {bench.ring.drain_mark_ns}

        async def flood() -> None:
            nonlocal heard
            for _ in range(400):  # more than the plane reads before the other call is heard
                stranger.send(bytes(40), flooded.local[A])
            heard += 1
            other.send(A, speech(heard))
            await other.hears(B, heard)
            marks.add(bench.ring.drain_mark_ns)

        await until(lambda: len(marks) > 3, flood)
        assert bench.counters(A).wrong_source > 640

        async def speak() -> None:
            flooded.send(A, speech(7))  # lost while the socket's buffer is full
            await asyncio.sleep(0.002)

        await until(lambda: bool(flooded.parties[B].received), speak)


async def test_strangers_beside_a_line_are_read_so_far_and_no_further_until_the_next_sweep() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        call.send(A, speech(1))
        await call.hears(B, 1)
        relay, leg = plane_of(bench)._relay, leg_of(bench, A)
        await until(lambda: leg.pair.rtp.fileno() in relay._lines)
        stranger = bench.party(STRANGER_HOST)
        for _ in range(150):
            stranger.send(bytes(40), call.local[A])
        relay.exhaust()  # without a turn of the loop
        assert bench.counters(A).wrong_source == relay_module._STRANGERS
        call.send(A, speech(2))
        relay.exhaust()
        assert await call.hears(B, 2) == [speech(1), speech(2)], "the party itself is heard as ever"
        await until(lambda: bench.counters(A).wrong_source == 150)
        assert not relay._muted


async def test_nobodys_last_words_stay_in_the_buffer() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        call.send(A, speech(1))
        assert await call.hears(B, 1) == [speech(1)]
        assert not any(plane_of(bench)._relay._buffer)


async def test_the_drain_mark_moves_though_no_pass_finds_every_socket_empty() -> None:
    """As under load: whenever one socket is found empty, the other one holds a packet."""
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        relay = plane_of(bench)._relay
        before = bench.ring.drain_mark_ns
        for index in range(100):  # without a turn of the loop
            call.send(LegId(index % 2), speech(index))
            assert not relay._pass()
        assert relay._busy_passes == 100
        assert bench.ring.drain_mark_ns > before


async def test_a_muted_socket_can_be_released() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        stranger = bench.party(STRANGER_HOST)
        relay = plane_of(bench)._relay

        async def flood() -> None:
            for _ in range(300):
                stranger.send(b"x", call.local[A])
            await asyncio.sleep(0)

        await until(lambda: bool(relay._muted), flood)
        assert relay._muted == [leg_of(bench, A).pair.rtp.fileno()]
        bench.perform(Release(CALL))
        assert relay._muted == []
        await connected(bench, CallId("next"), 2)


async def test_random_bytes_raise_nothing_whatever_the_leg_is_busy_with() -> None:
    chance = random.Random(7)
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        bench.perform(WatchCodes(CALL, A, {"start": "*1"}))
        bench.tap(Tap.PAYLOAD)
        for round_ in range(1, 31):
            bench.perform(PlayTone(CALL, B, chance.choice(list(Tone))))
            for _ in range(40):
                head = HEADER.pack(
                    chance.choice([0x80, 0x80, 0x80, 0x90, 0xA0, 0xB3]),
                    chance.choice([0, 0x80, 8, 13, 101, 101, 200, 203]),
                    chance.randrange(65_536), chance.randrange(2**32), chance.choice([1, 2, 3, 4, 5, 6]),
                )  # fmt: skip
                call.send(
                    A,
                    (head + chance.randbytes(chance.choice([0, 0, 1, 4, 4, 160])))[
                        : chance.choice([12, 99, 200])
                    ],
                )
                call.send(A, chance.randbytes(chance.randrange(40)))
            await until(lambda sent=80 * round_: sum(taken(bench.counters(A))) >= sent)
        assert raised == []
        assert bench.counters(A).withheld > 0 < bench.counters(A).injected
        call.parties[B].received.clear()
        call.send(A, speech(9, payload_type=18, ssrc=99))
        await until(lambda: speech(9, payload_type=18, ssrc=99) in call.parties[B].received)


def taken(counters: LegCounters) -> list[int]:
    """What each packet from the party is counted as, once."""
    return [counters.packets, counters.rtcp, counters.wrong_source, counters.malformed, counters.oversize]


async def test_a_tone_goes_alone_only_after_a_tenth_of_a_second_without_audio() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        detour = plane_of(bench)._detour
        bench.perform(PlayTone(CALL, B, Tone.STARTED))
        call.send(A, speech(1))
        await until(lambda: bench.counters(A).injected == 1)
        mixed_ns = leg_of(bench, A).last_ns
        detour.handle_timer(mixed_ns + 99 * NS_PER_MS)
        assert bench.counters(A).injected == 1
        detour.handle_timer(mixed_ns + 100 * NS_PER_MS)
        assert bench.counters(A).injected == 2


async def test_a_send_that_fails_is_counted_and_the_packet_not_tapped() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        # The limited broadcast address: EACCES without SO_BROADCAST.
        bench.connect(B, Endpoint("255.255.255.255", 9))
        call.send(A, speech(1))
        call.send(A, b"\x80\xc9\x00\x01\x00\x00\x00\x07")
        await until(lambda: bench.counters(A).send_failed == 2)
        assert bench.counters(A).relayed == 0
        assert bench.records() == []


async def test_a_closed_port_of_a_party_stops_nothing() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        call.parties[B].close()
        bench.parties.remove(call.parties[B])
        for seq in range(3):
            call.send(A, speech(seq))  # answered by ICMP port unreachable
        await until(lambda: bench.counters(A).packets == 3)
        reborn = bench.party(call.parties[B].endpoint.host, call.parties[B].endpoint.port)
        call.send(A, speech(9))
        assert await reborn.hears(1) == [speech(9)]
        assert bench.counters(A).send_failed == 0


@pytest.mark.parametrize("mux", [False, True])
async def test_hostile_rtcp_is_relayed_as_it_is_and_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch, mux: bool
) -> None:
    monkeypatch.setattr(reports, "_SPACING_NS", 0)
    chance, raised = random.Random(5), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        if mux:
            for leg in LegId:
                bench.connect(leg, call.parties[leg].endpoint, rtcp=call.parties[leg].endpoint)
        call.send(B, speech(1, ssrc=0xA1))
        await call.hears(A, 1)
        sender = call.parties[A] if mux else bench.party(CALLER_HOST, call.parties[A].endpoint.port + 1)
        hears = call.parties[B] if mux else bench.party(CALLEE_HOST, call.parties[B].endpoint.port + 1)
        at = Endpoint(PLANE_HOST, call.local[A].port + (not mux))
        sent: list[bytes] = []
        for _ in range(300):
            packet = bytearray(chance.choice([LOSSY, LOSSY + SDES, SR, SR + SDES]))
            for _ in range(chance.randrange(4)):
                packet[chance.randrange(4, len(packet))] = chance.randrange(256)
            packet[0] = chance.choice([packet[0], 0x80 | chance.randrange(64)])  # padding, blocks
            sender.send(bytes(packet), at)
            if is_rtcp(packet, len(packet)):
                sent.append(bytes(packet))
                await hears.hears(len(sent))
        call.send(A, speech(2))
        assert hears.received[: len(sent)] == sent
        assert raised == []
        assert bench.counters(A).rtcp == len(sent) > 50
        assert bench.counters(A).reports > 0


async def test_packets_that_need_nothing_but_copying_are_not_looked_into() -> None:
    async with bench_of("userspace") as bench:
        await connected(bench)
        leg = leg_of(bench, A)
        for tap, action in (
            (Tap.OFF, Action.RELAY),
            (Tap.HEADERS, Action.TAP_HEADER),
            (Tap.PAYLOAD, Action.TAP_PAYLOAD),
        ):
            bench.tap(tap)
            assert {leg.actions[second] for second in (0, 0x80, 8, 0x88)} == {action}
            assert leg.actions[101] == (Action.RELAY if tap is Tap.OFF else Action.TAP_HEADER)
            assert {leg.actions[second] for second in range(192, 224)} == {Action.RTCP}


async def test_the_caller_may_stand_where_the_proxy_stands() -> None:
    # Everything on one machine: sources are told apart by port alone.
    async with bench_of("userspace") as bench:
        local = await bench.allocate()
        caller, callee = bench.party(PLANE_HOST), bench.party(PLANE_HOST)
        bench.connect(A, caller.endpoint)
        bench.connect(B, callee.endpoint)
        caller.send(speech(1), local[A])
        assert await callee.hears(1) == [speech(1)]


async def test_a_packet_of_ours_that_comes_back_is_not_relayed_in_a_circle() -> None:
    # A description that names our own port of the other leg: each packet would go round for ever.
    async with bench_of("userspace") as bench:
        local = await bench.allocate()
        caller = bench.party(CALLER_HOST)
        bench.connect(A, caller.endpoint)
        bench.connect(B, local[A])
        caller.send(speech(1), local[A])
        await until(lambda: bench.counters(A).wrong_source == 1)
        assert bench.counters(A).packets == 1


async def test_what_strangers_sent_before_the_source_was_locked_is_not_relayed() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        stranger = bench.party(STRANGER_HOST)
        relay = plane_of(bench)._relay
        for seq in range(3):  # without a turn of the loop: all of it waits in one socket
            call.send(A, speech(seq))
            stranger.send(speech(100 + seq), call.local[A])
        assert await call.hears(B, 3) == [speech(seq) for seq in range(3)]
        await until(lambda: bench.counters(A).wrong_source == 3)
        await until(lambda: leg_of(bench, A).pair.rtp.fileno() in relay._lines)
        stranger.send(speech(103), call.local[A])
        await until(lambda: bench.counters(A).wrong_source == 4)
        call.send(A, speech(3))
        assert await call.hears(B, 4) == [speech(seq) for seq in range(4)]


async def test_a_party_that_moves_is_heard_from_where_it_is_and_no_longer_from_where_it_was() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        relay, pair = plane_of(bench)._relay, leg_of(bench, A).pair
        call.send(A, speech(1))
        await call.hears(B, 1)
        await until(lambda: pair.rtp.fileno() in relay._lines)
        moved = bench.party(CALLER_HOST)
        bench.connect(A, moved.endpoint)
        assert pair.rtp.fileno() not in relay._lines
        call.send(A, speech(2))  # from where it was
        await until(lambda: bench.counters(A).wrong_source == 1)
        call.send(B, speech(3, ssrc=0xB1))
        assert await moved.hears(1) == [speech(3, ssrc=0xB1)]
        moved.send(speech(4), call.local[A])
        assert await call.hears(B, 2) == [speech(1), speech(4)]
        await until(lambda: pair.rtp.fileno() in relay._lines)
        call.send(A, speech(5))
        await until(lambda: bench.counters(A).wrong_source == 2)


async def test_a_released_leg_leaves_nothing_behind() -> None:
    async with bench_of("userspace") as bench:
        call = await connected(bench)
        for leg in LegId:
            call.send(leg, speech(1))
        await call.hears(A, 1)
        await call.hears(B, 1)
        bench.perform(Release(CALL))
        relay = plane_of(bench)._relay
        assert not any((*relay._tables, relay._emptying))
