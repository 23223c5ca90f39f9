"""Drift: what two clocks make of an offset, told apart from what the network makes of it.

The least transit of each ten seconds with at least fifty packets is compared with the one before. A
change of at most 8 ms (per ten seconds between them) is the clocks'; a larger one is the network's and is
ignored. The changes add up to a *target*, which never lies above the least transit. An offset that is
more than 5 ms away from its target slips towards it: one sample dropped or repeated, at most one in
100 ms, so 100 ppm leave a leg within 8 ms for any length of call.
"""

WINDOW_S = 10
MIN_PACKETS = 50
MAX_CHANGE_MS = 8
MIN_MEASURED_S = 60  # below it a millisecond of jitter would look like 20 ppm and more


class Drift:
    """One stream's. Transits, offsets and the target are in samples, times in seconds of the call clock."""

    __slots__ = (
        "_changed",
        "_heard",
        "_last",
        "_last_second",
        "_max_change",
        "_measured_s",
        "ends",
        "target",
    )

    def __init__(self, rate: int) -> None:
        self.target = 0
        self.ends = 0  # the second that begins the next window
        self._heard = 0  # packets before this window
        self._last: int | None = None  # the least transit of the window before
        self._last_second = 0
        self._max_change = MAX_CHANGE_MS * rate // 1000
        self._changed = 0
        self._measured_s = 0

    def begin(self, second: int, heard: int) -> None:
        self.ends, self._heard = second + WINDOW_S, heard

    def forget(self) -> None:
        """Another timeline: its transits can't be compared with those before."""
        self._last = None

    def end_window(self, second: int, heard: int, least: int | None) -> None:
        """The window ended before `second`; `heard` packets came so far, `least` is its least transit."""
        if least is not None and heard - self._heard >= MIN_PACKETS:
            self._compare(second, least)
            self.target = min(self.target, least)
            self._last, self._last_second = least, second
        self.begin(second, heard)

    def _compare(self, second: int, least: int) -> None:
        if self._last is None:
            return
        change, passed_s = least - self._last, second - self._last_second
        if abs(change) * WINDOW_S <= self._max_change * passed_s:
            self.target += change
            self._changed += change
            self._measured_s += passed_s

    def ppm(self, rate: int) -> int | None:
        """By how much the sender's clock is faster than ours; None before a minute was measured."""
        if self._measured_s < MIN_MEASURED_S:
            return None
        return round(-self._changed * 1_000_000 / (self._measured_s * rate))
