"""The TCP connections of the SIP transport: found by id or by peer, opened on demand, swept when idle."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from mediaproxy.clock import NS_PER_S
from mediaproxy.limits import MAX_SIP_CONNECTIONS
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.framing import Broken
from mediaproxy.sip.outputs import Transmit
from mediaproxy.transport.counters import TransportCounters
from mediaproxy.transport.listening import bind_tcp, bound_endpoint
from mediaproxy.transport.tcp import TcpConnection

CONNECT_S = 5.0
MAX_QUEUED = 256  # messages that wait for one connection to open
SWEEP_S = 8.0
PARTIAL_S = 32.0  # for the rest of a message that has begun
IDLE_S = 3600.0  # longer than a call's longest silence; dead peers fall to TCP keep-alive
CLOSE_S = 1.0  # for what is written when we stop


class Receiver(Protocol):
    def message_arrived(self, data: bytes, flow: Flow, now_ns: int) -> None: ...
    def stream_broken(self, broken: Broken, connection: TcpConnection) -> None: ...
    def transmit_failed(self, transmit: Transmit) -> None: ...


class Connections:
    """Owns every TCP socket of the SIP transport."""

    def __init__(
        self,
        receiver: Receiver,
        counters: TransportCounters,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.counters = counters
        self._receiver = receiver
        self._clock_ns = clock_ns
        self._loop = asyncio.get_running_loop()
        self._last_ident = 0
        self._by_ident: dict[int, TcpConnection] = {}
        self._by_remote: dict[Endpoint, TcpConnection] = {}
        self._queued: dict[Endpoint, list[Transmit]] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        self._closing = False

    def __len__(self) -> int:
        return len(self._by_ident)

    async def listen(self, endpoint: Endpoint) -> Endpoint:
        """Accept connections; returns where. `Unavailable` when the port can't be had."""
        bound = bind_tcp(endpoint)
        local = bound_endpoint(bound)
        server = await self._loop.create_server(lambda: self._make(local), sock=bound)
        self._servers.append(server)
        return local

    def send(self, transmit: Transmit) -> None:
        """Over the flow's own connection, else one to the same peer, else a new one."""
        flow = transmit.flow
        connection = self._by_ident.get(flow.connection)
        remote = flow.remote
        if connection is None:
            remote = transmit.fallback if flow.connection and transmit.fallback else flow.remote
            connection = self._by_remote.get(remote)
        if connection is None:
            self._queue(transmit, remote)
        else:
            self._write(connection, transmit)

    async def close(self) -> None:
        self._closing = True
        self._sweeper.cancel()
        for server in self._servers:
            server.close()
        connecting = list(self._connecting)
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)
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
        if self._closing or len(self._by_ident) >= MAX_SIP_CONNECTIONS:
            self.counters.connections_refused += 1
            return False
        self._by_ident[connection.ident] = connection
        self._by_remote[connection.flow.remote] = connection
        return True

    def connection_closed(self, connection: TcpConnection) -> None:
        self._by_ident.pop(connection.ident, None)
        if self._by_remote.get(connection.flow.remote) is connection:
            del self._by_remote[connection.flow.remote]

    def message_arrived(self, data: bytes, flow: Flow, now_ns: int) -> None:
        self._receiver.message_arrived(data, flow, now_ns)

    def stream_broken(self, broken: Broken, connection: TcpConnection) -> None:
        self._receiver.stream_broken(broken, connection)

    # -- opening

    def _make(self, listener: Endpoint) -> TcpConnection:
        self._last_ident += 1
        return TcpConnection(self._last_ident, listener, self, clock_ns=self._clock_ns)

    def _queue(self, transmit: Transmit, remote: Endpoint) -> None:
        queue = self._queued.get(remote)
        if queue is None:
            self._queued[remote] = [transmit]
            task = self._loop.create_task(self._connect(transmit.flow.local, remote))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        elif len(queue) < MAX_QUEUED:
            queue.append(transmit)
        else:
            self._fail(transmit)

    async def _connect(self, local: Endpoint, remote: Endpoint) -> None:
        connection = None
        try:
            async with asyncio.timeout(CONNECT_S):
                # From the address that the peer knows us by, which its access list may name.
                _, connection = await self._loop.create_connection(
                    lambda: self._make(local), remote.host, remote.port, local_addr=(local.host, 0)
                )
        except OSError:  # TimeoutError is one
            self.counters.connect_failed += 1
        finally:
            queued = self._queued.pop(remote)
        for transmit in queued:
            if connection is None:
                self._fail(transmit)
            else:
                self._write(connection, transmit)

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
            idle_s = (now_ns - connection.active_ns) / NS_PER_S
            if idle_s > IDLE_S or (connection.waiting and idle_s > PARTIAL_S):
                self.counters.idle_closed += 1
                connection.abort()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
