"""Who hears what: the call core's outputs to plane, recordings and log; the plane's events back."""

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial

import structlog

from mediaproxy.api.backend import Refusal
from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import LoggedCall
from mediaproxy.calls.events import (
    AgentEvent,
    CallAnswered,
    CallBroken,
    CallEnded,
    CallEvent,
    CallHeld,
    CallRecord,
    CallRinging,
    CallStarted,
    CallUpdated,
    ContactsChanged,
    PasswordRefused,
    RecordRequested,
    SourceRefused,
    TrunkEvent,
    TrunkRegistered,
    is_on,
)
from mediaproxy.calls.model import Policy
from mediaproxy.calls.plane import CodeDialled, PlaneEvent, PlaneOperation, Released
from mediaproxy.calls.proxy import Proxy
from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import RANDOM_BYTES, CallId, RecordingId, uuid7
from mediaproxy.observe import Metrics
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import CLOSING, Action
from mediaproxy.service.codes import Code, DialledCodes
from mediaproxy.service.control import SIP_STATUS, Control, agent_on
from mediaproxy.service.events import EventStream
from mediaproxy.service.media import Media, Settled
from mediaproxy.service.tasks import Tasks

log = structlog.get_logger()

EVENT_NAMES = {
    CallStarted: "call_started",
    CallRinging: "call_ringing",
    CallAnswered: "call_answered",
    CallHeld: "call_held",
    CallUpdated: "call_updated",
    CallEnded: "call_ended",
}

PUBLISHED_NAMES = {
    CallStarted: "call.started",
    CallRinging: "call.ringing",
    CallAnswered: "call.answered",
    CallUpdated: "call.updated",
    CallEnded: "call.ended",
}

Output = PlaneOperation | CallEvent | RecordRequested | CallBroken | AgentEvent | TrunkEvent


def wall_offset_ns() -> int:
    """Unix time less the monotonic clock."""
    return time.time_ns() - time.monotonic_ns()


class LiveCalls:
    """The calls that have not ended, as the log sees them."""

    def __init__(self) -> None:
        self._records: dict[CallId, CallRecord] = {}
        self._held: set[CallId] = set()
        self.none = asyncio.Event()  # set while no call lives
        self.none.set()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, call: CallId) -> CallRecord | None:
        return self._records.get(call)

    def all(self) -> list[CallRecord]:
        return list(self._records.values())

    def talking(self, agent: str) -> list[CallRecord]:
        """The answered calls that an agent is on now, but for those on hold."""
        return [
            record
            for record in self._records.values()
            if record.state == "answered" and record.id not in self._held and is_on(record, agent)
        ]

    def hold(self, call: CallId, *, held: bool) -> None:
        if held and call in self._records:
            self._held.add(call)
        else:
            self._held.discard(call)

    def see(self, record: CallRecord) -> None:
        if record.state == "ended":
            self._records.pop(record.id, None)
            self._held.discard(record.id)
        else:
            self._records[record.id] = record
        if self._records:
            self.none.clear()
        else:
            self.none.set()


class Wiring:
    """Passes everything on, in order. `settle` lets the call core act on an input at once."""

    def __init__(
        self,
        *,
        proxy: Proxy,
        media: Media,
        settle: Callable[[], None],
        live: LiveCalls,
        control: Control,
        call_log: CallLog,
        metrics: Metrics,
        events: EventStream,
    ) -> None:
        self._metrics = metrics
        self._events = events
        self._proxy = proxy
        self._perform = media.perform
        self._settle = settle
        self._live = live
        self._recordings = media.recordings
        self._control = control
        self._call_log = call_log
        self._codes = DialledCodes(live.get, media.recordings, control)
        self._tasks = Tasks("demand_failed")

    def on_output(self, output: Output) -> None:
        """What the call core wants done, but for what goes to the wire."""
        match output:
            case CallStarted() | CallRinging() | CallAnswered() | CallHeld() | CallUpdated() | CallEnded():
                self._on_call(output)
            case RecordRequested() if output.means == "dtmf":
                self._code_dialled(output, in_rtp=False)
            case RecordRequested():
                self._tasks.start(self._record_requested(output))
            case ContactsChanged():
                log.info("agent_contacts", agent=output.agent, contacts=output.contacts)
            case PasswordRefused():
                log.warning(
                    "password_refused", source=output.source, agent=output.agent, limited=output.limited
                )
            case SourceRefused(source, why, requests):  # configs/fail2ban reads it
                log.warning("sip_source_refused", source=source, why=why, requests=requests)
            case TrunkRegistered(trunk, registered, status):
                say = log.info if registered else log.warning
                say("trunk_registered" if registered else "trunk_not_registered", trunk=trunk, status=status)
            case CallBroken():
                log.error("call_broken", call=output.call, exc_info=output.error)
            case _:
                self._perform(output)

    def on_plane_event(self, event: PlaneEvent) -> None:
        if isinstance(event, Released):
            self._metrics.released(event.legs)
        if isinstance(event, CodeDialled):
            self._code_dialled(event, in_rtp=True)
        self._proxy.receive_plane_event(event, now_ns=time.monotonic_ns())
        self._settle()

    async def close(self) -> None:
        """Wait until nothing that was asked for is under way."""
        await self._tasks.wait()

    def _on_call(self, event: CallEvent) -> None:
        record = event.call
        self._live.see(record)
        if not isinstance(event, CallEnded):
            self._publish(event)
        match event:
            case CallStarted():
                if record.emergency:
                    self._on_emergency(record)
                stored = self._call_log.started(record)
                stored.add_done_callback(lambda _: self._row_stored(record.id))
            case CallAnswered():
                if event.policy.policy is not Policy.OFF:
                    self._recordings.arm(event, _recording_id())
            case CallHeld():
                self._live.hold(record.id, held=event.held)
                self._recordings.hold(record.id, held=event.held)
            case CallUpdated():
                self._recordings.follow(event)
            case CallEnded():
                self._metrics.call_ended(record.disposition or "")
                self._codes.ended(record.id)
                self._recordings.ended(record, ended_ns=event.ended_ns, told=partial(self._publish, event))
        if not isinstance(event, CallStarted):
            self._call_log.put_call(record)
        log.info(EVENT_NAMES[type(event)], call=record.id, status=record.sip_status)

    def _on_emergency(self, record: CallRecord) -> None:
        """Told of before anything becomes of it."""
        self._events.publish("call.emergency", record.id, logged=LoggedCall(record, None))
        log.warning("call_emergency", call=record.id, agent=record.agent, trunk=record.trunk)

    def _publish(self, event: CallEvent) -> None:
        if (name := PUBLISHED_NAMES.get(type(event))) is not None:
            row = self._recordings.row(event.call.id, now_ns=time.monotonic_ns())
            self._events.publish(name, event.call.id, logged=LoggedCall(event.call, row))

    def _row_stored(self, call: CallId) -> None:
        self._proxy.row_stored(call, now_ns=time.monotonic_ns())
        self._settle()

    async def _record_requested(self, wanted: RecordRequested) -> None:
        outcome = await self._demand(wanted)
        if wanted.reply is not None:
            status = SIP_STATUS[outcome] if isinstance(outcome, Refusal) else 200
            self._proxy.record_outcome(wanted.reply, status, now_ns=time.monotonic_ns())
            self._settle()

    def _code_dialled(self, dialled: CodeDialled | RecordRequested, *, in_rtp: bool) -> None:
        code = Code(
            dialled.call, dialled.leg, Action(dialled.action), dialled.arrived_ns, dialled.certain, in_rtp
        )
        if (demand := self._codes.receive(code)) is not None:
            self._tasks.start(demand)

    async def _demand(self, wanted: RecordRequested) -> Settled | Refusal:
        record = self._live.get(wanted.call)
        user = None if record is None else agent_on(record, wanted.leg)
        if user is None and Action(wanted.action) not in CLOSING:  # only our side opens
            return Refusal.NOT_ENABLED
        by = Actor(wanted.means, user)
        return await self._control.demand(wanted.call, Action(wanted.action), by, at_ns=wanted.arrived_ns)


def _recording_id() -> RecordingId:
    return RecordingId(uuid7(time.time_ns() // NS_PER_MS, os.urandom(RANDOM_BYTES)))
