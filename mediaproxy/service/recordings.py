"""Live recordings: what joins the recorder, the media plane's taps, the spool and the log.

A toggle takes effect in memory first, at the call clock's position; then it is journalled. A closing that
does not become durable stays closed and says so; an opening that does not is annulled, and no byte of it
is ever written.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import structlog

from mediaproxy.api.shapes import rfc3339
from mediaproxy.calllog.rows import AUDIO, LoggedCall, RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord
from mediaproxy.calls.plane import (
    AnnouncementEvent,
    Describe,
    LegId,
    PlaneOperation,
    PlayTone,
    Released,
    SetTap,
    Tone,
)
from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.observe import Metrics
from mediaproxy.recording import journal
from mediaproxy.recording.manifest import Actor, Redaction
from mediaproxy.recording.rates import best_rate
from mediaproxy.recording.recorder import Arm, Finished, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Refusal, State, Toggled
from mediaproxy.service import rows
from mediaproxy.service.announcements import Announcements
from mediaproxy.service.events import EventStream, EventValue
from mediaproxy.service.pauses import Pauses
from mediaproxy.service.sounds import Sounds
from mediaproxy.service.standstill import Standstills
from mediaproxy.storage import JournalResult, Spool, Storage
from mediaproxy.storage.asked import ask

OPENING_WAIT_S = 1.0  # an opening that is not durable by then is refused
CLOSING_WAIT_S = 0.25  # a closing is answered by then, durable or not
CLOSE_WAIT_S = 10.0
CERTAIN_WAIT_S = 16.0  # eight digits, each at the last moment
CALL_END = Actor("call_end")
LIMIT = Actor("limit")
MS_PER_S = 1_000
EVENT_NAMES = {
    Action.START: "recording.started",
    Action.RESUME: "recording.resumed",
    Action.PAUSE: "recording.paused",
    Action.STOP: "recording.stopped",
    Action.ANNOUNCED: "recording.announced",
}
RECORDING = State.RECORDING.value
# RFC 7866 6.1.1.1
WORDS = {State.RECORDING: "on", State.PAUSED: "paused", State.INACTIVE: "off", State.FINISHED: "off"}
OPENINGS = frozenset({Action.START, Action.RESUME})

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of all recordings."""

    sample_rate: int | Literal["best"]
    keep_unrecorded: bool
    record_on_hold: bool
    confirmation_tone: bool
    format: str = "wav"


@dataclass(frozen=True, slots=True)
class Settled:
    """A toggle's outcome, and whether its journal line is on the disk."""

    toggled: Toggled
    durable: bool
    sample_rate: int
    withdrawn: bool = False  # the opening was a code that became another one


@dataclass(slots=True)
class _Live:
    call: CallRecord
    answered: CallAnswered
    row: RecordingRow  # as armed; positions are asked of the recorder
    held: bool = False
    ended_ns: int | None = None
    opening: asyncio.Task[bool] | None = None  # an opening that is being journalled
    closed_as: State = State.INACTIVE  # what it is until that opening is durable
    policys: asyncio.Task[bool] | None = None  # the policy's own opening, until it is durable and told
    certain: asyncio.Future[bool] | None = None  # whether that opening was meant at all
    asking: set[asyncio.Task[None]] = field(default_factory=set)  # redactions on their way to the disk

    @property
    def id(self) -> RecordingId:
        return self.row.id

    @property
    def generation(self) -> int:
        return self.answered.generation


class LiveRecordings:
    """All live recordings of one media loop; everything is called from that loop.

    `perform` takes operations for the media plane, `put_row` rows for the log.
    """

    def __init__(
        self,
        *,
        recorder: Recorder,
        ring: PacketRing,
        storage: Storage,
        spool: Spool,
        perform: Callable[[PlaneOperation], None],
        put_row: Callable[[RecordingRow], None],
        settings: Settings,
        metrics: Metrics,
        events: EventStream,
        sounds: Sounds,
        indicate: Callable[[CallId, str], None] = lambda call, word: None,
    ) -> None:
        self._metrics = metrics
        self._events = events
        self._recorder = recorder
        self._ring = ring
        self._storage = storage
        self._spool = spool
        self._perform = perform
        self._put_row = put_row
        self._settings = settings
        self._live: dict[CallId, _Live] = {}
        self._by_generation: dict[int, _Live] = {}
        self._descriptions: dict[CallId, dict[LegId, Describe]] = {}
        self._indicate = indicate
        self._pauses = Pauses()
        self._announcements = Announcements(sounds, recorder, perform=perform, heard=self._announced)
        self._standstills = Standstills(lambda: spool.failing, spool.trouble_of)
        self._tasks: set[asyncio.Task[Any]] = set()

    def describe(self, operation: Describe) -> None:
        """What a leg may send from now on; may come before the answer."""
        self._descriptions.setdefault(operation.call, {})[operation.leg] = operation
        if live := self._live.get(operation.call):
            self.drain()
            self._tell(live, operation)

    def arm(self, answered: CallAnswered, recording: RecordingId, *, now_ns: int) -> None:
        """A call was answered and its policy is not off."""
        call, policy = answered.call, answered.policy
        rate = self._rate_of(call.id)
        row = rows.armed_row(recording, call.id, policy.policy.value, rate)
        live = _Live(call, answered, row)
        self._live[call.id] = self._by_generation[live.generation] = live
        created = self._spool.create(_header(live, self._settings))  # the journal's first line
        self._start(_say_if_not_on_disk(live, created))
        opened = self._recorder.arm(
            Arm(
                live.generation,
                answered.answered_ns,
                policy,
                rows.channels(answered),
                rate,
            )
        )
        for description in self._descriptions.get(call.id, {}).values():
            self._tell(live, description)
        insisted = self._insist(live, opened) if opened is not None and opened.changed else None
        self._set_taps(now_ns)
        armed = self._snapshot(live, now_ns)
        self._put_row(armed)
        self._publish("recording.armed", live, armed)
        if opened is not None and insisted is not None:
            live.policys = self._start(self._publish_opened(live, opened, insisted))

    def _rate_of(self, call: CallId) -> int:
        """The file's rate, which never changes while the call lives."""
        if self._settings.sample_rate != "best":
            return self._settings.sample_rate
        return best_rate([described.audio for described in self._descriptions.get(call, {}).values()])

    def hold(self, call: CallId, *, held: bool) -> None:
        """With `record_on_hold` off, nobody is heard in the recording of a held call."""
        live = self._live.get(call)
        if live is None:
            return
        self.drain()
        live.held = held
        for description in self._descriptions.get(call, {}).values():
            self._tell(live, description)

    async def toggle(
        self,
        call: CallId,
        action: Action,
        by: Actor,
        *,
        at_ns: int,
        now_ns: Callable[[], int],
        certain: asyncio.Future[bool] | None = None,
    ) -> Settled | Refusal:
        """Apply a command as of `at_ns`, journal it, and say how that went.

        With `certain` an opening is written out only when that is true; a closing is certain always.
        """
        live = self._live.get(call)
        if live is not None and live.certain is not None and action in OPENINGS and not live.certain.done():
            live.certain.set_result(True)  # whatever else was meant, this one is
        while live is not None and live.opening is not None and action in OPENINGS:
            await asyncio.wait({live.opening})  # until then nobody knows whether we are recording
            at_ns = now_ns()
        if live is None or live.ended_ns is not None:
            return Refusal.ENDED
        outcome = self._recorder.toggle(live.generation, action, by, at_ns)
        if isinstance(outcome, Refusal):
            self._confirm(live, Tone.REFUSED)
            return outcome
        if not outcome.changed:
            return Settled(outcome, durable=True, sample_rate=live.row.sample_rate)
        self._set_taps(now_ns())
        if not outcome.tentative:
            live.closed_as = outcome.state
            self._announcements.closed(call)
            self._say(live, now_ns())
        self._watch_pause(live, outcome.state, at_ns)
        durable = await asyncio.shield(self._journal(live, outcome, certain))
        if outcome.tentative and certain is not None and certain.done() and not certain.result():
            return Settled(outcome, durable, live.row.sample_rate, withdrawn=True)
        self._tell_everyone(live, outcome, durable, now_ns())
        return Settled(outcome, durable, live.row.sample_rate)

    async def redact(self, call: CallId, span: tuple[int, int], by: Actor, reason: str) -> Redaction | None:
        """Make a range of a live recording silent for ever, also what of it is still to be written. None when
        the call is over: then it is for whoever changes published ones. `OSError`: it is not durable."""
        live = self._live.get(call)
        if live is None or live.ended_ns is not None:
            return None
        redaction = Redaction(*span, reason, by, rfc3339(time.time_ns() // NS_PER_MS))
        asking = self._start(asyncio.to_thread(ask, self._storage, live.id, redaction))
        live.asking.add(asking)
        asking.add_done_callback(live.asking.discard)
        await asyncio.shield(asking)
        return redaction

    def armed(self, call: CallId) -> bool:
        """Whether this live call has a recorder."""
        return call in self._live

    def is_open(self, call: CallId) -> bool:
        live = self._live.get(call)
        status = None if live is None else self._recorder.status(live.generation, time.monotonic_ns())
        return status is not None and status.state is State.RECORDING

    async def opening_settled(self, call: CallId) -> None:
        """Until no opening of this call waits for its journal, or for being certain."""
        live = self._live.get(call)
        if live is not None and live.opening is not None:
            await asyncio.wait({live.opening})

    def closed_by_carriers(self, call: CallId) -> bool:
        """Whether the carrier's codes may close this call's gate."""
        live = self._live.get(call)
        return live is not None and live.answered.policy.carrier_closes

    def row(self, call: CallId, *, now_ns: int) -> RecordingRow | None:
        """The recording of a live call as of now."""
        live = self._live.get(call)
        return None if live is None else self._standstills.shown(self._snapshot(live, now_ns))

    def tick(self, *, now_ns: int) -> None:
        """Every few tens of milliseconds: from the ring to the spool."""
        self.drain()
        self._set_taps(now_ns)
        self._announcements.tick(now_ns)
        for call in self._pauses.overdue(now_ns):
            self._paused_too_long(self._live[call], now_ns)
        self._spool.flush(now_ns)
        if self._standstills.due(now_ns):
            self._tell_standstills(now_ns)

    def drain(self) -> None:
        """Take what the ring holds; a plane whose ring fills up asks for it too."""
        self._hand_out(self._recorder.drain(self._ring))

    def ended(self, call: CallRecord, *, ended_ns: int) -> None:
        """The call clock stops here; the file follows when the plane has released the call."""
        if live := self._live.get(call.id):
            live.call, live.ended_ns = call, ended_ns
            self._pauses.ended(call.id)
            self._announcements.ended(call.id)
            was_open = self._recorder.status(live.generation, ended_ns)
            ended = self._recorder.end(live.generation, ended_ns, CALL_END)
            self._set_taps(ended_ns)
            if ended is not None and was_open is not None and was_open.state is State.RECORDING:
                self._say_stopped(live, ended)

    def released(self, event: Released) -> None:
        """The plane relayed the call's last packet: finish the file."""
        self._descriptions.pop(event.call, None)
        live = self._live.get(event.call)
        if live is not None and live.ended_ns is not None:
            self._start(self._finish(live, live.ended_ns, event))

    async def close(self) -> None:
        """Wait until every ended recording is published; a disk that hangs leaves them to the next start."""
        end = asyncio.get_running_loop().time() + CLOSE_WAIT_S
        while self._tasks and (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        if self._tasks:
            log.error("recordings_left_in_the_spool", count=len(self._by_generation))
        for task in self._tasks:
            task.cancel()

    def _watch_pause(self, live: _Live, state: State, since_ns: int) -> None:
        if state is State.PAUSED:
            self._pauses.began(live.call.id, live.answered.policy.max_pause_s, since_ns)
        else:
            self._pauses.ended(live.call.id)

    def _paused_too_long(self, live: _Live, now_ns: int) -> None:
        """Warn, and end the pause only where the policy says so."""
        policy, leg = live.answered.policy, live.answered.agent_leg
        if leg is not None:
            self._perform(PlayTone(live.call.id, leg, Tone.WARNING))
        self._publish(
            "recording.pause_exceeded",
            live,
            self._snapshot(live, now_ns),
            max_pause_s=policy.max_pause_s,
            resumes=policy.resume_after_max_pause,
        )
        log.warning("recording_paused_too_long", call=live.call.id, recording=live.id)
        if policy.resume_after_max_pause:
            self._start(
                self.toggle(live.call.id, Action.RESUME, LIMIT, at_ns=now_ns, now_ns=time.monotonic_ns)
            )

    def _tell_standstills(self, now_ns: int) -> None:
        by_id = {live.id: live for live in self._live.values()}
        opened = (live.id for live in self._live.values() if self._snapshot(live, now_ns).state == RECORDING)
        for change in self._standstills.changes(opened):
            if live := by_id.get(change.recording):
                row = self._standstills.shown(self._snapshot(live, now_ns))
                name = "recording.restored" if change.reason is None else "recording.failing"
                self._publish(name, live, row, reason=change.reason)
                log.error(name.replace(".", "_"), call=live.call.id, recording=live.id, reason=change.reason)

    def _journal(
        self, live: _Live, toggled: Toggled, certain: asyncio.Future[bool] | None = None
    ) -> asyncio.Task[bool]:
        written = self._spool.toggle(live.id, _line(toggled))
        if not toggled.tentative:
            return self._start(self._close(live, toggled, written))
        live.certain = certain
        live.opening = self._start(self._open(live, toggled, written, certain))
        return live.opening

    def _insist(self, live: _Live, toggled: Toggled) -> asyncio.Task[bool]:
        """Nobody waits for the policy's opening, so no disk refuses it: its audio waits in the spool until
        its line is durable."""
        self._recorder.confirm(live.generation, toggled.number)
        self._announce(live, toggled)
        written = self._spool.toggle(live.id, _line(toggled), insist=True)
        return self._start(self._insisted(live, toggled, written))

    async def _insisted(self, live: _Live, toggled: Toggled, written: asyncio.Future[JournalResult]) -> bool:
        if not await _durable(written, OPENING_WAIT_S):
            self._alarm("opening_not_durable", live, toggled)
        return (await written).durable

    async def _close(self, live: _Live, toggled: Toggled, written: asyncio.Future[JournalResult]) -> bool:
        durable = await _durable(written, CLOSING_WAIT_S)
        if not durable:
            self._alarm("closing_not_durable", live, toggled)
        return durable

    async def _open(
        self,
        live: _Live,
        toggled: Toggled,
        written: asyncio.Future[JournalResult],
        certain: asyncio.Future[bool] | None,
    ) -> bool:
        durable = await _durable(written, OPENING_WAIT_S)
        meant = not durable or certain is None or await _is_certain(certain)
        if durable and meant:
            self._recorder.confirm(live.generation, toggled.number)
            self._announce(live, toggled)
        else:
            self._annul(live, toggled)
        if not durable:
            self._alarm("opening_not_durable", live, toggled)
        live.opening = live.certain = None
        return durable and meant

    def receive_announcement(self, event: AnnouncementEvent, *, now_ns: int) -> None:
        """What became of an announcement on the media plane."""
        self._announcements.receive(event, now_ns)

    def _announce(self, live: _Live, toggled: Toggled) -> None:
        """The opening stands: whoever is to hear of it does."""
        if live.ended_ns is not None or not self.is_open(live.call.id):
            return
        if toggled.announcing:
            self._announcements.await_consent(live.answered)
        else:
            self._announcements.opened(live.answered)
        self._say(live, time.monotonic_ns())

    def _announced(self, call: CallId, now_ns: int) -> None:
        """Everyone has heard all of it: from here on the recording is open."""
        live = self._live[call]
        opened = self._recorder.announced(live.generation, now_ns)
        if opened is None:
            return
        self._set_taps(now_ns)
        by_policy = opened.by.means == "policy"
        journalled = self._insist(live, opened) if by_policy else self._journal(live, opened)
        self._start(self._publish_announced(live, opened, journalled))

    async def _publish_announced(self, live: _Live, opened: Toggled, journalled: asyncio.Task[bool]) -> None:
        if await journalled and live.ended_ns is None:
            self._tell_everyone(live, opened, True, time.monotonic_ns())

    def _annul(self, live: _Live, toggled: Toggled) -> None:
        now_ns = time.monotonic_ns()
        self._recorder.annul(live.generation, toggled.number)
        self._set_taps(now_ns)
        self._spool.annul(live.id, toggled.number)
        row = self._snapshot(live, now_ns)
        self._put_row(row)
        if live.ended_ns is None:
            self._watch_pause(live, State(row.state), now_ns)

    def _alarm(self, event: str, live: _Live, toggled: Toggled) -> None:
        self._metrics.alarm(event)
        log.error(event, call=live.call.id, recording=live.id, means=toggled.by.means)

    async def _finish(self, live: _Live, ended_ns: int, event: Released) -> None:
        if live.opening is not None:
            await asyncio.wait({live.opening})
        self.drain()
        finished = self._recorder.finish(live.generation, ended_ns, CALL_END)
        if finished is None:
            return
        self._hand_out(finished.writes)
        if live.asking:  # publishing heeds what is on the disk by then
            await asyncio.wait(live.asking)
        row = live.row = rows.finished_row(live.row, finished)
        self._put_row(row)
        outcome = await self._spool.finish(live.id, _ended(finished, event))
        del self._live[live.call.id], self._by_generation[live.generation]
        published = rows.published_row(row, outcome, self._storage.root)
        self._put_row(published)
        name = "recording.failed" if outcome.result == "failed" else "recording.completed"
        self._publish(name, live, published, result=outcome.result, reasons=list(outcome.reasons))
        self._metrics.recording_finished(outcome.result)
        log.info("recording_finished", call=live.call.id, recording=live.id, result=outcome.result)
        if outcome.remark is not None:
            self._metrics.alarm("recording_not_as_configured")
            log.warning("recording_not_as_configured", recording=live.id, why=outcome.remark)

    def _hand_out(self, writes: list[Write]) -> None:
        for write in writes:
            live = self._by_generation[write.generation]
            if write.frames is None:
                self._spool.extend(live.id, write.end)
            else:
                self._spool.write(live.id, write.start, write.frames)

    def _say(self, live: _Live, now_ns: int) -> None:
        """Recording-aware parties are told what is so now."""
        status = self._recorder.status(live.generation, now_ns)
        if status is not None and live.ended_ns is None:
            announcing = status.open_since is not None and status.open_since.kind != AUDIO
            self._indicate(live.call.id, "off" if announcing else WORDS[status.state])

    def _set_taps(self, now_ns: int) -> None:
        for change in self._recorder.tap_changes(now_ns):
            call = self._by_generation[change.generation].call.id
            for leg in LegId:
                self._perform(SetTap(call, leg, change.tap))

    def _tell(self, live: _Live, described: Describe) -> None:
        heard = described.heard and (self._settings.record_on_hold or not live.held)
        self._recorder.describe(
            live.generation, described.leg, described.audio, described.digits, heard=heard
        )

    def _tell_everyone(self, live: _Live, toggled: Toggled, durable: bool, now_ns: int) -> None:
        if toggled.tentative and not durable:
            self._confirm(live, Tone.REFUSED)
            return
        if not toggled.announcing:  # the agent hears that it is on when it is
            self._confirm(live, Tone.STARTED if toggled.tentative else Tone.STOPPED)
        row = self._snapshot(live, now_ns)
        if live.ended_ns is None:
            self._put_row(row)
        self._publish_toggled(EVENT_NAMES[toggled.action], live, toggled, row, durable=durable)
        log.info(
            "recording_toggled",
            call=live.call.id,
            recording=live.id,
            action=toggled.action.value,
            sample=toggled.effective_sample,
            means=toggled.by.means,
            user=toggled.by.user,
            durable=durable,
        )

    def _publish(self, name: str, live: _Live, row: RecordingRow, **fields: EventValue) -> None:
        self._events.publish(name, live.call.id, live.id, logged=LoggedCall(live.call, row), **fields)

    def _say_stopped(self, live: _Live, ended: Toggled) -> None:
        opening = live.opening or live.policys
        if opening is not None and not opening.done():  # nobody was told yet that it was open
            self._start(self._publish_stopped(live, ended, opening))
            return
        self._publish_toggled("recording.stopped", live, ended, self._snapshot(live, time.monotonic_ns()))

    async def _publish_stopped(self, live: _Live, ended: Toggled, opening: asyncio.Task[bool]) -> None:
        await asyncio.wait({opening})
        if opening.result():
            self._say_stopped(live, ended)

    async def _publish_opened(self, live: _Live, opened: Toggled, journalled: asyncio.Task[bool]) -> bool:
        durable = await journalled
        if durable:
            row = self._snapshot(live, time.monotonic_ns())
            self._publish_toggled("recording.started", live, opened, row, durable=True)
        return durable

    def _publish_toggled(
        self, name: str, live: _Live, toggled: Toggled, row: RecordingRow, *, durable: bool | None = None
    ) -> None:
        effective_ms = toggled.effective_sample * MS_PER_S // row.sample_rate
        self._publish(
            name,
            live,
            row,
            state=toggled.state.value,
            durable=durable,
            effective_sample=toggled.effective_sample,
            effective_ms=effective_ms,
            effective_at=rfc3339((live.call.answered_at_ms or live.call.started_at_ms) + effective_ms),
            sample_rate=row.sample_rate,
            means=toggled.by.means,
            user=toggled.by.user,
        )

    def _confirm(self, live: _Live, tone: Tone) -> None:
        leg = live.answered.agent_leg
        if self._settings.confirmation_tone and leg is not None and live.ended_ns is None:
            self._perform(PlayTone(live.call.id, leg, tone))

    def _snapshot(self, live: _Live, now_ns: int) -> RecordingRow:
        at_ns = now_ns if live.ended_ns is None else live.ended_ns
        status = self._recorder.status(live.generation, at_ns)
        if status is None:
            return live.row
        row = rows.live_row(live.row, status, ended=live.ended_ns is not None)
        if live.opening is not None and row.state == RECORDING:
            return rows.unopened(row, live.closed_as)
        return row

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("recording_task_failed", exc_info=error)


def _header(live: _Live, settings: Settings) -> journal.Header:
    record, policy = live.call, live.answered.policy
    return journal.Header(
        recording_id=live.id,
        call_id=record.id,
        sip_call_id=record.sip_call_id,
        answered_at_ms=record.answered_at_ms or record.started_at_ms,
        sample_rate=live.row.sample_rate,
        policy=policy.policy.value,
        pausable=policy.pausable,
        consent="required" if policy.consent_required else "none",
        keep_unrecorded=settings.keep_unrecorded,
        participants=rows.participants(live.answered),
        format=settings.format,
        keep_days=policy.keep_days,
    )


def _line(toggled: Toggled) -> journal.Toggled:
    return journal.Toggled(
        number=toggled.number,
        position=toggled.effective_sample,
        action=toggled.action.value,
        by=toggled.by,
        state=journal.ANNOUNCING if toggled.announcing else toggled.state.value,
    )


async def _say_if_not_on_disk(live: _Live, created: asyncio.Future[JournalResult]) -> None:
    if not (result := await created).durable:
        log.error("recording_not_on_disk", call=live.call.id, recording=live.id, reason=result.reason)


def _ended(finished: Finished, event: Released) -> journal.Ended:
    return journal.Ended(
        duration_samples=finished.duration_samples,
        intervals=finished.intervals,
        streams=finished.streams,
        withheld=sum(leg.withheld for leg in event.legs),
        injected=sum(leg.injected for leg in event.legs),
        reasons=finished.reasons,
    )


async def _is_certain(certain: asyncio.Future[bool]) -> bool:
    """When in doubt, no: an opening that nobody confirms was none."""
    done, _ = await asyncio.wait({certain}, timeout=CERTAIN_WAIT_S)
    return bool(done) and certain.result()


async def _durable(written: asyncio.Future[JournalResult], wait_s: float) -> bool:
    """Whether the line was on the disk in time; it may still get there later."""
    done, _ = await asyncio.wait({written}, timeout=wait_s)
    return bool(done) and written.result().durable
