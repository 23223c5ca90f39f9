"""Holds a recording against what was sent, sample by sample, with an own reader and decoder."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import wire

Span = tuple[int, int]  # [start, end) in samples

_RATE = 8000
_TOLERANCE_SAMPLES = 50 * _RATE // 1000  # how well we know the answer that the proxy counts from
_EDGE_SAMPLES = 20 * _RATE // 1000  # where recording begins or ends amid speech, doubt is silence
_HEAD_SAMPLES = 48  # so many tell for certain which part of the speech they are
_LEGS = ("carrier", "agent")


def check_recording(
    path: Path, duration: int, call: int, packets: int, starts_ns: NDArray[np.int64],
    table: NDArray[np.uint8], spans: Sequence[Span] | None = None,
) -> str | None:  # fmt: skip
    """What is wrong with one recording; None when every sample is as it must be.

    `starts_ns` is when each leg's first packet was sent, after the answer; `spans` are what the log says
    was recorded, None = all.
    """
    try:
        frames = read_wav(path)
    except (OSError, ValueError, struct.error) as error:
        return f"unreadable: {error}"
    if len(frames) != duration:
        return f"{len(frames)} sample frames instead of {duration}"
    for leg in (0, 1):
        codes = wire.stream_codes(2 * call + leg, packets, table)
        expected_at = int(starts_ns[leg]) * _RATE // 1_000_000_000 - wire.SAMPLES  # a packet carries the past
        fault = check_track(frames[:, leg], wire.decode_ulaw(codes), expected_at, spans)
        if fault:
            return f"{_LEGS[leg]}'s channel: {fault}"
    return None


def check_track(
    track: NDArray[np.int16],
    spoken: NDArray[np.int16],
    expected_at: int,
    spans: Sequence[Span] | None = None,
) -> str | None:
    """Within `spans` (None = all) `track` must hold `spoken`, whole and near `expected_at`; else zeros."""
    spans = [(0, len(track))] if spans is None else spans
    outside = np.ones(len(track), dtype=np.bool_)
    for start, end in spans:
        outside[start:end] = False
    leaked = int(np.count_nonzero(track[outside]))
    if leaked:
        return f"{leaked} samples outside the intervals are not silent"
    faults = (_check_span(track, start, end, spoken, expected_at) for start, end in spans)
    return next(filter(None, faults), None)


def _check_span(
    track: NDArray[np.int16], start: int, end: int, spoken: NDArray[np.int16], expected_at: int
) -> str | None:
    heard = np.flatnonzero(track[start:end])
    opens, closes = start > 0, end < len(track)
    if len(heard) == 0:
        from_ = max(start + opens * _EDGE_SAMPLES, expected_at + _TOLERANCE_SAMPLES)
        to = min(end - closes * _EDGE_SAMPLES, expected_at + len(spoken) - _TOLERANCE_SAMPLES)
        return f"nothing but silence from {start} to {end}" if from_ < to else None
    first = start + int(heard[0])
    offset = _offset(track[first : min(first + _HEAD_SAMPLES, end)], first, spoken, expected_at)
    if offset is None:
        return f"what begins at sample {first} was not said within 50 ms of it"
    wanted = _shifted(spoken, offset, start, end)
    there = track[start:end]
    wrong = there != wanted
    if opens:
        wrong[:_EDGE_SAMPLES] &= there[:_EDGE_SAMPLES] != 0
    if closes:
        wrong[-_EDGE_SAMPLES:] &= there[-_EDGE_SAMPLES:] != 0
    differ = int((wrong & (wanted != 0)).sum())
    beyond = int((wrong & (wanted == 0)).sum())
    cut = 0 if closes else max(0, offset + len(spoken) - end)
    if differ or beyond or cut:
        silent = int((wrong & (there == 0)).sum())
        where = start + int(np.flatnonzero(wrong)[0]) if differ or beyond else end
        return (
            f"{differ} samples differ ({silent} of them silent), {cut} cut off, "
            f"{beyond} beyond the speech, the first at {where} of {start} to {end}"
        )
    return None


def _offset(head: NDArray[np.int16], first: int, spoken: NDArray[np.int16], expected_at: int) -> int | None:
    """At which position the speech's sample 0 lies, told by some samples at `first`; None = not near."""
    room = 2 * _TOLERANCE_SAMPLES + _HEAD_SAMPLES
    middle = first - expected_at
    if not -_TOLERANCE_SAMPLES <= middle <= len(spoken) + _TOLERANCE_SAMPLES:
        return None
    padded = np.pad(spoken, room)
    lowest = middle - _TOLERANCE_SAMPLES
    near = padded[lowest + room : middle + _TOLERANCE_SAMPLES + len(head) + room]
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


def read_wav(path: Path) -> NDArray[np.int16]:
    """The sample frames of a 16-bit stereo PCM file at 8 kHz: shape (frames, 2)."""
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError("not a WAV file")
    chunks = _chunks(content)
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if (channels, rate, bits) != (2, _RATE, 16) or kind not in (1, 0xFFFE):
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
