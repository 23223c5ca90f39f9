"""What the HTTP interface sees of the running proxy: live calls first, stored rows second."""

import time
from collections.abc import Callable
from dataclasses import replace

from mediaproxy.api.backend import Demand, Published, Refusal, Toggled, Traced
from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import CallFilter, Cursor, LoggedCall, Page, RecordingRow
from mediaproxy.calls.events import CallRecord
from mediaproxy.ids import CallId
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import Action
from mediaproxy.service.control import Control
from mediaproxy.service.media import StandingRecordings
from mediaproxy.storage import Storage


class ProxyBackend:
    """Implements `api.backend.Backend`."""

    def __init__(
        self,
        *,
        log: CallLog,
        live_call: Callable[[CallId], CallRecord | None],
        talking: Callable[[str], list[CallRecord]],
        recordings: StandingRecordings,
        control: Control,
        storage: Storage,
        trace: Callable[[CallRecord], list[Traced]],
        not_ready: Callable[[], str | None],
    ) -> None:
        self._log = log
        self._live_call = live_call
        self._talking = talking
        self._recordings = recordings
        self._control = control
        self._storage = storage
        self._trace = trace
        self._not_ready = not_ready

    async def calls(self, query: CallFilter, *, limit: int, after: Cursor | None) -> Page:
        page = await self._log.calls(query, limit=limit, after=after)
        return replace(page, calls=tuple(self._as_of_now(each) for each in page.calls))

    async def call(self, call: CallId) -> LoggedCall | None:
        record = self._live_call(call)
        logged = await self._log.call(call) if record is None else LoggedCall(record)
        return None if logged is None else self._as_of_now(logged)

    async def call_of_recording(self, recording: str) -> LoggedCall | None:
        logged = await self._log.call_of_recording(recording)
        return None if logged is None else self._as_of_now(logged)

    async def toggle(self, demand: Demand) -> Toggled | Refusal:
        outcome = await self._control.demand(
            demand.call, Action(demand.action.value), Actor("api", demand.user)
        )
        if outcome is Refusal.NO_SUCH_CALL and await self._log.call(demand.call):
            return Refusal.ENDED
        if isinstance(outcome, Refusal):
            return outcome
        toggled = outcome.toggled
        return Toggled(
            state=toggled.state.value,
            changed=toggled.changed,
            durable=outcome.durable,
            effective_sample=toggled.effective_sample,
            sample_rate=outcome.sample_rate,
        )

    def published(self, recording: RecordingRow) -> Published | None:
        if recording.file is None or recording.manifest is None:
            return None
        return Published(self._storage.root / recording.file, self._storage.root / recording.manifest)

    def talking(self, agent: str) -> list[CallRecord]:
        return self._talking(agent)

    def trace(self, call: CallRecord) -> list[Traced]:
        return self._trace(call)

    def not_ready(self) -> str | None:
        return self._not_ready()

    def _as_of_now(self, logged: LoggedCall) -> LoggedCall:
        record = self._live_call(logged.call.id) or logged.call
        row = self._recordings.row(record.id, now_ns=time.monotonic_ns())
        return LoggedCall(record, row or logged.recording)
