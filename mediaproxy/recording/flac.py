"""The head of a FLAC file (RFC 9639 8): what it holds, where to seek, who recorded when.

    fLaC | STREAMINFO | SEEKTABLE | VORBIS_COMMENT | frames …

The frames come from an encoder; the blocks before them are ours, so that their length is known before
the first frame: they are written last, when the sizes and the MD5 are known. Intervals stand as
chapters, which players show, and to the sample as INTERVALnnn.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mediaproxy.clock import rfc3339
from mediaproxy.errors import Malformed
from mediaproxy.recording import labels
from mediaproxy.recording.manifest import CHANNELS, Interval
from mediaproxy.recording.wav import Identity, Shape

MAGIC: Final = b"fLaC"
STREAMINFO_BYTES: Final = 34
HEAD_BYTES: Final = len(MAGIC) + 4 + STREAMINFO_BYTES  # what `parse` needs
SEEK_S: Final = 10  # between two seek points
MAX_CHAPTERS: Final = 999  # they have three digits

NO_FLAC: Final = "the file is not a FLAC recording of ours"

_STREAMINFO, _SEEKTABLE, _VORBIS_COMMENT = 0, 3, 4
_LAST: Final = 0x80
_BITS: Final = 16
_36_BITS: Final = (1 << 36) - 1
_SEEK_POINT: Final = struct.Struct(">QQH")
_PLACEHOLDER: Final = _SEEK_POINT.pack((1 << 64) - 1, 0, 0)
_VENDOR: Final = b"mediaproxy"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Of the whole stream. `md5` is that of its samples, interleaved, little-endian; `block` is the
    number of sample frames in every FLAC frame but the last."""

    sample_rate: int
    frames: int
    block: int
    smallest_bytes: int
    largest_bytes: int
    md5: bytes


@dataclass(frozen=True, slots=True)
class SeekPoint:
    """The FLAC frame that begins with sample frame `first`, `offset` bytes after the first FLAC frame."""

    first: int
    offset: int
    samples: int


def head(info: StreamInfo, points: Sequence[SeekPoint], comments: Sequence[str]) -> bytes:
    """All that stands before the first FLAC frame; its length depends on rate, frames and comments alone."""
    places = seek_places(info.sample_rate, info.frames)
    seeks = b"".join(_SEEK_POINT.pack(each.first, each.offset, each.samples) for each in points[:places])
    seeks += _PLACEHOLDER * (places - min(places, len(points)))
    return MAGIC + b"".join(
        (
            _block(_STREAMINFO, _stream_info(info)),
            _block(_SEEKTABLE, seeks) if places else b"",
            _block(_VORBIS_COMMENT | _LAST, _vorbis_comment(comments)),
        )
    )


def seek_places(sample_rate: int, frames: int) -> int:
    """How many seek points a stream of this length has."""
    return -(-frames // (SEEK_S * sample_rate))


def comments(
    identity: Identity, intervals: Sequence[Interval], frames: int, *, master: str | None = None
) -> list[str]:
    """`NAME=value`, in a fixed order; `master` is the SHA-256 of what this was made from, if it is a copy."""
    said = [
        f"TITLE=Recording {identity.recording_id}",
        f"DATE={rfc3339(identity.answered_at_ms)}",
        f"RECORDING_ID={identity.recording_id}",
        f"CALL_ID={identity.call_id}",
    ]
    if master is not None:
        said.append(f"COMMENT=master sha256 {master}")
    for n, each in enumerate(intervals, 1):
        said.append(f"INTERVAL{n:03d}={each.start_sample}-{each.end_sample} {labels.of_interval(each)}")
    return said + _chapters(intervals, frames, identity.sample_rate)


def parse(beginning: bytes) -> StreamInfo:
    """Read the first `HEAD_BYTES` of a FLAC file; `Malformed` when it is none that we write."""
    if len(beginning) < HEAD_BYTES or beginning[:4] != MAGIC or beginning[4] & ~_LAST != _STREAMINFO:
        raise Malformed(NO_FLAC)
    block, _, sizes, packed, md5 = struct.unpack(">HH6s8s16s", beginning[8:HEAD_BYTES])
    bits = int.from_bytes(packed, "big")
    rate, channels, depth, frames = bits >> 44, (bits >> 41 & 7) + 1, (bits >> 36 & 31) + 1, bits & _36_BITS
    if (channels, depth) != (CHANNELS, _BITS) or not rate:
        raise Malformed(NO_FLAC)
    return StreamInfo(
        rate, frames, block, int.from_bytes(sizes[:3], "big"), int.from_bytes(sizes[3:], "big"), md5
    )


def shape(info: StreamInfo) -> Shape:
    return Shape(info.sample_rate, info.frames)


def _stream_info(info: StreamInfo) -> bytes:
    packed = info.sample_rate << 44 | CHANNELS - 1 << 41 | _BITS - 1 << 36 | info.frames
    sizes = info.smallest_bytes.to_bytes(3, "big") + info.largest_bytes.to_bytes(3, "big")
    return struct.pack(">HH", info.block, info.block) + sizes + packed.to_bytes(8, "big") + info.md5


def _block(kind: int, content: bytes) -> bytes:
    return struct.pack(">I", kind << 24 | len(content)) + content


def _vorbis_comment(comments: Sequence[str]) -> bytes:
    """The one part of a FLAC file that is little-endian (RFC 9639 8.6)."""
    texts = (each.encode("utf-8", "replace") for each in comments)
    listed = b"".join(struct.pack("<I", len(each)) + each for each in texts)
    return struct.pack("<I", len(_VENDOR)) + _VENDOR + struct.pack("<I", len(comments)) + listed


def _chapters(intervals: Sequence[Interval], frames: int, rate: int) -> list[str]:
    """A chapter begins where an interval begins, and where silence follows."""
    marks: dict[int, str] = {}
    for each in intervals:
        marks[each.start_sample] = labels.of_interval(each)
        if each.end_sample < frames:
            marks[each.end_sample] = "not recorded"  # unless the next one begins there
    if intervals and intervals[0].start_sample:
        marks[0] = "not recorded"
    said = []
    for n, at in enumerate(sorted(marks)[:MAX_CHAPTERS], 1):
        said += [f"CHAPTER{n:03d}={_clock(at, rate)}", f"CHAPTER{n:03d}NAME={marks[at]}"]
    return said


def _clock(at: int, rate: int) -> str:
    ms = at * 1000 // rate
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"
