"""sendmmsg and recvmmsg over numpy arrays: one system call for a batch, no Python per packet.

The headers are laid out as 64-bit Linux has them (`struct mmsghdr`, `struct iovec`).
"""

import ctypes
import os
import socket

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest.wire import PACKET, PACKET_BYTES

SO_TIMESTAMPNS = 35
_ROW_BYTES = 256  # longer than a packet, so that a grown one is seen
_CONTROL_BYTES = 32  # CMSG_SPACE(struct timespec)

_IOVEC = np.dtype([("base", "u8"), ("length", "u8")])
_MMSGHDR = np.dtype(
    [
        ("name", "u8"),
        ("name_length", "u4"),
        ("pad0", "u4"),
        ("iov", "u8"),
        ("iov_count", "u8"),
        ("control", "u8"),
        ("control_length", "u8"),
        ("flags", "i4"),
        ("pad1", "u4"),
        ("length", "u4"),
        ("pad2", "u4"),
    ]
)
SOCKADDR_IN = np.dtype([("family", "u2"), ("port", ">u2"), ("host", "u1", (4,)), ("zero", "u8")])
_CONTROL = np.dtype([("length", "u8"), ("level", "i4"), ("type", "i4"), ("s", "i8"), ("ns", "i8")])
assert (_IOVEC.itemsize, _MMSGHDR.itemsize, SOCKADDR_IN.itemsize) == (16, 64, 16)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


class SendBatch:
    """Packets with their destinations, in the order in which slices of them are sent.

    `packets`, `lengths` and `names` (the destinations) may be written between sends.
    """

    def __init__(self, destinations: list[tuple[str, int]]) -> None:
        count = len(destinations)
        self.packets = np.zeros(count, dtype=PACKET)
        self.names = names(destinations)
        self._iov = np.zeros(count, dtype=_IOVEC)
        self._iov["base"] = _addresses(self.packets)
        self._iov["length"] = PACKET_BYTES
        self.lengths: NDArray[np.uint64] = self._iov["length"]
        self._headers = np.zeros(count, dtype=_MMSGHDR)
        self._headers["name"] = _addresses(self.names)
        self._headers["name_length"] = SOCKADDR_IN.itemsize
        self._headers["iov"] = _addresses(self._iov)
        self._headers["iov_count"] = 1
        self._first = self._headers.ctypes.data

    def send(self, fd: int, start: int, stop: int) -> int:
        """Send packets [start, stop) through `fd`; how many the kernel took."""
        sent: int = _libc.sendmmsg(fd, self._first + start * _MMSGHDR.itemsize, stop - start, 0)
        return max(sent, 0)


class ReceiveBatch:
    """Room for `capacity` packets with the kernel's arrival times (needs SO_TIMESTAMPNS)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._rows = np.zeros((capacity, _ROW_BYTES), dtype=np.uint8)
        self._control = np.zeros(capacity, dtype=_CONTROL)
        self._iov = np.zeros(capacity, dtype=_IOVEC)
        self._iov["base"] = _addresses(self._rows)
        self._iov["length"] = _ROW_BYTES
        self._headers = np.zeros(capacity, dtype=_MMSGHDR)
        self._headers["iov"] = _addresses(self._iov)
        self._headers["iov_count"] = 1
        self._headers["control"] = _addresses(self._control)
        self._headers["control_length"] = _CONTROL_BYTES
        self._first = self._headers.ctypes.data
        self.count = 0

    def receive(self, fd: int) -> int:
        """Append what `fd` holds, never waiting; how many packets came."""
        room = self.capacity - self.count
        address = self._first + self.count * _MMSGHDR.itemsize
        got: int = _libc.recvmmsg(fd, address, room, socket.MSG_DONTWAIT, None)
        if got <= 0:
            return 0
        self.count += got
        return got

    def packets(self) -> NDArray[np.void]:
        return self._rows[: self.count, :PACKET_BYTES].copy().view(PACKET)[:, 0]

    def lengths(self) -> NDArray[np.uint32]:
        lengths: NDArray[np.uint32] = self._headers["length"][: self.count]
        return lengths

    def arrived_ns(self) -> NDArray[np.int64]:
        """Wall-clock nanoseconds at which the kernel queued each packet."""
        control = self._control[: self.count]
        return np.asarray(control["s"] * 1_000_000_000 + control["ns"], dtype=np.int64)

    def clear(self) -> None:
        self._headers["control_length"][: self.count] = _CONTROL_BYTES
        self.count = 0


def names(destinations: list[tuple[str, int]]) -> NDArray[np.void]:
    """Addresses as the kernel wants them."""
    found = np.zeros(len(destinations), dtype=SOCKADDR_IN)
    found["family"] = socket.AF_INET
    found["port"] = [port for _, port in destinations]
    found["host"] = [list(socket.inet_aton(host)) for host, _ in destinations]
    return found


def open_socket(host: str, port: int = 0) -> socket.socket:
    """A UDP socket with kernel arrival times and buffers that outlast any stall of the sink."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, port))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    forced = 33 if os.geteuid() == 0 else socket.SO_RCVBUF  # SO_RCVBUFFORCE passes rmem_max
    sock.setsockopt(socket.SOL_SOCKET, forced, 8 << 20)
    return sock


def precise_sleeps() -> None:
    """Let this thread's sleeps end within a microsecond or so instead of 50 (PR_SET_TIMERSLACK)."""
    _libc.prctl(29, 1_000, 0, 0, 0)


def _addresses(array: NDArray[np.generic]) -> NDArray[np.uint64]:
    step = array.strides[0]
    return np.arange(len(array), dtype=np.uint64) * np.uint64(step) + np.uint64(array.ctypes.data)
