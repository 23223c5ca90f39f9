"""Scripted telephones and a whole proxy in virtual time: no socket, no event loop, no clock.

    world = World(plan)
    carrier, alice = world.phone("carrier", CARRIER), world.phone("alice", ALICE)
    alice.answers = [Say(180, after=1.0), Say(200, after=2.5)]
    call = carrier.invite("+15550100")
    world.run(10)
    call.bye()
    world.run(1)

The network loses, delays, repeats and reorders what UDP carries, by a seed.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from mediaproxy.calls.context import Output
from mediaproxy.calls.events import CallBroken, CallEnded, CallRecord, CallStarted, RecordRequested
from mediaproxy.calls.model import Plan, Target
from mediaproxy.calls.plane import Allocate, Allocated, AllocationFailed, PlaneOperation, Release
from mediaproxy.calls.proxy import Proxy
from mediaproxy.ids import CallId
from mediaproxy.net import Endpoint, Family
from mediaproxy.sip.dialog import Dialog, new_call_id, new_tag
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import (
    AckMissing,
    AckReceived,
    Cancelled,
    RequestReceived,
    ResponseReceived,
    TimedOut,
    TransactionId,
    Transmit,
    TransportFailed,
)
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import respond
from mediaproxy.sip.transactions import TransactionLayer

PROXY = Endpoint("127.0.0.1", 15060)
PROXY_6 = Endpoint("::1", 15060)
WALL_OFFSET_NS = 1_767_607_200 * 1_000_000_000
NS = 1_000_000_000
_REFRESHING = frozenset({"INVITE", "UPDATE"})  # the remote target
SDP = (
    "v=0\r\no=- {id} {version} IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n{lines}"
)


def sdp(
    host: str = "127.0.0.9", port: int = 6000, *, formats: str = "0 101", lines: str = "", version: int = 1
) -> bytes:
    family = Endpoint(host, 0).family.value
    text = SDP.format(
        id=port, version=version, family=family, host=host, port=port, formats=formats, lines=lines
    )
    return text.encode()


@dataclass(frozen=True, slots=True)
class Link:
    latency_s: float = 0.01
    jitter_s: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0


class World:
    """Proxy, phones, network, a plane and a log that answer after a while."""

    def __init__(self, plan: Plan, *, link: Link | None = None, seed: int = 0) -> None:
        self.now_ns = 1_000 * NS
        self.link = link or Link()
        self.random = random.Random(seed)
        self.phones: dict[Endpoint, Phone] = {}
        self.plane: list[PlaneOperation] = []
        self.events: list[object] = []
        self.demands: list[RecordRequested] = []
        self.wire: list[tuple[Flow, bytes]] = []  # what the proxy sent
        self.sent: list[tuple[bytes, TransactionId]] = []
        self.row_delay_s: float | None = 0.005
        self.plane_delay_s: float | None = 0.0
        self.ports_left = 1_000
        self.drops: Callable[[bytes], bool] = lambda data: False
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._deadline = 0.0
        self._ports = count(20_000, 4)
        self.proxy = Proxy(
            plan,
            random=self.random.randbytes,
            wall_offset_ns=lambda: WALL_OFFSET_NS,
            layer=TransactionLayer(random_bytes=self.random.randbytes),
            listeners=[Target("udp", PROXY), Target("tcp", PROXY), Target("udp", PROXY_6)],
        )

    def phone(self, name: str, at: Endpoint, *, transport: str = "udp") -> "Phone":
        phone = Phone(self, name, at, transport)
        self.phones[at] = phone
        return phone

    def later(self, after_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now_ns + round(after_s * NS), next(self._order), act))

    def run(self, seconds: float) -> None:
        until = self.now_ns + round(seconds * NS)
        while (at := self._next()) is not None and at <= until:
            self.now_ns = max(self.now_ns, at)
            self._turn()
        self.now_ns = until

    def _next(self) -> int | None:
        actors = (self.proxy, *self.phones.values())
        deadlines = [deadline for actor in actors if (deadline := actor.next_deadline()) is not None]
        self._deadline = min(deadlines, default=0.0)
        times = [round(self._deadline * NS)] if deadlines else []
        if self._heap:
            times.append(self._heap[0][0])
        return min(times, default=None)

    def _turn(self) -> None:
        while self._heap and self._heap[0][0] <= self.now_ns:
            heapq.heappop(self._heap)[2]()
        now = self.now_ns / NS
        if round(self._deadline * NS) <= self.now_ns:  # never a hair before the deadline
            now = max(now, self._deadline)
        self.proxy.handle_timer(now=now)
        self.settle()
        for phone in self.phones.values():
            phone.handle_timer(now=now)

    # -- the proxy's surroundings

    def deliver(self, data: bytes, flow: Flow) -> None:
        """Bytes reach the proxy."""
        self.proxy.receive_message(parse_message(data), flow, now_ns=self.now_ns)
        self.settle()

    def settle(self) -> None:
        for output in self.proxy.drain():
            self._perform(output)

    def _perform(self, output: Output) -> None:
        match output:
            case Transmit(flow, data, transaction):
                self.wire.append((flow, data))
                self.sent.append((data, transaction))
                self.carry(data, flow)
            case RecordRequested():
                self.demands.append(output)
            case CallBroken(_, error):
                raise AssertionError("a call broke") from error
            case CallStarted(call):
                self.events.append(output)
                if self.row_delay_s is not None:
                    self.later(self.row_delay_s, lambda: self._store(call.id))
            case _ if isinstance(output, PlaneOperation):
                self.plane.append(output)
                if isinstance(output, Allocate) and self.plane_delay_s is not None:
                    self.later(self.plane_delay_s, lambda: self._allocate(output))
            case _:
                self.events.append(output)

    def _store(self, call: CallId) -> None:
        self.proxy.row_stored(call, now_ns=self.now_ns)
        self.settle()

    def _allocate(self, wanted: Allocate) -> None:
        self.ports_left -= 1
        if self.ports_left < 0:
            self.tell(AllocationFailed(wanted.call, "no free ports"))
            return
        hosts = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
        port = next(self._ports)
        local = (
            Endpoint(hosts[wanted.families[0]], port),
            Endpoint(hosts[wanted.families[1]], port + 2),
        )
        self.tell(Allocated(wanted.call, local))

    def tell(self, event: object) -> None:
        self.proxy.receive_plane_event(event, now_ns=self.now_ns)  # type: ignore[arg-type]  # any plane event
        self.settle()

    # -- the network

    def carry(self, data: bytes, flow: Flow) -> None:
        """From `flow.local` to `flow.remote`; what nobody listens to is lost."""
        if flow.transport == "udp":
            if self.drops(data) or self.random.random() < self.link.loss:
                return
            copies = 2 if self.random.random() < self.link.duplicate else 1
            delays = [self.link.latency_s + self.random.random() * self.link.jitter_s for _ in range(copies)]
        else:
            delays = [self.link.latency_s]
        back = Flow(flow.transport, flow.remote, flow.local, 0 if flow.transport == "udp" else 1)
        for delay in delays:
            self.later(delay, lambda: self._arrive(data, back))

    def _arrive(self, data: bytes, flow: Flow) -> None:
        if flow.local in (PROXY, PROXY_6):
            self.deliver(data, flow)
        elif flow.local in self.phones:
            self.phones[flow.local].receive(data, flow)

    # -- what became of it

    def ended(self) -> list[CallRecord]:
        return [event.call for event in self.events if isinstance(event, CallEnded)]

    @property
    def last(self) -> CallRecord:
        return self.ended()[-1]

    def operations(self, kind: type) -> list[PlaneOperation]:
        return [operation for operation in self.plane if isinstance(operation, kind)]

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def assert_settled(self) -> None:
        """Every call ended once, every port was given back, nothing of a call is left."""
        started = sorted(event.call.id for event in self.events if isinstance(event, CallStarted))
        assert sorted(record.id for record in self.ended()) == started
        allocated = sorted(operation.call for operation in self.operations(Allocate))
        assert sorted(operation.call for operation in self.operations(Release)) == allocated
        assert len(self.proxy) == 0
        assert self.proxy.counters.live == 0


@dataclass(frozen=True, slots=True)
class Say:
    """A response to an INVITE, `after` seconds; `body` None: SDP in 183 and 2xx."""

    status: int
    after: float = 0.0
    body: bytes | None = None
    tag: str | None = None  # another fork's
    headers: tuple[tuple[str, str], ...] = ()
    reason: str | None = None


@dataclass
class PhoneCall:
    """One dialog (or the attempt at one) of a phone."""

    phone: "Phone"
    local_tag: str
    invite: Request | None = None
    transaction: TransactionId | None = None
    responses: list[Response] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)  # received, in order
    acks: list[Request] = field(default_factory=list)
    dialog: Dialog | None = None
    dialogs: list[Dialog] = field(default_factory=list)  # with further forks
    flow: Flow | None = None
    over: bool = False
    received: RequestReceived | None = None
    late_answer: bytes | None = None  # SDP for our ACK

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    @property
    def final(self) -> int | None:
        return next((status for status in self.statuses if status >= 200), None)

    def response(self, status: int) -> Response:
        return next(response for response in self.responses if response.status == status)

    def bye(self, **headers: str) -> None:
        if self.over or self.dialog is None:
            return
        self.over = True
        self.request("BYE", headers=Headers.of(*headers.items()))

    def cancel(self, **headers: str) -> None:
        assert self.transaction is not None
        more = Headers.of(*headers.items())
        self.phone.layer.cancel(self.transaction, now_ns=self.phone.world.now_ns, headers=more)
        self.phone.flush()

    def request(
        self,
        method: str,
        *,
        headers: Headers | None = None,
        body: bytes = b"",
        content_type: str | None = None,
    ) -> TransactionId:
        assert self.dialog is not None
        assert self.flow is not None
        more = Headers.of(("Contact", f"<{self.phone.uri}>")) if method in _REFRESHING else Headers()
        if body:
            more = more.appended("Content-Type", content_type or "application/sdp")
        request = self.dialog.request(method, headers=more + (headers or Headers()), body=body)
        return self.phone.send(self, request, self.flow)


class Phone:
    """A user agent that does as its script says; what is not scripted is answered sensibly."""

    def __init__(self, world: World, name: str, at: Endpoint, transport: str) -> None:
        self.world = world
        self.name = name
        self.at = at
        self.transport = transport
        self.layer = TransactionLayer(random_bytes=world.random.randbytes)
        self.media = sdp(at.host, 6000 + at.port % 1000)
        self.answers: list[Say] = [Say(180, after=0.5), Say(200, after=1.0)]
        self.reinvite_answers: list[Say] = [Say(200, after=0.05)]
        self.info_status = 200
        self.update_answer = Say(200)
        self.calls: list[PhoneCall] = []
        self.silent = False  # receives, but is deaf
        self.bye_after_s: float | None = None  # hangs up so long after its call was confirmed
        self._by_tag: dict[str, PhoneCall] = {}
        self._by_transaction: dict[TransactionId, PhoneCall] = {}

    @property
    def uri(self) -> str:
        transport = "" if self.transport == "udp" else f";transport={self.transport}"
        return f"sip:{self.name}@{self.at}{transport}"

    @property
    def flow(self) -> Flow:
        proxy = PROXY if self.at.family is Family.IPV4 else PROXY_6
        return Flow(self.transport, self.at, proxy, 0 if self.transport == "udp" else 1)

    # -- calling

    def invite(
        self,
        number: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        content_type: str = "application/sdp",
        uri: str | None = None,
        max_forwards: int = 70,
    ) -> PhoneCall:
        call = self._new_call(new_tag(self.world.random.randbytes))
        body = self.media if body is None else body
        uri = uri or f"sip:{number}@127.0.0.1:15060"
        lines = Headers.of(
            ("Max-Forwards", max_forwards),
            ("From", f'"Carol C" <sip:{self.name}@carrier.example>;tag={call.local_tag}'),
            ("To", f"<{uri}>"),
            ("Call-ID", new_call_id(self.world.random.randbytes)),
            ("CSeq", "1 INVITE"),
            ("Contact", f"<{self.uri}>"),
            *headers,
        )
        if body:
            lines = lines.appended("Content-Type", content_type)
        call.invite = Request("INVITE", uri, lines, body)
        call.flow = self.flow
        call.transaction = self.send(call, call.invite, self.flow)
        return call

    def send(self, call: PhoneCall, request: Request, flow: Flow) -> TransactionId:
        transaction = self.layer.send_request(request, flow, now_ns=self.world.now_ns)
        self._by_transaction[transaction] = call
        self.flush()
        return transaction

    def _new_call(self, tag: str) -> PhoneCall:
        call = PhoneCall(self, tag)
        self.calls.append(call)
        self._by_tag[tag] = call
        return call

    # -- the driver

    def receive(self, data: bytes, flow: Flow) -> None:
        if not self.silent:
            self.layer.receive_message(parse_message(data), flow, now_ns=self.world.now_ns)
            self.flush()

    def handle_timer(self, *, now: float) -> None:
        self.layer.handle_timer(now=now)
        self.flush()

    def next_deadline(self) -> float | None:
        return self.layer.next_deadline()

    def flush(self) -> None:
        while outputs := self.layer.drain():
            for output in outputs:
                if isinstance(output, Transmit):
                    self.world.carry(output.data, output.flow)
                else:
                    self._act(output)

    def _act(self, event: object) -> None:
        match event:
            case RequestReceived():
                self._receive_request(event)
            case ResponseReceived(transaction, response):
                if transaction in self._by_transaction:
                    self._receive_response(self._by_transaction[transaction], transaction, response)
            case Cancelled(transaction):
                call = self._by_transaction[transaction]
                assert call.received is not None
                self.respond(call, call.received, Say(487))
            case AckReceived(transaction, request):
                self._by_transaction[transaction].acks.append(request)
                if self.bye_after_s is not None:
                    self.world.later(self.bye_after_s, self._by_transaction[transaction].bye)
            case AckMissing(transaction):
                self._by_transaction[transaction].failures.append("ack")
                self._by_transaction[transaction].bye()
            case TimedOut(transaction) | TransportFailed(transaction):
                if transaction in self._by_transaction:
                    self._by_transaction[transaction].failures.append(type(event).__name__)

    # -- as UAC

    def _receive_response(self, call: PhoneCall, transaction: TransactionId, response: Response) -> None:
        call.responses.append(response)
        if response.cseq.method != "INVITE" or not 200 <= response.status < 300:
            return
        assert call.flow is not None
        if call.dialog is None:
            assert call.invite is not None
            call.dialog = Dialog.uac(call.invite, response)
            if self.bye_after_s is not None:
                self.world.later(self.bye_after_s, call.bye)
        dialog = call.dialog
        if dialog.id.remote_tag != response.to.tag:
            assert call.invite is not None
            dialog = Dialog.uac(call.invite, response)
            call.dialogs.append(dialog)
        dialog.refresh(response.contact)
        headers, body = None, b""
        if call.late_answer is not None:
            headers, body = Headers.of(("Content-Type", "application/sdp")), call.late_answer
            call.late_answer = None
        ack = dialog.ack(response.cseq.number, headers=headers, body=body)
        self.layer.send_ack(transaction, ack, call.flow, now_ns=self.world.now_ns)

    # -- as UAS

    def _receive_request(self, received: RequestReceived) -> None:
        request = received.request
        call = self._by_tag.get(request.to.tag or "")
        if call is None and request.method == "INVITE":
            call = self._new_call(new_tag(self.world.random.randbytes))
            call.invite = request
            call.flow = received.flow
        elif call is None:
            return self._answer(received, 481)
        assert call is not None
        self._by_transaction[received.transaction] = call
        call.requests.append(request)
        if call.dialog is not None and (status := call.dialog.receive_request(request)) is not None:
            return self._answer(received, status)
        if request.method == "INVITE":
            call.received = received
            script = self.answers if call.dialog is None else self.reinvite_answers
            for say in script:
                self.world.later(say.after, lambda say=say: self.respond(call, received, say))
            return None
        if request.method == "UPDATE":
            say = self.update_answer if request.body else replace(self.update_answer, body=b"")
            return self.world.later(say.after, lambda: self.respond(call, received, say))
        if request.method == "BYE":
            call.over = True
        return self._answer(received, self.info_status if request.method == "INFO" else 200)

    def _answer(self, received: RequestReceived, status: int) -> None:
        response = respond(received.request, status, tag="none")
        self.layer.send_response(received.transaction, response, now_ns=self.world.now_ns)

    def respond(self, call: PhoneCall, received: RequestReceived, say: Say) -> None:
        headers = Headers.of(("Contact", f"<{self.uri}>"), *say.headers)
        wants_body = say.status == 183 or 200 <= say.status < 300
        body = (self.media if wants_body else b"") if say.body is None else say.body
        if body:
            headers = headers.appended("Content-Type", "application/sdp")
        tag = say.tag or call.local_tag
        self._by_tag[tag] = call
        response = respond(
            received.request, say.status, tag=tag, reason=say.reason, headers=headers, body=body
        )
        if call.dialog is not None and call.dialog.id.local_tag != tag:  # another fork, behind a proxy
            self.world.carry(response.encode(), received.flow)
            return
        if 200 <= say.status < 300 and call.dialog is None:
            call.dialog = Dialog.uas(received.request, tag)
        self.layer.send_response(received.transaction, response, now_ns=self.world.now_ns)
        self.flush()
