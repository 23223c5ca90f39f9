"""A recording-aware leg is told that what it says is recorded now, or no longer (RFC 7866 6.1).

A re-INVITE of ours to this leg alone: what it was told last, with another `a=record`. The other leg
hears nothing of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mediaproxy.calls.leg import Leg
from mediaproxy.calls.media import Media
from mediaproxy.calls.signalling import Reply, Signalling
from mediaproxy.calls.wire import SDP, own_headers
from mediaproxy.errors import Malformed
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Message
from mediaproxy.sip.outputs import TransactionId

AWARE = "record-aware"
PENDING = 491  # it is asking us something itself


def is_aware(message: Message) -> bool:
    return AWARE in message.headers.tokens("supported")


@dataclass(slots=True)
class Indication:
    """`done` is called with the final status, once."""

    signalling: Signalling
    media: Media
    leg: Leg
    other: Leg
    done: Callable[[int], None]
    over: bool = False
    _sent: TransactionId | None = None
    _number: int = 0

    def start(self) -> None:
        body = self.media.offer_again(self.leg, self.other)
        headers = own_headers(self.leg.flow) + Headers.of(("Supported", AWARE), ("Content-Type", SDP))
        request = self.leg.request("INVITE", headers, body)
        self._number = request.cseq.number
        self._sent = self.signalling.send(self.leg, request, self._receive_reply)

    def give_up(self) -> None:
        """It takes too long, or the call ends."""
        if self._sent is not None and not self.over:
            self.over = True
            self.signalling.cancel(self._sent)

    def _receive_reply(self, reply: Reply) -> None:
        if reply.status < 200:
            return
        if reply.response is not None and reply.status < 300:
            self._confirm(reply)
        was_over, self.over = self.over, True
        if not was_over:
            self.done(reply.status)

    def _confirm(self, reply: Reply) -> None:
        assert reply.response is not None
        assert self._sent is not None
        assert self.leg.dialog is not None
        self.leg.dialog.refresh(reply.response.contact)
        if not self.over:
            try:
                self.media.take_confirmation(self.leg, self.other, reply.response.body)
            except Malformed:
                self.leg.aware = False  # it took the offer and answered nonsense: it is told no more
        self.signalling.acknowledge(self.leg, self._sent, self._number)
