"""Speaks for every party: batches of packets at their exact times, and a note of when they went.

The clock is read before each batch, so a delay is never told too short. Nothing is done per packet in
Python, but for the few of a dialled digit.
"""

import time
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import digits, schedule, wire
from mediaproxy.loadtest.mmsg import SOCKADDR_IN, SendBatch, names
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.schedule import Speech

_SPEAKER = np.dtype(
    [
        ("number", "i8"),
        ("slot", "i8"),
        ("first", "i8"),
        ("packets", "i8"),
        ("pause", "i8", (2,)),
        ("name", SOCKADDR_IN),
    ]
)
_ALL_SLOTS = np.arange(schedule.SLOTS + 1)
_TIDY_CYCLES = 50  # how often those that have finished are forgotten

Integers = NDArray[np.int64]


class Sender:
    """`begin` speeches at any time, then `send` each cycle."""

    def __init__(self, sockets: list[int], network: Network, payload_type: int = wire.PCMU) -> None:
        self._sockets = sockets
        self._network = network
        self._payload_type = payload_type
        self._table = wire.payload_table(payload_type)
        self._speakers = np.zeros(0, dtype=_SPEAKER)  # by slot: those of a slot are sent together
        self._batch = SendBatch([("0.0.0.0", 0)] * 64)  # noqa: S104 - addresses are written each cycle
        self._dialled: dict[int, list[tuple[int, int, digits.Packet]]] = defaultdict(list)  # by cycle
        self.unsent = 0
        self.sent = 0
        self.late_ns = 0
        self.kernel_ns = 0  # CPU of the kernel, which sends

    def begin(self, speeches: list[Speech], cycle: int) -> None:
        """From the next `send` on, which is `cycle`; what should have been sent before counts as unsent."""
        new = np.zeros(len(speeches), dtype=_SPEAKER)
        for row, speech in zip(new, speeches, strict=True):
            row["number"], row["slot"] = speech.stream.number, schedule.slot(speech.stream.number)
            row["first"], row["packets"], row["pause"] = speech.first, speech.packets, speech.pause
            for index, packet in digits.dialled(speech.digits):
                self._dialled[speech.first + index].append((speech.stream.number, index, packet))
            self.unsent += min(max(cycle - speech.first, 0), speech.packets)
        new["name"] = names([(speech.stream.host, speech.stream.port) for speech in speeches])
        both = np.concatenate([self._speakers, new])
        self._speakers = both[np.argsort(both["slot"], kind="stable")]

    def stop(self, cycle: int) -> None:
        """Nobody speaks from this cycle on."""
        self._speakers["packets"] = np.minimum(
            self._speakers["packets"], np.maximum(cycle - self._speakers["first"], 0)
        )
        self._dialled = defaultdict(list, {at: said for at, said in self._dialled.items() if at < cycle})

    def send(self, cycle: int, cycle_ns: int) -> Integers:
        """All that is due in `cycle`, slot by slot; when each slot was sent (0: it was empty)."""
        if cycle % _TIDY_CYCLES == 0:
            self._tidy(cycle)
        slots = self._prepare(cycle)
        late_ns = self.late_ns
        sent_ns = np.zeros(schedule.SLOTS, dtype=np.int64)
        bounds = np.searchsorted(slots, _ALL_SLOTS)
        filled = np.flatnonzero(bounds[1:] > bounds[:-1]).tolist()
        clock, spent, bounds = time.monotonic_ns, time.thread_time_ns, bounds.tolist()
        send = self._batch.send
        for slot in filled:
            due_ns = cycle_ns + slot * schedule.SLOT_NS
            wait_ns = due_ns - clock()
            if wait_ns > schedule.SLOT_NS:  # a slot goes with the one before: half as many wake-ups
                time.sleep(wait_ns / 1e9)
            start, stop = bounds[slot], bounds[slot + 1]
            before_ns = spent()
            sent_ns[slot] = at_ns = clock()
            self.unsent += stop - start - send(self._sockets[slot % schedule.SOCKETS], start, stop)
            self.kernel_ns += spent() - before_ns
            late_ns = max(late_ns, at_ns - due_ns)
        self.late_ns = late_ns
        self.sent += len(slots)
        return sent_ns

    def _prepare(self, cycle: int) -> Integers:
        """Lay out the packets of `cycle` in the order of their slots; gives the slots."""
        rows, index, slots = self._due(cycle)
        count = len(rows)
        if count > len(self._batch.packets):
            self._batch = SendBatch([("0.0.0.0", 0)] * (2 * count))  # noqa: S104
        speakers = self._speakers[rows]
        packets = self._batch.packets[:count]
        wire.fill(packets, speakers["number"], index, self._table, self._payload_type)
        self._batch.names[:count] = speakers["name"]
        self._batch.lengths[:] = wire.PACKET_BYTES
        for number, at, packet in self._dialled.get(cycle, ()):
            for place in np.flatnonzero((speakers["number"] == number) & (index == at)).tolist():
                self._batch.lengths[place] = digits.write(packets[place : place + 1], packet)
        self._dialled.pop(cycle - self._network.cycles, None)
        return slots

    def _due(self, cycle: int) -> tuple[Integers, Integers, Integers]:
        """Which packets go out in `cycle`, by slot: rows of the speakers, indices and slots."""
        if self._network.clean:
            return self._due_after(cycle, 0)
        lags = [self._due_after(cycle, lag) for lag in range(self._network.cycles + 1)]
        rows, index, slots = (np.concatenate(parts) for parts in zip(*lags, strict=True))
        order = np.argsort(slots, kind="stable")
        return rows[order], index[order], slots[order]

    def _due_after(self, cycle: int, lag: int) -> tuple[Integers, Integers, Integers]:
        """Of the packets that were to go `lag` cycles earlier those that the network delays until now."""
        speakers = self._speakers
        index = cycle - lag - speakers["first"]
        talks = (index >= 0) & (index < speakers["packets"])
        talks &= (index < speakers["pause"][:, 0]) | (index >= speakers["pause"][:, 1])
        rows = np.flatnonzero(talks)
        index, slots, numbers = index[rows], speakers["slot"][rows], speakers["number"][rows]
        if self._network.clean:
            return rows, index, slots
        spared = self._digits_of(cycle - lag, numbers, index)
        slots = slots + self._network.delays(numbers, index) * ~spared
        due = (slots // schedule.SLOTS == lag) & (spared | ~self._network.lost(numbers, index))
        return rows[due], index[due], slots[due] % schedule.SLOTS

    def _digits_of(self, cycle: int, numbers: Integers, index: Integers) -> NDArray[np.bool_]:
        """Which packets are parts of digits: those always arrive, and in time."""
        said = np.zeros(len(numbers), dtype=np.bool_)
        for number, at, _ in self._dialled.get(cycle, ()):
            said |= (numbers == number) & (index == at)
        return said

    def _tidy(self, cycle: int) -> None:
        ends = self._speakers["first"] + self._speakers["packets"] + self._network.cycles + 1
        self._speakers = self._speakers[ends >= cycle]
