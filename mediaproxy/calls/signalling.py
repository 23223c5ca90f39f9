"""The transactions of one call: every request of ours and every one that waits for our answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from mediaproxy.calls.context import Context
from mediaproxy.calls.leg import Leg
from mediaproxy.calls.model import Trunk
from mediaproxy.calls.trunk_account import proofs, proven
from mediaproxy.calls.trunk_headers import towards
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
MAX_CHALLENGES = 2  # of one request: the second because the first one's nonce was stale


@dataclass(slots=True)
class Sent:
    """A request to a trunk that may challenge it. Whoever sent it knows it by its first transaction."""

    first: TransactionId
    leg: Leg
    request: Request
    flow: Flow
    resent: Callable[[Request], None] | None
    challenged: int = 0
    cancelled: bool = False


@dataclass(slots=True)
class Signalling:
    """Until `close` the call is told of all that belongs to its transactions."""

    context: Context
    call: CallId
    _listeners: dict[TransactionId, Listener] = field(default_factory=dict)
    _waiting: dict[TransactionId, RequestReceived] = field(default_factory=dict)
    _owned: set[TransactionId] = field(default_factory=set)
    _sent: dict[TransactionId, Sent] = field(default_factory=dict)  # by each of their transactions
    _latest: dict[TransactionId, TransactionId] = field(default_factory=dict)  # by the first one

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
        self._sent.clear()

    # -- as UAC

    def send(
        self,
        leg: Leg,
        request: Request,
        listener: Listener,
        resent: Callable[[Request], None] | None = None,
    ) -> TransactionId:
        """A trunk's challenge is answered here: the listener hears of it when that fails alone, and `resent`
        what went out instead. The transaction's name stays the first one's."""
        request, flow = towards(request, leg.peer), leg.next_flow
        transaction = self._open(request, flow)
        self._listeners[transaction] = listener
        if isinstance(leg.peer, Trunk) and leg.peer.register is not None:
            self._sent[transaction] = Sent(transaction, leg, request, flow, resent)
        return transaction

    def latest(self, transaction: TransactionId) -> TransactionId:
        """By which the layer knows it now."""
        return self._latest.get(transaction, transaction)

    def _open(self, request: Request, flow: Flow) -> TransactionId:
        context = self.context
        transaction = context.layer.send_request(request, flow, now_ns=context.now_ns)
        self.own(transaction)
        return transaction

    def _prove(self, sent: Sent, response: Response) -> bool:
        """Whether the request went out once more, with what its challenge asks for (22.2, 22.3)."""
        if sent.cancelled:
            return False
        account = self.context.trunk_accounts.get(sent.leg.peer.name)
        proof = None if account is None else account.prove(sent.request, response, sent.flow)
        if proof is None or sent.challenged >= MAX_CHALLENGES or (sent.challenged and not proof.stale):
            return False
        sent.challenged += 1
        dialog = sent.leg.dialog
        if dialog is not None:
            dialog.local_seq += 1
        number = sent.request.cseq.number + 1 if dialog is None else dialog.local_seq
        sent.request = proven(sent.request, number, proof)
        if sent.resent is not None:
            sent.resent(sent.request)
        transaction = self._open(sent.request, sent.flow)
        self._sent[transaction] = sent
        self._latest[sent.first] = transaction
        return True

    def receive_reply(self, reply: Reply) -> None:
        """A reply to what is settled already goes nowhere, but for a further fork's answer."""
        sent = self._sent.get(reply.transaction)
        if sent is not None:
            waits = sent.first in self._listeners and reply.status in _CHALLENGES
            if waits and reply.response is not None and self._prove(sent, reply.response):
                return
            reply = reply._replace(transaction=sent.first)
        listener = self._listeners.get(reply.transaction)
        if reply.status >= 200:
            self._listeners.pop(reply.transaction, None)
        if listener is not None:
            listener(reply)
        elif reply.response is not None:
            context = self.context
            latest = self.latest(reply.transaction)
            context.forks.reap(context.layer, latest, reply.response, context.now_ns)

    def acknowledge(
        self,
        leg: Leg,
        transaction: TransactionId,
        number: int,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        assert leg.dialog is not None  # a 2xx has just made or confirmed it
        sent, flow = self._sent.get(transaction), leg.next_flow
        if sent is not None and sent.challenged:
            number, transaction = sent.request.cseq.number, self.latest(transaction)
            if flow.remote == sent.flow.remote:
                headers = proofs(sent.request) + (headers or Headers())
        ack = leg.dialog.ack(number, headers=headers, body=body)
        self.context.layer.send_ack(transaction, ack, flow, now_ns=self.context.now_ns)

    def cancel(self, transaction: TransactionId) -> None:
        if transaction in self._sent:
            self._sent[transaction].cancelled = True  # and is not sent again
        self.context.layer.cancel(self.latest(transaction), now_ns=self.context.now_ns)

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
