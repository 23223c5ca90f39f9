"""Holds a recording against what was sent, sample by sample, with an own reader and decoder."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]  # [start, end) in samples

RATE = 8000
_PACKET_MS = 20
_TOLERANCE_MS = 50  # how long a packet may have waited on its way to the proxy
_EDGE_MS = 20  # where recording begins or ends amid speech, doubt is silence
_HEAD_SAMPLES = 48  # so many tell for certain which part of the speech they are
_LEGS = ("carrier", "agent")


@dataclass(frozen=True, slots=True)
class Said:
    """One leg's speech, and when its first packet was sent: `at_s` after the earliest possible answer.

    The answer may have been up to `unsure_ms` later; packets reached the proxy up to `jitter_ms` late.
    """

    samples: NDArray[np.int16]
    at_s: float
    unsure_ms: float = 0.0
    jitter_ms: float = 0.0


def check_recording(
    path: Path, duration: int, said: Sequence[Said], spans: Sequence[Span] | None = None, rate: int = RATE
) -> str | None:
    """What is wrong with one recording; None when every sample is as it must be.

    `said` is by channel; `spans` are what the log says was recorded, None = all.
    """
    try:
        frames = read_wav(path, rate)
    except (OSError, ValueError, struct.error) as error:
        return f"unreadable: {error}"
    if len(frames) != duration:
        return f"{len(frames)} sample frames instead of {duration}"
    for leg, speech in enumerate(said):
        expected_at = round((speech.at_s - _PACKET_MS / 1000) * rate)  # a packet carries the past
        early, late = (round(ms * rate / 1000) for ms in (speech.unsure_ms, speech.jitter_ms))
        fault = check_track(
            frames[:, leg], speech.samples, expected_at, spans, early=early, late=late, rate=rate
        )
        if fault:
            return f"{_LEGS[leg]}'s channel: {fault}"
    return None


def check_track(
    track: NDArray[np.int16],
    spoken: NDArray[np.int16],
    expected_at: int,
    spans: Sequence[Span] | None = None,
    *,
    early: int = 0,
    late: int = 0,
    rate: int = RATE,
) -> str | None:
    """Within `spans` (None = all) `track` must hold `spoken`, whole and near `expected_at`; else zeros.

    It may lie up to `early` samples earlier and `late` later than that; and where packets come late, so much
    more is in doubt at the edges of a span.
    """
    spans = [(0, len(track))] if spans is None else spans
    outside = np.ones(len(track), dtype=np.bool_)
    for start, end in spans:
        outside[start:end] = False
    leaked = int(np.count_nonzero(track[outside]))
    if leaked:
        return f"{leaked} samples outside the intervals are not silent"
    tolerance, edge = _TOLERANCE_MS * rate // 1000, _EDGE_MS * rate // 1000 + late
    place = _Place(spoken, expected_at - early - tolerance, expected_at + late + tolerance)
    faults = (_check_span(track, start, end, place, edge) for start, end in spans)
    return next(filter(None, faults), None)


@dataclass(frozen=True, slots=True)
class _Place:
    """A speech, and between which positions its sample 0 lies."""

    spoken: NDArray[np.int16]
    lowest: int
    highest: int


def _check_span(track: NDArray[np.int16], start: int, end: int, place: _Place, edge: int) -> str | None:
    heard = np.flatnonzero(track[start:end])
    opens, closes = start > 0, end < len(track)
    if len(heard) == 0:
        from_ = max(start + opens * edge - place.lowest, 0)
        to = min(end - closes * edge - place.highest, len(place.spoken))
        missed = from_ < to and place.spoken[from_:to].any()
        return f"nothing but silence from {start} to {end}" if missed else None
    first = start + int(heard[0])
    offset = _offset(track[first : min(first + _HEAD_SAMPLES, end)], first, place)
    if offset is None:
        return f"what begins at sample {first} was not said near it"
    wanted = _shifted(place.spoken, offset, start, end)
    there = track[start:end]
    wrong = there != wanted
    if opens:
        wrong[:edge] &= there[:edge] != 0
    if closes:
        wrong[-edge:] &= there[-edge:] != 0
    differ = int((wrong & (wanted != 0)).sum())
    beyond = int((wrong & (wanted == 0)).sum())
    cut = 0 if closes else max(0, offset + len(place.spoken) - end)
    if differ or beyond or cut:
        silent = int((wrong & (there == 0)).sum())
        where = start + int(np.flatnonzero(wrong)[0]) if differ or beyond else end
        return (
            f"{differ} samples differ ({silent} of them silent), {cut} cut off, "
            f"{beyond} beyond the speech, the first at {where} of {start} to {end}"
        )
    return None


def _offset(head: NDArray[np.int16], first: int, place: _Place) -> int | None:
    """At which position the speech's sample 0 lies, told by some samples at `first`; None = not near."""
    lowest, highest = first - place.highest, first - place.lowest  # which sample of the speech that is
    if highest < 0 or lowest > len(place.spoken):
        return None
    room = highest - lowest + 2 * len(head)
    padded = np.pad(place.spoken[max(lowest, 0) : highest + len(head)], room)
    from_ = min(lowest, 0) + room
    near = padded[from_ : from_ + highest - lowest + len(head)]
    agree = (np.lib.stride_tricks.sliding_window_view(near, len(head)) == head).sum(axis=1)
    best = int(agree.argmax())
    return first - (lowest + best) if 2 * agree[best] >= len(head) else None


def _shifted(spoken: NDArray[np.int16], offset: int, start: int, end: int) -> NDArray[np.int16]:
    """The positions [start, end) of a track in which `spoken` begins at `offset`."""
    wanted = np.zeros(end - start, dtype=np.int16)
    from_, to = max(start, offset), min(end, offset + len(spoken))
    if from_ < to:
        wanted[from_ - start : to - start] = spoken[from_ - offset : to - offset]
    return wanted


def read_wav(path: Path, sample_rate: int = RATE) -> NDArray[np.int16]:
    """The sample frames of a 16-bit stereo PCM file of that rate: shape (frames, 2)."""
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("not a WAV file")
    chunks = _chunks(content)
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if (channels, rate, bits) != (2, sample_rate, 16) or kind not in (1, 0xFFFE):
        raise ValueError(f"unexpected format {(kind, channels, rate, bits)}")
    return np.frombuffer(chunks[b"data"], dtype="<i2").reshape(-1, 2)


def _chunks(content: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(content):
        (size,) = struct.unpack_from("<I", content, at + 4)
        found[content[at : at + 4]] = content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return found
