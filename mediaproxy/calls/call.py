"""The life of a call: what follows what (RFC 3261 9, 13, 15; the coupling of two legs is ours).

A pair (state, input) that is absent is absorbed. In every state a timer of ours or of the transaction
layer runs, or a leg or the plane owes us something; an ended call owes nobody anything.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from mediaproxy.calls.admission import busy, check_invite
from mediaproxy.calls.context import Context
from mediaproxy.calls.coupling import ROW_S, Arrival, Coupling
from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.indication import Indications
from mediaproxy.calls.leg import Leg
from mediaproxy.calls.outcome import Outcome, answered, refused
from mediaproxy.calls.plane import (
    Allocated,
    AllocationFailed,
    DigitsSeen,
    LegId,
    MediaLost,
    MediaTimedOut,
    PlaneEvent,
)
from mediaproxy.calls.refreshes import TOO_BRIEF, Refreshes
from mediaproxy.calls.renegotiation import Renegotiation, Stage
from mediaproxy.calls.schedule import CallTimer
from mediaproxy.calls.signalling import Reply
from mediaproxy.calls.update import ANSWER_S as UPDATE_S
from mediaproxy.calls.update import retry_after
from mediaproxy.calls.wire import ALLOW, SDP, has_sdp
from mediaproxy.net import Endpoint
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import (
    AckMissing,
    AckReceived,
    Cancelled,
    Event,
    RequestReceived,
    ResponseReceived,
    TimedOut,
    TransportFailed,
)

REQUEST_TIMEOUT, UNREACHABLE = 408, 503  # what silence and a dead flow amount to (8.1.3.1)
RENEGOTIATION_S = 32.0


class State(Enum):
    ALLOCATING = auto()  # the plane is asked for ports
    INVITING = auto()  # the callee is asked, and rings perhaps
    CANCELLING = auto()  # ended; the callee's final response is awaited
    ANSWERED = auto()  # the callee's 2xx came; the caller's one waits for the log
    CONFIRMING = auto()  # the caller has its 2xx; its ACK is awaited
    CONFIRMED = auto()
    CLOSING = auto()  # ended; the caller's ACK is awaited, for only then it may get a BYE (15)
    ENDED = auto()  # requests of ours may still be under way


class Input(Enum):
    ALLOCATED = auto()
    ALLOCATION_FAILED = auto()
    PROVISIONAL = auto()
    ANSWERED = auto()  # the first 2xx, with a description that we can anchor
    UNUSABLE = auto()  # the first 2xx, without one
    REFUSED = auto()  # 3xx to 6xx, silence, or nobody there
    RING_TIMEOUT = auto()
    CANCELLED = auto()  # by the caller
    ROW_READY = auto()  # the log has the call, or has taken too long
    ACKED = auto()
    ACK_MISSING = auto()
    CALLER_BYE = auto()
    CALLEE_BYE = auto()
    HANG_UP = auto()  # our own command
    LEG_LOST = auto()  # a leg no longer knows its dialog, or broke offer/answer
    MEDIA_TIMED_OUT = auto()
    MEDIA_LOST = auto()  # what relayed it died
    SESSION_EXPIRED = auto()  # a leg did not refresh it, or no longer answers ours (RFC 4028 10)


class Happening(NamedTuple):
    """An input with what came along."""

    reply: Reply | None = None
    request: Request | None = None  # the BYE or the ACK
    local: tuple[Endpoint, Endpoint] | None = None


NOTHING = Happening()


class Call(Coupling):
    def __init__(self, context: Context, arrival: Arrival, call_record: CallRecord, generation: int) -> None:
        super().__init__(context, arrival, call_record, generation)
        self.state = State.ALLOCATING
        self.renegotiation: Renegotiation | None = None
        self.indications = Indications(context, self.id, self.signalling, self.legs)
        self.refreshes = Refreshes(
            context,
            self.id,
            self.signalling,
            self.legs,
            busy=lambda: self._asked is not None or self.indications.asking,
            expired=lambda: self.step(Input.SESSION_EXPIRED),
        )

    @property
    def is_over(self) -> bool:
        """Nothing of it is left, neither in the log's eyes nor on the wire."""
        return self.state is State.ENDED and self.signalling.idle

    def step(self, kind: Input, happening: Happening = NOTHING) -> None:
        row = TRANSITIONS.get((self.state, kind))
        if row is None:
            return
        self.state, actions = row
        for action in actions:
            action(self, happening)

    def end(self, outcome: Outcome) -> None:
        if self.renegotiation is not None:
            self.renegotiation.abort()
        self.indications.give_up()
        self.refreshes.give_up()
        super().end(outcome)

    def close(self) -> None:
        self.renegotiation = None
        self.indications.close()
        self.refreshes.close()
        super().close()

    # -- inputs

    def receive_event(self, event: Event) -> None:
        match event:
            case ResponseReceived(transaction, response, arrived_ns):
                self.signalling.receive_reply(Reply(transaction, response.status, arrived_ns, response))
            case TimedOut(transaction):
                self.signalling.receive_reply(Reply(transaction, REQUEST_TIMEOUT, self.context.now_ns))
            case TransportFailed(transaction):
                self.signalling.receive_reply(Reply(transaction, UNREACHABLE, self.context.now_ns))
            case Cancelled(transaction, request):
                self._receive_cancel(transaction, request)
            case AckReceived(transaction, request):
                self._receive_ack(transaction, request)
            case AckMissing(transaction):
                self.step(Input.ACK_MISSING if self._is_first(transaction) else Input.LEG_LOST)
            case RequestReceived():
                raise AssertionError("a request is told with its leg")
        self.indicate(None)  # what may have waited for this
        self._watch_sessions()

    def receive_reply(self, reply: Reply) -> None:
        """What the callee says to our INVITE."""
        happening = Happening(reply=reply)
        if self._asks_for_longer(reply):
            return
        if reply.status >= 300 or reply.response is None:
            self.step(Input.REFUSED, happening)
        elif reply.status >= 200:
            usable = self.state is not State.INVITING or self.take_answer(reply.response)
            self.step(Input.ANSWERED if usable else Input.UNUSABLE, happening)
        elif reply.status > 100:
            self.step(Input.PROVISIONAL, happening)

    def receive_request(self, leg_id: LegId, received: RequestReceived) -> None:
        """A request within the dialog of a leg."""
        leg = self.legs[leg_id]
        request = received.request
        self.signalling.expect(received)
        status = self._judge(leg, request)
        if status is not None:
            return self.signalling.answer(received, status)
        if received.flow.reliable or leg.pinned:
            leg.flow = received.flow
        match request.method:
            case "BYE":
                self.signalling.answer(received, 200)
                self.signalling.reason = request.headers.only("reason")
                kind = Input.CALLER_BYE if leg is self.caller else Input.CALLEE_BYE
                self.step(kind, Happening(request=request))
            case "OPTIONS":
                headers = Headers.of(("Allow", ALLOW), ("Accept", SDP))
                self.signalling.answer(received, 200, headers=headers)
            case "INVITE" | "UPDATE":
                leg.learn(request)
                self._receive_reinvite(leg, received)
            case "INFO":
                self._receive_info(leg, received)
            case _:
                self.signalling.answer(received, 481)
        self._watch_sessions()
        return None

    def receive_plane_event(self, event: PlaneEvent) -> None:
        match event:
            case Allocated(_, local):
                self.step(Input.ALLOCATED, Happening(local=local))
            case AllocationFailed():
                self.step(Input.ALLOCATION_FAILED)
            case MediaTimedOut():
                self.step(Input.MEDIA_TIMED_OUT)
            case MediaLost():
                self.step(Input.MEDIA_LOST)
            case DigitsSeen(_, leg, arrived_ns):
                self.infos.digits_seen(leg, arrived_ns)

    def receive_row_stored(self) -> None:
        self.row_stored = True
        self.step(Input.ROW_READY)

    def handle_timer(self, timer: CallTimer) -> None:
        match timer:
            case CallTimer.ALLOCATION:
                self.step(Input.ALLOCATION_FAILED)
            case CallTimer.RING:
                self.step(Input.RING_TIMEOUT)
            case CallTimer.ROW:
                self.step(Input.ROW_READY)
            case CallTimer.RENEGOTIATION if self.renegotiation is not None:
                self.renegotiation.give_up()
            case CallTimer.INDICATION:
                self.indications.handle_timer()
                self.indicate(None)
            case CallTimer.CODES_A:
                self.infos.expire(LegId.A)
            case CallTimer.CODES_B:
                self.infos.expire(LegId.B)
            case CallTimer.SESSION_A:
                self._refresh(self.caller)
            case CallTimer.SESSION_B:
                self._refresh(self.callee)

    def indicate(self, word: str | None) -> None:
        """Tell recording-aware legs what is so now: `on`, `off` or `paused`; None: as said last."""
        if self.media is None:
            return
        self.media.word = self.media.word if word is None else word
        if self.state is State.CONFIRMED and self._asked is None and not self.refreshes.asking:
            self.indications.go_on(self.media)

    # -- within the dialogs

    @property
    def _asked(self) -> Renegotiation | None:
        """What a leg asks for that is still under way."""
        asked = self.renegotiation
        return None if asked is None or asked.stage is Stage.DONE else asked

    @property
    def _asks_itself(self) -> bool:
        """An offer of our own is unanswered."""
        return self.indications.asking or self.refreshes.asking

    def _asks_for_longer(self, reply: Reply) -> bool:
        """Whether the callee took our session timer for too brief, and was invited again."""
        waits = reply.status == TOO_BRIEF and self.state is State.INVITING
        return waits and reply.response is not None and self.invite_again(reply.response)

    def _watch_sessions(self) -> None:
        if self.state is State.CONFIRMED:
            self.refreshes.watch()

    def _refresh(self, leg: Leg) -> None:
        if self.state is State.CONFIRMED:
            assert self.media is not None  # a confirmed call has its media
            self.refreshes.handle_timer(leg, self.media)
            self._watch_sessions()

    def _is_first(self, transaction: int) -> bool:
        return transaction == self.arrival.received.transaction

    def _judge(self, leg: Leg, request: Request) -> int | None:
        """481 for another's dialog, 500 for a number out of order (12.2.2)."""
        tag = request.from_.tag or ""
        if leg.dialog is None:
            early = leg is self.caller and tag == (self.arrival.received.request.from_.tag or "")
            return None if early else 481
        return leg.dialog.receive_request(request) if tag == leg.dialog.id.remote_tag else 481

    def _receive_cancel(self, transaction: int, cancel: Request) -> None:
        self.signalling.reason = cancel.headers.only("reason")
        if self._is_first(transaction):
            self.step(Input.CANCELLED)
        elif self.renegotiation is not None and self.renegotiation.received.transaction == transaction:
            self.renegotiation.give_up()

    def _receive_ack(self, transaction: int, ack: Request) -> None:
        if self._is_first(transaction):
            self.step(Input.ACKED, Happening(request=ack))
        elif self.renegotiation is not None and self.renegotiation.received.transaction == transaction:
            self.renegotiation.receive_ack(ack)

    def _receive_reinvite(self, leg: Leg, received: RequestReceived) -> None:
        """A re-INVITE or an UPDATE (RFC 3311 5.2)."""
        refusal = check_invite(received.request, received.flow)
        live = self._asked
        if refusal is not None:
            self.signalling.answer(received, refusal.status, headers=refusal.headers, reason=refusal.reason)
        elif not self.is_live:
            self.signalling.answer(received, 481)
        elif received.request.method == "UPDATE" and not has_sdp(received.request):
            self._refresh_target(leg, received)
        elif self._waits_for_us(leg):
            self.signalling.answer(received, 500, headers=retry_after(self.context.random))
        elif live is not None or self.state is not State.CONFIRMED or self._asks_itself:
            self.signalling.answer(received, 491)
        else:
            self._renegotiate(leg, received)

    def _waits_for_us(self, leg: Leg) -> bool:
        """Whether an offer of its own is unanswered: it asks twice without waiting (14.2)."""
        live = self._asked
        if live is not None:
            return live.leg is leg and live.stage is Stage.ASKED
        return leg is self.caller and leg.dialog is None and not self.offers_late

    def _refresh_target(self, leg: Leg, received: RequestReceived) -> None:
        if leg.dialog is None:
            leg.moved = received.request.contact
        session = leg.session.accept(received.request, self.context.now)
        self.signalling.answer(received, 200, headers=leg.own_headers + session)

    def _renegotiate(self, leg: Leg, received: RequestReceived) -> None:
        assert self.media is not None  # a confirmed call has its media
        other = self.legs[leg.id.other]
        is_update = received.request.method == "UPDATE"
        self.renegotiation = Renegotiation(
            self.signalling,
            self.media,
            leg,
            other,
            received,
            settled=self.watch_media,
            lost=lambda: self.step(Input.LEG_LOST),
            onward="UPDATE" if is_update and other.updates else "INVITE",
        )
        self.start_timer(CallTimer.RENEGOTIATION, UPDATE_S if is_update else RENEGOTIATION_S)
        self.renegotiation.start()

    def _receive_info(self, leg: Leg, received: RequestReceived) -> None:
        if self.state not in (State.CONFIRMING, State.CONFIRMED):
            # A 481 would make the sender give its dialog up (12.2.1.2).
            return self.signalling.answer(received, 500 if self.is_live else 481)
        self.infos.receive(leg, received)
        timer = CallTimer.CODES_A if leg.id is LegId.A else CallTimer.CODES_B
        deadline = self.infos.deadline(leg.id)
        if deadline is None:
            self.stop_timer(timer)
        else:
            self.context.schedule.start(self.id, timer, deadline)
        return None


# -- actions

Action = Callable[[Call, Happening], None]


def _invite(call: Call, happening: Happening) -> None:
    assert happening.local is not None
    call.invite(happening.local)


def _pass_provisional(call: Call, happening: Happening) -> None:
    assert happening.reply is not None
    assert happening.reply.response is not None
    call.pass_provisional(happening.reply.response)


def _pass_refusal(call: Call, happening: Happening) -> None:
    assert happening.reply is not None
    call.pass_refusal(happening.reply)
    call.end(refused(happening.reply.passed_status, rang=call.rang))


def _announce_answer(call: Call, happening: Happening) -> None:
    assert happening.reply is not None
    call.announce_answer(happening.reply.arrived_ns)
    if call.row_stored:
        call.step(Input.ROW_READY)
    else:
        call.start_timer(CallTimer.ROW, ROW_S)


def _reap(call: Call, happening: Happening) -> None:
    assert happening.reply is not None
    assert happening.reply.response is not None
    call.reap(happening.reply.response)


def _confirm_caller(call: Call, _: Happening) -> None:
    call.confirm_caller()


def _pass_ack(call: Call, happening: Happening) -> None:
    assert happening.request is not None
    if call.pass_ack(happening.request):
        call.settle()
    else:
        call.step(Input.LEG_LOST)


def _cancel_callee(call: Call, _: Happening) -> None:
    call.cancel_callee()


def _bye_caller(call: Call, happening: Happening) -> None:
    call.bye(call.caller, happening.request)


def _bye_callee(call: Call, happening: Happening) -> None:
    call.bye(call.callee, happening.request)


def _refuse_busy(call: Call, _: Happening) -> None:
    refusal = busy()
    call.refuse(refusal.status, refusal.headers)


def _refuse(status: int) -> Action:
    return lambda call, _: call.refuse(status)


def _end(outcome: Outcome) -> Action:
    return lambda call, _: call.end(outcome)


_CANCELLED = Outcome("cancelled", 487, "caller")
_WITHDRAWN = Outcome("cancelled", 480, "us")
_NO_ANSWER = Outcome("no_answer", 480, "us")
_NO_PORTS = Outcome("failed", 503, "us")
_NO_MEDIA = Outcome("media_timeout", 200, "us")
_EXPIRED = Outcome("answered", 200, "us", farewell='Q.850;cause=102;text="Session timer expired"')
_MEDIA_LOST = Outcome("interrupted", 200, "us", farewell='Q.850;cause=41;text="Temporary failure"')
_MEDIA_LOST_EARLY = Outcome("interrupted", 503, "us")
_UNUSABLE = Outcome("failed", 488, "callee")

_S, _I = State, Input
_BY_CALLER, _BY_CALLEE, _BY_US = (_end(answered(who)) for who in ("caller", "callee", "us"))

TRANSITIONS: dict[tuple[State, Input], tuple[State, tuple[Action, ...]]] = {
    (_S.ALLOCATING, _I.ALLOCATED): (_S.INVITING, (_invite,)),
    (_S.ALLOCATING, _I.ALLOCATION_FAILED): (_S.ENDED, (_refuse_busy, _end(_NO_PORTS))),
    (_S.ALLOCATING, _I.MEDIA_LOST): (_S.ENDED, (_refuse_busy, _end(_NO_PORTS))),
    (_S.ALLOCATING, _I.CANCELLED): (_S.ENDED, (_refuse(487), _end(_CANCELLED))),
    (_S.ALLOCATING, _I.CALLER_BYE): (_S.ENDED, (_refuse(487), _end(_CANCELLED))),
    (_S.ALLOCATING, _I.HANG_UP): (_S.ENDED, (_refuse(480), _end(_WITHDRAWN))),
    (_S.INVITING, _I.PROVISIONAL): (_S.INVITING, (_pass_provisional,)),
    (_S.INVITING, _I.ANSWERED): (_S.ANSWERED, (_announce_answer,)),
    (_S.INVITING, _I.UNUSABLE): (_S.ENDED, (_refuse(488), _end(_UNUSABLE), _bye_callee)),
    (_S.INVITING, _I.REFUSED): (_S.ENDED, (_pass_refusal,)),
    (_S.INVITING, _I.RING_TIMEOUT): (_S.CANCELLING, (_refuse(480), _end(_NO_ANSWER), _cancel_callee)),
    (_S.INVITING, _I.CANCELLED): (_S.CANCELLING, (_refuse(487), _end(_CANCELLED), _cancel_callee)),
    # A BYE within an early dialog is as good as a CANCEL (15).
    (_S.INVITING, _I.CALLER_BYE): (_S.CANCELLING, (_refuse(487), _end(_CANCELLED), _cancel_callee)),
    (_S.INVITING, _I.HANG_UP): (_S.CANCELLING, (_refuse(480), _end(_WITHDRAWN), _cancel_callee)),
    (_S.INVITING, _I.MEDIA_LOST): (
        _S.CANCELLING,
        (_refuse_busy, _end(_MEDIA_LOST_EARLY), _cancel_callee),
    ),
    (_S.CANCELLING, _I.ANSWERED): (_S.ENDED, (_reap,)),  # our CANCEL came too late (9.1)
    (_S.CANCELLING, _I.REFUSED): (_S.ENDED, ()),
    (_S.ANSWERED, _I.ROW_READY): (_S.CONFIRMING, (_confirm_caller,)),
    (_S.ANSWERED, _I.CANCELLED): (_S.ENDED, (_refuse(487), _BY_CALLER, _bye_callee)),
    (_S.ANSWERED, _I.CALLER_BYE): (_S.ENDED, (_refuse(487), _BY_CALLER, _bye_callee)),
    (_S.ANSWERED, _I.CALLEE_BYE): (_S.ENDED, (_refuse(480), _BY_CALLEE)),
    (_S.ANSWERED, _I.HANG_UP): (_S.ENDED, (_refuse(480), _BY_US, _bye_callee)),
    (_S.ANSWERED, _I.MEDIA_TIMED_OUT): (_S.ENDED, (_refuse(480), _end(_NO_MEDIA), _bye_callee)),
    (_S.ANSWERED, _I.MEDIA_LOST): (_S.ENDED, (_refuse_busy, _end(_MEDIA_LOST), _bye_callee)),
    (_S.CONFIRMING, _I.ACKED): (_S.CONFIRMED, (_pass_ack,)),
    (_S.CONFIRMING, _I.ACK_MISSING): (_S.ENDED, (_BY_US, _bye_caller, _bye_callee)),
    (_S.CONFIRMING, _I.CALLER_BYE): (_S.ENDED, (_BY_CALLER, _bye_callee)),
    (_S.CONFIRMING, _I.CALLEE_BYE): (_S.CLOSING, (_BY_CALLEE,)),
    (_S.CONFIRMING, _I.HANG_UP): (_S.CLOSING, (_BY_US, _bye_callee)),
    (_S.CONFIRMING, _I.MEDIA_TIMED_OUT): (_S.CLOSING, (_end(_NO_MEDIA), _bye_callee)),
    (_S.CONFIRMING, _I.MEDIA_LOST): (_S.CLOSING, (_end(_MEDIA_LOST), _bye_callee)),
    (_S.CONFIRMED, _I.CALLER_BYE): (_S.ENDED, (_BY_CALLER, _bye_callee)),
    (_S.CONFIRMED, _I.CALLEE_BYE): (_S.ENDED, (_BY_CALLEE, _bye_caller)),
    (_S.CONFIRMED, _I.HANG_UP): (_S.ENDED, (_BY_US, _bye_caller, _bye_callee)),
    (_S.CONFIRMED, _I.LEG_LOST): (_S.ENDED, (_BY_US, _bye_caller, _bye_callee)),
    (_S.CONFIRMED, _I.MEDIA_TIMED_OUT): (_S.ENDED, (_end(_NO_MEDIA), _bye_caller, _bye_callee)),
    (_S.CONFIRMED, _I.MEDIA_LOST): (_S.ENDED, (_end(_MEDIA_LOST), _bye_caller, _bye_callee)),
    (_S.CONFIRMED, _I.SESSION_EXPIRED): (_S.ENDED, (_end(_EXPIRED), _bye_caller, _bye_callee)),
    (_S.CLOSING, _I.ACKED): (_S.ENDED, (_bye_caller,)),
    (_S.CLOSING, _I.ACK_MISSING): (_S.ENDED, (_bye_caller,)),
    (_S.CLOSING, _I.CALLER_BYE): (_S.ENDED, ()),
}
