"""Port pairs: an even port for RTP and the odd one above it for RTCP (RFC 3550 11).

A pair that was given back goes to the end of the queue and rests: the previous call's late sender
must not be taken for the next call's party. A port that another process holds is passed over.

Once it is known whom an RTP port hears, its socket is connected: the kernel finds it and its route sooner,
and no address goes to and fro with each packet. Everybody else then comes to a second socket on the same
port, so that nobody goes unnoticed and a party that moves is heard.
"""

import errno
import socket
from collections import deque
from dataclasses import dataclass
from typing import Final

from mediaproxy.clock import NS_PER_S
from mediaproxy.errors import Unavailable
from mediaproxy.net import Family

Source = tuple[str, int] | tuple[str, int, int, int]
"""An address as the socket module spells it: with flow and scope for IPv6."""

_ATTEMPTS: Final = 64  # each costs two system calls on the loop that relays
_BUFFER_BYTES: Final = 425_984  # 2 s of media in full-size buffers; the system may grant less
_ADDRESS_FAMILY: Final = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@dataclass(slots=True)
class PortPair:
    """Two bound, non-blocking UDP sockets, and a third once `rtp` is narrowed."""

    rtp: socket.socket
    rtcp: socket.socket
    port: int
    others: socket.socket | None = None  # hears on `rtp`'s port whoever is not its peer

    def narrow(self, source: Source) -> None:
        """From now on `rtp` hears and sends to `source` alone; what it holds already may be anybody's.

        OSError: `source` cannot be connected to, and everything is as it was; or nobody else can be heard.
        Connected first, so that nothing of `source` ever comes to another socket."""
        others = _unbound(self.rtp.family) if self.others is None else None
        try:
            self.rtp.connect(source)
            if others is not None:
                _bind_beside(others, self.rtp)
                self.others = others
        except OSError:
            if others is not None:
                others.close()
            raise

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()
        if self.others is not None:
            self.others.close()


class PortPool:
    """The pairs of one address. First in, first out; nothing is reused before its quarantine ends."""

    def __init__(self, host: str, family: Family, ports: range, *, quarantine_s: float) -> None:
        self._host = host
        self._family = _ADDRESS_FAMILY[family]
        self._quarantine_ns = round(quarantine_s * NS_PER_S)
        first = ports.start + ports.start % 2
        self._free = deque((0, port) for port in range(first, ports.stop - 1, 2))  # (rested at ns, port)

    def take(self, now_ns: int) -> PortPair:
        """Bind the pair that rested longest. Raises Unavailable."""
        for _ in range(min(_ATTEMPTS, len(self._free))):
            rested_ns, port = self._free[0]
            if rested_ns > now_ns:
                break  # those behind it rest even longer
            self._free.popleft()
            try:
                return self._bind(port)
            except OSError as error:
                self._free.append((now_ns, port))
                if error.errno != errno.EADDRINUSE:
                    raise Unavailable(f"no media port could be bound: {error.strerror}") from error
        raise Unavailable("no media port is free")

    def give_back(self, pair: PortPair, now_ns: int) -> None:
        pair.close()
        self._free.append((now_ns + self._quarantine_ns, pair.port))

    def _bind(self, port: int) -> PortPair:
        rtp = self._socket(port)
        try:
            return PortPair(rtp, self._socket(port + 1), port)
        except OSError:
            rtp.close()
            raise

    def _socket(self, port: int) -> socket.socket:
        """Without SO_REUSEADDR and SO_REUSEPORT: two processes never share a port."""
        bound = _unbound(self._family)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            bound.bind((self._host, port))
        except OSError:
            bound.close()
            raise
        return bound


def _unbound(family: int) -> socket.socket:
    unbound = socket.socket(family, socket.SOCK_DGRAM)
    unbound.setblocking(False)
    if family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return unbound


def _bind_beside(beside: socket.socket, bound: socket.socket) -> None:
    """To the same port, which may be shared for just this moment: no other process gets in."""
    pair = (bound, beside)
    for each in pair:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        beside.bind(bound.getsockname())
    finally:
        for each in pair:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)


def slices(ports: range, count: int) -> list[range]:
    """So many ranges without a port in common, of as many pairs as can be had evenly."""
    first = ports.start + ports.start % 2
    pairs = max(ports.stop - first, 0) // 2 // count
    return [range(first + 2 * pairs * n, first + 2 * pairs * (n + 1)) for n in range(count)]
