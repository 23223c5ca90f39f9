"""One transaction: a row of `machines` at a time, its actions carried out."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mediaproxy.clock import NS_PER_S
from mediaproxy.errors import Misuse
from mediaproxy.net import Endpoint
from mediaproxy.sip.agenda import Agenda
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.machines import (
    CLIENT,
    DELAYS,
    INTERVALS,
    INVITE_CLIENT,
    INVITE_SERVER,
    SERVER,
    T1,
    Action,
    Input,
    State,
    Table,
)
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import (
    AckMissing,
    AckReceived,
    Output,
    RequestReceived,
    ResponseReceived,
    TimedOut,
    TransactionId,
    Transmit,
    TransportFailed,
)
from mediaproxy.sip.responses import respond

Key = tuple[object, ...]


@dataclass(slots=True)
class Counters:
    """Plain counts for monitoring; none is derived from another."""

    requests: int = 0  # that opened a transaction
    responses: int = 0  # that matched one
    repeated_requests: int = 0  # received again
    repeats: int = 0  # that we sent again
    strays: int = 0  # responses, ACKs and late answers that match nothing any more
    merged: int = 0  # answered 482 (8.2.2.2)
    timeouts: int = 0  # requests of ours that nobody answered
    unacknowledged: int = 0  # final responses of ours whose ACK never came
    unanswered: int = 0  # requests that we ourselves left without an answer
    transport_errors: int = 0
    refused: int = 0  # answered 503 for lack of room


@dataclass(slots=True)
class Shared:
    """What all transactions of a layer write to."""

    agenda: Agenda = field(default_factory=Agenda)
    outputs: list[Output] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)


class Transaction:
    """Steps through its table. `key` is what messages are matched by."""

    __slots__ = (
        "_data",
        "_interval",
        "_shared",
        "_table",
        "deadlines",
        "flow",
        "id",
        "key",
        "request",
        "state",
    )

    def __init__(
        self, ident: TransactionId, key: Key, request: Request, flow: Flow, table: Table, shared: Shared
    ) -> None:
        self.id = ident
        self.key = key
        self.request = request
        self.flow = flow
        self.state = State.INITIAL
        self.deadlines: dict[Input, float] = {}
        self._table = table
        self._shared = shared
        self._data = b""  # what is repeated
        self._interval = T1  # every repetition begins with it

    def step(self, kind: Input, now_ns: int) -> None:
        row = self._table.get((self.state, kind))
        if row is None:
            return
        self.state, actions = row
        for action in actions:
            if action in DELAYS:
                self._start(action, now_ns)
            elif action in INTERVALS:
                self._start_again(action, now_ns)
            else:
                self._perform(action, now_ns)

    def _perform(self, action: Action, now_ns: int) -> None:
        raise NotImplementedError

    def _transmit(self) -> None:
        raise NotImplementedError

    def _start(self, action: Action, now_ns: int) -> None:
        timer, unreliable, reliable = DELAYS[action]
        delay = reliable if self.flow.reliable else unreliable
        if delay == 0.0:
            self.step(timer, now_ns)
        elif delay is not None:
            self._shared.agenda.start(self, timer, now_ns / NS_PER_S + delay)

    def _start_again(self, action: Action, now_ns: int) -> None:
        timer, most, least = INTERVALS[action]
        self._interval = max(min(self._interval * 2, most), least)
        self._shared.agenda.start(self, timer, now_ns / NS_PER_S + self._interval)

    def _repeat(self) -> None:
        if self._data:
            self._shared.counters.repeats += 1
            self._transmit()


class ClientTransaction(Transaction):
    """`silent`: a CANCEL of the layer's own, of which nobody else wants to hear."""

    __slots__ = ("_acks", "_cancel_wanted", "_response", "_send_cancel", "silent")

    def __init__(
        self,
        ident: TransactionId,
        key: Key,
        request: Request,
        flow: Flow,
        shared: Shared,
        send_cancel: Callable[["ClientTransaction", int], None],
        *,
        silent: bool = False,
    ) -> None:
        table = INVITE_CLIENT if request.method == "INVITE" else CLIENT
        super().__init__(ident, key, request, flow, table, shared)
        self.silent = silent
        self._data = request.encode()
        self._response: Response | None = None
        self._send_cancel = send_cancel
        self._cancel_wanted = False
        self._acks: dict[str | None, Transmit | None] = {}  # by To tag: each fork is acknowledged apart

    def receive(self, response: Response, now_ns: int) -> None:
        self._response = response
        if response.status < 200:
            self.step(Input.R1XX, now_ns)
        elif response.status < 300:
            self.step(Input.R2XX, now_ns)
        else:
            self.step(Input.R300_PLUS, now_ns)
        if self._cancel_wanted:
            self.cancel(now_ns)

    def cancel(self, now_ns: int) -> None:
        """A CANCEL must not go out before a provisional response came, nor twice (9.1)."""
        if Input.TIMER_CANCELLED in self.deadlines:
            return
        self._cancel_wanted = self.state is State.CALLING
        self.step(Input.CANCEL, now_ns)

    def acknowledge(self, ack: Request, flow: Flow) -> None:
        """Send the ACK of a 2xx, and again whenever that 2xx is (13.2.2.4)."""
        transmit = Transmit(flow, ack.encode())
        self._acks[ack.to.tag] = transmit
        self._shared.outputs.append(transmit)

    def _transmit(self) -> None:
        self._shared.outputs.append(Transmit(self.flow, self._data, self.id))

    def _perform(self, action: Action, now_ns: int) -> None:
        match action:
            case Action.TRANSMIT:
                self._transmit()
            case Action.PASS_UP:
                self._pass_up(now_ns)
            case Action.STOP_TIMERS:
                self.deadlines.clear()
            case Action.REPEAT:
                self._repeat()
            case Action.SEND_ACK:
                self._send_ack()
            case Action.REPEAT_ACK:
                self._repeat_ack(now_ns)
            case Action.SEND_CANCEL:
                self._send_cancel(self, now_ns)
            case Action.TIME_OUT:
                self._shared.counters.timeouts += 1
                self._tell(TimedOut(self.id))
            case Action.FAIL:
                self._tell(TransportFailed(self.id))
            case _:
                raise Misuse(f"no client action: {action!r}")

    def _tell(self, event: Output) -> None:
        if not self.silent:
            self._shared.outputs.append(event)

    def _pass_up(self, now_ns: int) -> None:
        assert self._response is not None  # the tables pass up responses alone
        if self.state is State.ACCEPTED:
            self._acks[self._response.to.tag] = None
        self._tell(ResponseReceived(self.id, self._response, now_ns))

    def _repeat_ack(self, now_ns: int) -> None:
        assert self._response is not None
        tag = self._response.to.tag
        if tag not in self._acks:
            return self._pass_up(now_ns)  # another fork answered
        transmit = self._acks[tag]
        if transmit is not None:
            self._shared.counters.repeats += 1
            self._shared.outputs.append(transmit)
        return None

    def _send_ack(self) -> None:
        """17.1.1.3: for a final response that is no 2xx, within the transaction."""
        assert self._response is not None
        request = self.request
        headers = Headers.of(("Via", request.via), ("Max-Forwards", 70)) + request.headers.only(
            "route", "from"
        )
        headers += self._response.headers.only("to")
        headers += Headers.of(("Call-ID", request.call_id), ("CSeq", f"{request.cseq.number} ACK"))
        ack = Request("ACK", request.uri, headers)
        self._shared.outputs.append(Transmit(self.flow, ack.encode(), self.id))


class ServerTransaction(Transaction):
    """`dialog_key` finds it when the ACK of a 2xx comes, which has a branch of its own."""

    __slots__ = ("_ack", "_response", "cancelled", "dialog_key", "merge_key", "to_tag")

    def __init__(self, ident: TransactionId, key: Key, request: Request, flow: Flow, shared: Shared) -> None:
        table = INVITE_SERVER if request.method == "INVITE" else SERVER
        super().__init__(ident, key, request, flow, table, shared)
        self.cancelled = False
        self.to_tag: str | None = None  # of the last response
        self.dialog_key: Key | None = None
        self.merge_key: Key | None = None
        self._ack: Request | None = None
        self._response: Response | None = None

    def send(self, response: Response, now_ns: int) -> None:
        self._response = response
        if response.status < 200:
            self.step(Input.SEND_1XX, now_ns)
        elif response.status < 300:
            self.step(Input.SEND_2XX, now_ns)
        else:
            self.step(Input.SEND_300_PLUS, now_ns)

    def receive_ack(self, ack: Request, now_ns: int) -> None:
        self._ack = ack
        self.step(Input.ACK, now_ns)

    def _transmit(self) -> None:
        flow, via = self.flow, self.request.via
        if flow.reliable:
            fallback = Endpoint(flow.remote.host, via.sent_by[1])
            self._shared.outputs.append(Transmit(flow, self._data, self.id, fallback))
        else:
            flow = flow._replace(remote=via.reply_to)
            self._shared.outputs.append(Transmit(flow, self._data, self.id))

    def _perform(self, action: Action, now_ns: int) -> None:
        match action:
            case Action.TRANSMIT:
                self._transmit_response()
            case Action.PASS_UP:
                self._pass_up(now_ns)
            case Action.STOP_TIMERS:
                self.deadlines.clear()
            case Action.REPEAT:
                self._repeat()
            case Action.SEND_TRYING:
                self.send(respond(self.request, 100), now_ns)
            case Action.FAIL:
                self._shared.outputs.append(TransportFailed(self.id))
            case Action.MISS_ACK:
                self._shared.counters.unacknowledged += 1
                self._shared.outputs.append(AckMissing(self.id))
            case Action.COUNT_UNACKNOWLEDGED:
                self._shared.counters.unacknowledged += 1
            case Action.COUNT_UNANSWERED:
                self._shared.counters.unanswered += 1
            case _:
                raise Misuse(f"no server action: {action!r}")

    def _transmit_response(self) -> None:
        assert self._response is not None  # only `send` leads here
        self.to_tag = self._response.to.tag
        self._data = self._response.encode()
        self._transmit()

    def _pass_up(self, now_ns: int) -> None:
        if self._ack is None:
            event: Output = RequestReceived(self.id, self.request, self.flow, now_ns)
        else:
            event = AckReceived(self.id, self._ack, now_ns)
        self._shared.outputs.append(event)
