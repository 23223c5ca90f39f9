"""The server's end of a transaction (RFC 3261 17.2), a 2xx to an INVITE included (13.3.1.4)."""

from mediaproxy.errors import Misuse
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.machines import INVITE_SERVER, SERVER, Action, Input, State
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import (
    AckMissing,
    AckReceived,
    Output,
    RequestReceived,
    TransactionId,
    Transmit,
    TransportFailed,
)
from mediaproxy.sip.responses import respond
from mediaproxy.sip.transaction import Key, Shared, Transaction

_ACKNOWLEDGED = frozenset({State.ACKNOWLEDGED, State.CONFIRMED})


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
        self._response = None  # large, and nobody reads it again

    def receive_ack(self, ack: Request, now_ns: int) -> None:
        self._ack = ack
        self.step(Input.ACK, now_ns)
        self._ack = None
        if self.state in _ACKNOWLEDGED:
            self._data = b""  # what is acknowledged is repeated no more

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
