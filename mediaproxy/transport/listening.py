"""Binding sockets, and accepting from them: whatever the system refuses becomes one line with a remedy."""

import asyncio
import errno
import socket
from collections.abc import Callable

from mediaproxy.errors import Unavailable
from mediaproxy.net import Endpoint, Family

BACKLOG = 512
ACCEPTS_PER_WAKE_UP = 16  # then the loop's other sockets have their turn
REST_S = 1.0
UDP_BUFFER_BYTES = 4 * 1024 * 1024  # room for a burst while the loop is busy

_REMEDIES = {
    errno.EADDRINUSE: "the port is in use: stop what holds it, or change [sip] listen",
    errno.EADDRNOTAVAIL: "this machine has no such address: change [sip] listen",
    errno.EACCES: "not permitted: use a port from 1024 up, or change [sip] listen",
}


class Acceptor:
    """Hands over what connects to a listening socket, which it owns, as non-blocking sockets."""

    def __init__(self, bound: socket.socket, on_accepted: Callable[[socket.socket], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = bound
        self._on_accepted = on_accepted
        self._rest: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_WAKE_UP):
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptors left: who waits is still there when there are
                self._loop.remove_reader(self._socket)
                self._rest = self._loop.call_later(REST_S, self._listen)
                return
            accepted.setblocking(False)
            self._on_accepted(accepted)


def bind_udp(endpoint: Endpoint) -> socket.socket:
    return _bind(endpoint, socket.SOCK_DGRAM, "udp")


def bind_tcp(endpoint: Endpoint, transport: str = "tcp") -> socket.socket:
    """Bound and listening."""
    return _bind(endpoint, socket.SOCK_STREAM, transport)


def bound_endpoint(bound: socket.socket) -> Endpoint:
    host, port = bound.getsockname()[:2]
    return Endpoint(host, port)


def _bind(endpoint: Endpoint, kind: socket.SocketKind, transport: str) -> socket.socket:
    try:
        return _open(endpoint, kind)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, f"{error.strerror}: change [sip] listen")
        raise Unavailable(f"cannot listen on {transport}:{endpoint}: {remedy}") from error


def _open(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if endpoint.family is Family.IPV6 else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is named; without it an answer waits 40 ms.
    opened = socket.socket(family, kind, 0 if kind == socket.SOCK_DGRAM else socket.IPPROTO_TCP)
    try:
        opened.setblocking(False)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        opened.bind(tuple(endpoint))
        if kind == socket.SOCK_STREAM:
            opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened
