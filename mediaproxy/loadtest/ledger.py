"""The books of traffic that comes and goes: every packet of every open stream, and sums of all others.

A stream is opened when it is asked for, and closed some time after its end; then what never arrived is
lost. Room is taken for open streams alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import digits, schedule, wire
from mediaproxy.loadtest.delays import Delays
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.schedule import Speech
from mediaproxy.loadtest.sink import ALTERED, DIGIT, FOREIGN, MISDIRECTED

_KEPT_CYCLES = 4096  # for so long a packet may be on its way: 82 s
_NEVER = np.iinfo(np.int64).max

Integers = NDArray[np.int64]


@dataclass(slots=True)
class Counts:
    """Of all packets: those sent and arrived, and those of the others for each thing that was wrong."""

    sent: int = 0
    arrived: int = 0
    lost: int = 0
    altered: int = 0
    misdirected: int = 0
    duplicate: int = 0
    foreign: int = 0
    digits_heard: int = 0  # packets of a code that reached the other party
    withheld: int = 0  # digits that the proxy kept to itself, as it must


def spoken(speech: Speech, network: Network) -> NDArray[np.bool_]:
    """Which packets of a speech are sent and carry its sound."""
    index = np.arange(speech.packets)
    there = ~digits.silent(speech.digits, speech.packets)
    there[speech.pause[0] : speech.pause[1]] = False
    return np.asarray(there & ~network.lost(speech.stream.number, index))


class Ledger:
    """Times are monotonic nanoseconds; `delays` and `lost_by_step` go by when a packet was sent."""

    def __init__(self, start_ns: int, network: Network, delays: Delays) -> None:
        self.counts = Counts()
        self.delays = delays
        self.lost_by_step = np.zeros(len(delays.counts), dtype=np.int64)
        self._start_ns = start_ns
        self._network = network
        self._sent_ns = np.zeros((_KEPT_CYCLES, schedule.SLOTS), dtype=np.int64)  # by cycle modulo
        self._cycles = 0  # how many are known
        self._waiting: list[NDArray[np.void]] = []  # arrivals whose sending is not known yet
        self._row_of = np.full(1024, -1, dtype=np.int64)  # by stream
        self._there = np.zeros((64, 0), dtype=np.bool_)  # (row, packet)
        self._first = np.zeros(64, dtype=np.int64)
        self._packets = np.zeros(64, dtype=np.int64)
        self._began_ns = np.full(64, _NEVER, dtype=np.int64)
        self._shift = np.zeros((64, 2), dtype=np.int64)  # what withheld digits may move numbers by
        self._free = list(range(64))
        self._speeches: dict[int, Speech] = {}

    @property
    def open_streams(self) -> int:
        return len(self._speeches)

    def open(self, speech: Speech) -> None:
        row = self._take_row(speech.packets)
        number = speech.stream.number
        if number >= len(self._row_of):
            more = np.full(max(number + 1 - len(self._row_of), len(self._row_of)), -1, dtype=np.int64)
            self._row_of = np.concatenate([self._row_of, more])
        self._row_of[number] = row
        self._first[row], self._packets[row] = speech.first, speech.packets
        self._shift[row] = 0, len(speech.digits) * digits.PACKETS
        self._began_ns[row] = _NEVER
        self._there[row] = False
        self._speeches[number] = speech

    def shorten(self, cycle: int) -> None:
        """Nobody spoke from `cycle` on."""
        for number, speech in self._speeches.items():
            packets = min(speech.packets, max(cycle - speech.first, 0))
            said = tuple(digit for digit in speech.digits if digit[0] < packets)
            self._speeches[number] = Speech(speech.stream, speech.first, packets, speech.pause, said)
            self._packets[self._row_of[number]] = packets

    def note(self, sent: Iterable[Integers], arrived: Iterable[NDArray[np.void]]) -> None:
        """What sender and sink noted, in order."""
        for cycles in sent:
            self._sent_ns[(self._cycles + np.arange(len(cycles))) % _KEPT_CYCLES] = cycles
            self._cycles += len(cycles)
        waiting, self._waiting = [*self._waiting, *arrived], []
        for part in waiting:
            self._account(part)

    def close(self, number: int) -> tuple[Speech, int]:
        """What a stream said in the end, and when it began: as if its first packet had gone undelayed."""
        speech = self._speeches.pop(number)
        row = int(self._row_of[number])
        self._row_of[number] = -1
        self._free.append(row)
        expected = spoken(speech, self._network)
        missing = np.flatnonzero(expected & ~self._there[row, : speech.packets])
        said = len(speech.digits) * digits.PACKETS
        self.counts.sent += int(expected.sum()) + said
        self.counts.withheld += said
        self.counts.lost += len(missing)
        at_s = ((speech.first + missing) * wire.PTIME_NS) / 1e9
        np.add.at(self.lost_by_step, self.delays.steps(at_s), 1)
        began_ns = int(self._began_ns[row])
        planned_ns = self._start_ns + speech.first * wire.PTIME_NS + schedule.slot(number) * schedule.SLOT_NS
        return speech, planned_ns if began_ns == _NEVER else began_ns

    def _account(self, arrivals: NDArray[np.void]) -> None:
        wrong = arrivals["wrong"]
        stream = np.where(wrong == FOREIGN, 0, arrivals["stream"]).astype(np.int64)
        known = (wrong != FOREIGN) & (stream >= 0) & (stream < len(self._row_of))
        row = np.where(known, self._row_of[np.where(known, stream, 0)], -1)
        index = arrivals["index"].astype(np.int64)
        known = (row >= 0) & (index >= 0) & (index < self._packets[row])
        self.counts.foreign += int((~known).sum())
        self.counts.digits_heard += int((known & (wrong == DIGIT)).sum())
        shifted = (arrivals["shift"] < self._shift[row, 0]) | (arrivals["shift"] > self._shift[row, 1])
        altered = known & ((wrong == ALTERED) | ((wrong != DIGIT) & shifted))
        self.counts.altered += int(altered.sum())
        self.counts.misdirected += int((known & (wrong == MISDIRECTED)).sum())
        good = known & ~altered & (wrong != DIGIT)
        self._place(arrivals[good], stream[good], row[good], index[good])

    def _place(self, arrivals: NDArray[np.void], stream: Integers, row: Integers, index: Integers) -> None:
        slots = schedule.slot(stream)
        delay_slots = np.zeros(len(stream), dtype=np.int64)
        if not self._network.clean:
            delay_slots = self._network.delays(stream, index)
        cycle = self._first[row] + index + (slots + delay_slots) // schedule.SLOTS
        early = cycle >= self._cycles
        if early.any():
            self._waiting.append(arrivals[early])
            now = ~early
            arrivals, row, index, cycle = arrivals[now], row[now], index[now], cycle[now]
            slots, delay_slots = slots[now], delay_slots[now]
        flat = row * self._there.shape[1] + index
        _, first = np.unique(flat, return_index=True)
        again = self._there.reshape(-1)[flat[first]]
        self.counts.duplicate += len(flat) - len(first) + int(again.sum())
        self.counts.arrived += len(first) - int(again.sum())
        self._there.reshape(-1)[flat] = True
        sent_ns = self._sent_ns[cycle % _KEPT_CYCLES, (slots + delay_slots) % schedule.SLOTS]
        planned_ns = index * wire.PTIME_NS + delay_slots * schedule.SLOT_NS
        np.minimum.at(self._began_ns, row, sent_ns - planned_ns)
        self.delays.add((sent_ns - self._start_ns) / 1e9, (arrivals["at_ns"] - sent_ns) / 1e3)

    def _take_row(self, packets: int) -> int:
        if packets > self._there.shape[1]:
            wider = np.zeros((len(self._there), packets), dtype=np.bool_)
            wider[:, : self._there.shape[1]] = self._there
            self._there = wider
        if not self._free:
            count = len(self._there)
            self._free = list(range(count, 2 * count))
            self._there = np.concatenate([self._there, np.zeros_like(self._there)])
            self._first = np.concatenate([self._first, self._first])
            self._packets = np.concatenate([self._packets, self._packets])
            self._began_ns = np.concatenate([self._began_ns, self._began_ns])
            self._shift = np.concatenate([self._shift, self._shift])
        return self._free.pop()
