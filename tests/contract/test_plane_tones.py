"""Every plane with tones: a confirmation reaches one leg alone and disturbs nothing."""

from itertools import pairwise

import numpy as np
import pytest

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM, alaw_encode, ulaw_encode
from mediaproxy.audio.g722 import G722Decoder
from mediaproxy.calls.plane import Codec, Describe, LegId, PlayTone, Tap, Tone
from mediaproxy.media.plane import Capability
from mediaproxy.rtp.packet import HEADER, build
from tests.support.planes import CALL, PLANES, bench_of, connected, speech, until

A, B = LegId.A, LegId.B
LAWS = {0: (ULAW_TO_PCM, ulaw_encode), 8: (ALAW_TO_PCM, alaw_encode)}
VOICE = (3000 * np.sin(2 * np.pi * 200 * np.arange(160) / 8000)).astype(np.int16)

pytestmark = pytest.mark.parametrize("plane", PLANES)


def share(pcm: np.ndarray, hz: float) -> float:
    """The part of the sound's energy at `hz`."""
    spectrum = np.abs(np.fft.rfft(pcm.astype(float) * np.hanning(len(pcm)))) ** 2
    at = round(hz * len(pcm) / 8000)
    return float(spectrum[at - 2 : at + 3].sum() / max(spectrum.sum(), 1))


async def test_the_plane_declares_its_tones(plane: str) -> None:
    async with bench_of(plane) as bench:
        assert Capability.TONES in bench.plane.capabilities


@pytest.mark.parametrize("payload_type", LAWS)
async def test_a_tone_is_mixed_into_the_audio_that_flows(plane: str, payload_type: int) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.tap(Tap.PAYLOAD)
        table, encode = LAWS[payload_type]
        sent = [build(payload_type, n == 0, n, n * 160, 0xA1, encode(VOICE).tobytes()) for n in range(20)]
        call.send(A, sent[0])
        await call.hears(B, 1)
        bench.perform(PlayTone(CALL, B, Tone.STARTED))
        for packet in sent[1:]:
            call.send(A, packet)
        heard = await call.hears(B, len(sent))
        assert [packet[:12] for packet in heard] == [packet[:12] for packet in sent]
        mixed = [n for n in range(20) if heard[n] != sent[n]]
        assert mixed == list(range(1, 11))  # 200 ms
        sound = table[np.frombuffer(b"".join(heard[n][12:] for n in mixed), np.uint8)]
        assert share(sound[:640], 660) > 0.2 < share(sound[:640], 200)
        assert share(sound[640:], 880) > 0.2 < share(sound[640:], 200)
        # The recorder is given what the caller said, and the caller hears nothing.
        assert {record["payload"][:160] for record in bench.records()} == {encode(VOICE).tobytes()}
        assert call.parties[A].received == []
        assert (bench.counters(A).injected, bench.counters(A).relayed) == (10, 20)


@pytest.mark.slow
@pytest.mark.parametrize("spoken_before", [True, False])
async def test_a_tone_goes_alone_while_nothing_flows(plane: str, spoken_before: bool) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        if spoken_before:
            call.send(A, speech(65_530))
            await call.hears(B, 1)
        bench.perform(PlayTone(CALL, B, Tone.STOPPED))
        await until(lambda: bench.counters(A).injected == 10)
        heard = (await call.hears(B, 10 + spoken_before))[spoken_before:]
        fields = [HEADER.unpack_from(packet) for packet in heard]
        assert all(after[2] - before[2] & 0xFFFF == 1 for before, after in pairwise(fields))
        assert {after[3] - before[3] & 0xFFFFFFFF for before, after in pairwise(fields)} == {160}
        assert len({ssrc for *_, ssrc in fields}) == 1
        sound = ULAW_TO_PCM[np.frombuffer(b"".join(packet[12:] for packet in heard), np.uint8)]
        assert share(sound[:640], 880) > 0.9 < share(sound[640:], 660)
        if spoken_before:
            assert fields[0][4] == 0xA1
            assert fields[0][2] == 65_531
        # The stream goes on behind it without gap.
        call.send(A, speech(65_531))
        follow = (await call.hears(B, 11 + spoken_before))[-1]
        assert follow[12:] == speech(65_531)[12:]
        if spoken_before:
            assert HEADER.unpack_from(follow)[2] == fields[-1][2] + 1 & 0xFFFF


async def test_another_codec_is_left_alone(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.perform(Describe(CALL, A, {9: Codec("G722", 8000)}), PlayTone(CALL, B, Tone.REFUSED))
        sent = [speech(n, payload_type=9) for n in range(5)]
        for packet in sent:
            call.send(A, packet)
        assert await call.hears(B, 5) == sent
        assert bench.counters(A).injected == 0


async def test_a_warning_is_heard_in_any_codec_of_ours(plane: str) -> None:
    """For half a second it takes the place of what the other party says; nothing else is worth that."""
    async with bench_of(plane) as bench:
        call = await connected(bench)
        bench.perform(Describe(CALL, A, {9: Codec("G722", 8000)}))
        sent = [speech(n, payload_type=9) for n in range(40)]
        call.send(A, sent[0])
        await call.hears(B, 1)
        bench.perform(PlayTone(CALL, B, Tone.WARNING))
        for packet in sent[1:]:
            call.send(A, packet)
        heard = await call.hears(B, len(sent))
        assert [packet[:12] for packet in heard] == [packet[:12] for packet in sent]
        assert [n for n in range(40) if heard[n] != sent[n]] == list(range(1, 27))  # 520 ms
        decoder = G722Decoder()
        sound = np.concatenate([decoder.decode(packet[12:]) for packet in heard[1:7]])[::2]
        assert share(sound, 880) > 0.8


async def test_a_leg_that_is_nowhere_yet_is_played_nothing(plane: str) -> None:
    async with bench_of(plane) as bench:
        await bench.allocate()
        bench.describe(A)
        bench.perform(PlayTone(CALL, B, Tone.STARTED))
        assert bench.counters(A).injected == 0
