"""One telephone's stream as the field sends it, through the running proxy: every part of it in its place."""

import asyncio
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.proxy import ProxyProcess
from tests.support.rtp_oracle import PCMU, RATE_HZ, Pcm, RtpPacket, frame_map, offset_of
from tests.support.rtp_phone import RtpPhone
from tests.support.sip_wire import media_of
from tests.support.softphone import connect

AUTOMATIC = "+15550101"
COMFORT_NOISE = 13
SAMPLES_PER_MS = RATE_HZ // 1000
TOLERANCE = 60 * SAMPLES_PER_MS  # how late this process may wake up


@dataclass
class Talker:
    """Sends what it says in packets of any length; notes when each part of it was begun."""

    media: RtpPhone
    answered_s: float
    seq: int = 65_530
    timestamp: int = 0xFFFF_FF00
    ssrc: int = 1
    said_at: list[tuple[float, Pcm]] = field(default_factory=list)

    async def say(self, seed: int, ptimes_ms: Sequence[int], packets: int = 30) -> None:
        loop = asyncio.get_running_loop()
        lengths = [ptimes_ms[n % len(ptimes_ms)] * SAMPLES_PER_MS for n in range(packets)]
        codes = PCMU.noise(seed, sum(lengths) / RATE_HZ)
        begun, at = loop.time(), 0
        self.said_at.append((begun - self.answered_s, PCMU.decode(codes)))
        for length in lengths:
            await asyncio.sleep(begun + (at + length) / RATE_HZ - loop.time())
            self._send(0, codes[at : at + length])
            self.timestamp += length
            at += length

    async def keep_still(self, seconds: float) -> None:
        """Discontinuous transmission: one description of the noise, then nothing; the clock goes on."""
        self._send(COMFORT_NOISE, b"\x40")
        self.timestamp += round(seconds * RATE_HZ)
        await asyncio.sleep(seconds)

    def _send(self, payload_type: int, payload: bytes) -> None:
        self.media.send(RtpPacket(payload_type, self.seq, self.timestamp, self.ssrc, payload).encode())
        self.seq += 1


def assert_in_place(track: Pcm, at_s: float, said: Pcm) -> None:
    """All of it but where the part before may reach into it, which was there first."""
    expected = round(at_s * RATE_HZ)
    offset = offset_of(track, said, (expected + TOLERANCE, expected + len(said)))
    assert abs(offset - expected) <= TOLERANCE, (offset, expected)
    heard = track[offset + TOLERANCE : offset + len(said)]
    assert np.array_equal(heard, said[TOLERANCE:]), frame_map(track)


async def read_while_it_grows(path: Path, most: list[int]) -> None:
    """Whenever it is looked at: a whole WAV, never shorter than it was."""
    while True:
        with wave.open(str(path), "rb") as file:
            frames = file.getnframes()
            assert len(file.readframes(frames)) == frames * 4
        assert frames >= most[-1]
        most.append(frames)
        await asyncio.sleep(0.02)


async def test_ptimes_a_jump_silence_and_another_source(make_proxy: Any, casts: Any) -> None:
    server: ProxyProcess = make_proxy()
    cast = casts(server)
    api = cast.api()
    pair = await connect(await cast.carrier(), await cast.alice(), AUTOMATIC, speak=False)
    pair.caller.media.remote = media_of(pair.caller.answer_sdp)
    row = await api.call_of(pair.caller.call_id)
    looked = [0]
    looking = asyncio.create_task(read_while_it_grows(server.live_wav(row["recording"]["id"]), looked))
    talker = Talker(pair.caller.media, pair.callee.answered_ns / 1e9)
    await talker.say(1, (10, 60, 20, 40))
    talker.timestamp += 123_456_789
    await talker.say(2, (30,))
    await talker.keep_still(0.5)
    await talker.say(3, (20,))
    talker.ssrc, talker.seq, talker.timestamp = 2, 7, 99
    await talker.say(4, (10, 50))
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await pair.hang_up()
    row = await api.ended(row["id"])
    tracks = server.tracks(row)
    for at_s, said in talker.said_at:
        assert_in_place(tracks[0], at_s, said)
    still_from, still_to = (round(at * RATE_HZ) for at in (talker.said_at[2][0] - 0.4, talker.said_at[2][0]))
    assert not tracks[0][still_from : still_to - TOLERANCE].any()
    assert not tracks[1].any()
    assert looking.cancelled()
    assert looked[-1] > RATE_HZ
    streams = (await api.get(f"/v1/recordings/{row['recording']['id']}/manifest"))["streams"]
    assert [(each["ssrc"], each["lost"]) for each in streams] == [(1, 0), (2, 0)]
    assert streams[0]["reanchors"] >= 1
