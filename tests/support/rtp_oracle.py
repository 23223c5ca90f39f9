"""What the outside knows of RTP and G.711: packets, time-coded audio, and how a recording must read.

Nothing here is shared with the product. The decoders follow the segment tables of ITU-T G.711, the
packets RFC 3550, the digits RFC 4733.
"""

import random
import struct
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
PTIME_SAMPLES = 160
HEADER_BYTES = 12
DIGITS = "0123456789*#ABCD"
CERTAIN_RUN = 24  # samples of noise that occur nowhere twice

Pcm = NDArray[np.int16]
Span = tuple[int, int]


def _ulaw_sample(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _alaw_sample(code: int) -> int:
    code ^= 0x55
    segment, mantissa = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = mantissa + 8 if segment == 0 else mantissa + 0x108 << segment - 1
    return magnitude if code & 0x80 else -magnitude


@dataclass(frozen=True, slots=True)
class G711:
    """One law: its RTP payload type, its SDP name, and the decoding of every code."""

    name: str
    payload_type: int
    table: Pcm

    def decode(self, codes: bytes) -> Pcm:
        return self.table[np.frombuffer(codes, np.uint8)]

    def noise(self, seed: int, seconds: float) -> bytes:
        """Seeded noise in which no sample decodes to zero and no run of samples occurs twice."""
        loud = bytes(code for code in range(256) if abs(int(self.table[code])) >= 64)
        return bytes(random.Random(seed).choices(loud, k=int(seconds * RATE_HZ)))


PCMU = G711("PCMU", 0, np.array([_ulaw_sample(c) for c in range(256)], np.int16))
PCMA = G711("PCMA", 8, np.array([_alaw_sample(c) for c in range(256)], np.int16))


@dataclass(frozen=True, slots=True)
class RtpPacket:
    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    @classmethod
    def parse(cls, raw: bytes) -> "RtpPacket":
        first, second, seq, timestamp, ssrc = struct.unpack_from("!BBHII", raw)
        assert first == 0x80, f"no plain RTP header: {raw[:12].hex()}"
        return cls(second & 0x7F, seq, timestamp, ssrc, raw[HEADER_BYTES:], second > 0x7F)

    def encode(self) -> bytes:
        second = self.payload_type | self.marker << 7
        seq, timestamp = self.seq & 0xFFFF, self.timestamp & 0xFFFFFFFF
        return struct.pack("!BBHII", 0x80, second, seq, timestamp, self.ssrc) + self.payload


def digit_payload(digit: str, *, duration: int, end: bool) -> bytes:
    return struct.pack("!BBH", DIGITS.index(digit), 10 | end << 7, duration)


def spoken(packets: Iterable[RtpPacket], law: G711) -> Pcm:
    """What the audio packets of one SSRC say, along their timestamps; zero where none was sent."""
    audio = [p for p in packets if p.payload_type == law.payload_type]
    if not audio:
        return np.zeros(0, np.int16)
    places = [((p.timestamp - audio[0].timestamp) & 0xFFFFFFFF, p.payload) for p in audio]
    said = np.zeros(max(at + len(payload) for at, payload in places), np.int16)
    for at, payload in places:
        said[at : at + len(payload)] = law.decode(payload)
    return said


def read_wav(path: Path) -> Pcm:
    """All frames of a stereo 16-bit file, as (frames, 2)."""
    with wave.open(str(path), "rb") as file:
        shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
        assert shape == (RATE_HZ, 2, 2), f"{path}: rate, channels, sample width are {shape}"
        frames = file.readframes(file.getnframes())
    return np.frombuffer(frames, "<i2").reshape(-1, 2)


def frame_map(track: Pcm, step: int = 800) -> str:
    """One letter per `step` samples: `_` all zero, `A` all non-zero, `a` mixed."""
    letters = {0.0: "_", 1.0: "A"}
    parts = (track[i : i + step] for i in range(0, len(track), step))
    return "".join(letters.get(float(np.mean(part != 0)), "a") for part in parts)


def spans_of(track: Pcm) -> list[Span]:
    """The spans `[start, end)` in which no sample is zero."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], track != 0, [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def offset_of(track: Pcm, said: Pcm, span: Span) -> int:
    """Where the speaker's sample 0 lies on the call clock, judged by the first certain run in `span`."""
    inside = track[span[0] : span[1]]
    sounding = np.flatnonzero(inside)
    assert len(sounding), f"nothing at all in {span}: {frame_map(track)}"
    for start in sounding[:: PTIME_SAMPLES // 2]:
        run = inside[start : start + CERTAIN_RUN]
        if len(run) < CERTAIN_RUN or len(np.unique(run)) < CERTAIN_RUN // 3:
            continue
        found = _find(said, run)
        if found is not None:
            return int(span[0] + start - found)
    raise AssertionError(f"nothing in {span} was ever said: {frame_map(track)}")


def _find(said: Pcm, run: Pcm) -> int | None:
    haystack, needle = said.astype("<i2").tobytes(), run.astype("<i2").tobytes()
    at = haystack.find(needle)
    while at % 2 and at >= 0:
        at = haystack.find(needle, at + 1)
    return at // 2 if at >= 0 else None


def expected_track(said: Pcm, offset: int, length: int) -> Pcm:
    """The speaker's samples laid on a call clock of `length` samples."""
    track = np.zeros(length, np.int16)
    first, last = max(0, offset), min(length, offset + len(said))
    track[first:last] = said[first - offset : last - offset]
    return track


def check_zero_outside(track: Pcm, spans: Sequence[Span]) -> None:
    outside = np.ones(len(track), bool)
    for start, end in spans:
        outside[start:end] = False
    leaked = np.flatnonzero(outside & (track != 0))
    assert not len(leaked), (
        f"{len(leaked)} samples outside {spans} are not zero, first {leaked[:5]}: {frame_map(track)}"
    )


def check_track(
    track: Pcm, said: Pcm, spans: Sequence[Span], *, head_slack: int = 80, tail_slack: int = 80
) -> list[int]:
    """Zero outside the spans; inside each, what was said at one constant offset. Gives the offsets.

    The first `head_slack` samples of a span may be missing: a packet faster than every one before
    it arrives before its first sample's position, and what arrived before a start never enters. So may
    the last `tail_slack`: what lies beyond the stop by the fastest packet of the last seconds is left out.
    """
    check_zero_outside(track, spans)
    return [_check_span(track, said, span, head_slack, tail_slack) for span in spans]


def _check_span(track: Pcm, said: Pcm, span: Span, head_slack: int, tail_slack: int) -> int:
    start, end = span
    offset = offset_of(track, said, span)
    want = expected_track(said, offset, len(track))
    wrong = np.flatnonzero(track[start:end] != want[start:end]) + start
    missing = track[wrong] == 0
    excused = missing & ((wrong < start + head_slack) | (wrong >= end - tail_slack))
    left = wrong[~excused]
    assert not len(left), (
        f"{len(left)} samples in {span} differ at offset {offset}, "
        f"first {[(int(p), int(track[p]), int(want[p])) for p in left[:5]]}: {frame_map(track)}"
    )
    return offset
