"""Two legs, each with its own dialog, coupled so that what one does reaches the other.

A back-to-back user agent (RFC 3261 6): UAS towards the caller, UAC towards the callee. What may be
done stands here; when it is done, in `call`.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from mediaproxy.calls import record
from mediaproxy.calls.context import Context
from mediaproxy.calls.events import (
    CallAnswered,
    CallEnded,
    CallHeld,
    CallRecord,
    CallRinging,
    CallStarted,
    RecordRequested,
)
from mediaproxy.calls.forks import Sent
from mediaproxy.calls.indication import is_aware
from mediaproxy.calls.infos import Infos
from mediaproxy.calls.leg import Leg
from mediaproxy.calls.media import Media, Offer, read
from mediaproxy.calls.model import Agent, Plan, Policy, RecordingPolicy, Trunk
from mediaproxy.calls.outcome import Outcome
from mediaproxy.calls.plane import Allocate, LegId, Release, WatchCodes, WatchMedia
from mediaproxy.calls.schedule import CallTimer
from mediaproxy.calls.signalling import Reply, Signalling
from mediaproxy.calls.wire import (
    SDP,
    copied,
    has_sdp,
    outgoing_invite,
    request_uri,
    scheme_asked_for,
    scheme_towards,
)
from mediaproxy.clock import NS_PER_MS
from mediaproxy.errors import Malformed
from mediaproxy.ids import CallId
from mediaproxy.net import Endpoint, Family
from mediaproxy.sdp.anchor import Origin
from mediaproxy.sdp.audio import NOT_ACCEPTABLE
from mediaproxy.sip.dialog import Dialog, new_tag
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import RequestReceived, TransactionId

SESSION_ID_BYTES = 6
ALLOCATION_S = 5.0  # the plane answers within one turn of its loop
PREFERRED = {"on": "start", "off": "stop", "pause": "pause"}  # RFC 7866 6.2.2
MAY_CLOSE = frozenset({"stop", "pause", "toggle"})
ROW_S = 0.4  # so long may the log delay a 2xx: the call comes first


@dataclass(frozen=True, slots=True)
class Arrival:
    """An INVITE accepted for routing, and what was found out about it."""

    received: RequestReceived
    sender: Agent | Trunk
    callee: Agent | Trunk
    callee_flow: Flow
    callee_path: tuple[str, ...]  # proxies before it, as it registered (RFC 3327)
    called: str
    policy: RecordingPolicy
    plan: Plan
    offer: Offer | None  # None: the callee makes it (13.2.1)
    wall_offset_ns: int


class Invited(NamedTuple):
    """Our INVITE to the callee. `number` is its CSeq's."""

    transaction: TransactionId
    call_id: str
    number: int


@dataclass(slots=True)
class Answer:
    """The callee's first 2xx. `body` is what the caller is to read of it."""

    response: Response
    body: bytes = b""
    acknowledged: bool = False


class Coupling:
    """The two legs and all that can be done with them."""

    def __init__(self, context: Context, arrival: Arrival, call_record: CallRecord, generation: int) -> None:
        self.id: CallId = call_record.id
        self.record = call_record
        self.context = context
        self.arrival = arrival
        self.generation = generation
        self.signalling = Signalling(context, call_record.id)
        self.caller = self._leg(LegId.A, arrival.sender, arrival.received.flow)
        self.callee = self._leg(LegId.B, arrival.callee, arrival.callee_flow)
        self.caller.scheme = scheme_asked_for(arrival.received.request, arrival.received.flow)
        self.callee.scheme = scheme_towards(request_uri(arrival.callee, arrival.called))
        for leg in (self.caller, self.callee):
            leg.session.wish_s = arrival.plan.session_expires_s
        self.caller.learn(arrival.received.request)
        self.legs = (self.caller, self.callee)
        self.caller.aware = self._may_record and is_aware(arrival.received.request)
        self.callee.aware = None if self._may_record else False
        self.infos = Infos(self.id, self.signalling, self.legs, context.emit)
        self.media: Media | None = None
        self.row_stored = False
        self.offers_late = arrival.offer is None
        self._request: Request | None = None  # our INVITE, until it is confirmed
        self._invited: Invited | None = None
        self._answer: Answer | None = None
        self._early: tuple[str | None, bytes] = (None, b"")  # a fork's tag, its answer as passed on
        self._fork_tags: dict[str | None, str] = {}  # the callee's -> ours towards the caller
        self._over = False
        self._farewell: str | None = None  # why we hang up
        self._held = False
        self._answered_ns: int | None = None

    def _leg(self, leg: LegId, peer: Agent | Trunk, flow: Flow) -> Leg:
        random = self.context.random
        session_id = int.from_bytes(random(SESSION_ID_BYTES), "big")
        return Leg(leg, peer, flow, new_tag(random), Origin(session_id))

    @property
    def _may_record(self) -> bool:
        return self.arrival.policy.policy is not Policy.OFF

    @property
    def rang(self) -> bool:
        return self.record.state != "trying"

    # -- before the answer

    def begin(self) -> None:
        received = self.arrival.received
        self.context.counters.live += 1
        self.signalling.expect(received)
        self._enter(received.request.call_id, self.caller.tag, LegId.A)
        self.context.emit(CallStarted(self.record))
        families = (self._family(), self.callee.flow.remote.family)
        self.context.emit(Allocate(self.id, self.generation, families))
        self.start_timer(CallTimer.ALLOCATION, ALLOCATION_S)

    def _family(self) -> Family:
        """The caller's: by its offer, else as it came."""
        offer = self.arrival.offer
        endpoint = offer.audio.rtp if offer is not None else None
        return (endpoint or self.caller.flow.remote).family

    def invite(self, local: tuple[Endpoint, Endpoint]) -> None:
        self.stop_timer(CallTimer.ALLOCATION)
        arrival, context = self.arrival, self.context
        self.media = Media(self.id, local, context.emit, word=self._first_word)
        call_id = str(self.id)  # of the callee's dialog: as unique, and found again by whoever has the log
        request = outgoing_invite(
            arrival.received.request,
            sender=arrival.sender,
            uri=request_uri(arrival.callee, arrival.called),
            domain=arrival.plan.domain,
            flow=self.callee.flow,
            tag=self.callee.tag,
            call_id=call_id,
            path=arrival.callee_path,
        )
        request = request.replace(headers=request.headers + self.callee.session.ask())
        if arrival.offer is not None:
            request = request.replace(body=self.media.take_offer(self.caller, self.callee, arrival.offer))
        self._enter(call_id, self.callee.tag, LegId.B)
        transaction = self.signalling.send_over(self.callee.flow, request, self.receive_reply)
        self._request = request
        self._invited = Invited(transaction, call_id, request.cseq.number)
        self.start_timer(CallTimer.RING, arrival.plan.ring_timeout_s)

    def _enter(self, call_id: str, tag: str, leg: LegId) -> None:
        self.context.dialogs[call_id, tag] = (self.id, leg)

    def receive_reply(self, reply: Reply) -> None:
        raise NotImplementedError

    def pass_provisional(self, response: Response) -> None:
        """1xx of several forks are several early dialogs towards the caller too."""
        body = self._early_body(response)
        if response.status >= 180 and not self.rang:
            self.record = replace(self.record, state="ringing")
            self.context.emit(CallRinging(self.record))
        self._answer_caller(response, self._fork_tag(response), body)

    def _early_body(self, response: Response) -> bytes:
        if self.media is None or self.offers_late or not has_sdp(response):
            return b""
        try:
            body = self.media.take_answer(self.callee, self.caller, response.body)
        except Malformed:
            return b""  # what counts is the answer in the 2xx
        self._early = response.to.tag, body
        return body

    def _fork_tag(self, response: Response) -> str:
        remote = response.to.tag
        tag = self._fork_tags.get(remote)
        if tag is None:
            tag = self._fork_tags[remote] = (
                new_tag(self.context.random) if self._fork_tags else self.caller.tag
            )
            self._enter(self.arrival.received.request.call_id, tag, LegId.A)
        return tag

    def _answer_caller(
        self, response: Response, tag: str, body: bytes, session: Headers | None = None
    ) -> None:
        headers = self.caller.own_headers + (session or Headers())
        headers += copied(response, self.callee.peer, body=bool(body))
        if body and "content-type" not in headers:
            headers = headers.appended("Content-Type", SDP)
        self.signalling.answer(
            self.arrival.received,
            response.status,
            tag=tag,
            reason=response.reason,
            headers=headers,
            body=body,
        )

    def refuse(self, status: int, headers: Headers | None = None, reason: str | None = None) -> None:
        self.signalling.answer(
            self.arrival.received, status, tag=self.caller.tag, headers=headers, reason=reason
        )

    def pass_refusal(self, reply: Reply) -> None:
        headers = None
        if reply.response is not None:
            headers = copied(reply.response, self.callee.peer, body=False)
            if 300 <= reply.status < 400:
                headers += reply.response.headers.only("contact")
        self.refuse(reply.passed_status, headers, reply.passed_reason)

    def invite_again(self, response: Response) -> bool:
        """After a 422 with a longer session timer (RFC 4028 7.3); False when that makes no sense."""
        if self._request is None or self._invited is None or not self.callee.session.lengthen(response):
            return False
        number = self._invited.number + 1
        headers = self._request.headers.without("session-expires", "min-se")
        asked = self.callee.session.ask().only("session-expires", "min-se")
        self._request = self._request.replace(headers=headers.with_("CSeq", f"{number} INVITE") + asked)
        transaction = self.signalling.send_over(self.callee.flow, self._request, self.receive_reply)
        self._invited = Invited(transaction, self._invited.call_id, number)
        return True

    def cancel_callee(self) -> None:
        if self._invited is not None:
            self.signalling.cancel(self._invited.transaction)

    # -- the answer

    def take_answer(self, response: Response) -> bool:
        """Enter the callee's dialog; False when its description can't be anchored."""
        assert self._request is not None
        self._watch_forks()
        self._learn_awareness(response)
        self.callee.learn(response)
        self.callee.session.take(response, self.context.now)
        self.callee.dialog = Dialog.uac(self._request, response)
        self._answer = Answer(response)
        try:
            self._answer.body = self._answer_body(response)
        except Malformed:
            return False
        if not self.offers_late:
            self._acknowledge()
        return True

    def reap(self, response: Response) -> None:
        """An answer that nobody waits for any more."""
        assert self._invited is not None
        self._watch_forks()
        context = self.context
        context.forks.reap(context.layer, self._invited.transaction, response, context.now_ns)

    def _watch_forks(self) -> None:
        assert self._invited is not None
        assert self._request is not None
        sent = Sent(self._request, self.callee.flow, self.callee.pinned)
        self.context.forks.watch(self._invited.transaction, sent, now=self.context.now)

    def _answer_body(self, response: Response) -> bytes:
        assert self.media is not None
        if self.offers_late:
            return self.media.take_offer(self.callee, self.caller, read(response.body))
        if has_sdp(response):
            return self.media.take_answer(self.callee, self.caller, response.body)
        tag, body = self._early
        if body and tag == response.to.tag and not response.body:
            return body  # some gateways think that their 183 has said it all
        raise Malformed("a 2xx without an answer", status=NOT_ACCEPTABLE)

    def announce_answer(self, answered_ns: int) -> None:
        """Position 0 of the call clock is the arrival of this 2xx."""
        arrival = self.arrival
        self.stop_timer(CallTimer.RING)
        sender, callee = arrival.sender, arrival.callee
        self._answered_ns = answered_ns
        self.record = record.answered(self.record, sender, callee, self.wall_ms(answered_ns))
        self.context.emit(
            CallAnswered(
                self.record,
                answered_ns,
                self.generation,
                arrival.policy,
                agent_leg=record.agent_leg(sender, callee),
                carrier_leg=record.carrier_leg(sender, callee),
            )
        )
        self._watch_codes()
        self.watch_media(first=True)

    @property
    def _first_word(self) -> str:
        policy = self.arrival.policy
        at_once = policy.policy is Policy.AUTOMATIC and not policy.consent_required
        return "on" if at_once else "off"

    def _learn_awareness(self, response: Response) -> None:
        if self.callee.aware is None:
            self.callee.aware = is_aware(response)
        for leg in self.legs:
            if not leg.aware:
                leg.offered = None

    def _hear_preferences(self) -> None:
        """How legs want to be recorded: ours may open and close, the carrier's only close."""
        for leg in self.legs:
            if leg.preference in PREFERRED and leg.preference != leg.obeyed:
                action = PREFERRED[leg.preference]
                if self._may_record and (leg.is_agent or action != "start"):
                    self.context.emit(RecordRequested(self.id, leg.id, action, "sip", self.context.now_ns))
            leg.obeyed = leg.preference

    def _watch_codes(self) -> None:
        """An agent's leg commands; the carrier's may only close, and only where the policy says so."""
        policy = self.arrival.policy
        all_codes = dict(self.arrival.plan.codes if policy.codes is None else policy.codes)
        closing = {action: digits for action, digits in all_codes.items() if action in MAY_CLOSE}
        for leg in self.legs:
            codes = all_codes if leg.is_agent else closing if policy.carrier_closes else {}
            if codes and policy.policy is not Policy.OFF:
                self.context.emit(WatchCodes(self.id, leg.id, codes))
                self.infos.watch(leg.id, codes)

    def watch_media(self, *, first: bool = False) -> None:
        """After each answer: nothing flows on hold, so nothing is missed there."""
        assert self.media is not None
        held = self.media.held and not self.media.refused
        silent = self.media.held or self.media.refused
        if first or held != self._held:
            self.context.emit(WatchMedia(self.id, 0.0 if silent else self.arrival.plan.media_timeout_s))
        if held != self._held:
            self._held = held
            self.context.emit(CallHeld(self.record, held))
        self._hear_preferences()

    def confirm_caller(self) -> None:
        """The caller's 2xx, once the log knows the call."""
        assert self._answer is not None
        self.stop_timer(CallTimer.ROW)
        response = self._answer.response
        self.caller.tag = self._fork_tag(response)
        self.caller.dialog = Dialog.uas(self.arrival.received.request, self.caller.tag)
        self.caller.dialog.refresh(self.caller.moved)
        session = self.caller.session.accept(self.arrival.received.request, self.context.now)
        self._answer_caller(response, self.caller.tag, self._answer.body, session)

    def pass_ack(self, ack: Request) -> bool:
        """With a late offer the ACK holds the answer; False when it does not."""
        if not self.offers_late:
            return True
        assert self.media is not None
        try:
            body = self.media.take_answer(self.caller, self.callee, ack.body)
        except Malformed:
            return False
        self._acknowledge(copied(ack, self.caller.peer, body=True), body)
        self.watch_media()
        return True

    def _acknowledge(self, headers: Headers | None = None, body: bytes = b"") -> None:
        answer = self._answer
        if answer is not None and not answer.acknowledged:
            assert self._invited is not None
            answer.acknowledged = True
            transaction, _, number = self._invited
            self.signalling.acknowledge(self.callee, transaction, number, headers, body)

    def settle(self) -> None:
        """Both legs are confirmed: let go of the messages that led there."""
        received = self.arrival.received
        request = Request("INVITE", received.request.uri, received.request.headers.only("call-id", "from"))
        self.arrival = replace(self.arrival, received=replace(received, request=request), offer=None)
        self._request = self._answer = None
        self._early = (None, b"")

    # -- the end

    def bye(self, leg: Leg, request: Request | None = None) -> None:
        """End a leg's dialog; `request` is the other leg's BYE, whose reason is worth passing on."""
        if leg.dialog is None:
            return
        if leg is self.callee:
            self._acknowledge()
        headers = None if self._farewell is None else Headers.of(("Reason", self._farewell))
        if request is not None and request.method == "BYE":
            headers = copied(request, self.legs[leg.id.other].peer, body=False)
        self.signalling.send(leg, leg.request("BYE", headers), _ignore)

    def end(self, outcome: Outcome) -> None:
        """The call's end for log, recorder and plane. What remains is only signalling."""
        if self._over:
            return
        self._over = True
        self._farewell = outcome.farewell
        context = self.context
        context.counters.live -= 1
        context.schedule.stop_all(self.id)
        self.record = record.ended(self.record, outcome, self._ended_at_ms())
        context.emit(CallEnded(self.record, context.now_ns))
        context.emit(Release(self.id))
        self.signalling.abandon(self.caller.tag)

    def break_off(self, outcome: Outcome) -> None:
        """An error of ours: leave nothing behind, as well as it goes."""
        self.refuse(outcome.sip_status)
        self.end(outcome)
        self.cancel_callee()
        for leg in self.legs:
            self.bye(leg)

    @property
    def is_live(self) -> bool:
        return not self._over

    def close(self) -> None:
        """Forget what leads to this call; all of its requests are done."""
        self.signalling.close()  # with its listeners go the cycles: no garbage collector needed
        dialogs = self.context.dialogs
        call_id = self.arrival.received.request.call_id
        for tag in (self.caller.tag, *self._fork_tags.values()):
            dialogs.pop((call_id, tag), None)
        if self._invited is not None:
            dialogs.pop((self._invited.call_id, self.callee.tag), None)

    # -- time

    def start_timer(self, timer: CallTimer, after_s: float) -> None:
        self.context.schedule.start(self.id, timer, self.context.now + after_s)

    def stop_timer(self, timer: CallTimer) -> None:
        self.context.schedule.stop(self.id, timer)

    def _ended_at_ms(self) -> int:
        """As far from the answer as the call clock says, to the millisecond: both are rounded down once."""
        if self._answered_ns is None or self.record.answered_at_ms is None:
            return self.wall_ms(self.context.now_ns)
        return self.record.answered_at_ms + (self.context.now_ns - self._answered_ns) // NS_PER_MS

    def wall_ms(self, now_ns: int) -> int:
        return (now_ns + self.arrival.wall_offset_ns) // NS_PER_MS


def _ignore(reply: Reply) -> None:
    """A BYE ends the dialog whatever is answered (15.1.1)."""
