"""Live recordings: what joins the recorder, the media plane's taps, the spool and the log.

A toggle takes effect in memory first, at the call clock's position; then it is journalled
(`service.journalling`), and whoever is to know of it is told (`service.telling`).
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from mediaproxy.calllog.rows import RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord, CallUpdated
from mediaproxy.calls.plane import AnnouncementEvent, Describe, PlaneOperation, Released
from mediaproxy.clock import NS_PER_MS, rfc3339
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording import journal
from mediaproxy.recording.manifest import Actor, Participant, Redaction
from mediaproxy.recording.recorder import Arm, Finished, Recorder
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Refusal, State, Toggled
from mediaproxy.service import rows
from mediaproxy.service.announcements import Announcements
from mediaproxy.service.journalling import Journalling
from mediaproxy.service.live import Live, Lives, Settings, header
from mediaproxy.service.media import Outward, Settled
from mediaproxy.service.pauses import Pauses
from mediaproxy.service.sounds import Sounds
from mediaproxy.service.standstill import Change, Standstills
from mediaproxy.service.taps import Taps
from mediaproxy.service.tasks import Tasks
from mediaproxy.service.telling import Telling
from mediaproxy.storage import JournalResult, Spool, Storage
from mediaproxy.storage.asked import ask

CLOSE_WAIT_S = 10.0
CALL_END = Actor("call_end")
LIMIT = Actor("limit")
POLICY = Actor("policy")
OPENINGS = frozenset({Action.START, Action.RESUME})

log = structlog.get_logger()


class LiveRecordings:
    """All live recordings of one media loop; everything is called from that loop.

    `perform` takes operations for the media plane; `relay` gives it a turn in the midst of longer work.
    """

    def __init__(
        self,
        *,
        recorder: Recorder,
        ring: PacketRing,
        storage: Storage,
        spool: Spool,
        perform: Callable[[PlaneOperation], None],
        relay: Callable[[], None],
        settings: Settings,
        sounds: Sounds,
        outward: Outward,
    ) -> None:
        self._recorder = recorder
        self._storage = storage
        self._spool = spool
        self._put_row = outward.put_row
        self._tell_standing = outward.show
        self._settings = settings
        self._tasks = Tasks("recording_task_failed")
        self._lives = Lives(recorder)
        self._pauses = Pauses()
        self._standstills = Standstills(lambda: spool.failing, spool.trouble_of)
        self._announcements = Announcements(sounds, recorder, perform=perform, heard=self._announced)
        self._taps = Taps(
            self._lives,
            recorder=recorder,
            ring=ring,
            spool=spool,
            perform=perform,
            relay=relay,
            settings=settings,
        )
        self._journalling = Journalling(
            recorder, spool, outward.counts, self._tasks, stands=self._announce, annulled=self._annulled
        )
        self._drained: asyncio.Future[None] | None = None  # what ended calls wait for
        self._telling = Telling(
            self._lives,
            perform=perform,
            outward=outward,
            tasks=self._tasks,
            confirmation_tone=settings.confirmation_tone,
        )

    # -- the life of a recording

    def describe(self, operation: Describe) -> None:
        """What a leg may send from now on; may come before the answer."""
        self._taps.describe(operation)

    def arm(self, answered: CallAnswered, recording: RecordingId, *, now_ns: int | None = None) -> None:
        """A call was answered and its policy is not off."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        call, policy = answered.call, answered.policy
        rate = self._taps.rate_of(call.id)
        row = rows.armed_row(recording, call.id, policy.policy.value, rate)
        live = Live(call, answered, row, barred=answered.barred)
        self._lives.add(live)
        created = self._spool.create(header(live, self._settings))  # the journal's first line
        self._tasks.start(_say_if_not_on_disk(live, created))
        channels = rows.channels(answered)
        opened = self._recorder.arm(
            Arm(live.generation, answered.answered_ns, policy, channels, rate, answered.barred)
        )
        self._taps.tell_all(live)
        insisted = None if opened is None else self._journalling.insist(live, opened)
        self._taps.set(now_ns)
        self._telling.armed(live, now_ns)
        if live.barred:  # an INVITE may have said otherwise
            self._telling.indicate(live, now_ns)
        self._show(live)
        if opened is not None and insisted is not None:
            self._telling.opened_by_policy(live, opened, insisted)

    def hold(self, call: CallId, *, held: bool) -> None:
        """With `record_on_hold` off, nobody is heard in the recording of a held call."""
        if live := self._lives.get(call):
            self._taps.drain()
            live.held = held
            self._taps.tell_all(live)

    def follow(self, updated: CallUpdated) -> None:
        """What is known of the call changed. Who may not be recorded closes the gate by being there; it
        opens again by command alone."""
        live = self._lives.get(updated.call.id)
        if live is None or live.over:
            return
        if updated.call.participants != live.call.participants:
            live.present = rows.participants(live.answered, updated.call, live.row.sample_rate)
            self._spool.present(live.id, live.present)
        closes, live.barred = updated.barred and not live.barred, updated.barred
        live.call = updated.call
        self._recorder.bar(live.generation, barred=updated.barred)
        if closes:
            self._tasks.start(self.toggle(live.call.id, Action.STOP, POLICY, at_ns=updated.at_ns))

    def ended(self, call: CallRecord, *, ended_ns: int, told: Callable[[], None] = lambda: None) -> None:
        """The call clock stops here; the file follows when the plane has released the call. `told` is
        called when everybody knows what became of the gate."""
        if live := self._lives.get(call.id):
            live.call, live.ended_ns = call, ended_ns
            self._end(live, ended_ns)
        told()

    def _end(self, live: Live, ended_ns: int) -> None:
        self._pauses.ended(live.call.id)
        self._announcements.ended(live.call.id)
        was_open = self._lives.status(live, ended_ns)
        ended = self._recorder.end(live.generation, ended_ns, CALL_END)
        self._taps.set(ended_ns)
        self._show(live)
        if ended is not None and was_open is not None and was_open.state is State.RECORDING:
            self._telling.stopped_by_end(live, ended)

    def released(self, event: Released) -> None:
        """The plane relayed the call's last packet: finish the file."""
        self._taps.forget(event.call)
        live = self._lives.get(event.call)
        if live is not None and live.ended_ns is not None:
            self._tasks.start(self._finish(live, live.ended_ns, event))

    async def _finish(self, live: Live, ended_ns: int, event: Released) -> None:
        await live.opening_settled()
        await asyncio.shield(self._next_drain())
        finished = self._recorder.finish(live.generation, ended_ns, CALL_END)
        if finished is None:
            return
        self._taps.hand_out(finished.writes)
        if live.asking:  # publishing heeds what is on the disk by then
            await asyncio.wait(live.asking)
        live.row = rows.finished_row(live.row, finished)
        self._show(live)
        self._put_row(live.row)
        outcome = await self._spool.finish(live.id, _ended(finished, event, live.present))
        self._lives.remove(live)
        self._telling.published(live, rows.published_row(live.row, outcome, self._storage.root), outcome)

    def _next_drain(self) -> asyncio.Future[None]:
        """The next tick's, for all calls that ended since the last."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
        return self._drained

    def _drain_for_ended(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None:
            try:
                self._taps.drain()
            finally:
                drained.set_result(None)

    def tick(self, *, now_ns: int) -> None:
        """Every few tens of milliseconds: from the ring to the spool."""
        self._drain_for_ended()
        self._taps.relieve()
        self._taps.set(now_ns)
        self._announcements.tick(now_ns)
        for call in self._pauses.overdue(now_ns):
            self._paused_too_long(self._lives[call], now_ns)
        self._spool.flush(now_ns)
        for change in self._standstills.changes(now_ns, self._lives.recording):
            self._tell_standstill(change, now_ns)

    def relieve(self) -> None:
        """Take what the ring holds: a plane whose ring fills up asks for it."""
        self._taps.relieve()

    async def close(self) -> None:
        """Wait until every ended recording is published; a disk that hangs leaves them to the next start."""
        if not await self._tasks.wait(CLOSE_WAIT_S):
            log.error("recordings_left_in_the_spool", count=len(self._lives))
        self._tasks.cancel()

    # -- commands

    async def toggle(
        self,
        call: CallId,
        action: Action,
        by: Actor,
        *,
        at_ns: int,
        now_ns: Callable[[], int] = time.monotonic_ns,
        certain: asyncio.Future[bool] | None = None,
    ) -> Settled | Refusal:
        """Apply a command as of `at_ns`, journal it, and say how that went.

        With `certain` an opening is written out only when that is true; a closing is certain always.
        """
        live = self._lives.get(call)
        if live is not None and self._may_open(live, action) and await _waited_for_openings(live):
            at_ns = now_ns()
        if live is None or live.over:
            return Refusal.ENDED
        outcome = self._recorder.toggle(live.generation, action, by, at_ns)
        if isinstance(outcome, Refusal):
            self._telling.refused(live)
            return outcome
        if not outcome.changed:
            return Settled(outcome, durable=True, sample_rate=live.row.sample_rate)
        self._take_effect(live, outcome, at_ns, now_ns())
        before = live.opening  # what a closing closes, and may not be told of yet
        journalled = self._journalling.write(live, outcome, certain)
        self._show(live)
        durable = await asyncio.shield(journalled)
        self._show(live)
        withdrawn = outcome.tentative and certain is not None and certain.done() and not certain.result()
        if before is not None and not before.done():
            self._tasks.start(self._tell_after(before, live, outcome, durable, now_ns))
        elif not withdrawn:
            self._telling.toggled(live, outcome, durable, now_ns())
        return Settled(outcome, durable, live.row.sample_rate, withdrawn)

    async def _tell_after(
        self,
        opening: asyncio.Task[bool],
        live: Live,
        closed: Toggled,
        durable: bool,
        now_ns: Callable[[], int],
    ) -> None:
        """A closing is answered at once, and told of in its turn: who hears of the opening last believes
        that it is on."""
        await asyncio.wait({opening})
        self._telling.toggled(live, closed, durable, now_ns())

    async def redact(self, call: CallId, span: tuple[int, int], by: Actor, reason: str) -> Redaction | None:
        """Make a range of a live recording silent for ever, also what of it is still to be written. None when
        the call is over: then it is for whoever changes published ones. `OSError`: it is not durable."""
        live = self._lives.get(call)
        if live is None or live.over:
            return None
        redaction = Redaction(*span, reason, by, rfc3339(time.time_ns() // NS_PER_MS))
        asking = self._tasks.start(asyncio.to_thread(ask, self._storage, live.id, redaction))
        live.asking.add(asking)
        asking.add_done_callback(live.asking.discard)
        await asyncio.shield(asking)
        return redaction

    def _take_effect(self, live: Live, toggled: Toggled, at_ns: int, now_ns: int) -> None:
        """All that a toggle does before the disk is asked."""
        self._taps.set(now_ns)
        if not toggled.tentative:
            live.closed_as = toggled.state
            self._announcements.closed(live.call.id)
            self._telling.indicate(live, now_ns)
            self._watch_pause(live, toggled.state, at_ns)

    def _annulled(self, live: Live) -> None:
        now_ns = time.monotonic_ns()
        self._taps.set(now_ns)
        self._show(live)
        self._put_row(self._lives.row(live, now_ns))

    def _may_open(self, live: Live, action: Action) -> bool:
        toggles_on = action is Action.TOGGLE and not self.is_open(live.call.id)
        return action in OPENINGS or toggles_on

    # -- how a recording stands

    def armed(self, call: CallId) -> bool:
        """Whether this live call has a recorder."""
        return call in self._lives

    def is_open(self, call: CallId) -> bool:
        live = self._lives.get(call)
        status = None if live is None else self._lives.status(live, time.monotonic_ns())
        return status is not None and status.state is State.RECORDING

    async def opening_settled(self, call: CallId) -> None:
        """Until no opening of this call waits for its journal, or for being certain."""
        if live := self._lives.get(call):
            await live.opening_settled()

    def closed_by_carriers(self, call: CallId) -> bool:
        """Whether the carrier's codes may close this call's gate."""
        live = self._lives.get(call)
        return live is not None and live.answered.policy.carrier_closes

    def row(self, call: CallId, *, now_ns: int) -> RecordingRow | None:
        """The recording of a live call as of now."""
        live = self._lives.get(call)
        return None if live is None else self._standstills.shown(self._lives.row(live, now_ns))

    def troubles(self) -> dict[RecordingId, str]:
        """Why the audio of which cannot reach the disk."""
        found = ((live.id, self._spool.trouble_of(live.id)) for live in self._lives)
        return {recording: reason for recording, reason in found if reason is not None}

    def _show(self, live: Live) -> None:
        """To whoever cannot ask: after every change of what `row` and `is_open` say, but that time passes or
        the disk is in trouble."""
        if self._tell_standing is not None:
            row = self._lives.row(live, time.monotonic_ns())
            self._tell_standing(live.call.id, row, self.is_open(live.call.id))

    def _tell_standstill(self, change: Change, now_ns: int) -> None:
        if live := self._lives.named(change.recording):
            shown = self._standstills.shown(self._lives.row(live, now_ns))
            self._telling.standstill(live, shown, change.reason)

    # -- pauses

    def _watch_pause(self, live: Live, state: State, since_ns: int) -> None:
        if state is State.PAUSED:
            self._pauses.began(live.call.id, live.answered.policy.max_pause_s, since_ns)
        else:
            self._pauses.ended(live.call.id)

    def _paused_too_long(self, live: Live, now_ns: int) -> None:
        """Warn, and end the pause only where the policy says so."""
        self._telling.paused_too_long(live, now_ns)
        if live.answered.policy.resume_after_max_pause:
            self._tasks.start(self.toggle(live.call.id, Action.RESUME, LIMIT, at_ns=now_ns))

    # -- announcements

    def receive_announcement(self, event: AnnouncementEvent, *, now_ns: int) -> None:
        """What became of an announcement on the media plane."""
        self._announcements.receive(event, now_ns)

    def _announce(self, live: Live, toggled: Toggled) -> None:
        """The opening stands: whoever is to hear of it does."""
        if live.over or not self.is_open(live.call.id):
            return
        self._pauses.ended(live.call.id)
        if toggled.announcing:
            self._announcements.await_consent(live.answered)
        else:
            self._announcements.opened(live.answered)
        self._telling.indicate(live, time.monotonic_ns())

    def _announced(self, call: CallId, now_ns: int) -> None:
        """Everyone has heard all of it: from here on the recording is open."""
        live = self._lives[call]
        opened = self._recorder.announced(live.generation, now_ns)
        if opened is None:
            return
        self._taps.set(now_ns)
        journal_it = self._journalling.insist if opened.by.means == "policy" else self._journalling.write
        journalled = journal_it(live, opened)
        self._show(live)
        self._tasks.start(self._tell_announced(live, opened, journalled))

    async def _tell_announced(self, live: Live, opened: Toggled, journalled: asyncio.Task[bool]) -> None:
        durable = await journalled
        self._show(live)
        if live.over:
            return
        now_ns = time.monotonic_ns()
        if durable:
            self._telling.toggled(live, opened, True, now_ns)
        elif not self.is_open(live.call.id):
            self._telling.announced_in_vain(live, opened, now_ns)


async def _waited_for_openings(live: Live) -> bool:
    """Whether one was under way; until it is settled nobody knows whether we are recording."""
    if live.certain is not None and not live.certain.done():
        live.certain.set_result(True)  # whatever else was meant, this one is
    waited = live.opening is not None
    while live.opening is not None:
        await live.opening_settled()
    return waited


async def _say_if_not_on_disk(live: Live, created: asyncio.Future[JournalResult]) -> None:
    if not (result := await created).durable:
        log.error("recording_not_on_disk", call=live.call.id, recording=live.id, reason=result.reason)


def _ended(finished: Finished, event: Released, present: tuple[Participant, ...] | None) -> journal.Ended:
    return journal.Ended(
        duration_samples=finished.duration_samples,
        intervals=finished.intervals,
        streams=finished.streams,
        withheld=sum(leg.withheld for leg in event.legs),
        injected=sum(leg.injected for leg in event.legs),
        reasons=finished.reasons,
        participants=present,
    )
