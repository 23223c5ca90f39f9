"""The traffic's processes as the load test holds them: started once, told who speaks, ended."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import cpu, notes, schedule, wire
from mediaproxy.loadtest.launch import end, launch
from mediaproxy.loadtest.mmsg import open_socket
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.schedule import Speech
from mediaproxy.loadtest.sink import ARRIVAL

CLEAN = Network()
_ENOUGH_CORES = 3  # with fewer the scheduler knows better than we
_END_S = 30.0
_LEAD_CYCLES = 12  # how long before its first packet a speech is asked for


@dataclass(frozen=True, slots=True)
class Figures:
    """What the processes say of themselves when they end."""

    sent: int
    unsent: int
    dropped: int  # by the kernel at our own sockets: the measurement's fault
    late_ms: float  # the sender's own worst lateness
    own_s: float  # CPU of sender and sink
    kernel_s: float  # and of the kernel for them

    @property
    def cpu_us_per_packet(self) -> float:
        return self.own_us_per_packet + self.kernel_s * 1e6 / max(self.sent, 1)

    @property
    def own_us_per_packet(self) -> float:
        """Without the kernel, which sends and receives for whoever asks."""
        return self.own_s * 1e6 / max(self.sent, 1)


class Source:
    """The parties' sockets and, once started, the processes behind them."""

    def __init__(
        self, directory: Path, hosts: tuple[str, str] = (schedule.CALLER_HOST, schedule.CALLEE_HOST)
    ) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._sockets = [open_socket(hosts[index % 2]) for index in range(schedule.SOCKETS)]
        self._process: subprocess.Popen[str] | None = None
        self.start_ns = 0  # of cycle 0

    def party(self, stream: int) -> tuple[str, int]:
        """Where the stream comes from: what its party writes into its SDP."""
        host, port = self._sockets[schedule.socket_index(stream)].getsockname()
        return host, port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, network: Network = CLEAN, payload_type: int = wire.PCMU) -> None:
        """Cycles run from here on; nobody speaks yet."""
        plan = self._directory / "plan.json"
        fds = [sock.fileno() for sock in self._sockets]
        asked = {
            "sockets": fds,
            "network": asdict(network),
            "payload_type": payload_type,
            "cores": spare_cores(),
        }
        plan.write_text(json.dumps(asked | {"directory": str(self._directory)}))
        command = [sys.executable, "-m", "mediaproxy.loadtest.generator", str(plan)]
        self._process = launch(
            command, pass_fds=fds, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.start_ns = int(await self._reply())

    def next_cycle(self) -> int:
        """The first cycle in which a speech that is begun now can surely start."""
        return (time.monotonic_ns() - self.start_ns) // wire.PTIME_NS + _LEAD_CYCLES

    def cycle_ns(self, cycle: int) -> int:
        return self.start_ns + cycle * wire.PTIME_NS

    async def until(self, cycle: int) -> None:
        """Return when `cycle` begins, or with `RuntimeError` when the processes ended before."""
        assert self._process is not None
        while (left_s := (self.cycle_ns(cycle) - time.monotonic_ns()) / 1e9) > 0:
            if self._process.poll() is not None:
                raise RuntimeError(f"the generator ended with {self._process.returncode}")
            await asyncio.sleep(min(left_s, 0.5))

    def begin(self, speeches: Iterable[Speech]) -> None:
        self._order(["begin", *(_json(speech) for speech in speeches)])

    async def stop(self) -> int:
        """Everybody falls silent; the first cycle in which nobody speaks."""
        self._order(["stop"])
        return int(await self._reply())

    def take(self) -> tuple[list[NDArray[np.int64]], list[NDArray[np.void]]]:
        """What was noted since the last time: when slots were sent, and what arrived."""
        arrived = notes.take(self._directory, notes.ARRIVED)  # first, so that their sending is noted too
        sent = notes.take(self._directory, notes.SENT)
        return [part.astype(np.int64) for part in sent], [part.view(ARRIVAL) for part in arrived]

    async def end(self) -> Figures:
        """No more speeches; what is on its way still arrives. Then `take` once more."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None
        status = await asyncio.to_thread(self._process.wait, _END_S)
        if status != 0:
            raise RuntimeError(f"the generator ended with {status}")
        sender = json.loads((self._directory / "sender.json").read_text())
        sink = json.loads((self._directory / "sink.json").read_text())
        dropped = sum(cpu.dropped_at(sock) for sock in self._sockets)
        own_s, kernel_s = (sender[kind] + sink[kind] for kind in ("own_s", "kernel_s"))
        return Figures(sender["sent"], sender["unsent"], dropped, sender["late_ms"], own_s, kernel_s)

    def close(self) -> None:
        if self._process is not None:
            end(self._process)
        for sock in self._sockets:
            sock.close()

    def _order(self, what: list[object]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    async def _reply(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        if not line:
            raise RuntimeError("the generator ended before its time")
        return line


def spare_cores() -> list[int]:
    """The cores of sender and sink, which a proxy of ours is kept away from; none when there are few."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[-2:] if len(cores) >= _ENOUGH_CORES else []


def _json(speech: Speech) -> list[object]:
    stream = speech.stream
    return [*astuple(stream), speech.first, speech.packets, speech.pause, speech.digits]
