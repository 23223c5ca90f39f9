"""Streams of one length between calls that are up already, and the books of every packet of theirs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import schedule, wire
from mediaproxy.loadtest.schedule import Speech, Stream
from mediaproxy.loadtest.sink import ALTERED, FOREIGN, MISDIRECTED
from mediaproxy.loadtest.source import Figures, Source

PACKETS_PER_S = 1_000_000_000 // wire.PTIME_NS


@dataclass(frozen=True, slots=True)
class Books:
    """What became of every packet. Times are monotonic nanoseconds; 0 = never arrived."""

    sent_ns: NDArray[np.int64]  # (stream, packet)
    arrived_ns: NDArray[np.int64]
    unsent: int
    foreign: int
    altered: int
    misdirected: int
    duplicate: int
    sink_dropped: int  # by the kernel at our own sockets: the measurement's fault
    generator_cpu_us: float  # per packet, sender and sink
    late_ms: float  # the sender's own worst lateness

    @property
    def sent(self) -> int:
        return self.sent_ns.size - self.unsent

    @property
    def lost(self) -> int:
        """Sent, not seen again, and not lost by our own sink."""
        return self.sent - int(np.count_nonzero(self.arrived_ns)) - self.sink_dropped

    @property
    def sound(self) -> bool:
        """The tool itself did its duty, so that every missing packet is the proxy's."""
        return self.unsent == 0 and self.sink_dropped == 0

    @property
    def faultless(self) -> bool:
        wrong = self.lost + self.foreign + self.altered + self.misdirected + self.duplicate
        return self.sound and wrong == 0

    def arrivals_between(self, start_ns: int, end_ns: int) -> int:
        return int(np.count_nonzero((self.arrived_ns >= start_ns) & (self.arrived_ns < end_ns)))

    def delays_us(self, start_ns: int, end_ns: int) -> NDArray[np.float64]:
        """One-way delays of what was sent within the span, in microseconds."""
        chosen = (self.sent_ns >= start_ns) & (self.sent_ns < end_ns) & (self.arrived_ns > 0)
        return np.asarray((self.arrived_ns[chosen] - self.sent_ns[chosen]) / 1e3)


class Traffic:
    """Every stream says the same number of packets; they begin one call after the other."""

    def __init__(self, directory: Path) -> None:
        self._source = Source(directory)
        self._first: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.party = self._source.party
        self.packets = 0
        self.ramp_s = 0.0  # from the first call's beginning to the last one's

    @property
    def pid(self) -> int:
        return self._source.pid

    async def start(self, streams: list[Stream], seconds: float) -> int:
        """Begin to send, so that all talk together for `seconds`; the monotonic nanosecond of slot 0."""
        ramp = max(schedule.first_cycle(stream.number) for stream in streams) + 1
        self.ramp_s = ramp / PACKETS_PER_S
        self.packets = ramp + round(seconds * PACKETS_PER_S)
        await self._source.start()
        begin = self._source.next_cycle() + PACKETS_PER_S // 5
        speeches = [
            Speech(stream, begin + schedule.first_cycle(stream.number), self.packets) for stream in streams
        ]
        self._first = np.array([speech.first for speech in sorted(speeches, key=_number)], dtype=np.int64)
        self._source.begin(speeches)
        return self._source.cycle_ns(begin)

    async def finish(self) -> Books:
        """Wait until everything is said (it is bounded by the packets asked for) and balance the books."""
        await self._source.until(int(self._first.max()) + self.packets + 1)
        figures = await self._source.end()
        return self._balance(figures)

    def close(self) -> None:
        self._source.close()

    def _balance(self, figures: Figures) -> Books:
        sent, arrived = self._source.take()
        by_slot = np.concatenate(sent)
        arrivals = np.concatenate(arrived) if arrived else np.zeros(0, dtype=np.dtype([]))
        streams = np.arange(len(self._first))
        cycles = self._first[:, None] + np.arange(self.packets)
        arrived_ns = np.zeros(cycles.shape, dtype=np.int64)
        wrong = {"foreign": 0, "altered": 0, "misdirected": 0, "duplicate": 0}
        if len(arrivals):
            wrong |= _place(arrivals, arrived_ns)
        return Books(
            sent_ns=by_slot[cycles, schedule.slot(streams)[:, None]],
            arrived_ns=arrived_ns,
            unsent=figures.unsent,
            sink_dropped=figures.dropped,
            generator_cpu_us=figures.cpu_us_per_packet,
            late_ms=figures.late_ms,
            **wrong,
        )


def _place(arrivals: NDArray[np.void], arrived_ns: NDArray[np.int64]) -> dict[str, int]:
    """Write arrival times into the books; what was wrong, counted."""
    stream, index, wrong = arrivals["stream"], arrivals["index"], arrivals["wrong"].astype(np.int64)
    known = (stream < len(arrived_ns)) & (index < arrived_ns.shape[1]) & (wrong != FOREIGN)
    altered = known & ((wrong == ALTERED) | (arrivals["shift"] != 0) | (wrong > MISDIRECTED))
    good = known & ~altered
    flat = stream[good].astype(np.int64) * arrived_ns.shape[1] + index[good]
    arrived_ns.reshape(-1)[flat] = arrivals["at_ns"][good]
    return {
        "foreign": int((~known).sum()),
        "altered": int(altered.sum()),
        "misdirected": int((known & (wrong == MISDIRECTED)).sum()),
        "duplicate": len(flat) - len(np.unique(flat)),
    }


def _number(speech: Speech) -> int:
    return speech.stream.number
