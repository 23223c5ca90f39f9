"""Binding sockets: whatever the system refuses becomes one line with a remedy."""

import errno
import socket

from mediaproxy.errors import Unavailable
from mediaproxy.net import Endpoint, Family

BACKLOG = 512
UDP_BUFFER_BYTES = 4 * 1024 * 1024  # room for a burst while the loop is busy

_REMEDIES = {
    errno.EADDRINUSE: "the port is in use: stop what holds it, or change [sip] listen",
    errno.EADDRNOTAVAIL: "this machine has no such address: change [sip] listen",
    errno.EACCES: "not permitted: use a port from 1024 up, or change [sip] listen",
}


def bind_udp(endpoint: Endpoint) -> socket.socket:
    return _bind(endpoint, socket.SOCK_DGRAM)


def bind_tcp(endpoint: Endpoint) -> socket.socket:
    """Bound and listening."""
    return _bind(endpoint, socket.SOCK_STREAM)


def bound_endpoint(bound: socket.socket) -> Endpoint:
    host, port = bound.getsockname()[:2]
    return Endpoint(host, port)


def _bind(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    try:
        return _open(endpoint, kind)
    except OSError as error:
        name = "udp" if kind == socket.SOCK_DGRAM else "tcp"
        remedy = _REMEDIES.get(error.errno or 0, f"{error.strerror}: change [sip] listen")
        raise Unavailable(f"cannot listen on {name}:{endpoint}: {remedy}") from error


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
