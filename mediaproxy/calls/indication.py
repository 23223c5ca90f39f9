"""A recording-aware leg is told that what it says is recorded now, or no longer (RFC 7866 6.1).

A re-INVITE of ours to this leg alone: what it was told last, with another `a=record`. The other leg
hears nothing of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mediaproxy.calls.context import Context
from mediaproxy.calls.leg import Leg
from mediaproxy.calls.media import Media
from mediaproxy.calls.schedule import CallTimer
from mediaproxy.calls.signalling import Reply, Signalling
from mediaproxy.calls.wire import SDP
from mediaproxy.errors import Malformed
from mediaproxy.ids import CallId
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Message
from mediaproxy.sip.outputs import TransactionId

AWARE = "record-aware"
PENDING = 491  # it is asking us something itself
MAX_PENDING = 3  # times that it is asked again
ANSWER_S = 32.0


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
        headers = self.leg.own_headers + self.leg.session.ask()
        headers += Headers.of(("Supported", AWARE), ("Content-Type", SDP))
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
        self.leg.session.take(reply.response, self.signalling.context.now)
        if not self.over:
            try:
                self.media.take_confirmation(self.leg, self.other, reply.response.body)
            except Malformed:
                self.leg.aware = False  # it took the offer and answered nonsense: it is told no more
        self.signalling.acknowledge(self.leg, self._sent, self._number)


class Indications:
    """Those of one call, one at a time. Who refuses is asked no more."""

    def __init__(self, context: Context, call: CallId, signalling: Signalling, legs: Sequence[Leg]) -> None:
        self._context = context
        self._call = call
        self._signalling = signalling
        self._legs = legs
        self._last: Indication | None = None
        self._pending = 0  # times in a row that both ends asked at once
        self._rests = False  # before it asks once more

    @property
    def asking(self) -> bool:
        return self._last is not None and not self._last.over

    def go_on(self, media: Media) -> None:
        """Tell the next leg that does not know `media.word` yet; whenever nothing else is asked of any."""
        if self.asking or self._rests:
            return
        waiting = (leg for leg in self._legs if leg.aware and leg.offered and leg.indicated != media.word)
        if (leg := next(waiting, None)) is not None:
            other = self._legs[leg.id.other]
            self._last = Indication(self._signalling, media, leg, other, self._answered)
            self._start_timer(ANSWER_S)
            self._last.start()

    def handle_timer(self) -> None:
        """Nobody answers, or it has rested."""
        if self._last is not None and self.asking:
            self._last.give_up()
            self._refused(self._last.leg)
        self._rests = False

    def give_up(self) -> None:
        if self._last is not None:
            self._last.give_up()

    def close(self) -> None:
        self._last = None

    def _answered(self, status: int) -> None:
        self._context.schedule.stop(self._call, CallTimer.INDICATION)
        assert self._last is not None
        leg = self._last.leg
        if status == PENDING and self._pending < MAX_PENDING:
            self._rest(leg)
        elif status >= 300:
            self._refused(leg)
        else:
            self._pending = 0

    def _rest(self, leg: Leg) -> None:
        """Both ends asked at once: again after a while of chance (14.1)."""
        self._pending += 1
        self._rests = True
        leg.indicated = ""
        self._start_timer(2.1 + self._context.random(1)[0] % 20 / 10)

    def _refused(self, leg: Leg) -> None:
        self._pending = 0
        leg.aware = False

    def _start_timer(self, after_s: float) -> None:
        self._context.schedule.start(self._call, CallTimer.INDICATION, self._context.now + after_s)
