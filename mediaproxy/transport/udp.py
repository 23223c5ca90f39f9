"""SIP over UDP: one socket, read until it is empty, written without waiting."""

import asyncio
import time
from collections.abc import Callable

from mediaproxy.net import Endpoint
from mediaproxy.transport.listening import bind_udp, bound_endpoint

MAX_DATAGRAM_BYTES = 65_535
READS_PER_WAKE_UP = 64  # then the loop's other sockets have their turn

OnDatagram = Callable[[bytes, Endpoint, Endpoint, int], None]
"""`(data, local, remote, now_ns)`."""


class UdpListener:
    """Raises `Unavailable` when it can't be bound. `endpoint` is where it is."""

    def __init__(
        self, endpoint: Endpoint, on_datagram: OnDatagram, *, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = bind_udp(endpoint)
        self.endpoint = bound_endpoint(self._socket)
        self._on_datagram = on_datagram
        self._clock_ns = clock_ns
        self._loop.add_reader(self._socket, self._read)

    def send(self, data: bytes, remote: Endpoint) -> None:
        """Raises what the system does; `BlockingIOError` means the buffer is full."""
        self._socket.sendto(data, remote)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _read(self) -> None:
        for _ in range(READS_PER_WAKE_UP):
            try:
                data, address = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
            except OSError:  # empty, or an ICMP error of something we sent: nothing to read
                return
            now_ns = self._clock_ns()
            self._on_datagram(data, self.endpoint, Endpoint(address[0], address[1]), now_ns)
            if self._socket.fileno() < 0:  # closed by what the datagram led to
                return
