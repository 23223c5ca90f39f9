"""Keeping sessions alive (RFC 4028 7.4, 10): what we send to refresh them, and when we give them up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mediaproxy.calls.context import Context
from mediaproxy.calls.leg import Leg
from mediaproxy.calls.media import Media
from mediaproxy.calls.plane import LegId
from mediaproxy.calls.schedule import CallTimer
from mediaproxy.calls.signalling import Reply, Signalling
from mediaproxy.calls.wire import SDP
from mediaproxy.errors import Malformed
from mediaproxy.ids import CallId
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.outputs import TransactionId

_TIMERS = {LegId.A: CallTimer.SESSION_A, LegId.B: CallTimer.SESSION_B}
_GONE = frozenset({408, 481})
_UNKNOWN_METHOD = frozenset({405, 501})
TOO_BRIEF = 422
ROUNDING_S = 1e-6  # a deadline must have passed when its timer fires, whatever nanoseconds make of it


@dataclass(slots=True)
class Refreshes:
    """Those of one call. `busy` says whether a re-INVITE would be glare, `expired` ends the call."""

    context: Context
    call: CallId
    signalling: Signalling
    legs: Sequence[Leg]
    busy: Callable[[], bool]
    expired: Callable[[], None]
    _sent: dict[LegId, TransactionId] = field(default_factory=dict)
    _inviting: set[LegId] = field(default_factory=set)
    _scheduled: dict[LegId, float] = field(default_factory=dict)

    @property
    def asking(self) -> bool:
        """An offer of ours is unanswered."""
        return bool(self._inviting)

    def watch(self) -> None:
        """Bring the timers up to what was agreed meanwhile."""
        for leg in self.legs:
            due = None if leg.id in self._sent else leg.session.refresh_at
            times = [at for at in (due, leg.session.expires_at) if at is not None]
            self._schedule(leg, min(times, default=None))

    def handle_timer(self, leg: Leg, media: Media) -> None:
        self._scheduled.pop(leg.id, None)
        session, now = leg.session, self.context.now + ROUNDING_S
        if session.expires_at is not None and session.expires_at <= now:
            return self.expired()
        if leg.id not in self._sent and session.refresh_at is not None and session.refresh_at <= now:
            self._refresh(leg, media)
        return None

    def give_up(self) -> None:
        """The call ends."""
        for leg_id in self._inviting:
            self.signalling.cancel(self._sent[leg_id])

    def close(self) -> None:
        """Let go of the call, so that no garbage collector is needed."""
        self.busy, self.expired = _idle, _ignore
        self._sent.clear()

    def _schedule(self, leg: Leg, at: float | None) -> None:
        if at == self._scheduled.get(leg.id):
            return
        if at is None:
            del self._scheduled[leg.id]
            self.context.schedule.stop(self.call, _TIMERS[leg.id])
        else:
            self._scheduled[leg.id] = at
            self.context.schedule.start(self.call, _TIMERS[leg.id], at)

    def _refresh(self, leg: Leg, media: Media) -> None:
        headers = leg.own_headers + leg.session.ask()
        if leg.updates:
            request = leg.request("UPDATE", headers)
        elif self.busy():
            return self._rest(leg)
        else:  # the same description, with the same version: nothing is to change (7.4)
            self._inviting.add(leg.id)
            request = leg.request("INVITE", headers + Headers.of(("Content-Type", SDP)), leg.told)
        number = request.cseq.number

        def listen(reply: Reply) -> None:
            self._receive_reply(leg, media, number, reply)

        self._sent[leg.id] = self.signalling.send(leg, request, listen)
        return None

    def _receive_reply(self, leg: Leg, media: Media, number: int, reply: Reply) -> None:
        if reply.status < 200:
            return
        sent = self._sent.pop(leg.id)
        invited = leg.id in self._inviting
        self._inviting.discard(leg.id)
        if reply.response is not None and reply.status < 300:
            self._confirm(leg, reply)
            if invited:
                self._take_answer(leg, media, reply.response.body)
                self.signalling.acknowledge(leg, sent, number)
        elif reply.status in _GONE:
            self.expired()
        else:
            self._ask_again(leg, reply)

    def _confirm(self, leg: Leg, reply: Reply) -> None:
        assert reply.response is not None
        assert leg.dialog is not None
        leg.dialog.refresh(reply.response.contact)
        leg.learn(reply.response)
        leg.session.take(reply.response, self.context.now)

    def _take_answer(self, leg: Leg, media: Media, body: bytes) -> None:
        try:
            media.take_refreshed(leg, body)
        except Malformed:
            return  # nothing was to change, and nothing does

    def _ask_again(self, leg: Leg, reply: Reply) -> None:
        if reply.status in _UNKNOWN_METHOD:
            leg.updates = False
        lengthened = (
            reply.status == TOO_BRIEF and reply.response is not None and leg.session.lengthen(reply.response)
        )
        if lengthened or reply.status in _UNKNOWN_METHOD:
            leg.session.retry_at = self.context.now
        else:
            self._rest(leg)

    def _rest(self, leg: Leg) -> None:
        """As after a 491 (RFC 3261 14.1), until the session is over."""
        leg.session.retry_at = self.context.now + 2.1 + self.context.random(1)[0] % 20 / 10


def _idle() -> bool:
    return False


def _ignore() -> None:
    """The call is over."""
