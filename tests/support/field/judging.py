"""How true a recording is: what leaked, what is missing, and how far from its moment it stands."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.support.field.calls import Call
from tests.support.field.senders import Floats, Ints, Leg
from tests.support.oracle import LATE, MS, PERIOD, RATE, SURE, read_times

BLUR = 2  # samples at a cut that can't tell their time


@dataclass
class Truth:
    """Sums over legs and calls. Leaks are of samples, in ms outside the interval that they stand in."""

    calls: int = 0
    intervals: int = 0
    worst_leak_ms: float = 0.0
    leaking_calls: int = 0  # with a sample more than 5 ms outside
    early_leaks: int = 0  # intervals in whose audio something stands that came before their start
    late_leaks: int = 0  # intervals in which something stands that came more than 200 ms after their end
    expected: int = 0
    missing: int = 0
    worst_error_ms: float = 0.0
    errors: list[float] = field(default_factory=list)  # per leg: the median of |error|, ms
    not_zero: int = 0  # samples outside the intervals
    reanchors: int = 0
    slips: int = 0
    leaks: list[tuple[int, int, float]] = field(default_factory=list)  # (call, interval's start, ms)

    def add(self, other: "Truth") -> None:
        self.calls += other.calls
        self.intervals += other.intervals
        self.worst_leak_ms = max(self.worst_leak_ms, other.worst_leak_ms)
        self.leaking_calls += other.leaking_calls
        self.early_leaks += other.early_leaks
        self.late_leaks += other.late_leaks
        self.expected += other.expected
        self.missing += other.missing
        self.worst_error_ms = max(self.worst_error_ms, other.worst_error_ms)
        self.errors += other.errors
        self.not_zero += other.not_zero
        self.reanchors += other.reanchors
        self.slips += other.slips
        self.leaks += other.leaks

    @property
    def missing_percent(self) -> float:
        return 100 * self.missing / max(self.expected, 1)


def judge(call: Call) -> Truth:
    frames = call.frames()
    assert call.finished is not None
    assert len(frames) == call.finished.duration_samples == call.duration
    told = [(i.start_sample, i.end_sample) for i in call.finished.intervals]
    assert told == call.intervals, "the intervals are those of the replies"
    outside = np.ones(len(frames), dtype=bool)
    for start, end in call.intervals:
        outside[start:end] = False
    truth = Truth(calls=1, intervals=len(call.intervals))
    truth.not_zero = int(np.count_nonzero(frames[outside]))
    truth.reanchors = sum(stream.reanchors for stream in call.finished.streams)
    truth.slips = sum(stream.slips for stream in call.finished.streams)
    for leg in call.legs:
        _judge_leg(truth, call, leg, np.ascontiguousarray(frames[:, leg.number]))
    truth.leaking_calls = int(truth.worst_leak_ms > 5)
    return truth


def _judge_leg(truth: Truth, call: Call, leg: Leg, track: NDArray[np.int16]) -> None:
    if not leg.count:
        truth.not_zero += int(np.count_nonzero(track))
        return
    heard = leg.heard(np.arange(leg.count))
    came = _arrivals(call, leg)
    at = _sure(read_times(leg.number, track))
    index = _indices(leg, track, at)
    error = at - heard[index]
    present = np.zeros(leg.count + 2 * BLUR + 1, dtype=bool)
    for blur in range(2 * BLUR + 1):
        present[index + blur] = True
    present = present[BLUR : BLUR + leg.count]
    for start, end in call.intervals:
        inside = slice(*np.searchsorted(at, [start, end]))
        moment = heard[index[inside]]
        leak = np.maximum(start - moment, moment - (end - 1)).max(initial=0) / MS
        if leak > 5:
            truth.leaks.append((call.number, start, float(leak)))
        truth.worst_leak_ms = max(truth.worst_leak_ms, float(leak))
        truth.early_leaks += bool((came[index[inside]] < start - MS).any())
        truth.late_leaks += bool((came[index[inside]] > end + LATE + MS).any())
        some = _around(leg, start, end)
        due = (heard[some] >= start) & (heard[some] < end)
        due &= (came[some] >= start) & (came[some] <= min(end + LATE, call.duration - 1))
        truth.expected += int(due.sum())
        truth.missing += int((due & ~present[some]).sum())
    if len(error):
        truth.errors.append(float(np.median(np.abs(error))) / MS)
        truth.worst_error_ms = max(truth.worst_error_ms, float(np.abs(error).max()) / MS)


def _sure(read: Ints) -> Ints:
    """Positions whose time at least five neighbours confirm: where two packets meet, three samples may
    spell a time that nobody said."""
    at = np.flatnonzero(read >= 0)
    breaks = (np.diff(at) != 1) | (np.diff(read[at]) != 1)
    run = np.concatenate([[0], np.cumsum(breaks)]) if len(at) else at
    return np.asarray(at[np.bincount(run)[run] >= SURE]) if len(at) else at


def _around(leg: Leg, start: int, end: int) -> slice:
    """The samples that can have been heard in an interval: no path takes a second."""
    first, last = ((at - leg.begins) * leg.ratio for at in (start - RATE, end))
    return slice(max(int(first), 0), max(int(last) + 1, 0))


def _indices(leg: Leg, track: NDArray[np.int16], at: Ints) -> Ints:
    """Which sample of the leg's signal stands at each of these positions."""
    read = (read_times(leg.number, track)[at] - leg.base) % PERIOD
    about = (at - leg.begins - leg.routes[0][1]) * leg.ratio
    index = read + np.round((about - read) / PERIOD).astype(np.int64) * PERIOD
    assert ((index >= 0) & (index < leg.count)).all(), "samples that were never spoken"
    return np.asarray(index)


def _arrivals(call: Call, leg: Leg) -> Floats:
    """When the packet of each sample came; never, where none did that anyone could place."""
    came = np.full(leg.count, np.inf)
    for packet in leg.packets[::-1]:  # of duplicates the first
        if packet["counts"] and packet["samples"]:
            first = int(packet["first"])
            came[first : first + int(packet["samples"])] = packet["reaches"]
    return came
