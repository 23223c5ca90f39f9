"""The traffic's own processes: one sends, one receives, both write down when.

    python -m mediaproxy.loadtest.generator PLAN.json   (sockets are inherited; a line on stdin starts it)

The sender stamps the monotonic clock before each batch, the sink takes the kernel's arrival time of
each packet, so a delay is never told too short. Neither does anything per packet in Python.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import schedule, wire
from mediaproxy.loadtest.mmsg import ReceiveBatch, SendBatch, precise_sleeps

_POLL_NS = 5_000_000  # seldom: the sink wakes by the clock, so the proxy never pays for waking it
_CAPACITY = 4096
_QUIET_NS = 1_000_000_000  # the sink goes when nothing came for so long after the last was sent
_PATIENCE_NS = 10_000_000_000  # and in any case this long after it


class Sender:
    """Each stream sends `packets` packets, from its first cycle on."""

    def __init__(self, streams: list[schedule.Stream], sockets: list[int], packets: int) -> None:
        # Within a slot in the order in which they begin and end: those that talk are neighbours.
        ordered = sorted(streams, key=lambda of: (schedule.slot(of.number), schedule.first_cycle(of.number)))
        self._numbers = np.array([stream.number for stream in ordered], dtype=np.int64)
        self._first = np.array([schedule.first_cycle(stream.number) for stream in ordered], dtype=np.int64)
        self._batch = SendBatch([(stream.host, stream.port) for stream in ordered])
        self._slots = np.array([schedule.slot(number) for number in self._numbers.tolist()])
        self._sockets = sockets
        self._table = wire.payload_table()
        self._packets = packets
        self.cycles = packets + int(self._first.max())
        self.sent_ns = np.zeros((self.cycles, schedule.SLOTS), dtype=np.int64)
        self.unsent = 0

    def run(self, start_ns: int) -> None:
        slices = self._slices(0)
        for cycle in range(self.cycles):
            if cycle <= schedule.RAMP or cycle >= self._packets:
                slices = self._slices(cycle)
            wire.fill(self._batch.packets, self._numbers, cycle - self._first, self._table)
            self._send_all(slices, start_ns + cycle * wire.PTIME_NS, self.sent_ns[cycle])

    def _slices(self, cycle: int) -> list[tuple[int, int, int, int]]:
        """For each slot with somebody talking: the slot, its socket, and which packets of the batch."""
        talking = (self._first <= cycle) & (cycle < self._first + self._packets)
        found = []
        for slot in np.unique(self._slots[talking]).tolist():
            places = np.flatnonzero(talking & (self._slots == slot))
            found.append((slot, self._sockets[slot % schedule.SOCKETS], int(places[0]), int(places[-1]) + 1))
        return found

    def _send_all(
        self, slices: list[tuple[int, int, int, int]], cycle_ns: int, sent_ns: NDArray[np.int64]
    ) -> None:
        clock, sleep, send = time.monotonic_ns, time.sleep, self._batch.send
        for slot, fd, start, stop in slices:
            wait_ns = cycle_ns + slot * schedule.SLOT_NS - clock()
            if wait_ns > 0:
                sleep(wait_ns / 1e9)
            sent_ns[slot] = clock()
            self.unsent += stop - start - send(fd, start, stop)


class Sink:
    """Counts and times everything that arrives; what it can't account for it counts as foreign."""

    def __init__(self, streams: int, sockets: list[int], packets: int) -> None:
        self._sockets = sockets
        self._batch = ReceiveBatch(_CAPACITY)
        self._table = wire.payload_table()
        self._expected_at = np.array([schedule.sink_index(number) for number in range(streams)])
        self.arrived_ns = np.zeros((streams, packets), dtype=np.int64)
        self.counts = {"received": 0, "foreign": 0, "altered": 0, "misdirected": 0, "duplicate": 0}

    def run(self, end_ns: int) -> None:
        """Receive until nothing comes any more after `end_ns`, when the last packet was sent."""
        next_ns = last_ns = time.monotonic_ns()
        while next_ns < min(max(end_ns, last_ns) + _QUIET_NS, end_ns + _PATIENCE_NS):
            next_ns = max(next_ns + _POLL_NS, time.monotonic_ns())
            time.sleep(max(next_ns - time.monotonic_ns(), 0) / 1e9)
            if self._poll():
                last_ns = next_ns

    def _poll(self) -> bool:
        """Take what there is. False: nothing was."""
        got = [self._batch.receive(fd) for fd in self._sockets]
        if not any(got):
            return False
        self._account(np.repeat(np.arange(len(got)), got), time.time_ns() - time.monotonic_ns())
        self._batch.clear()
        return True

    def _account(self, arrived_at: NDArray[np.int64], wall_ns: int) -> None:
        packets = self._batch.packets()
        stream, index, intact = wire.recognise(packets, self._table)
        known = (stream >= 0) & (stream < len(self.arrived_ns)) & (index < self.arrived_ns.shape[1])
        intact &= self._batch.lengths() == wire.PACKET_BYTES
        good = known & intact
        self.counts["received"] += len(packets)
        self.counts["foreign"] += int((~known).sum())
        self.counts["altered"] += int((known & ~intact).sum())
        self._place(stream[good], index[good], self._batch.arrived_ns()[good] - wall_ns, arrived_at[good])

    def _place(self, stream: NDArray[np.int64], index: NDArray[np.int64], at_ns: NDArray[np.int64],
               socket: NDArray[np.int64]) -> None:  # fmt: skip
        self.counts["misdirected"] += int((self._expected_at[stream] != socket).sum())
        before = int(np.count_nonzero(self.arrived_ns[stream, index]))
        flat = np.unique(stream * self.arrived_ns.shape[1] + index)
        self.counts["duplicate"] += before + len(stream) - len(flat)
        self.arrived_ns[stream, index] = at_ns


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    streams = [schedule.Stream(*stream) for stream in plan["streams"]]
    sender = Sender(streams, plan["sockets"], plan["packets"])
    sink = Sink(len(streams), plan["sockets"], plan["packets"])
    precise_sleeps()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start_ns = int(sys.stdin.readline())
    result = Path(plan["result"])
    cpu_s = _cpu_s()
    child = os.fork()
    if child == 0:
        sink.run(start_ns + sender.cycles * wire.PTIME_NS)
        np.save(result / "arrived_ns.npy", sink.arrived_ns)
        _tell(result / "sink.json", cpu_s=_cpu_s(), **sink.counts)
        os._exit(0)
    sender.run(start_ns)
    np.save(result / "sent_ns.npy", sender.sent_ns)
    _tell(result / "sender.json", cpu_s=_cpu_s() - cpu_s, unsent=sender.unsent)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _tell(path: Path, **figures: float) -> None:
    path.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
