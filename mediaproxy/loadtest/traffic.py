"""Runs the traffic's processes and holds their books: every packet is accounted for, or the run fails."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import cpu, schedule, wire
from mediaproxy.loadtest.launch import end, launch
from mediaproxy.loadtest.mmsg import open_socket

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
    """The parties' sockets and, once started, the generator behind them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._sockets = [open_socket(schedule.HOSTS[index % 2]) for index in range(schedule.SOCKETS)]
        self._process: subprocess.Popen[str] | None = None
        self._start_ns = 0
        self.packets = 0

    def party(self, stream: int) -> tuple[str, int]:
        """Where the stream comes from: what its party writes into its SDP."""
        host, port = self._sockets[schedule.socket_index(stream)].getsockname()
        return host, port

    async def start(self, streams: list[schedule.Stream], seconds: float) -> int:
        """Begin to send; the monotonic nanosecond of the first slot."""
        self.packets = min(round(seconds * PACKETS_PER_S), wire.ROWS)  # of each stream
        plan = self._directory / "plan.json"
        listed = [(stream.number, stream.host, stream.port) for stream in streams]
        fds = [sock.fileno() for sock in self._sockets]
        plan.write_text(
            json.dumps(
                {"streams": listed, "sockets": fds, "packets": self.packets, "result": str(self._directory)}
            )
        )
        command = [sys.executable, "-m", "mediaproxy.loadtest.generator", str(plan)]
        self._process = launch(
            command, pass_fds=fds, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        await asyncio.to_thread(self._process.stdout.readline)
        self._start_ns = time.monotonic_ns() + 200_000_000
        self._process.stdin.write(f"{self._start_ns}\n")
        self._process.stdin.flush()
        return self._start_ns

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def finish(self) -> Books:
        """Wait for the end (it is bounded by the packets asked for) and balance the books."""
        assert self._process is not None
        status = await asyncio.to_thread(self._process.wait, self.packets / PACKETS_PER_S + 30)
        if status != 0:
            raise RuntimeError(f"the generator ended with {status}")
        return self._balance()

    def close(self) -> None:
        if self._process is not None:
            end(self._process)
        for sock in self._sockets:
            sock.close()

    def _balance(self) -> Books:
        arrived_ns = np.load(self._directory / "arrived_ns.npy")
        by_slot = np.load(self._directory / "sent_ns.npy")
        streams = range(len(arrived_ns))
        slots = np.array([schedule.slot(number) for number in streams])[:, None]
        cycles = np.array([schedule.first_cycle(number) for number in streams])[:, None] + np.arange(
            self.packets
        )
        sent_ns = by_slot[cycles, slots]
        planned_ns = self._start_ns + cycles * wire.PTIME_NS + slots * schedule.SLOT_NS
        sender = json.loads((self._directory / "sender.json").read_text())
        sink = json.loads((self._directory / "sink.json").read_text())
        return Books(
            sent_ns=sent_ns,
            arrived_ns=arrived_ns,
            unsent=sender["unsent"],
            **{name: sink[name] for name in ("foreign", "altered", "misdirected", "duplicate")},
            sink_dropped=sum(cpu.dropped_at(sock) for sock in self._sockets),
            generator_cpu_us=(sender["cpu_s"] + sink["cpu_s"]) * 1e6 / max(arrived_ns.size, 1),
            late_ms=float((sent_ns - planned_ns).max() / 1e6),
        )
