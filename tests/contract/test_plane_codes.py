"""Every plane that withholds: a code stays on its side, a refused digit arrives after all."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket

from mediaproxy.calls.plane import CodeDialled, Describe, DigitsSeen, LegId, Tap, WatchCodes
from mediaproxy.media.plane import Capability
from mediaproxy.net import Endpoint
from mediaproxy.recording.ring import IS_DIGIT
from mediaproxy.rtp.events import parse_event
from mediaproxy.rtp.packet import HEADER
from tests.support.planes import (
    AUDIO,
    CALL,
    CALLEE_HOST,
    CALLER_HOST,
    PLANE_HOST,
    PLANES,
    Bench,
    TwoParties,
    bench_of,
    connected,
    speech,
    until,
)
from tests.support.telephone_events import EVENT_TYPE, Keypad, captured_rtp

A, B = LegId.A, LegId.B
CODES = {"start": "*1", "stop": "*2"}

pytestmark = pytest.mark.parametrize("plane", PLANES)


async def watched(bench: Bench) -> TwoParties:
    call = await connected(bench)
    bench.perform(WatchCodes(CALL, B, CODES))
    return call


def events_of(packets: list[bytes]) -> list[bytes]:
    return [packet for packet in packets if packet[1] & 0x7F == EVENT_TYPE]


async def test_the_plane_declares_that_it_withholds(plane: str) -> None:
    async with bench_of(plane) as bench:
        assert Capability.CODES in bench.plane.capabilities


async def test_a_code_is_told_and_withheld_and_the_audio_around_it_has_no_gap(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        keypad = Keypad(seq=65_533)
        sent = [keypad.audio(), *keypad.press("*"), keypad.audio(), *keypad.press("1"), keypad.audio()]
        for packet in sent:
            call.send(B, packet)
        heard = await call.hears(A, 3)
        dialled = await bench.event(CodeDialled)
        assert (dialled.call, dialled.leg, dialled.action) == (CALL, B, "start")
        seen = await bench.event(DigitsSeen)
        assert seen.arrived_ns < dialled.arrived_ns
        audio = [packet for packet in sent if packet[1] == 0]
        assert [packet[4:] for packet in heard] == [packet[4:] for packet in audio]
        numbers = [HEADER.unpack_from(packet)[2] for packet in heard]
        assert numbers == [65_533, 65_534, 65_535]
        counters = bench.counters(B)
        assert (counters.packets, counters.relayed, counters.withheld, counters.injected) == (19, 3, 16, 0)


async def test_reports_on_the_stream_speak_of_the_senders_own_numbers(plane: str) -> None:
    """The carrier hears numbers without those of the code; the telephone is told what it knows."""
    async with bench_of(plane) as bench:
        call = await watched(bench)
        carrier_rtcp = bench.party(CALLER_HOST, call.parties[A].endpoint.port + 1)
        phone_rtcp = bench.party(CALLEE_HOST, call.parties[B].endpoint.port + 1)
        keypad = Keypad(seq=65_530)
        for packet in [keypad.audio(), *keypad.press("*"), *keypad.press("1"), keypad.audio()]:
            call.send(B, packet)
        heard = HEADER.unpack_from((await call.hears(A, 2))[1])[2]
        assert heard == 65_531

        def report(ssrc: int, highest: int) -> bytes:
            return bytes(RtcpRrPacket(9, [RtcpReceiverInfo(ssrc, 0, 0, highest, 0, 0, 0)]))

        to = Endpoint(PLANE_HOST, call.local[A].port + 1)
        carrier_rtcp.send(report(keypad.ssrc, heard), to)
        carrier_rtcp.send(report(1, heard), to)
        assert await phone_rtcp.hears(2) == [
            report(keypad.ssrc, keypad.seq - 1),  # beyond 65,535: one cycle more
            report(1, heard),
        ]


async def test_the_same_digits_of_the_other_leg_pass(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        keypad = Keypad()
        sent = [*keypad.press("*"), *keypad.press("1")]
        for packet in sent:
            call.send(A, packet)
        assert await call.hears(B, len(sent)) == sent
        assert bench.events == []


async def test_a_refused_code_arrives_after_all_while_audio_flows(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        keypad = Keypad()
        sent = [*keypad.press("*", length=2), *keypad.press("9", length=3)]
        for packet in sent:
            call.send(B, packet)
        await until(lambda: bench.counters(B).withheld == len(sent))
        expected = (1 + 3) + (2 + 3)
        spoken = 0

        async def speak() -> None:
            nonlocal spoken
            call.send(B, keypad.audio())
            spoken += 1
            await call.hears(A, spoken)

        await until(lambda: bench.counters(B).injected == expected, speak)
        heard = await call.hears(A, spoken + expected)
        numbers = [HEADER.unpack_from(packet)[2] for packet in heard]
        assert all((after - before) & 0xFFFF == 1 for before, after in pairwise(numbers))
        ends = [event for packet in events_of(heard) if (event := parse_event(packet[12:])) and event.end]
        assert [(event.code, event.duration) for event in ends] == [(10, 320)] * 3 + [(9, 480)] * 3
        assert not any(isinstance(event, CodeDialled) for event in bench.events)


async def test_a_code_goes_on_in_another_stream_and_by_another_payload_type(plane: str) -> None:
    """Its digits on both sides of a re-INVITE."""
    async with bench_of(plane) as bench:
        call = await watched(bench)
        for packet in Keypad().press("*"):
            call.send(B, packet)
        await until(lambda: bench.counters(B).withheld == 8)
        bench.perform(Describe(CALL, B, AUDIO, frozenset({96})))
        pressed = Keypad(ssrc=0x77, seq=5).press("1")
        for packet in pressed:
            call.send(B, packet[:1] + bytes([packet[1] & 0x80 | 96]) + packet[2:])
        assert (await bench.event(CodeDialled)).action == "start"
        call.send(B, speech(1))
        assert await call.hears(A, 1) == [speech(1)]


@pytest.mark.parametrize("types", [frozenset({96}), frozenset()])
async def test_a_digit_that_was_held_meanwhile_is_said_as_it_may_be_said_now(
    plane: str, types: frozenset[int]
) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        for packet in Keypad().press("*"):
            call.send(B, packet)
        await until(lambda: bench.counters(B).withheld == 8)
        bench.perform(Describe(CALL, B, AUDIO, types), WatchCodes(CALL, B, None))
        if types:
            heard = await call.hears(A, 4 + 3)
            assert {packet[1] & 0x7F for packet in heard} == types
        else:  # the other party knows of no digits any more
            await asyncio.sleep(0.2)
            call.send(B, speech(1))
            assert [packet[12:] for packet in await call.hears(A, 1)] == [speech(1)[12:]]


@pytest.mark.slow
async def test_a_lone_star_of_a_capture_arrives_two_seconds_later(plane: str, corpora_path: Path) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        for _, packet in captured_rtp(corpora_path / "dtmf-pcap" / "dtmf_2833_star.pcap"):
            call.send(B, packet)
        await until(lambda: bench.counters(B).withheld == 10)
        call.send(B, speech(1))
        assert await call.hears(A, 1) == [speech(1)]
        await until(lambda: bench.counters(B).injected > 0)
        heard = events_of(await call.hears(A, 1 + 13 + 3))
        events = [parse_event(packet[12:]) for packet in heard]
        assert {event.code for event in events if event} == {10}
        assert [event.duration for event in events if event and event.end] == [0x8C0] * 3


async def test_a_code_of_captures_is_told_each_time_it_is_dialled(plane: str, corpora_path: Path) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        for key in ("star", "2"):
            for _, packet in captured_rtp(corpora_path / "dtmf-pcap" / f"dtmf_2833_{key}.pcap"):
                call.send(B, packet)
        assert (await bench.event(CodeDialled)).action == "stop"
        call.send(B, speech(7))
        assert await call.hears(A, 1) == [speech(7)]
        assert bench.counters(B).withheld == 20


@pytest.mark.parametrize("tap", Tap)
async def test_the_span_of_every_held_digit_is_told_to_the_recorder(plane: str, tap: Tap) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        bench.tap(tap)
        keypad = Keypad()
        started = keypad.timestamp
        for packet in [*keypad.press("*", length=3), keypad.audio()]:
            call.send(B, packet)
        await call.hears(A, 1)
        records = bench.records()
        digits = [record for record in records if record["flags"] == IS_DIGIT]
        assert len(digits) == (0 if tap is Tap.OFF else 6)
        assert len(records) == (0 if tap is Tap.OFF else 7)
        for record in digits:
            assert (record["timestamp"], record["leg"], record["ssrc"]) == (started, 1, keypad.ssrc)
            assert not any(record["payload"])
        assert max((record["length"] for record in digits), default=480) == 480


async def test_passed_digits_are_headers_like_all_else(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        bench.tap(Tap.PAYLOAD)
        sent = Keypad().press("7")
        for packet in sent:
            call.send(B, packet)
        assert await call.hears(A, len(sent)) == sent
        assert {record["flags"] for record in bench.records()} == {0}


async def test_without_codes_everything_passes_again(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await watched(bench)
        bench.perform(WatchCodes(CALL, B, None))
        sent = Keypad().press("*")
        for packet in sent:
            call.send(B, packet)
        assert await call.hears(A, len(sent)) == sent


async def test_digits_are_in_no_event(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.perform(WatchCodes(CALL, B, {"start": "987"}))
        keypad = Keypad()
        for digit in "987":
            for packet in keypad.press(digit):
                call.send(B, packet)
        dialled = await bench.event(CodeDialled)
        assert not {"9", "8", "7"} & {getattr(dialled, name) for name in ("action", "leg", "call")}
