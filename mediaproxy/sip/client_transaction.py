"""The client's end of a transaction (RFC 3261 17.1), with CANCEL (9.1) and the ACKs of 2xx (13.2.2.4)."""

from collections.abc import Callable

from mediaproxy.errors import Misuse
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.machines import CLIENT, INVITE_CLIENT, Action, Input, State
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import (
    Output,
    ResponseReceived,
    TimedOut,
    TransactionId,
    Transmit,
    TransportFailed,
)
from mediaproxy.sip.transaction import Key, Shared, Transaction

_REPEATING = frozenset({State.CALLING, State.TRYING, State.PROCEEDING})


class ClientTransaction(Transaction):
    """`silent`: a CANCEL of the layer's own, of which nobody else wants to hear."""

    __slots__ = ("_acks", "_cancel_wanted", "_response", "_send_cancel", "cancel_headers", "silent")

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
        self.cancel_headers: Headers | None = None  # what a CANCEL says beyond the INVITE
        self._acks: dict[str | None, Transmit | None] = {}  # by To tag: each fork is acknowledged apart

    def receive(self, response: Response, now_ns: int) -> None:
        self._response = response
        if response.status < 200:
            self.step(Input.R1XX, now_ns)
        elif response.status < 300:
            self.step(Input.R2XX, now_ns)
        else:
            self.step(Input.R300_PLUS, now_ns)
        self._response = None  # large, and nobody reads it again
        if self.state not in _REPEATING:
            self._data = b""
        if self._cancel_wanted:
            self.cancel(now_ns)

    def cancel(self, now_ns: int, headers: Headers | None = None) -> None:
        """A CANCEL must not go out before a provisional response came, nor twice (9.1)."""
        if Input.TIMER_CANCELLED in self.deadlines:
            return
        if headers is not None:
            self.cancel_headers = headers
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
