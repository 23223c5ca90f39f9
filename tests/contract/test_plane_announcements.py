"""Every plane with announcements: one leg hears all of it, in one stream, and nothing else is disturbed."""

import asyncio
from itertools import pairwise
from time import monotonic_ns

import numpy as np
import pytest

from mediaproxy.audio.codecs import coding
from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM, ulaw_encode
from mediaproxy.audio.sound import RATES_HZ, Sound
from mediaproxy.calls.plane import (
    AnnouncementEvent,
    AnnouncementHindered,
    AnnouncementPlayed,
    AnnouncementSpoken,
    Codec,
    Describe,
    Hindrance,
    LegId,
    PlayAnnouncement,
    PlayTone,
    Release,
    Released,
    StopAnnouncement,
    Tap,
    Tone,
)
from mediaproxy.media.plane import Capability
from mediaproxy.rtp.packet import HEADER, build
from tests.support.planes import AUDIO, CALL, DIGITS, PLANES, Bench, TwoParties, bench_of, connected, until

A, B = LegId.A, LegId.B
QUIET = ulaw_encode(np.zeros(160, np.int16)).tobytes()
PACKET = 160

pytestmark = pytest.mark.parametrize("plane", PLANES)


def steps(packets: int) -> Sound:
    """Twenty milliseconds of each of as many levels: what was heard tells which stretch it is."""
    levels = np.arange(1, packets + 1, dtype=np.int16) * 256
    return Sound("steps", {rate: np.repeat(levels, rate // 50) for rate in RATES_HZ})


def audio(
    seq: int, *, silent: int = 0, ssrc: int = 0xA1, payload_type: int = 0, payload: bytes = QUIET
) -> bytes:
    """`silent`: how many packets its sender has not sent before (DTX)."""
    return build(payload_type, False, seq, (seq + silent) * PACKET, ssrc, payload)


def levels(packets: list[bytes]) -> list[int]:
    """The level of each packet in units of `steps`; 0 = nothing of ours."""
    tables = {0: ULAW_TO_PCM, 8: ALAW_TO_PCM}
    found = []
    for packet in packets:
        pcm = tables[packet[1] & 0x7F][np.frombuffer(packet[12:], np.uint8)]
        found.append(round(float(np.median(pcm)) / 256))
    return found


def fields(packets: list[bytes]) -> list[tuple[int, int, int]]:
    """(sequence number, timestamp, SSRC)"""
    return [HEADER.unpack_from(packet)[2:] for packet in packets]


def said(bench: Bench, leg: LegId = B) -> list[AnnouncementEvent]:
    return [e for e in bench.events if isinstance(e, AnnouncementEvent) and e.leg is leg]


def spoken(bench: Bench) -> list[AnnouncementSpoken]:
    return [e for e in bench.events if isinstance(e, AnnouncementSpoken)]


async def both_spoke(bench: Bench) -> TwoParties:
    """A connected call in which each party has said something, and the first packets are heard."""
    call = await connected(bench)
    call.send(B, audio(1, ssrc=0xB1))
    call.send(A, audio(0))
    await call.hears(A, 1)
    await call.hears(B, 1)
    return call


def continuous(packets: list[bytes]) -> None:
    """One stream without gap in its numbers, whose timestamps only grow and never overlap."""
    found = fields(packets)
    assert len({ssrc for _, _, ssrc in found}) == 1
    assert {after[0] - before[0] & 0xFFFF for before, after in pairwise(found)} == {1}
    assert min(after[1] - before[1] & 0xFFFFFFFF for before, after in pairwise(found)) >= PACKET


async def test_the_plane_declares_its_announcements(plane: str) -> None:
    async with bench_of(plane) as bench:
        assert Capability.ANNOUNCEMENTS in bench.plane.capabilities


async def test_it_is_mixed_into_what_flows_and_told_stretch_by_stretch(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.tap(Tap.PAYLOAD)
        voice = ulaw_encode(np.full(160, 2048, np.int16)).tobytes()
        bench.perform(PlayAnnouncement(CALL, B, 7, steps(4)))
        sent = [audio(n, payload=voice) for n in range(1, 8)]
        for packet in sent:
            call.send(A, packet)
        heard = (await call.hears(B, 8))[1:]
        assert levels(heard) == [9, 10, 11, 12, 8, 8, 8]
        assert [packet[:12] for packet in heard] == [packet[:12] for packet in sent]
        played = await bench.event(AnnouncementPlayed)
        assert (played.leg, played.number) == (B, 7)
        told = spoken(bench)
        assert [(e.first, e.ticks) for e in told] == [(n * 160, 160) for n in range(4)]
        assert {after.at_ns - before.at_ns for before, after in pairwise(told)} == {20_000_000}
        assert played.ended_ns == told[-1].at_ns + 20_000_000
        assert {record["payload"][:160] for record in bench.records()} == {voice}
        assert (bench.counters(A).injected, bench.counters(B).injected) == (4, 0)
        assert len(call.parties[A].received) == 1


async def test_the_end_is_told_when_it_was_heard_not_when_it_was_sent(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(4)))
        for n in range(1, 5):  # a burst: they are heard one after the other
            call.send(A, audio(n))
        await call.hears(B, 5)
        assert not [e for e in bench.events if isinstance(e, AnnouncementPlayed)]
        played = await bench.event(AnnouncementPlayed)
        assert played.ended_ns - spoken(bench)[0].at_ns == 80_000_000
        assert monotonic_ns() >= played.ended_ns


async def test_the_last_stretch_is_as_long_as_the_sound(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        pcm = {rate: np.full(rate // 32, 512, np.int16) for rate in RATES_HZ}  # 250 ticks
        bench.perform(PlayAnnouncement(CALL, B, 1, Sound("odd", pcm)))
        call.send(A, audio(1))
        call.send(A, audio(2))
        heard = (await call.hears(B, 3))[2]
        await bench.event(AnnouncementPlayed)
        assert [(e.first, e.ticks) for e in spoken(bench)] == [(0, 160), (160, 90)]
        assert np.count_nonzero(ULAW_TO_PCM[np.frombuffer(heard[12:], np.uint8)]) == 90


@pytest.mark.slow
async def test_it_goes_alone_where_nothing_flows_and_the_stream_goes_on_behind_it(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(5)))
        played = await bench.event(AnnouncementPlayed)
        heard = await call.hears(B, 6)
        assert levels(heard) == [0, 1, 2, 3, 4, 5]
        since = (played.ended_ns - spoken(bench)[0].at_ns) // 20_000_000
        assert since == 5
        call.send(A, audio(1, silent=11))  # the sender's clock went on while it was silent
        continuous(await call.hears(B, 7))
        assert bench.counters(A).injected == 5


@pytest.mark.slow
@pytest.mark.parametrize("mixed_before", [1, 2])
async def test_a_stream_that_stops_and_goes_on_meanwhile(plane: str, mixed_before: int) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(8)))
        for n in range(1, mixed_before + 1):
            call.send(A, audio(n))
        await until(lambda: bench.counters(A).injected >= mixed_before + 3)
        went_on = bench.counters(A).injected
        for n in range(10):
            call.send(A, audio(mixed_before + 1 + n, silent=20))  # well beyond what was filled
        await bench.event(AnnouncementPlayed)
        heard = await call.hears(B, 1 + went_on + 10)
        assert [level for level in levels(heard) if level] == list(range(1, 9))
        continuous(heard)


@pytest.mark.slow
@pytest.mark.parametrize("mixed_before", [0, 1])
async def test_the_stream_goes_on_behind_ours_not_beneath_it(plane: str, mixed_before: int) -> None:
    """Its sender's clock goes on while it is silent: what it says next lies where time is by then."""
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        began_ns = monotonic_ns()
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(30)))
        if mixed_before:
            call.send(A, audio(1))
        before = 1 + mixed_before
        await until(lambda: bench.counters(A).injected >= mixed_before + 3)
        ours = bench.counters(A).injected - mixed_before
        passed = (monotonic_ns() - began_ns) * 8 // 1_000_000
        call.send(A, build(0, False, before, passed + mixed_before * PACKET, 0xA1, QUIET))
        heard = fields(await call.hears(B, before + ours + 1))
        gaps = [after[1] - at[1] for at, after in pairwise(heard)]
        assert min(gaps) >= PACKET - 40  # 5 ms, for a machine that is busy


@pytest.mark.slow
async def test_a_stream_that_begins_meanwhile(plane: str) -> None:
    """Nothing was ever relayed: ours is a stream of its own, and the first one of theirs carries the rest."""
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(6)))
        await until(lambda: bench.counters(A).injected == 2)
        alone = await call.hears(B, 2)
        continuous(alone)
        sent = [audio(n) for n in range(6)]
        for packet in sent:
            call.send(A, packet)
        await bench.event(AnnouncementPlayed)
        heard = await call.hears(B, 8)
        assert levels(heard) == [1, 2, 3, 4, 5, 6, 0, 0]
        assert [packet[:12] for packet in heard[2:]] == [packet[:12] for packet in sent]


async def test_a_party_that_was_just_answered_is_given_time(plane: str) -> None:
    """It has not spoken yet: perhaps it does not listen yet either."""
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(2)))
        for n in range(3):
            call.send(A, audio(n))
        assert levels(await call.hears(B, 3)) == [0, 0, 0]
        call.send(B, audio(1, ssrc=0xB1))
        await call.hears(A, 1)
        call.send(A, audio(3))
        assert levels(await call.hears(B, 4))[3] == 1


async def test_what_the_network_does_to_the_stream_takes_nothing_from_the_sound(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(5)))
        order = [1, 1, 2, 5, 4, 5, 6, 2, 7]  # twice, lost, reordered, late
        for n in order:
            call.send(A, audio(n))
        heard = await call.hears(B, 1 + len(order))
        assert levels(heard) == [0, 1, 1, 2, 3, 0, 3, 4, 2, 5]
        await bench.event(AnnouncementPlayed)
        assert sum(e.ticks for e in spoken(bench)) == 5 * 160


async def test_a_second_stream_beside_it_passes_as_it_is(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(3)))
        for n in range(1, 4):
            call.send(A, audio(n))
            call.send(A, audio(100 + n, ssrc=0xA2))
        assert levels(await call.hears(B, 7)) == [0, 1, 0, 2, 0, 3, 0]


@pytest.mark.slow
async def test_it_follows_a_change_of_ssrc(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(6)))
        call.send(A, audio(1))
        await until(lambda: bench.counters(A).injected == 2)  # one of ours: the stream is gone
        call.send(A, audio(9000, ssrc=0xA2))
        call.send(A, audio(9001, ssrc=0xA2))
        await until(lambda: bench.counters(A).injected == 6)
        heard = await call.hears(B, 7)
        assert levels(heard) == [0, 1, 2, 3, 4, 5, 6]
        assert [ssrc for _, _, ssrc in fields(heard)] == [0xA1] * 3 + [0xA2] * 4
        continuous(heard[:3])
        continuous(heard[3:])


@pytest.mark.slow
async def test_comfort_noise_passes_and_the_sound_goes_on(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(4)))
        call.send(A, audio(1))
        call.send(A, build(13, False, 2, 2 * PACKET, 0xA1, b"\x40"))
        await bench.event(AnnouncementPlayed)
        heard = await call.hears(B, 6)
        assert len(heard[2]) == 13
        assert levels([packet for packet in heard if len(packet) > 13]) == [0, 1, 2, 3, 4]
        assert {after[0] - before[0] for before, after in pairwise(fields(heard))} == {1}


async def test_a_change_of_codec_meanwhile(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(4)))
        call.send(A, audio(1))
        call.send(A, audio(2, payload_type=8, payload=b"\xd5" * 160))
        await call.hears(B, 3)
        bench.perform(Describe(CALL, A, {8: AUDIO[8]}, DIGITS))
        call.send(A, audio(3, payload_type=8, payload=b"\xd5" * 160))
        call.send(A, audio(4, payload_type=8, payload=b"\xd5" * 160))
        assert levels(await call.hears(B, 5)) == [0, 1, 2, 3, 4]
        await bench.event(AnnouncementPlayed)


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        (Codec("G722", 8000), bytes(160)),
        (Codec("L16", 16000), bytes(640)),
        (Codec("L16", 8000, 2), bytes(640)),
        (Codec("OPUS", 48000, 2), b"\xfc\xff\xfe"),
        (Codec("G722", 8000), bytes(240)),  # 30 ms
        (Codec("L16", 16000), bytes(960)),
    ],
)
async def test_where_it_cannot_be_mixed_it_takes_the_place_of_what_flows(
    plane: str, codec: Codec, payload: bytes
) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.perform(Describe(CALL, A, {96: codec}))
        call.send(B, audio(1, ssrc=0xB1))
        await call.hears(A, 1)
        tone = {
            r: (8000 * np.sin(2 * np.pi * 500 * np.arange(r // 10) / r)).astype(np.int16) for r in RATES_HZ
        }
        bench.perform(PlayAnnouncement(CALL, B, 1, Sound("tone", tone)))
        known = coding(codec.name, codec.clock_hz, codec.channels)
        assert known
        clock = known.ticks(payload, len(payload)) or 0
        for n in (0, 1, 1, 2, 3, 4, 5):
            call.send(A, build(96, False, n, n * clock, 0xA1, payload))
        heard = await call.hears(B, 7)
        assert [HEADER.unpack_from(packet)[2:4] for packet in heard] == [
            (n, n * clock) for n in (0, 1, 1, 2, 3, 4, 5)
        ]
        assert heard[1] == heard[2]
        assert heard[6][12:] == payload
        decoder = known.decoder(known.rate_hz)
        pcm = np.concatenate([decoder.decode(heard[n][12:]) for n in (0, 1, 3, 4, 5)]).astype(float)
        spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
        loudest = np.argmax(spectrum) * decoder.rate_hz / len(pcm)
        assert abs(loudest - 500) < 20
        assert np.abs(pcm).max() > 4000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flows", "ticks", "payload"),
    [
        (Codec("OPUS", 48000, 2), 1440, b"\x03\x03" + bytes(30)),  # 30 ms, of which we have no packet
        (Codec("G722", 8000), 20, bytes(20)),  # half a block
        (Codec("G729", 8000), 160, bytes(20)),  # none of our codecs, beside one that is
    ],
)
async def test_what_cannot_carry_it_makes_room_for_it(
    plane: str, flows: Codec, ticks: int, payload: bytes
) -> None:
    """One voice in one stream: neither are their packets between ours, nor is a number left out."""
    async with bench_of(plane, slots=1024) as bench:
        call = await connected(bench)
        bench.perform(Describe(CALL, A, {96: flows, 0: AUDIO[0]}))
        bench.tap(Tap.PAYLOAD)
        call.send(B, audio(1, ssrc=0xB1))
        await call.hears(A, 1)
        began_ns, sent = monotonic_ns(), 0

        async def speak() -> None:
            nonlocal sent
            call.send(A, build(96, False, sent, sent * ticks, 0xA1, payload))
            sent += 1
            due_ns = began_ns + sent * ticks * 1_000_000_000 // flows.clock_hz
            await asyncio.sleep(max(due_ns - monotonic_ns(), 0) / 1e9)

        await speak()
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(10)))
        await until(lambda: any(isinstance(e, AnnouncementPlayed) for e in bench.events), speak)
        withheld = bench.counters(A).withheld
        assert withheld >= 5
        await speak()
        await until(lambda: bench.counters(A).packets == sent)
        heard = await call.hears(B, sent - withheld + 10)
        own = [packet[1] & 0x7F == 96 and packet[12:] == payload for packet in heard]
        at = own.index(False)
        assert own == [True] * at + [False] * 10 + [True] * (len(own) - at - 10)
        assert {after[0] - before[0] for before, after in pairwise(fields(heard))} == {1}
        assert min(after[1] - before[1] for before, after in pairwise(fields(heard))) > 0
        tapped = [record for record in bench.records() if record["leg"] == A]
        assert sum(not record["flags"] for record in tapped) == withheld  # who was not heard is not kept
        assert len(tapped) == sent


@pytest.mark.slow
async def test_another_codec_alone(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.perform(Describe(CALL, A, {96: Codec("OPUS", 48000, 2), 101: Codec("TELEPHONE-EVENT", 48000)}))
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(3)))
        await bench.event(AnnouncementPlayed)
        found = fields(await call.hears(B, 3))
        assert [after[1] - before[1] for before, after in pairwise(found)] == [960, 960]


async def test_who_does_not_listen_is_waited_for_and_then_hears_it_from_the_beginning(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.describe(A, heard=False)
        bench.perform(PlayAnnouncement(CALL, B, 3, steps(3)))
        hindered = await bench.event(AnnouncementHindered)
        assert (hindered.leg, hindered.number, hindered.reason) == (B, 3, Hindrance.NOT_LISTENING)
        bench.describe(A)
        call.send(A, audio(1))
        call.send(A, audio(2))
        assert levels(await call.hears(B, 3)) == [0, 1, 2]
        bench.describe(A, heard=False)  # hold, two thirds through
        assert (await bench.event(AnnouncementHindered)).reason is Hindrance.NOT_LISTENING
        call.send(A, audio(3))
        assert levels(await call.hears(B, 4))[3] == 0
        bench.describe(A)
        for n in range(4, 8):
            call.send(A, audio(n))
        assert levels(await call.hears(B, 8))[4:] == [1, 2, 3, 0]
        await bench.event(AnnouncementPlayed)
        assert [e.first for e in spoken(bench)] == [0, 160, 0, 160, 320]


async def test_without_a_codec_of_ours_it_waits(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(Describe(CALL, A, {18: Codec("G729", 8000)}))
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(2)))
        assert (await bench.event(AnnouncementHindered)).reason is Hindrance.CODEC
        sent = audio(1, payload_type=18, payload=bytes(20))
        call.send(A, sent)
        assert (await call.hears(B, 2))[1] == sent


async def test_a_leg_that_is_nowhere_yet(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        bench.describe(A)
        bench.describe(B)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(1)))
        assert (await bench.event(AnnouncementHindered)).reason is Hindrance.NOWHERE
        parties = (bench.party("127.0.0.2"), bench.party("127.0.0.3"))
        call = TwoParties(bench, local, parties)
        for leg in (A, B):
            bench.connect(leg, parties[leg].endpoint)
        call.send(B, audio(1, ssrc=0xB1))
        await call.hears(A, 1)
        call.send(A, audio(1))
        assert levels(await call.hears(B, 1)) == [1]


async def test_stop_ends_it_at_once_and_another_one_takes_its_place(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(5)))
        call.send(A, audio(1))
        await call.hears(B, 2)
        bench.perform(StopAnnouncement(CALL, B), StopAnnouncement(CALL, A))
        call.send(A, audio(2))
        await call.hears(B, 3)
        bench.perform(PlayAnnouncement(CALL, B, 2, steps(5)))
        call.send(A, audio(3))
        await call.hears(B, 4)
        bench.perform(PlayAnnouncement(CALL, B, 3, steps(1)))
        call.send(A, audio(4))
        call.send(A, audio(5))
        assert levels(await call.hears(B, 6)) == [0, 1, 0, 1, 1, 0]
        assert (await bench.event(AnnouncementPlayed)).number == 3
        assert [e.number for e in said(bench)] == [1, 2, 3]


async def test_each_leg_hears_its_own(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, A, 1, steps(2)), PlayAnnouncement(CALL, B, 2, steps(3)))
        for n in range(2, 6):
            call.send(A, audio(n))
            call.send(B, audio(n, ssrc=0xB1))
        assert levels(await call.hears(A, 5)) == [0, 1, 2, 0, 0]
        assert levels(await call.hears(B, 5)) == [0, 1, 2, 3, 0]
        assert {(await bench.event(AnnouncementPlayed)).leg for _ in (A, B)} == {A, B}


async def test_a_tone_does_not_hide_it(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, B, 1, steps(2)), PlayTone(CALL, B, Tone.STARTED))
        call.send(A, audio(1))
        call.send(A, audio(2))
        assert levels(await call.hears(B, 3)) == [0, 1, 2]


async def test_the_call_may_end_meanwhile(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await both_spoke(bench)
        bench.perform(PlayAnnouncement(CALL, A, 1, steps(5)), PlayAnnouncement(CALL, B, 2, steps(5)))
        call.send(A, audio(1))
        await call.hears(B, 2)
        bench.perform(Release(CALL))
        await bench.event(Released)
        before = len(bench.events)
        await asyncio.sleep(0.1)
        assert len(bench.events) == before
        assert len(call.parties[B].received) == 2
