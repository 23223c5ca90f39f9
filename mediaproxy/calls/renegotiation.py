"""A re-INVITE or UPDATE on its way through us: one leg asks, the other one agrees or not.

RFC 3261 14, RFC 3311 5. An UPDATE with an offer is as good as a re-INVITE, but for the ACK.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from mediaproxy.calls.leg import Leg
from mediaproxy.calls.media import Media, read
from mediaproxy.calls.signalling import Reply, Signalling
from mediaproxy.calls.wire import copied, has_sdp
from mediaproxy.errors import Malformed
from mediaproxy.sdp.audio import NOT_ACCEPTABLE
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import RequestReceived, TransactionId

TERMINATED, TOO_SLOW = 487, 504  # a re-INVITE cancelled by us; what an UPDATE hears of that (RFC 3311 5.2)
_DIALOG_GONE = frozenset({408, 481})  # 12.2.1.2


class Stage(Enum):
    ASKED = auto()  # the other leg's final response is awaited
    AGREED = auto()  # our 2xx is out, its ACK awaited
    DONE = auto()


@dataclass(slots=True)
class Renegotiation:
    """`settled` is called when media changed, `lost` when a leg turns out to be gone."""

    signalling: Signalling
    media: Media
    leg: Leg
    other: Leg
    received: RequestReceived
    settled: Callable[[], None]
    lost: Callable[[], None]
    onward: str = "INVITE"  # how the other leg is asked: so, or by UPDATE
    stage: Stage = Stage.ASKED
    _sent: TransactionId | None = None
    _number: int = 0
    _unacknowledged: bool = False

    @property
    def is_update(self) -> bool:
        return self.received.request.method == "UPDATE"

    @property
    def offers_late(self) -> bool:
        return not has_sdp(self.received.request)

    def start(self) -> None:
        request = self.received.request
        try:
            body = (
                b"" if self.offers_late else self.media.take_offer(self.leg, self.other, read(request.body))
            )
        except Malformed as error:
            return self._refuse(error.status)
        headers = self.other.own_headers + self.other.session.ask()
        headers += copied(request, self.leg.peer, body=bool(body))
        onward = self.other.request(self.onward, headers, body)
        self._number = onward.cseq.number
        self._sent = self.signalling.send(self.other, onward, self._receive_reply)
        return None

    def give_up(self) -> None:
        """The caller of this re-INVITE cancelled it, or it takes too long. The other leg decides."""
        if self._sent is not None and self.stage is Stage.ASKED and self.onward == "INVITE":
            self.signalling.cancel(self._sent)

    def abort(self) -> None:
        """The call ends."""
        self.give_up()
        if self._unacknowledged:
            self._acknowledge()
        self.stage = Stage.DONE

    def receive_ack(self, ack: Request) -> None:
        if self.stage is not Stage.AGREED:
            return
        self.stage = Stage.DONE
        if self._unacknowledged:
            self._pass_late_answer(ack)

    def _receive_reply(self, reply: Reply) -> None:
        if reply.status < 200:
            return
        if reply.response is None or reply.status >= 300:
            self._pass_refusal(reply)
        else:
            self._unacknowledged = self.onward == "INVITE"
            self._refresh(reply.response)
            if self.stage is Stage.DONE:
                self._acknowledge()  # the call ended meanwhile
            else:
                self._pass_agreement(reply.response)

    def _pass_agreement(self, response: Response) -> None:
        try:
            body = self._take_body(response)
        except Malformed:
            self._acknowledge()
            return self._refuse(NOT_ACCEPTABLE)
        if not self.offers_late:
            self._acknowledge()
        self.stage = Stage.DONE if self.is_update else Stage.AGREED
        session = self.leg.session.accept(self.received.request, self.signalling.context.now)
        headers = self.leg.own_headers + session + copied(response, self.other.peer, body=True)
        self.signalling.answer(
            self.received, response.status, reason=response.reason, headers=headers, body=body
        )
        if not self.offers_late:
            self.settled()
        return None

    def _refresh(self, response: Response) -> None:
        if self.other.dialog is not None:
            self.other.dialog.refresh(response.contact)
        self.other.learn(response)
        self.other.session.take(response, self.signalling.context.now)

    def _take_body(self, response: Response) -> bytes:
        if self.offers_late:
            return self.media.take_offer(self.other, self.leg, read(response.body))
        return self.media.take_answer(self.other, self.leg, response.body)

    def _pass_late_answer(self, ack: Request) -> None:
        try:
            body = self.media.take_answer(self.leg, self.other, ack.body)
        except Malformed:
            self._acknowledge()
            return self.lost()
        self._acknowledge(ack, body)
        return self.settled()

    def _pass_refusal(self, reply: Reply) -> None:
        headers = None if reply.response is None else copied(reply.response, self.other.peer, body=False)
        if self.is_update and reply.status == TERMINATED:
            self.signalling.answer(self.received, TOO_SLOW, headers=headers)
        else:
            self.signalling.answer(
                self.received, reply.passed_status, reason=reply.passed_reason, headers=headers
            )
        aborted, self.stage = self.stage is Stage.DONE, Stage.DONE
        if reply.status in _DIALOG_GONE and not aborted:
            self.lost()

    def _refuse(self, status: int) -> None:
        self.stage = Stage.DONE
        self.signalling.answer(self.received, status)

    def _acknowledge(self, ack: Request | None = None, body: bytes = b"") -> None:
        if not self._unacknowledged:
            return
        assert self._sent is not None  # what is acknowledged was sent
        self._unacknowledged = False
        headers = copied(ack, self.leg.peer, body=True) if ack is not None else None
        self.signalling.acknowledge(self.other, self._sent, self._number, headers, body)
