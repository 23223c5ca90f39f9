"""A call of a day or two, mostly silent: comfort noise, and speech around what is recorded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Finished, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled
from tests.support.field.senders import COMFORT_NOISE, codes
from tests.support.oracle import MS, NS_PER_SAMPLE, PERIOD, RATE, read_times

PTIME = 20 * MS
DELAY = 70 * MS
NOISE = 10 * RATE
FIRST_STAMP = (1 << 32) - 3_600 * RATE  # the timestamps wrap after an hour
CODECS = {0: Codec("PCMU", 8000), COMFORT_NOISE: Codec("CN", 8000)}
USER = Actor("api", "alice")


class Sent(NamedTuple):
    leg: int
    seq: int
    first: int
    is_noise: bool = False


@dataclass
class LongCall:
    """Recorded in `wanted`; legs whose clocks are `ppms` off. Positions are samples."""

    duration: int
    wanted: list[tuple[int, int]]
    ppms: tuple[float, float] = (100, -100)
    kept: list[tuple[int, NDArray[np.int16]]] = field(
        default_factory=list
    )  # (start, frames) that are no holes
    end: int = 0
    finished: Finished | None = None

    def run(self) -> None:
        recorder, ring = Recorder(), PacketRing(1_024)
        recorder.arm(Arm(1, 0, RecordingPolicy(Policy.ON_DEMAND)))
        for leg in LegId:
            recorder.describe(1, leg, CODECS)
        tap, drained = Tap.HEADERS, 0
        events: list[tuple[int, Action | Sent]] = [*self._packets(0), *self._packets(1), *self._toggles()]
        for at, what in sorted((e for e in events if e[0] < self.duration), key=lambda event: event[0]):
            while at - drained >= RATE // 2:
                drained = min(at, drained + RATE // 2)
                ring.begin_pass(drained * NS_PER_SAMPLE)
                ring.end_pass(emptied=True)
                self._look(recorder.drain(ring))
            if isinstance(what, Action):
                toggled = recorder.toggle(1, what, USER, at * NS_PER_SAMPLE)
                assert isinstance(toggled, Toggled)
                assert toggled.effective_sample == at
                recorder.confirm(1, toggled.number)
            else:
                _put(ring, at * NS_PER_SAMPLE, what, tap)
            for change in recorder.tap_changes(at * NS_PER_SAMPLE):
                tap = change.tap
        self._look(recorder.drain(ring))
        self.finished = recorder.finish(1, self.duration * NS_PER_SAMPLE, Actor("call_end"))
        assert self.finished is not None
        self._look(self.finished.writes)

    def error(self, leg: int, start: int, frames: NDArray[np.int16]) -> NDArray[np.float64]:
        """How far from where it was heard each readable sample of a leg stands, in samples."""
        read = read_times(leg, np.ascontiguousarray(frames[:, leg]))
        at = np.flatnonzero(read >= 0)
        speed = 1 + self.ppms[leg] / 1e6
        about = (at + start - DELAY) * speed
        index = read[at] + np.round((about - read[at]) / PERIOD).astype(np.int64) * PERIOD
        return np.asarray(at + start - DELAY - index / speed)

    def _packets(self, leg: int) -> Iterator[tuple[int, Sent]]:
        """With its arrival: speech from 12 s before an interval to 2 s after it."""
        speed, seq, at = 1 + self.ppms[leg] / 1e6, 65_000, 0
        for start, end in [*self.wanted, (self.duration + 15 * RATE, 0)]:
            for index in range(at, int((start - 12 * RATE) * speed) // PTIME * PTIME, NOISE):
                yield int(index / speed) + DELAY + 2, Sent(leg, seq, index, True)
                at, seq = index, seq + 1
            first = int((start - 12 * RATE) * speed) // PTIME * PTIME
            for index in range(first, int((end + 2 * RATE) * speed) // PTIME * PTIME, PTIME):
                yield int((index + PTIME) / speed) + DELAY + 1, Sent(leg, seq, index)
                at, seq = index + PTIME, seq + 1

    def _toggles(self) -> Iterator[tuple[int, Action]]:
        for start, end in self.wanted:
            yield start, Action.START
            yield end, Action.STOP

    def _look(self, writes: list[Write]) -> None:
        for _, start, end, frames in writes:
            assert start == self.end
            self.end = end
            if frames is not None:
                self.kept.append((start, np.frombuffer(frames, "<i2").reshape(-1, 2)))


def _put(ring: PacketRing, now_ns: int, sent: Sent, tap: Tap) -> None:
    leg, seq, index, _ = sent
    ring.begin_pass(now_ns)
    head = (seq & 0xFFFF, (FIRST_STAMP + index) & 0xFFFFFFFF, now_ns)
    if sent.is_noise:
        ring.put_header(1, leg, COMFORT_NOISE, 0, 5 + leg, *head, 1)
    elif tap is Tap.PAYLOAD:
        ring.put(1, leg, 0, 0, 5 + leg, *head, codes(leg, 0, index, PTIME))
    else:
        ring.put_header(1, leg, 0, 0, 5 + leg, *head, PTIME)
    ring.end_pass(emptied=True)
