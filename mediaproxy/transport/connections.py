"""TCP and TLS connections of the SIP transport: found by id or by peer, opened on demand, swept when idle."""

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from mediaproxy.clock import NS_PER_S
from mediaproxy.errors import Unavailable
from mediaproxy.limits import MAX_SIP_CONNECTIONS, MAX_SIP_CONNECTIONS_PER_SOURCE
from mediaproxy.net import Endpoint, place_of
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.framing import Broken
from mediaproxy.sip.outputs import Transmit
from mediaproxy.transport.certificates import NOT_PLAIN, NOT_TLS, WRONG_NAME, Contexts, reason_of
from mediaproxy.transport.counters import TransportCounters
from mediaproxy.transport.listening import Acceptor, bind_tcp, bound_endpoint
from mediaproxy.transport.tcp import TcpConnection

CONNECT_S = 5.0
MAX_QUEUED = 256  # messages that wait for one connection to open
SWEEP_S = 8.0
FIRST_S = 32.0  # for the first message, or keep-alive, of who connects to us
PARTIAL_S = 32.0  # for a whole message, from its first byte on
STALL_S = 32.0  # for a peer to read what it is sent
IDLE_S = 3600.0  # longer than a call's longest silence; dead peers fall to TCP keep-alive
CLOSE_S = 1.0  # for what is written when we stop
HANDSHAKE_S = 10.0
SHUTDOWN_S = 5.0  # for a TLS peer's farewell
TOLD_S = 1.0  # between two reports of peers that were refused

OnUnfit = Callable[[str, Endpoint, str, int], None]
"""`(transport, remote, reason, untold)`: a peer was refused, and so many before it untold."""


class Receiver(Protocol):
    def message_arrived(self, data: bytes, flow: Flow, now_ns: int) -> None: ...
    def stream_broken(self, broken: Broken, connection: TcpConnection) -> None: ...
    def transmit_failed(self, transmit: Transmit) -> None: ...


class Sought(NamedTuple):
    """What a connection must be to carry something; `names` as in a flow, () unless it is TLS."""

    transport: str
    remote: Endpoint
    names: tuple[str, ...]


class Connections:
    """Owns every TCP socket of the SIP transport.

    `contexts` make the handshakes to come; None: there is no TLS. Whoever replaces them leaves open
    connections as they are.
    """

    def __init__(
        self,
        receiver: Receiver,
        counters: TransportCounters,
        *,
        contexts: Contexts | None = None,
        on_unfit: OnUnfit | None = None,
        most_per_source: int = MAX_SIP_CONNECTIONS_PER_SOURCE,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._most_per_source = most_per_source
        self._accepted_from: Counter[str] = Counter()  # by source
        self.counters = counters
        self.contexts = contexts
        self._on_unfit = on_unfit
        self._untold = 0
        self._told_ns: int | None = None
        self._receiver = receiver
        self._clock_ns = clock_ns
        self._loop = asyncio.get_running_loop()
        self._last_ident = 0
        self._by_ident: dict[int, TcpConnection] = {}
        self._by_remote: dict[tuple[str, Endpoint], TcpConnection] = {}
        self._queued: dict[Sought, list[Transmit]] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._accepting: set[asyncio.Task[None]] = set()  # in the handshake
        self._servers: list[asyncio.Server | Acceptor] = []
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        self._closing = False

    def __len__(self) -> int:
        return len(self._by_ident) + len(self._accepting)

    async def listen(self, transport: str, endpoint: Endpoint) -> Endpoint:
        """Accept connections; returns where. `Unavailable` when the port can't be had."""
        if transport == "tls" and self.contexts is None:
            raise Unavailable(f"cannot listen on tls:{endpoint}: no certificate: set [sip.tls]")
        bound = bind_tcp(endpoint, transport)
        local = bound_endpoint(bound)
        if transport == "tls":
            self._servers.append(Acceptor(bound, lambda accepted: self._accept(accepted, local)))
        else:
            server = await self._loop.create_server(
                lambda: self._make(transport, local, accepted=True), sock=bound
            )
            self._servers.append(server)
        return local

    def send(self, transmit: Transmit) -> None:
        """Over the flow's own connection, else one to the same peer, else a new one."""
        flow = transmit.flow
        if flow.transport == "tls" and self.contexts is None:
            return self._fail(transmit)
        connection = self._by_ident.get(flow.connection)
        if connection is not None:
            return self._write(connection, transmit)
        remote = transmit.fallback if flow.connection and transmit.fallback else flow.remote
        names = (flow.names or (remote.host,)) if flow.transport == "tls" else ()
        connection = self._by_remote.get((flow.transport, remote))
        sought = Sought(flow.transport, remote, names)
        if connection is not None and _is(sought, connection):
            return self._write(connection, transmit)
        return self._queue(transmit, sought)

    async def close(self) -> None:
        self._closing = True
        self._sweeper.cancel()
        for server in self._servers:
            server.close()
        opening = [*self._connecting, *self._accepting]
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        open_now = list(self._by_ident.values())
        for connection in open_now:
            connection.close()
        closed = [connection.closed for connection in open_now]
        if closed:
            _, stuck = await asyncio.wait(closed, timeout=CLOSE_S)
            for connection in open_now if stuck else ():
                connection.abort()
            await asyncio.gather(*closed)

    # -- what connections report

    def connection_opened(self, connection: TcpConnection) -> bool:
        source = place_of(connection.flow.remote.host)
        others = self._accepted_from[source]
        if connection.flow.transport == "tls":  # its handshake still has a place
            others -= 1
        full = connection.accepted and others >= self._most_per_source
        if self._closing or full or len(self._by_ident) >= MAX_SIP_CONNECTIONS:
            self.counters.connections_refused += 1
            return False
        self._accepted_from[source] += connection.accepted
        self._by_ident[connection.ident] = connection
        self._by_remote[_peer_of(connection)] = connection
        return True

    def tls_unexpected(self, connection: TcpConnection) -> None:
        self.counters.wrong_protocol += 1
        self._tell(*_peer_of(connection), NOT_PLAIN)

    def connection_closed(self, connection: TcpConnection) -> None:
        known = self._by_ident.pop(connection.ident, None)
        if known is not None and connection.accepted:
            self._leaves(place_of(connection.flow.remote.host))
        if self._by_remote.get(_peer_of(connection)) is connection:
            del self._by_remote[_peer_of(connection)]

    def message_arrived(self, data: bytes, flow: Flow, now_ns: int) -> None:
        self._receiver.message_arrived(data, flow, now_ns)

    def stream_broken(self, broken: Broken, connection: TcpConnection) -> None:
        self._receiver.stream_broken(broken, connection)

    # -- opening

    def _make(self, transport: str, listener: Endpoint, *, accepted: bool = False) -> TcpConnection:
        self._last_ident += 1
        return TcpConnection(
            self._last_ident, transport, listener, self, accepted=accepted, clock_ns=self._clock_ns
        )

    def _leaves(self, source: str) -> None:
        self._accepted_from[source] -= 1
        if not self._accepted_from[source]:
            del self._accepted_from[source]

    def _accept(self, accepted: socket.socket, local: Endpoint) -> None:
        """Whoever begins a handshake counts already."""
        try:
            remote = Endpoint(*accepted.getpeername()[:2])
        except OSError:  # gone before we looked
            return accepted.close()
        source = place_of(remote.host)
        if len(self) >= MAX_SIP_CONNECTIONS or self._accepted_from[source] >= self._most_per_source:
            self.counters.connections_refused += 1
            return accepted.close()
        self._accepted_from[source] += 1
        task = self._loop.create_task(self._shake_hands(accepted, local, remote))
        self._accepting.add(task)
        task.add_done_callback(partial(self._accepted, accepted, source))
        return None

    def _accepted(self, accepted: socket.socket, source: str, task: asyncio.Task[None]) -> None:
        self._accepting.discard(task)
        self._leaves(source)
        if task.cancelled():  # before it began, nobody else had the socket
            accepted.close()

    async def _shake_hands(self, accepted: socket.socket, local: Endpoint, remote: Endpoint) -> None:
        assert self.contexts is not None  # else nobody listens
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make("tls", local, accepted=True),
                accepted,
                ssl=self.contexts.accepting,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except OSError as error:  # SSLError and TimeoutError are such
            self._unfit(remote, error)

    def _unfit(self, remote: Endpoint, error: OSError) -> None:
        reason = reason_of(error)
        if reason == NOT_TLS:
            self.counters.wrong_protocol += 1
        else:
            self.counters.handshakes_failed += 1
        self._tell("tls", remote, reason)

    def _tell(self, transport: str, remote: Endpoint, reason: str) -> None:
        now_ns = self._clock_ns()
        if self._told_ns is not None and now_ns - self._told_ns < TOLD_S * NS_PER_S:
            self._untold += 1
        elif self._on_unfit is not None:
            self._on_unfit(transport, remote, reason, self._untold)
            self._untold, self._told_ns = 0, now_ns

    def _queue(self, transmit: Transmit, sought: Sought) -> None:
        queue = self._queued.get(sought)
        if queue is None:
            self._queued[sought] = [transmit]
            task = self._loop.create_task(self._connect(transmit.flow.local, sought))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        elif len(queue) < MAX_QUEUED:
            queue.append(transmit)
        else:
            self._fail(transmit)

    async def _connect(self, local: Endpoint, sought: Sought) -> None:
        connection = None
        try:
            connection = await self._open(local, sought)
        except ssl.SSLError as error:
            self._unfit(sought.remote, error)
        except (OSError, ValueError):  # TimeoutError is one; a name that cannot be asked for
            self.counters.connect_failed += 1
        finally:
            queued = self._queued.pop(sought)
        for transmit in queued:
            if connection is None:
                self._fail(transmit)
            else:
                self._write(connection, transmit)

    async def _open(self, local: Endpoint, sought: Sought) -> TcpConnection:
        """From the address that the peer knows us by, which its access list may name."""
        tls: dict[str, Any] = {}
        if sought.transport == "tls":
            assert self.contexts is not None  # else nothing is sent
            tls = {"ssl": self.contexts.connecting, "server_hostname": sought.names[0]}
            tls |= {"ssl_handshake_timeout": HANDSHAKE_S, "ssl_shutdown_timeout": SHUTDOWN_S}
        async with asyncio.timeout(CONNECT_S):
            _, connection = await self._loop.create_connection(
                lambda: self._make(sought.transport, local),
                *sought.remote,
                local_addr=(local.host, 0),
                **tls,
            )
        if not _is(sought, connection):
            connection.abort()
            raise ssl.SSLCertVerificationError(f"{WRONG_NAME} {sought.names[0]}")
        return connection

    def _write(self, connection: TcpConnection, transmit: Transmit) -> None:
        if connection.write(transmit.data):
            self.counters.sent += 1
        else:
            self._fail(transmit)

    def _fail(self, transmit: Transmit) -> None:
        self.counters.send_failed += 1
        self._receiver.transmit_failed(transmit)

    # -- sweeping

    def _sweep(self) -> None:
        now_ns = self._clock_ns()
        for connection in list(self._by_ident.values()):
            if _lasts(connection.stalled_ns, STALL_S, now_ns):
                self.counters.slow_closed += 1
                connection.abort()
            elif _is_overdue(connection, now_ns):
                self.counters.idle_closed += 1
                connection.abort()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def _is_overdue(connection: TcpConnection, now_ns: int) -> bool:
    """Whether nothing came for too long, of a message or at all."""
    waits_for_first = connection.accepted and not connection.heard
    return (
        _lasts(connection.active_ns, IDLE_S, now_ns)
        or _lasts(connection.began_ns, PARTIAL_S, now_ns)
        or (waits_for_first and _lasts(connection.opened_ns, FIRST_S, now_ns))
    )


def _lasts(since_ns: int | None, most_s: float, now_ns: int) -> bool:
    return since_ns is not None and now_ns - since_ns > most_s * NS_PER_S


def _is(sought: Sought, connection: TcpConnection) -> bool:
    return not sought.names or not set(sought.names).isdisjoint(connection.flow.names)


def _peer_of(connection: TcpConnection) -> tuple[str, Endpoint]:
    return connection.flow.transport, connection.flow.remote
