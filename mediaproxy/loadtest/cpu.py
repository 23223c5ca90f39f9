"""What processes cost: CPU time, memory and drops, read from /proc with all threads and children."""

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds at a monotonic instant: of the process tree, and of the whole machine."""

    at_ns: int
    tree_s: float
    busy_s: float
    stolen_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """The difference between two readings."""

    start_ns: int
    end_ns: int
    tree_s: float
    busy_s: float
    stolen_s: float

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


def read(pid: int) -> Reading:
    busy_s, stolen_s = _machine()
    return Reading(time.monotonic_ns(), seconds_of(tree(pid)), busy_s, stolen_s)


def between(first: Reading, second: Reading) -> Usage:
    return Usage(
        first.at_ns,
        second.at_ns,
        second.tree_s - first.tree_s,
        second.busy_s - first.busy_s,
        second.stolen_s - first.stolen_s,
    )


def tree(pid: int) -> list[int]:
    """The process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _fields(stat)
        if fields:
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").is_dir()


def resident_bytes(pid: int) -> int:
    """Resident memory of the whole tree (VmRSS, summed)."""
    return resident_of(tree(pid))


def resident_of(pids: Iterable[int]) -> int:
    return sum(map(_resident, pids))


def seconds_of(pids: Iterable[int]) -> float:
    """CPU time of these processes and of their children already reaped."""
    return sum(map(_process_s, pids))


def files_of(pids: Iterable[int]) -> int:
    """Descriptors that are open; those of another user's processes are not seen."""
    return sum(_files(pid) for pid in pids)


def threads_of(pids: Iterable[int]) -> int:
    return sum(int(fields[17]) for pid in pids if (fields := _fields(Path(f"/proc/{pid}/stat"))))


def socket_drops(host: str) -> int:
    """Packets that the kernel dropped at UDP sockets bound to `host` (IPv4) for want of room."""
    bound = socket.inet_aton(host)[::-1].hex().upper() + ":"
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(fields[-1]) for fields in lines if fields[1].startswith(bound))


def dropped_at(sock: socket.socket) -> int:
    """Packets that the kernel dropped at one socket of ours."""
    inode = str(os.fstat(sock.fileno()).st_ino)
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(fields[-1]) for fields in lines if fields[9] == inode)


def _fields(stat: Path) -> list[str]:
    """The fields after the name (which may hold anything); empty when the process is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _process_s(pid: int) -> float:
    """User and system time of all threads, and of children already reaped."""
    fields = _fields(Path(f"/proc/{pid}/stat"))
    return sum(map(int, fields[11:15])) * _TICK_S if fields else 0.0


def _machine() -> tuple[float, float]:
    """CPU seconds of all processes, and those that the hypervisor withheld.

    Summed by process: the kernel's own total is sampled by the tick and misses short wake-ups.
    """
    stolen = int(Path("/proc/stat").read_text().split(None, 9)[8])
    return sum(map(_process_s, map(int, filter(str.isdigit, os.listdir("/proc"))))), stolen * _TICK_S


def _files(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
