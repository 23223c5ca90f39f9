"""Hears for every party: takes what arrives, in batches, with the kernel's arrival times."""

import time

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import digits, schedule, wire
from mediaproxy.loadtest.mmsg import ReceiveBatch

FOREIGN, ALTERED, MISDIRECTED, DIGIT = 1, 2, 4, 8  # what is wrong with an arrival, or-ed

ARRIVAL = np.dtype([("stream", "i4"), ("index", "i4"), ("at_ns", "i8"), ("shift", "u2"), ("wrong", "u2")])
_CAPACITY = 4096


class Sink:
    """`poll` often; it never waits."""

    def __init__(self, sockets: list[int], payload_type: int = wire.PCMU) -> None:
        self._sockets = sockets
        self._payload_type = payload_type
        self._batch = ReceiveBatch(_CAPACITY)
        self._table = wire.payload_table(payload_type)
        self.kernel_ns = 0  # CPU of the kernel, which receives

    def poll(self) -> NDArray[np.void] | None:
        """What has arrived, an `ARRIVAL` each; None: nothing."""
        before_ns = time.thread_time_ns()
        got = [self._batch.receive(fd) for fd in self._sockets]
        self.kernel_ns += time.thread_time_ns() - before_ns
        if not any(got):
            return None
        try:
            return self._arrivals(np.repeat(np.arange(len(got)), got), time.time_ns() - time.monotonic_ns())
        finally:
            self._batch.clear()

    def _arrivals(self, socket: NDArray[np.int64], wall_ns: int) -> NDArray[np.void]:
        packets = self._batch.packets()
        stream, index, intact = wire.recognise_moved(packets, self._table, self._payload_type)
        intact &= self._batch.lengths() == wire.PACKET_BYTES
        wrong = np.where(intact, 0, ALTERED)
        wrong[(packets["pt"] & 0x7F) == digits.PAYLOAD_TYPE] = DIGIT
        wrong[(stream < 0) | (stream > np.iinfo(np.int32).max)] = FOREIGN
        wrong[(wrong == 0) & (schedule.sink_index(stream) != socket)] = MISDIRECTED
        found = np.zeros(len(packets), dtype=ARRIVAL)
        found["stream"], found["index"], found["wrong"] = stream, index, wrong
        found["shift"] = wire.shifts(packets, index)
        found["at_ns"] = self._batch.arrived_ns() - wall_ns
        return found
