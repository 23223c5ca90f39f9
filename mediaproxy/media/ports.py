"""Port pairs: an even port for RTP and the odd one above it for RTCP (RFC 3550 11).

A pair that was given back goes to the end of the queue and rests: the previous call's late sender
must not be taken for the next call's party. A port that another process holds is passed over.
"""

import errno
import socket
from collections import deque
from dataclasses import dataclass
from typing import Final

from mediaproxy.clock import NS_PER_S
from mediaproxy.errors import Unavailable
from mediaproxy.net import Family

_ATTEMPTS: Final = 64  # each costs two system calls on the loop that relays
_BUFFER_BYTES: Final = 425_984  # 2 s of media in full-size buffers; the system may grant less
_ADDRESS_FAMILY: Final = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class PortPair:
    """Two bound, non-blocking UDP sockets."""

    rtp: socket.socket
    rtcp: socket.socket
    port: int

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


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
        bound = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            if self._family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind((self._host, port))
        except OSError:
            bound.close()
            raise
        return bound
