"""Who is told what of a live recording: the log its rows, the event stream its changes, the agent a tone,
recording-aware parties their `a=record`."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from mediaproxy.calllog.rows import AUDIO, LoggedCall, RecordingRow
from mediaproxy.calls.plane import PlaneOperation, PlayTone, Tone
from mediaproxy.clock import rfc3339
from mediaproxy.recording.states import Action, State, Toggled
from mediaproxy.service.live import Live, Lives
from mediaproxy.service.media import EventValue, Outward
from mediaproxy.service.tasks import Tasks
from mediaproxy.storage import Outcome

MS_PER_S = 1_000
EVENT_NAMES = {
    Action.START: "recording.started",
    Action.RESUME: "recording.resumed",
    Action.PAUSE: "recording.paused",
    Action.STOP: "recording.stopped",
    Action.ANNOUNCED: "recording.announced",
}
# RFC 7866 6.1.1.1
WORDS = {State.RECORDING: "on", State.PAUSED: "paused", State.INACTIVE: "off", State.FINISHED: "off"}

log = structlog.get_logger()


class Telling:
    """`perform` takes tones for the media plane, `outward` all the rest."""

    def __init__(
        self,
        lives: Lives,
        *,
        perform: Callable[[PlaneOperation], None],
        outward: Outward,
        tasks: Tasks,
        confirmation_tone: bool,
    ) -> None:
        self._lives = lives
        self._perform = perform
        self._put_row = outward.put_row
        self._indicate = outward.indicate
        self._counts = outward.counts
        self._events = outward.events
        self._tasks = tasks
        self._confirmation_tone = confirmation_tone

    def armed(self, live: Live, now_ns: int) -> None:
        row = self._lives.row(live, now_ns)
        self._put_row(row)
        self._publish("recording.armed", live, row)

    def toggled(self, live: Live, toggled: Toggled, durable: bool, now_ns: int) -> None:
        """A toggle was journalled, or could not be: an opening is none then."""
        if toggled.tentative and not durable:
            self.refused(live)
            return
        if not toggled.announcing:  # the agent hears that it is on when it is
            self._confirm(live, Tone.STARTED if toggled.tentative else Tone.STOPPED)
        row = self._lives.row(live, now_ns)
        if not live.over:
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

    def announced_in_vain(self, live: Live, opened: Toggled, now_ns: int) -> None:
        """It was started and announced, and could not be opened then: it is off."""
        self.refused(live)
        closed = replace(opened, action=Action.STOP, state=State.INACTIVE)
        row = self._lives.row(live, now_ns)
        self._publish_toggled(EVENT_NAMES[Action.STOP], live, closed, row, durable=False)

    def refused(self, live: Live) -> None:
        self._confirm(live, Tone.REFUSED)

    def opened_by_policy(self, live: Live, opened: Toggled, journalled: asyncio.Task[bool]) -> None:
        """As soon as it is durable."""
        live.policys = self._tasks.start(self._opened_by_policy(live, opened, journalled))

    def stopped_by_end(self, live: Live, ended: Toggled) -> None:
        """Its call ended while it was open, or seemed to be: who was not told of the opening yet is told
        of no stop before it."""
        opening = live.opening or live.policys
        if opening is not None and not opening.done():
            self._tasks.start(self._stopped_after(live, ended, opening))
            return
        row = self._lives.row(live, time.monotonic_ns())
        self._publish_toggled("recording.stopped", live, ended, row)

    def paused_too_long(self, live: Live, now_ns: int) -> None:
        policy, leg = live.answered.policy, live.answered.agent_leg
        if leg is not None:
            self._perform(PlayTone(live.call.id, leg, Tone.WARNING))
        self._publish(
            "recording.pause_exceeded",
            live,
            self._lives.row(live, now_ns),
            max_pause_s=policy.max_pause_s,
            resumes=policy.resume_after_max_pause,
        )
        log.warning("recording_paused_too_long", call=live.call.id, recording=live.id)

    def standstill(self, live: Live, shown: RecordingRow, reason: str | None) -> None:
        """Its audio cannot reach the disk for `reason`, or can again (None)."""
        name = "recording.restored" if reason is None else "recording.failing"
        self._publish(name, live, shown, reason=reason)
        log.error(name.replace(".", "_"), call=live.call.id, recording=live.id, reason=reason)

    def published(self, live: Live, row: RecordingRow, outcome: Outcome) -> None:
        """The last word."""
        self._put_row(row)
        name = "recording.failed" if outcome.result == "failed" else "recording.completed"
        self._publish(name, live, row, result=outcome.result, reasons=list(outcome.reasons))
        self._counts.recording_finished(outcome.result)
        log.info("recording_finished", call=live.call.id, recording=live.id, result=outcome.result)
        if outcome.remark is not None:
            self._counts.alarm("recording_not_as_configured")
            log.warning("recording_not_as_configured", recording=live.id, why=outcome.remark)

    def indicate(self, live: Live, now_ns: int) -> None:
        """Recording-aware parties are told what is so now."""
        status = self._lives.status(live, now_ns)
        if status is not None and not live.over:
            announcing = status.open_since is not None and status.open_since.kind != AUDIO
            self._indicate(live.call.id, "off" if announcing else WORDS[status.state])

    async def _opened_by_policy(self, live: Live, opened: Toggled, journalled: asyncio.Task[bool]) -> bool:
        durable = await journalled
        if durable:
            row = self._lives.row(live, time.monotonic_ns())
            self._publish_toggled("recording.started", live, opened, row, durable=True)
        return durable

    async def _stopped_after(self, live: Live, ended: Toggled, opening: asyncio.Task[bool]) -> None:
        await asyncio.wait({opening})
        if opening.result():
            self.stopped_by_end(live, ended)

    def _confirm(self, live: Live, tone: Tone) -> None:
        leg = live.answered.agent_leg
        if self._confirmation_tone and leg is not None and not live.over:
            self._perform(PlayTone(live.call.id, leg, tone))

    def _publish_toggled(
        self, name: str, live: Live, toggled: Toggled, row: RecordingRow, *, durable: bool | None = None
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

    def _publish(self, name: str, live: Live, row: RecordingRow, **fields: EventValue) -> None:
        self._events.publish(name, live.call.id, live.id, logged=LoggedCall(live.call, row), **fields)
