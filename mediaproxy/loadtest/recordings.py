"""Holds a recording of ours against what was sent, sample by sample, with an own reader and decoder."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import wire

_RATE = 8000
_TOLERANCE_SAMPLES = 50 * _RATE // 1000  # how well we know the answer that the proxy counts from
_LEGS = ("carrier", "agent")


def check_recording(
    storage: Path, manifest: dict[str, object], call: int, packets: int, starts_ns: NDArray[np.int64],
    table: NDArray[np.uint8],
) -> str | None:  # fmt: skip
    """What is wrong with one recording; None when every sample is as it must be.

    `starts_ns` is when each leg's first packet was sent, after the answer.
    """
    path = Path(str(manifest["path"])).with_suffix(".wav")
    try:
        frames = read_wav(path)
    except (OSError, ValueError, struct.error) as error:
        return f"unreadable: {error}"
    if len(frames) != manifest["duration_samples"]:
        return f"{len(frames)} sample frames, but the manifest says {manifest['duration_samples']}"
    for leg in (0, 1):
        codes = wire.stream_codes(2 * call + leg, packets, table)
        expected_at = int(starts_ns[leg]) * _RATE // 1_000_000_000 - wire.SAMPLES  # a packet carries the past
        fault = check_track(frames[:, leg], wire.decode_ulaw(codes), expected_at)
        if fault:
            return f"{_LEGS[leg]}'s channel: {fault}"
    return None


def check_track(track: NDArray[np.int16], spoken: NDArray[np.int16], expected_at: int) -> str | None:
    """`spoken` must stand in `track` once, whole, near `expected_at`, with zeros all around."""
    heard = np.flatnonzero(track)
    if len(heard) == 0:
        return "nothing but silence"
    start = int(heard[0])
    if abs(start - expected_at) > _TOLERANCE_SAMPLES:
        return f"begins at sample {start} instead of about {expected_at}"
    there = track[start : start + len(spoken)]
    wrong = int((there != spoken[: len(there)]).sum())
    missing = len(spoken) - len(there)
    beyond = int(np.count_nonzero(track[start + len(spoken) :]))
    if wrong or missing or beyond:
        zeros = int((there == 0).sum())
        return f"{wrong} samples differ ({zeros} of them silent), {missing} cut off, {beyond} beyond the end"
    return None


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
