"""Calls of hours, one block of packets at a time: nothing but what is looked at stays in memory."""

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Finished, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from tests.support.field.senders import codes
from tests.support.oracle import MS, NS_PER_MS, NS_PER_SAMPLE, PERIOD, RATE, read_times

PTIME = 20 * MS
DELAY = 60 * MS
BLOCK_S = 10
DRAIN_NS = 100 * NS_PER_MS

Ints = NDArray[np.int64]


@dataclass
class Speech:
    """A leg that speaks without a pause on a clock of its own, over a network with jitter."""

    call: int
    leg: int
    ppm: float
    jitter: int
    worst_error: float = 0.0  # in samples: how far from where it was heard a sample stands
    worst_step: int = 0  # by how much two neighbours are more or less than one apart
    slips: int = 0
    missing: int = 0
    _last: tuple[int, int] | None = None  # where the last sample stood, and which it was

    def heard(self, index: Ints) -> NDArray[np.float64]:
        return np.asarray(index / (1 + self.ppm / 1e6) + DELAY)

    def packets(self, block: int, numbers: np.random.Generator) -> list[tuple[float, "Speech", int]]:
        """Those that were sent in a block of seconds: (when it comes, who, number)."""
        begin, end = (int(b * BLOCK_S * RATE * (1 + self.ppm / 1e6)) // PTIME for b in (block, block + 1))
        which = np.arange(begin, end)
        comes = self.heard((which + 1) * PTIME) + numbers.random(len(which)) * self.jitter
        return [(at, self, number) for at, number in zip(comes.tolist(), which.tolist(), strict=True)]

    def look(self, start: int, track: NDArray[np.int16]) -> None:
        """A stretch of the track, in order, that begins at position `start`."""
        read = read_times(self.leg, track)
        at = np.flatnonzero(read >= 0)
        if not len(at):
            return
        about = (at + start - DELAY) * (1 + self.ppm / 1e6)
        index = read[at] + np.round((about - read[at]) / PERIOD).astype(np.int64) * PERIOD
        self.worst_error = max(self.worst_error, float(np.abs(at + start - self.heard(index)).max()))
        whole = np.concatenate([[self._last[1]] if self._last else [], index]).astype(np.int64)
        where = np.concatenate([[self._last[0]] if self._last else [], at + start]).astype(np.int64)
        steps = np.diff(whole) - np.diff(where)
        self.slips += int(np.count_nonzero(steps))
        self.worst_step = max(self.worst_step, int(np.abs(steps).max(initial=0)))
        self.missing += int(np.count_nonzero(track == 0))
        self._last = (int(where[-1]), int(whole[-1]))


@dataclass
class Calls:
    """Calls that are recorded from their answer on, each leg of it a speech."""

    ppms: list[float]  # of each leg: two a call
    jitter: int = 10 * MS
    speeches: list[Speech] = field(init=False)
    finished: list[Finished] = field(default_factory=list)
    _ends: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.speeches = [Speech(n // 2, n % 2, ppm, self.jitter) for n, ppm in enumerate(self.ppms)]

    def run(self, seconds: int) -> None:
        recorder, ring = Recorder(), PacketRing(8_192)
        for call in range(len(self.ppms) // 2):
            opened = recorder.arm(Arm(call + 1, 0, RecordingPolicy(Policy.AUTOMATIC)))
            assert opened is not None
            recorder.confirm(call + 1, opened.number)
            for leg in LegId:
                recorder.describe(call + 1, leg, {0: Codec("PCMU", 8000)})
        numbers = np.random.default_rng(1)
        waiting: list[tuple[float, Speech, int]] = []
        for block in range(seconds // BLOCK_S):
            waiting += [p for speech in self.speeches for p in speech.packets(block, numbers)]
            waiting.sort(key=lambda packet: packet[0])
            end = float((block + 1) * BLOCK_S * RATE)
            come = bisect([at for at, _, _ in waiting], end)
            for writes in _played(recorder, ring, waiting[:come]):
                self._look(writes)
            del waiting[:come]
        for call in range(len(self.ppms) // 2):
            finished = recorder.finish(call + 1, seconds * RATE * NS_PER_SAMPLE, Actor("call_end"))
            assert finished is not None
            self._look(finished.writes)
            self.finished.append(finished)

    def _look(self, writes: list[Write]) -> None:
        for generation, start, end, frames in writes:
            assert self._ends.get(generation, 0) == start
            self._ends[generation] = end
            if frames is None:
                continue
            stereo = np.frombuffer(frames, "<i2").reshape(-1, 2)
            for speech in self.speeches[2 * generation - 2 : 2 * generation]:
                speech.look(start, np.ascontiguousarray(stereo[:, speech.leg]))


def _played(
    recorder: Recorder, ring: PacketRing, packets: list[tuple[float, Speech, int]]
) -> Iterator[list[Write]]:
    drained_ns, put = 0, ring.put
    for comes, speech, number in packets:
        now_ns = int(comes * NS_PER_SAMPLE)
        if now_ns - drained_ns >= DRAIN_NS:
            drained_ns = now_ns
            yield recorder.drain(ring)
        ring.begin_pass(now_ns)
        put(
            speech.call + 1, speech.leg, 0, 0, 7, number & 0xFFFF, number * PTIME & 0xFFFFFFFF, now_ns,
            codes(speech.leg, 0, number * PTIME, PTIME),
        )  # fmt: skip
        ring.end_pass(emptied=True)
    yield recorder.drain(ring)
