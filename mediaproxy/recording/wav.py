"""The master file: WAV, 16-bit linear PCM, stereo, valid at every instant of its growth.

    RIFF | JUNK 28 | fmt 16 | bext 936 | data … | cue | LIST adtl      (the last two at publishing)

The header is always `HEADER_BYTES` long, so that audio begins on a sample frame's boundary and a
patch is one write. Its promise is never ahead of the file: who writes extends the file first. Past
4 GiB the same write makes it RF64 (EBU Tech 3306): the JUNK chunk is the place kept for ds64.
Linear PCM because zero bytes are silence only there: a hole in the file is silence.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mediaproxy.errors import Malformed
from mediaproxy.recording import labels
from mediaproxy.recording.manifest import CHANNELS, Interval

HEADER_BYTES = 1024
FRAME_BYTES = 2 * CHANNELS

_JUNK_BYTES = 28
_FMT_AT = 12 + 8 + _JUNK_BYTES
_BEXT_AT = _FMT_AT + 8 + 16
_DATA_AT = HEADER_BYTES - 8
_BEXT_BYTES = _DATA_AT - _BEXT_AT - 8
_HISTORY_BYTES = _BEXT_BYTES - 602
_REFERENCE_AT, _REFERENCE_BYTES = 256 + 32, 32  # in bext
_U32 = struct.Struct("<I")
_LINES_AT = _BEXT_AT + 8 + 602 - _U32.size  # the last of bext's reserved bytes
_U32_MAX = (1 << 32) - 1
_RIFF_ENDS = _U32_MAX  # what RIFF cannot hold is RF64

_BEXT = struct.Struct(f"<256s32s32s10s8sQH64s10x180x{_HISTORY_BYTES}s")  # EBU Tech 3285, version 1
_RIFF = struct.Struct("<4sI4s4sI28x")
_DS64 = struct.Struct("<4sIQQQI")
_FMT = struct.Struct("<4sIHHIIHH")
_CUE_POINT = struct.Struct("<II4sIII")
_REGION = struct.Struct("<4sIII4sHHHH")

NO_WAV = "the file is not a recording of ours"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the header says of the recording; it never changes. `answered_at_ms` is Unix time."""

    recording_id: str
    call_id: str
    answered_at_ms: int
    sample_rate: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What a header promises."""

    sample_rate: int
    frames: int
    file_bytes: int = field(default=0, compare=False)  # of a WAV, with its tail


def data_end(frames: int) -> int:
    """The offset in the file just after sample frame `frames - 1`."""
    return HEADER_BYTES + frames * FRAME_BYTES


def held_frames(file_bytes: int) -> int:
    """Whole sample frames in a file of this size that has no tail."""
    return max(file_bytes - HEADER_BYTES, 0) // FRAME_BYTES


def header(
    constant: bytes, frames: int, tail_bytes: int = 0, *, channels: int = CHANNELS, lines: int = 0
) -> bytes:
    """The first `HEADER_BYTES` of a file of so many sample frames and a tail after them.

    While the file lives, `lines` of its journal are durable when this is promised: so the two cannot be
    parted, nor either be cut, unnoticed. It stands in bext's reserved bytes, and goes at publishing.
    """
    head = bytearray(_FMT_AT) + constant + b"data\0\0\0\0"
    promise(head, frames, tail_bytes, channels=channels, lines=lines)
    return bytes(head)


def promise(
    head: bytearray, frames: int, tail_bytes: int = 0, *, channels: int = CHANNELS, lines: int = 0
) -> None:
    """Make a header, whatever it promised before, that of a file of so many frames."""
    data_bytes = frames * 2 * channels
    riff_bytes = HEADER_BYTES + data_bytes + tail_bytes - 8
    if riff_bytes < _RIFF_ENDS:
        _RIFF.pack_into(head, 0, b"RIFF", riff_bytes, b"WAVE", b"JUNK", _JUNK_BYTES)
    else:
        _RIFF.pack_into(head, 0, b"RF64", _U32_MAX, b"WAVE", b"ds64", _JUNK_BYTES)
        _DS64.pack_into(head, 12, b"ds64", _JUNK_BYTES, riff_bytes, data_bytes, frames, 0)
        data_bytes = _U32_MAX
    _U32.pack_into(head, _LINES_AT, lines)
    _U32.pack_into(head, _DATA_AT + 4, data_bytes)


def constant_part(identity: Identity, *, channels: int = CHANNELS, made_from: str = "") -> bytes:
    """`fmt ` and `bext`, which never change.

    `made_from` says what master a copy was made from.
    """
    rate = identity.sample_rate
    fmt = _FMT.pack(b"fmt ", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    answered = datetime.fromtimestamp(identity.answered_at_ms // 1000, UTC)
    midnight = answered.replace(hour=0, minute=0, second=0)
    since_midnight_ms = identity.answered_at_ms - int(midnight.timestamp()) * 1000
    bext = _BEXT.pack(
        f"Recording {identity.recording_id} of call {identity.call_id}".encode(),
        b"mediaproxy",
        identity.recording_id.replace("-", "").encode(),
        f"{answered:%Y-%m-%d}".encode(),
        f"{answered:%H:%M:%S}".encode(),
        since_midnight_ms * rate // 1000,
        1,
        b"",
        _coding_history(rate, channels, made_from).encode(),
    )
    return fmt + struct.pack("<4sI", b"bext", _BEXT_BYTES) + bext


def _coding_history(rate: int, channels: int, made_from: str) -> str:
    """EBU R98: a line for each coding."""
    lines = f"A=PCM,F={rate},W=16,M=stereo,T=mediaproxy\r\n"
    if made_from:
        mode = "stereo" if channels == CHANNELS else "mono"
        lines += f"A=PCM,F={rate},W=16,M={mode},T=mediaproxy; {made_from}\r\n"
    return lines


def tail(intervals: Sequence[Interval]) -> bytes:
    """`cue ` and `LIST adtl`: a labelled region per interval. Empty when there is none.

    Cue positions have 32 bits; intervals that begin later than that (24 h at 48 kHz fit) have none.
    """
    regions = [(n, i) for n, i in enumerate(intervals, 1) if i.end_sample <= _U32_MAX]
    if not regions:
        return b""
    points = b"".join(_CUE_POINT.pack(n, i.start_sample, b"data", 0, 0, i.start_sample) for n, i in regions)
    cue = struct.pack("<4sII", b"cue ", 4 + len(points), len(regions)) + points
    # Labels first: libsndfile, and who reads by it, stops at the first `ltxt`.
    adtl = b"adtl" + b"".join(_label(n, i) for n, i in regions) + b"".join(_region(n, i) for n, i in regions)
    return cue + struct.pack("<4sI", b"LIST", len(adtl)) + adtl


def _label(n: int, interval: Interval) -> bytes:
    text = labels.of_interval(interval).encode("utf-8", "replace") + b"\0"
    padding = b"\0" * (len(text) % 2)
    return struct.pack("<4sII", b"labl", 4 + len(text), n) + text + padding


def _region(n: int, interval: Interval) -> bytes:
    length = interval.end_sample - interval.start_sample
    return _REGION.pack(b"ltxt", 20, n, length, b"rgn ", 0, 0, 0, 0)


def recording_of(head: bytes) -> str:
    """Whose the file is, by `bext`'s OriginatorReference: the recording's id without dashes."""
    reference = head[_BEXT_AT + 8 + _REFERENCE_AT :][:_REFERENCE_BYTES]
    return reference.rstrip(b"\0").decode("ascii", "replace")


def journal_lines(head: bytes) -> int:
    """How many lines of the journal are durable; 0 where nothing is said of it."""
    return int(_U32.unpack_from(head, _LINES_AT)[0])


def parse(head: bytes) -> Shape:
    """Read the first `HEADER_BYTES` of a file that we wrote; `Malformed` when we did not."""
    if len(head) < HEADER_BYTES:
        raise Malformed(NO_WAV)
    form, riff_bytes, wave, reserve, reserve_bytes = struct.unpack_from("<4sI4s4sI", head)
    kind, fmt_bytes, coding, channels, rate, _, frame_bytes, bits = _FMT.unpack_from(head, _FMT_AT)
    data, data_bytes = struct.unpack_from("<4sI", head, _DATA_AT)
    if (wave, reserve_bytes, kind, fmt_bytes, data) != (b"WAVE", _JUNK_BYTES, b"fmt ", 16, b"data"):
        raise Malformed(NO_WAV)
    if (coding, channels, frame_bytes, bits) != (1, CHANNELS, FRAME_BYTES, 16):
        raise Malformed(NO_WAV)
    if (form, reserve) == (b"RF64", b"ds64"):
        _, _, riff_bytes, data_bytes, _, _ = _DS64.unpack_from(head, 12)
    elif (form, reserve) != (b"RIFF", b"JUNK"):
        raise Malformed(NO_WAV)
    if data_bytes % FRAME_BYTES or riff_bytes + 8 < HEADER_BYTES + data_bytes:
        raise Malformed(NO_WAV)
    return Shape(rate, data_bytes // FRAME_BYTES, riff_bytes + 8)
