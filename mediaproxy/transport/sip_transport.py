"""The shell around a sans-IO SIP protocol: bytes in, `Transmit` out, time read at the edge."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.framing import Broken
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import NO_TRANSACTION, TransactionId, Transmit
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import answer_malformed
from mediaproxy.transport.certificates import Contexts
from mediaproxy.transport.connections import Connections, OnUnfit
from mediaproxy.transport.counters import TransportCounters
from mediaproxy.transport.driver import Driver
from mediaproxy.transport.tcp import TcpConnection
from mediaproxy.transport.udp import UdpListener

OnMessage = Callable[[bytes, Flow, bool, int], None]
"""`(data, flow, sent, at_ns)`: each message that was understood, and each of ours."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_BLANK = b"\r\n\t \x00"  # what phones send to keep a NAT binding open


class SipProtocol(Protocol[T_co]):
    """What this shell runs: `sip.TransactionLayer`, or whatever stands upon it."""

    def receive_message(self, message: Request | Response, flow: Flow, *, now_ns: int) -> None: ...
    def transport_failed(self, transaction: TransactionId, *, now_ns: int) -> None: ...
    def handle_timer(self, *, now: float) -> None: ...
    def next_deadline(self) -> float | None: ...
    def drain(self) -> Sequence[T_co]: ...


class SipTransport(Generic[T]):
    """Build it inside the running loop; `start`, then `settle` after each input from elsewhere.

    `on_output` gets every output of the protocol that is no `Transmit`, in order.
    """

    def __init__(
        self,
        protocol: SipProtocol[T],
        on_output: Callable[[T], None],
        *,
        on_message: OnMessage = lambda data, flow, sent, at_ns: None,
        contexts: Contexts | None = None,
        on_unfit: OnUnfit | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.counters = TransportCounters()
        self._on_message = on_message
        self._protocol = protocol
        self._on_output = on_output
        self._clock_ns = clock_ns
        self._udp: dict[Endpoint, UdpListener] = {}
        self._streams: list[tuple[str, Endpoint]] = []
        self._connections = Connections(
            self, self.counters, contexts=contexts, on_unfit=on_unfit, clock_ns=clock_ns
        )
        self._driver: Driver[T] = Driver(protocol, self._perform, clock_ns=clock_ns)

    @property
    def endpoints(self) -> tuple[tuple[str, Endpoint], ...]:
        """What is bound: ("udp", "tcp" or "tls", endpoint)."""
        return (*(("udp", endpoint) for endpoint in self._udp), *self._streams)

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self, listeners: Iterable[tuple[str, Endpoint]]) -> None:
        """Bind all or, with `Unavailable`, none."""
        try:
            for transport, endpoint in listeners:
                if transport == "udp":
                    listener = UdpListener(endpoint, self._datagram, clock_ns=self._clock_ns)
                    self._udp[listener.endpoint] = listener
                else:
                    self._streams.append((transport, await self._connections.listen(transport, endpoint)))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close everything; what TCP still has to send gets a moment. Idempotent."""
        self._driver.close()
        for listener in self._udp.values():
            listener.close()
        await self._connections.close()

    def settle(self) -> None:
        """Perform what the protocol wants after an input that did not come through here."""
        self._driver.settle()

    def renew(self, contexts: Contexts) -> None:
        """For the handshakes to come; what is connected stays so."""
        self._connections.contexts = contexts

    def flow_to(self, transport: str, remote: Endpoint, names: tuple[str, ...] = ()) -> Flow | None:
        """A flow to `remote` from the first listener that can reach it."""
        for bound, local in self.endpoints:
            if bound == transport and local.family is remote.family:
                return Flow(transport, local, remote, names=names)
        return None

    # -- inputs

    def message_arrived(self, data: bytes, flow: Flow, now_ns: int) -> None:
        try:
            message = parse_message(data)
        except Malformed as error:
            return self._answer_malformed(data, error, flow)
        self.counters.received += 1
        self._on_message(data, flow, False, now_ns)
        try:
            self._protocol.receive_message(message, flow, now_ns=now_ns)
        finally:
            self._driver.settle()

    def stream_broken(self, broken: Broken, connection: TcpConnection) -> None:
        self.counters.streams_broken += 1
        self._answer_malformed(broken.head, broken.error, connection.flow)
        connection.close()

    def transmit_failed(self, transmit: Transmit) -> None:
        if transmit.transaction == NO_TRANSACTION:
            return
        try:
            self._protocol.transport_failed(transmit.transaction, now_ns=self._clock_ns())
        finally:
            self._driver.settle()

    def _datagram(self, data: bytes, local: Endpoint, remote: Endpoint, now_ns: int) -> None:
        if not data.strip(_BLANK):
            self.counters.keep_alives += 1
            return
        self.message_arrived(data, Flow("udp", local, remote), now_ns)

    def _answer_malformed(self, data: bytes, error: Malformed, flow: Flow) -> None:
        self.counters.malformed += 1
        answer = answer_malformed(data, error, flow.remote)
        if answer is None:
            return
        self.counters.malformed_answered += 1
        response, reply_to = answer
        self._send(Transmit(flow if flow.reliable else flow._replace(remote=reply_to), response))

    # -- outputs

    def _perform(self, output: T) -> None:
        if isinstance(output, Transmit):
            self._send(output)
        else:
            self._on_output(output)

    def _send(self, transmit: Transmit) -> None:
        self._on_message(transmit.data, transmit.flow, True, self._clock_ns())
        if transmit.flow.reliable:
            self._connections.send(transmit)
        else:
            self._send_datagram(transmit)

    def _send_datagram(self, transmit: Transmit) -> None:
        listener = self._udp.get(transmit.flow.local)
        try:
            if listener is None:
                raise OSError("no such listener")
            listener.send(transmit.data, transmit.flow.remote)
        except BlockingIOError:
            self.counters.send_dropped += 1
        except OSError:
            self.counters.send_failed += 1
            self.transmit_failed(transmit)
        else:
            self.counters.sent += 1
