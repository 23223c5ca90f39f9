"""A session description as its lines, every byte kept (RFC 4566 5).

The text is cut into the session part and the media sections and never rebuilt from values, so that
what we don't understand reaches the other leg as it was written.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from mediaproxy.errors import Malformed
from mediaproxy.limits import MAX_SDP_BYTES, MAX_SDP_LINES

TOO_LARGE = 413


class Line(NamedTuple):
    """`kind=value` and the line's own end (CRLF, a bare LF, or nothing on the last line).

    `name` is the attribute's of an `a=` line, else empty.
    """

    kind: bytes
    value: bytes
    end: bytes
    name: bytes = b""

    @property
    def text(self) -> bytes:
        """What follows an attribute's name and colon."""
        return self.value.partition(b":")[2]


class MediaLine(NamedTuple):
    """The words of an `m=` line. `formats` stay text: not every profile's are payload types."""

    media: bytes
    port: int
    profile: bytes
    formats: tuple[bytes, ...]


class Section(NamedTuple):
    """One `m=` line and what follows it up to the next."""

    media_line: MediaLine
    lines: tuple[Line, ...]


class Description(NamedTuple):
    head: tuple[Line, ...]
    sections: tuple[Section, ...]
    tail: bytes = b""  # blank lines that some senders put after the last one

    def to_bytes(self) -> bytes:
        lines = list(self.head)
        for section in self.sections:
            lines += section.lines
        return to_bytes(lines) + self.tail


def to_bytes(lines: Iterable[Line]) -> bytes:
    return b"".join([b"%b=%b%b" % line[:3] for line in lines])


def parse(body: bytes) -> Description:
    """Cut a body into lines and sections; `Malformed` names what its grammar forbids."""
    if len(body) > MAX_SDP_BYTES:
        raise Malformed("SDP is too large", status=TOO_LARGE)
    text = body.rstrip(b"\r\n")
    rows = text.split(b"\n")
    if len(rows) > MAX_SDP_LINES:
        raise Malformed("SDP has too many lines", status=TOO_LARGE)
    end, tail = _split_tail(body[len(text) :])
    lines = [_line(row, b"\n") for row in rows[:-1]]
    lines.append(_line(rows[-1], end))
    return _sections(lines, tail)


def _split_tail(rest: bytes) -> tuple[bytes, bytes]:
    for end in (b"\r\n", b"\n", b"\r"):
        if rest.startswith(end):
            return end, rest[len(end) :]
    return b"", b""


def _line(row: bytes, end: bytes) -> Line:
    if row[-1:] == b"\r":
        row, end = row[:-1], b"\r\n"
    kind, value = row[:1], row[2:]
    if row[1:2] != b"=" or not kind.isalpha():
        raise Malformed("SDP line is not of the form x=value")
    if b"\0" in row or b"\r" in row:
        raise Malformed("SDP line holds a control character")
    return Line(kind, value, end, value.partition(b":")[0].strip() if kind == b"a" else b"")


def _sections(lines: list[Line], tail: bytes) -> Description:
    starts = [index for index, line in enumerate(lines) if line.kind == b"m"]
    head = tuple(lines[: starts[0]] if starts else lines)
    if head[:1] == () or head[0].kind != b"v" or head[0].value.strip() != b"0":
        raise Malformed("SDP does not begin with v=0")
    if sum(line.kind == b"o" for line in head) != 1:
        raise Malformed("SDP has not exactly one o= line")
    bounds = pairwise([*starts, len(lines)])
    sections = tuple(Section(_media_line(lines[at].value), tuple(lines[at:to])) for at, to in bounds)
    return Description(head, sections, tail)


def _media_line(value: bytes) -> MediaLine:
    words = value.split()
    if len(words) < 4:
        raise Malformed("SDP m= line has fewer than four words")
    port, slash, count = words[1].partition(b"/")
    if slash and read_number(count, 65_535) < 1:
        raise Malformed("SDP m= line has no valid number of ports")
    return MediaLine(words[0].lower(), read_number(port, 65_535), words[2].upper(), tuple(words[3:]))


def read_number(text: bytes, most: int) -> int:
    """A decimal number from 0 to `most`, as SDP writes ports and types."""
    if not text.isdigit() or len(text) > 10 or int(text) > most:
        raise Malformed("SDP holds a number that is none or out of range")
    return int(text)
