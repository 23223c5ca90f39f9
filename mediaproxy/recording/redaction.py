"""Which samples a redaction asked for by time means: never fewer than were asked for."""

import math

from mediaproxy.errors import Malformed

OUTSIDE = "lies outside the recording"
EMPTY = "ends before it begins"
NOTHING = "is not more than 0"


def whole_ms(seconds: float) -> int:
    """Of a finite number of seconds, rounded up; what a float adds to a decimal fraction is no time."""
    return max(math.ceil(round(seconds * 1000, 6)), int(seconds > 0))


def by_samples(start: int, end: int, duration: int) -> tuple[int, int]:
    """`[start, end)`, cut at the recording's end; `Malformed` when nothing of it is left."""
    if start >= end:
        raise Malformed(EMPTY)
    if start < 0 or start >= duration:
        raise Malformed(OUTSIDE)
    return start, min(end, duration)


def by_ms(start_ms: int, end_ms: int, duration: int, rate: int) -> tuple[int, int]:
    """The same in milliseconds: from the sample that the first falls into, to the one before the last."""
    return by_samples(start_ms * rate // 1000, -(-end_ms * rate // 1000), duration)


def last_ms(ms: int, duration: int, rate: int) -> tuple[int, int]:
    """So many milliseconds before the end, or all there is."""
    if ms <= 0:
        raise Malformed(NOTHING)
    return by_samples(max(0, duration - -(-ms * rate // 1000)), duration, duration)
