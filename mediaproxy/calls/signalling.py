"""The transactions of one call: every request of ours and every one that waits for our answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from mediaproxy.calls.context import Context
from mediaproxy.calls.leg import Leg
from mediaproxy.ids import CallId
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import RequestReceived, TransactionId
from mediaproxy.sip.responses import respond

REQUEST_TIMEOUT, UNREACHABLE = 408, 503  # what silence and a dead flow amount to (8.1.3.1)
_CHALLENGES = frozenset({401, 407})


class Reply(NamedTuple):
    """What came of a request of ours. Without a response, `status` says what the lack amounts to."""

    transaction: TransactionId
    status: int
    arrived_ns: int
    response: Response | None = None

    @property
    def passed_status(self) -> int:
        """What the other leg is told. A challenge was for us; its client has nothing to answer it with."""
        return 403 if self.status in _CHALLENGES else self.status

    @property
    def passed_reason(self) -> str | None:
        return self.response.reason if self.response and self.status == self.passed_status else None


Listener = Callable[[Reply], None]


@dataclass(slots=True)
class Signalling:
    """Until `close` the call is told of all that belongs to its transactions."""

    context: Context
    call: CallId
    reason: Headers | None = None  # why our CANCELs are sent (RFC 3326): as the other leg gave it
    _listeners: dict[TransactionId, Listener] = field(default_factory=dict)
    _waiting: dict[TransactionId, RequestReceived] = field(default_factory=dict)
    _owned: set[TransactionId] = field(default_factory=set)

    @property
    def idle(self) -> bool:
        """No request of ours is under way."""
        return not self._listeners

    def own(self, transaction: TransactionId) -> None:
        self._owned.add(transaction)
        self.context.owners[transaction] = self.call

    def close(self) -> None:
        for transaction in self._owned:
            self.context.owners.pop(transaction, None)
        self._listeners.clear()

    # -- as UAC

    def send(self, leg: Leg, request: Request, listener: Listener) -> TransactionId:
        return self.send_over(leg.next_flow, request, listener)

    def send_over(self, flow: Flow, request: Request, listener: Listener) -> TransactionId:
        context = self.context
        transaction = context.layer.send_request(request, flow, now_ns=context.now_ns)
        self.own(transaction)
        self._listeners[transaction] = listener
        return transaction

    def receive_reply(self, reply: Reply) -> None:
        """A reply to what is settled already goes nowhere, but for a further fork's answer."""
        listener = self._listeners.get(reply.transaction)
        if reply.status >= 200:
            self._listeners.pop(reply.transaction, None)
        if listener is not None:
            listener(reply)
        elif reply.response is not None:
            context = self.context
            context.forks.reap(context.layer, reply.transaction, reply.response, context.now_ns)

    def acknowledge(
        self,
        leg: Leg,
        transaction: TransactionId,
        number: int,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        assert leg.dialog is not None  # a 2xx has just made or confirmed it
        ack = leg.dialog.ack(number, headers=headers, body=body)
        self.context.layer.send_ack(transaction, ack, leg.next_flow, now_ns=self.context.now_ns)

    def cancel(self, transaction: TransactionId) -> None:
        self.context.layer.cancel(transaction, now_ns=self.context.now_ns, headers=self.reason)

    # -- as UAS

    def expect(self, received: RequestReceived) -> None:
        """This request will be answered; `abandon` answers what was forgotten."""
        self.own(received.transaction)
        self._waiting[received.transaction] = received

    def answer(
        self,
        received: RequestReceived,
        status: int,
        *,
        tag: str | None = None,
        reason: str | None = None,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        """Once only: what has its final answer gets no other one."""
        if received.transaction not in self._waiting:
            return
        if status >= 200:
            del self._waiting[received.transaction]
        response = respond(received.request, status, tag=tag, reason=reason, headers=headers, body=body)
        self.context.layer.send_response(received.transaction, response, now_ns=self.context.now_ns)

    def answer_later(self, transaction: TransactionId, status: int) -> None:
        received = self._waiting.get(transaction)
        if received is not None:
            self.answer(received, status)

    def abandon(self, tag: str) -> None:
        """The call is over: whoever still waits is told so (15.1.2)."""
        for received in list(self._waiting.values()):
            self.answer(received, 487 if received.request.method == "INVITE" else 481, tag=tag)
