"""The sans-IO proxy: SIP messages, plane events and commands in; one ordered list of outputs out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from mediaproxy.calls import record
from mediaproxy.calls.admission import (
    Refusal,
    allowed,
    busy,
    check_invite,
    check_method,
    not_registered,
)
from mediaproxy.calls.branches import Way, reachable, ringing
from mediaproxy.calls.call import Call, Input
from mediaproxy.calls.context import Context, Counters, Output
from mediaproxy.calls.coupling import Arrival
from mediaproxy.calls.events import CallBroken, CallEnded, CallRecord, CallStarted
from mediaproxy.calls.leg import flow_to
from mediaproxy.calls.media import Offer, read
from mediaproxy.calls.model import Agent, Plan, Policy, Target, Trunk
from mediaproxy.calls.outcome import Outcome
from mediaproxy.calls.plane import PlaneEvent
from mediaproxy.calls.registrar import Registrar
from mediaproxy.calls.routing import Destination, Peer, Routing, called_number
from mediaproxy.calls.wire import SDP, has_sdp
from mediaproxy.clock import NS_PER_MS, NS_PER_S
from mediaproxy.errors import Malformed
from mediaproxy.ids import RANDOM_BYTES, CallId, uuid7
from mediaproxy.sdp.audio import NOT_ACCEPTABLE
from mediaproxy.sip.dialog import new_tag
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.outputs import Event, RequestReceived, ResponseReceived, TransactionId
from mediaproxy.sip.responses import respond
from mediaproxy.sip.transactions import TransactionLayer

_BROKEN = Outcome("failed", 500, "us")


class Proxy:
    """All calls of one process.

    `random` gives that many random bytes, `wall_offset_ns` Unix time less the monotonic clock (read
    once a call), `listeners` are what our own SIP addresses are. Times are monotonic ns.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        random: Callable[[int], bytes],
        wall_offset_ns: Callable[[], int],
        layer: TransactionLayer,
        listeners: Sequence[Target],
    ) -> None:
        self._routing = Routing(plan)
        self._wall_offset_ns = wall_offset_ns
        self._context = Context(layer, random, listeners)
        self._registrar = Registrar(self._context, plan)
        self._calls: dict[CallId, Call] = {}
        self._last_generation = 0
        self._takes_calls = True
        self._takes_recorded_calls = True

    @property
    def counters(self) -> Counters:
        return self._context.counters

    def __len__(self) -> int:
        """Calls of which anything is left, if only a BYE under way."""
        return len(self._calls)

    @property
    def contacts(self) -> int:
        """At how many contacts agents are registered."""
        return len(self._registrar)

    # -- the four verbs

    def receive_message(self, message: Request | Response, flow: Flow, *, now_ns: int) -> None:
        self._context.now_ns = now_ns
        self._context.layer.receive_message(message, flow, now_ns=now_ns)
        self._run()

    def transport_failed(self, transaction: TransactionId, *, now_ns: int) -> None:
        """What a `Transmit` names could not be sent."""
        self._context.now_ns = now_ns
        self._context.layer.transport_failed(transaction, now_ns=now_ns)
        self._run()

    def handle_timer(self, *, now: float) -> None:
        context = self._context
        context.now_ns = round(now * NS_PER_S)
        context.layer.handle_timer(now=now)
        self._run()
        while due := context.schedule.pop_due(now):
            self._with_call(due.call, partial(Call.handle_timer, timer=due.timer))
            self._run()
        context.forks.handle_timer(now=now)
        self._registrar.handle_timer(now=now)

    def next_deadline(self) -> float | None:
        context = self._context
        deadlines = (
            context.layer.next_deadline(),
            context.schedule.next_deadline(),
            context.forks.next_deadline(),
            self._registrar.next_deadline(),
        )
        return min((at for at in deadlines if at is not None), default=None)

    def drain(self) -> list[Output]:
        outputs, self._context.outputs = self._context.outputs, []
        return outputs

    # -- what else happens

    def receive_plane_event(self, event: PlaneEvent, *, now_ns: int) -> None:
        self._context.now_ns = now_ns
        self._with_call(event.call, lambda call: call.receive_plane_event(event))
        self._run()

    def row_stored(self, call: CallId, *, now_ns: int) -> None:
        """The log has this call's row, or will not have it in time: its 2xx may go out."""
        self._context.now_ns = now_ns
        self._with_call(call, Call.receive_row_stored)
        self._run()

    def record_outcome(self, reply: int, status: int, *, now_ns: int) -> None:
        """How the demand ended that `RecordRequested.reply` named."""
        context = self._context
        context.now_ns = now_ns
        transaction = TransactionId(reply)
        owner = context.owners.get(transaction)
        if owner is not None:
            self._with_call(owner, lambda call: call.signalling.answer_later(transaction, status))
            self._run()

    def indicate(self, call: CallId, word: str, *, now_ns: int) -> None:
        """Recording-aware peers of this call are told: `on`, `off` or `paused` (RFC 7866)."""
        self._context.now_ns = now_ns
        self._with_call(call, lambda live: live.indicate(word))
        self._run()

    def hang_up(self, call: CallId, *, now_ns: int) -> None:
        self._context.now_ns = now_ns
        self._with_call(call, lambda live: live.step(Input.HANG_UP))
        self._run()

    def refuse_new_calls(self) -> None:
        """From now on 503: this process is to end once its calls have."""
        self._takes_calls = False

    def refuse_recorded_calls(self, *, refuse: bool) -> None:
        """While the recorder cannot keep them, new calls whose policy is not off are answered 503."""
        self._takes_recorded_calls = not refuse

    def replace_plan(self, plan: Plan) -> None:
        """For the calls to come; a live call keeps the plan that it began with."""
        self._routing = Routing(plan)
        self._registrar.replace_plan(plan)

    # -- events of the transaction layer

    def _run(self) -> None:
        context = self._context
        context.pump()
        while context.events:
            events, context.events = context.events, []
            for event in events:
                self._supervise(event)
            context.pump()

    def _supervise(self, event: Event) -> None:
        try:
            self._receive_event(event)
        except Exception as error:  # noqa: BLE001 - what is not yet a call's breaks alone as well
            self.counters.broken += 1
            self._context.emit(CallBroken(None, error))
            if isinstance(event, RequestReceived):
                self._answer(event, Refusal(500))

    def _receive_event(self, event: Event) -> None:
        context = self._context
        if isinstance(event, RequestReceived):
            return self._receive_request(event)
        owner = context.owners.get(event.transaction)
        if owner is not None:
            return self._with_call(owner, lambda call: call.receive_event(event))
        if isinstance(event, ResponseReceived):
            context.forks.reap(context.layer, event.transaction, event.response, context.now_ns)
        return None

    def _with_call(self, ident: CallId, act: Callable[[Call], None]) -> None:
        """Let something happen to a call; what breaks in it ends this call and no other one."""
        call = self._calls.get(ident)
        if call is None:
            return
        try:
            act(call)
        except Exception as error:  # noqa: BLE001 - the per-call supervisor
            self._break(call, error)
        if call.is_over:
            self._forget(call)

    def _break(self, call: Call, error: Exception) -> None:
        self._context.counters.broken += 1
        self._context.emit(CallBroken(call.id, error))
        try:
            call.break_off(_BROKEN)
        except Exception as again:  # noqa: BLE001 - the per-call supervisor
            self._context.emit(CallBroken(call.id, again))
        self._forget(call)

    def _forget(self, call: Call) -> None:
        self._calls.pop(call.id, None)
        call.close()

    # -- requests

    def _receive_request(self, received: RequestReceived) -> None:
        request = received.request
        registers = self._registrar.serves
        refusal = check_method(request, registers=registers)
        if refusal is not None:
            self._refuse(received, refusal)
        elif request.method == "REGISTER":
            self._answer(received, self._registrar.receive(received))
        elif request.to.tag is not None:
            self._receive_within(received, request.to.tag)
        elif request.method == "OPTIONS":
            headers = Headers.of(("Allow", allowed(registers=registers)), ("Accept", SDP))
            self._answer(received, Refusal(200, headers))
        elif request.method == "INVITE":
            self._receive_invite(received)
        else:
            self._refuse(received, Refusal(481))

    def _receive_within(self, received: RequestReceived, tag: str) -> None:
        found = self._context.dialogs.get((received.request.call_id, tag))
        if found is None:
            return self._refuse(received, Refusal(481))
        ident, leg = found
        return self._with_call(ident, lambda call: call.receive_request(leg, received))

    def _receive_invite(self, received: RequestReceived) -> None:
        request, flow = received.request, received.flow
        sender = self._sender(received)
        if isinstance(sender, Refusal):
            return self._answer(received, sender)
        try:
            refusal = check_invite(request, flow)
            offer = read(request.body) if refusal is None and has_sdp(request) else None
        except Malformed as error:
            if error.status != NOT_ACCEPTABLE:
                self.counters.malformed += 1
                return self._refuse(received, Refusal(error.status))
            return self._route(received, sender, None, Refusal(NOT_ACCEPTABLE))
        if refusal is not None:
            return self._refuse(received, refusal)
        return self._route(received, sender, offer, None)

    def _sender(self, received: RequestReceived) -> Peer | Refusal:
        """Who registers, and who is unknown where some do, has to prove who it is."""
        flow, user = received.flow, received.request.from_.uri.user or ""
        if self._registrar.knows(flow):
            return self._registrar.caller(received)
        sender = self._routing.sender(flow, from_user=user)
        if sender is not None:
            return sender
        if self._registrar.serves:
            return self._registrar.caller(received)
        self.counters.unknown_sources += 1
        return Refusal(403)

    def _ways_to(self, peer: Peer) -> tuple[Way, ...]:
        """None for a registering agent that is nowhere, and for whom no address of ours can reach."""
        if isinstance(peer, Agent) and peer.registers:
            return tuple(
                Way(replace(peer, contact=str(each.contact)), each.flow, each.path, each.q)
                for each in ringing(self._registrar.reach(peer))
            )
        if isinstance(peer, Trunk):
            return tuple(reachable(peer, self._context))
        flow = None if peer.target is None else flow_to(peer.target, self._context.listeners)
        return () if flow is None else (Way(peer, flow),)

    def _route(
        self, received: RequestReceived, sender: Peer, offer: Offer | None, refusal: Refusal | None
    ) -> None:
        """From here on the log knows the call, whatever becomes of it."""
        called = called_number(received.request.target.user or "")
        destination = self._routing.destination(sender, called)
        offset_ns = self._wall_offset_ns()
        call_record = self._record(received, sender, destination, called, offset_ns)
        self.counters.calls += 1
        if destination is None:
            return self._turn_away(received, call_record, Refusal(404), "no_route")
        if refusal is not None:
            return self._turn_away(received, call_record, refusal, "failed")
        ways = self._ways_to(destination.peer)
        if not ways and isinstance(destination.peer, Agent) and destination.peer.registers:
            return self._turn_away(received, call_record, not_registered(), "unavailable")
        if not ways or not self._has_room() or not self._can_keep(destination):
            return self._turn_away(received, call_record, busy(), "failed")
        arrival = Arrival(
            received,
            sender,
            ways,
            called,
            destination.recording,
            self._routing.plan,
            offer,
            offset_ns,
        )
        return self._begin(arrival, call_record)

    def _record(
        self,
        received: RequestReceived,
        sender: Peer,
        destination: Destination | None,
        called: str,
        offset_ns: int,
    ) -> CallRecord:
        at_ms = (received.arrived_ns + offset_ns) // NS_PER_MS
        ident = CallId(uuid7(at_ms, self._context.random(RANDOM_BYTES)))
        callee = destination.peer if destination is not None else None
        return record.started(ident, received.request, called, sender, callee, at_ms)

    def _has_room(self) -> bool:
        most = self._routing.plan.max_calls
        return self._takes_calls and (most == 0 or self.counters.live < most)

    def _can_keep(self, destination: Destination) -> bool:
        return self._takes_recorded_calls or destination.recording.policy is Policy.OFF

    def _begin(self, arrival: Arrival, call_record: CallRecord) -> None:
        self._last_generation += 1
        call = Call(self._context, arrival, call_record, self._last_generation)
        self._calls[call.id] = call
        self._with_call(call.id, Call.begin)

    def _turn_away(
        self, received: RequestReceived, call_record: CallRecord, refusal: Refusal, disposition: str
    ) -> None:
        outcome = Outcome(disposition, refusal.status, "us")
        self._context.emit(CallStarted(call_record))
        self._answer(received, refusal)
        ended = record.ended(call_record, outcome, call_record.started_at_ms)
        self._context.emit(CallEnded(ended, self._context.now_ns))

    def _refuse(self, received: RequestReceived, refusal: Refusal) -> None:
        self.counters.refused_requests += 1
        self._answer(received, refusal)

    def _answer(self, received: RequestReceived, refusal: Refusal) -> None:
        context = self._context
        response = respond(
            received.request,
            refusal.status,
            tag=new_tag(context.random),
            reason=refusal.reason,
            headers=refusal.headers,
        )
        context.layer.send_response(received.transaction, response, now_ns=context.now_ns)
