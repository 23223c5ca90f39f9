"""SIP over TCP and TLS: connections that are framed, bounded, reused, and closed when nobody needs them.

TLS is TCP with a handshake before: a connection is made once that is done.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Protocol, cast

from mediaproxy.limits import MAX_SIP_UNSENT_BYTES
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.framing import PONG, Broken, Framed, StreamFramer
from mediaproxy.transport.certificates import names
from mediaproxy.transport.counters import TransportCounters

# A handshake or an alert; no SIP message begins so.
_TLS_BEGINS = (b"\x16\x03", b"\x15\x03")


class ConnectionOwner(Protocol):
    """Whom a connection reports to."""

    counters: TransportCounters

    def connection_opened(self, connection: "TcpConnection") -> bool: ...
    def tls_unexpected(self, connection: "TcpConnection") -> None: ...
    def connection_closed(self, connection: "TcpConnection") -> None: ...
    def message_arrived(self, data: bytes, flow: Flow, now_ns: int) -> None: ...
    def stream_broken(self, broken: Broken, connection: "TcpConnection") -> None: ...


class TcpConnection(asyncio.Protocol):
    """`listener` is the endpoint of ours that the peer may connect to; it is the flow's local one.

    `began_ns` is when the message began that is not whole yet, `stalled_ns` since when the peer has not read
    what is sent; both None while there is none such. `heard`: a message or a keep-alive came.
    """

    def __init__(
        self,
        ident: int,
        transport: str,
        listener: Endpoint,
        owner: ConnectionOwner,
        *,
        accepted: bool = False,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.ident = ident
        self.flow = Flow(transport, listener, Endpoint("", 0), ident)
        self.closed = asyncio.get_running_loop().create_future()
        self.accepted = accepted
        self.active_ns = self.opened_ns = clock_ns()
        self.began_ns: int | None = None
        self.stalled_ns: int | None = None
        self.heard = False
        self._owner = owner
        self._clock_ns = clock_ns
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None

    @property
    def waiting(self) -> bool:
        """A message has begun and is not whole."""
        return self._framer.waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        peer = transport.get_extra_info("peername")
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if peer is None:  # gone before we looked
            return transport.abort()
        proven = names(transport.get_extra_info("peercert"))
        self.flow = self.flow._replace(remote=Endpoint(peer[0], peer[1]), names=proven)
        if not self._owner.connection_opened(self):
            transport.abort()
        return None

    def data_received(self, data: bytes) -> None:
        if self.flow.transport == "tcp" and not self.waiting and data.startswith(_TLS_BEGINS):
            self._owner.tls_unexpected(self)
            return self.abort()
        now_ns = self._clock_ns()
        self.active_ns = now_ns
        frames = self._framer.receive(data)
        self._note(now_ns, whole=bool(frames))
        for frame in frames:
            if isinstance(frame, Framed):
                self._owner.message_arrived(frame.data, self.flow, now_ns)
            elif isinstance(frame, Broken):
                self._owner.stream_broken(frame, self)
            else:
                self._owner.counters.keep_alives += 1
                self.write(PONG)
        return None

    def _note(self, now_ns: int, *, whole: bool) -> None:
        """However slowly a message comes: it began once."""
        if not self.waiting:
            self.began_ns = None
        elif whole or self.began_ns is None:
            self.began_ns = now_ns
        self.heard = self.heard or whole or not self.waiting  # an empty line is a sign of life too

    def pause_writing(self) -> None:
        self.stalled_ns = self._clock_ns()

    def resume_writing(self) -> None:
        self.stalled_ns = None

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        self._owner.connection_closed(self)

    def write(self, data: bytes) -> bool:
        """False when the connection is closing, or is closed now because its peer does not read."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(data) > MAX_SIP_UNSENT_BYTES:
            self._owner.counters.slow_closed += 1
            transport.abort()
            return False
        transport.write(data)
        self.active_ns = self._clock_ns()
        return True

    def close(self) -> None:
        """Once what is written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
