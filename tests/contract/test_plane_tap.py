"""Every plane that taps: which packets enter the ring, how much of them, and when they arrived."""

import time

import pytest

from mediaproxy.calls.plane import CodeDialled, Describe, LegId, Release, Released, SetTap, Tap, WatchCodes
from mediaproxy.media.plane import Capability
from mediaproxy.recording.ring import HAS_PAYLOAD
from mediaproxy.rtp.packet import HEADER
from tests.support.planes import (
    CALL,
    CALLEE_HOST,
    CALLER_HOST,
    PCMU,
    PLANES,
    Bench,
    TwoParties,
    bench_of,
    connected,
    speech,
    until,
)
from tests.support.telephone_events import Keypad

A, B = LegId.A, LegId.B

pytestmark = pytest.mark.parametrize("plane", PLANES)


async def test_the_plane_declares_that_it_taps(plane: str) -> None:
    async with bench_of(plane) as bench:
        assert Capability.TAP in bench.plane.capabilities


async def test_off_copies_nothing(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        call.send(A, speech(1))
        await call.hears(B, 1)
        bench.tap(Tap.PAYLOAD)
        bench.tap(Tap.OFF)
        call.send(A, speech(2))
        await call.hears(B, 2)
        assert bench.records() == []


async def test_headers_tell_everything_but_the_payload(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench, generation=77)
        bench.tap(Tap.HEADERS)
        before = time.monotonic_ns()
        call.send(B, speech(0xABCD, payload_type=8, ssrc=0xDEADBEEF, marker=True))
        await call.hears(A, 1)
        (record,) = bench.records()
        assert before <= record.pop("arrival_ns") <= time.monotonic_ns()
        assert not any(record.pop("payload"))
        del record["pass_number"]
        assert record == {
            "generation": 77, "leg": 1, "flags": 0, "payload_type": 8, "marker": 1,
            "ssrc": 0xDEADBEEF, "seq": 0xABCD, "length": 160, "timestamp": 0xABCD * 160,
        }  # fmt: skip


async def test_the_payload_is_copied_without_header_extension_and_padding(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        voice = bytes(range(160))
        call.send(A, HEADER.pack(0xB1, 0, 9, 90, 0xA1) + b"csrc\xbe\xde\0\1abcd" + voice + b"\0\0\0\4")
        await call.hears(B, 1)
        (record,) = bench.records()
        assert record["flags"] == HAS_PAYLOAD
        assert record["length"] == 160
        assert record["payload"][:160] == voice
        assert not any(record["payload"][160:])


@pytest.mark.parametrize("detour", [False, True])
async def test_only_described_audio_that_is_heard_is_copied(plane: str, detour: bool) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        if detour:
            await make_it_renumber(bench, call)
        types = (0, 8, 13, 18, 101)  # comfort noise, an undescribed codec, an event: headers alone
        for n, payload_type in enumerate(types):
            call.send(A, speech(500 + n, payload_type=payload_type))
        await call.hears(B, 5)
        records = bench.records()
        assert tuple(record["payload_type"] for record in records) == types
        assert [record["payload_type"] for record in records if record["flags"] == HAS_PAYLOAD] == [0, 8]
        assert [record["payload_type"] for record in records if any(record["payload"])] == [0, 8]
        bench.describe(A, heard=False)
        call.send(A, speech(600))
        await call.hears(B, 6)
        assert bench.records() == []
        bench.perform(Describe(CALL, A, {9: PCMU}))
        call.send(A, speech(601))
        call.send(A, speech(602, payload_type=9))
        await call.hears(B, 8)
        records = bench.records()
        assert [(record["seq"], record["flags"]) for record in records] == [(601, 0), (602, HAS_PAYLOAD)]


async def make_it_renumber(bench: Bench, call: TwoParties) -> None:
    """A withheld digit: every packet behind it is renumbered."""
    bench.perform(WatchCodes(CALL, A, {"start": "5"}))
    for packet in Keypad(ssrc=0xA1, seq=400).press("5"):
        call.send(A, packet)
    await bench.event(CodeDialled)
    await until(lambda: bench.counters(A).withheld == 8)
    bench.perform(WatchCodes(CALL, A, None))
    bench.records()


async def test_what_was_not_relayed_is_not_tapped(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        caller = bench.party(CALLER_HOST)
        bench.connect(A, caller.endpoint)
        bench.describe(A)
        bench.tap(Tap.PAYLOAD)
        caller.send(speech(1), local[A])
        await until(lambda: bench.counters(A).packets == 1)
        assert bench.records() == []
        callee = bench.party(CALLEE_HOST)
        bench.connect(B, callee.endpoint)
        caller.send(speech(2), local[A])
        await callee.hears(1)
        assert [record["seq"] for record in bench.records()] == [2]


async def test_payload_never_enters_the_ring_while_headers_are_asked_for(plane: str) -> None:
    async with bench_of(plane, slots=16) as bench:
        call = await connected(bench)
        seen = 0
        for seq in range(60):
            tap = Tap.PAYLOAD if seq % 20 < 5 else Tap.HEADERS
            bench.perform(SetTap(CALL, A, tap))
            call.send(A, speech(seq))
            await call.hears(B, seq + 1)
            for record in bench.records():
                seen += 1
                assert any(record["payload"]) == (tap is Tap.PAYLOAD and record["seq"] != 0)
        assert seen == 60


async def test_an_idle_plane_moves_the_drain_mark_and_a_packet_arrives_behind_it(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        start = time.monotonic_ns()
        await until(lambda: bench.ring.drain_mark_ns > start)
        mark = bench.ring.drain_mark_ns
        sent_ns = time.monotonic_ns()
        call.send(A, speech(1))
        await call.hears(B, 1)
        (records,) = bench.ring.take()
        (earliest,) = bench.ring.earliest_ns(records["pass_number"])
        assert mark <= earliest <= sent_ns <= records["arrival_ns"][0] <= time.monotonic_ns()
        await until(lambda: bench.ring.drain_mark_ns > records["arrival_ns"][0])


async def test_after_a_stall_every_packet_says_that_it_may_be_as_old_as_the_stall(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        call.send(A, speech(0))
        await call.hears(B, 1)
        bench.records()
        with bench.plane.standing_still(0.05):
            before_stall = time.monotonic_ns()
            for seq in range(1, 40):
                call.send(A, speech(seq))
        await call.hears(B, 40)
        for records in bench.ring.take():
            assert (bench.ring.earliest_ns(records["pass_number"]) <= before_stall).all()
            assert (records["arrival_ns"] >= before_stall + 50_000_000).all()


async def test_a_stall_of_two_seconds_loses_nothing(plane: str) -> None:
    async with bench_of(plane, slots=2048) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        for seq in range(400):  # at a ptime of 10 ms, and as much again
            call.send(A, speech(seq))
            call.send(B, speech(seq))
        assert await call.hears(B, 400) == [speech(seq) for seq in range(400)]
        await call.hears(A, 400)
        assert len(bench.records()) == 800


async def test_what_arrived_before_the_release_is_relayed_and_tapped(plane: str) -> None:
    async with bench_of(plane, slots=512) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        for seq in range(100):
            call.send(A, speech(seq))
        bench.perform(Release(CALL))  # the loop has had no turn yet
        assert len(bench.records()) == 100
        assert (await bench.event(Released)).legs[A].relayed == 100
        await call.hears(B, 100)


async def test_a_ring_half_full_asks_for_a_drain_and_loses_nothing(plane: str) -> None:
    async with bench_of(plane, slots=16) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        for seq in range(100):
            call.send(A, speech(seq))
        await call.hears(B, 100)
        assert bench.plane.pressure >= 10
        assert bench.ring.take_dropped() == {}
