"""Byte ranges of a representation (RFC 9110 section 14): one range, or the whole."""

import re
from dataclasses import dataclass

# Several ranges, other units and nonsense may be ignored (14.2): the whole is then sent.
_ONE_RANGE = re.compile(r"bytes=([0-9]{1,18})?-([0-9]{1,18})?")


@dataclass(frozen=True, slots=True)
class Span:
    """`[start, end)` in bytes."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class Unsatisfiable(Exception):
    """No byte of the range exists: 416."""


def parse_range(header: str | None, size: int) -> Span | None:
    """The part asked for of `size` bytes; None means all of it. Raises Unsatisfiable."""
    asked = _ONE_RANGE.fullmatch((header or "").replace(" ", ""))
    if asked is None or asked[0] == "bytes=-":
        return None
    first, last = asked[1], asked[2]
    if first is None:
        span = Span(max(0, size - int(last)), size)
    elif last is not None and int(last) < int(first):
        return None
    else:
        span = Span(int(first), size if last is None else min(size, int(last) + 1))
    if span.start >= span.end:
        raise Unsatisfiable
    return span


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match list names the entity (13.1.2, weak comparison)."""
    if header is None:
        return False
    known = (one.strip().removeprefix("W/") for one in header.split(","))
    return header.strip() == "*" or etag in known
