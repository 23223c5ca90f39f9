"""Who may change a recording now, and with what effect: one judgement for every means."""

import asyncio
import time
from collections.abc import Callable

from mediaproxy.api.backend import Refusal
from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.plane import LegId
from mediaproxy.ids import CallId
from mediaproxy.observe import Metrics
from mediaproxy.recording import states
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import Action
from mediaproxy.service.media import Recordings, Settled

REFUSALS = {
    states.Refusal.ENDED: Refusal.ENDED,
    states.Refusal.NOT_ENABLED: Refusal.NOT_ENABLED,
    states.Refusal.LOCKED: Refusal.LOCKED,
}
SIP_STATUS = {  # what an INFO with `Record:` is answered (recording.md, Control)
    Refusal.NO_SUCH_CALL: 481,
    Refusal.NOT_ANSWERED: 403,
    Refusal.ENDED: 481,
    Refusal.NOT_ENABLED: 403,
    Refusal.LOCKED: 403,
    Refusal.NOT_DURABLE: 503,
}


class Control:
    """Judges demands in the order of the contract: call, answer, end, policy, disk."""

    def __init__(
        self,
        live_call: Callable[[CallId], CallRecord | None],
        recordings: Recordings,
        metrics: Metrics,
    ) -> None:
        self._live_call = live_call
        self._recordings = recordings
        self._metrics = metrics

    async def demand(
        self,
        call: CallId,
        action: Action,
        by: Actor,
        *,
        at_ns: int | None = None,
        certain: asyncio.Future[bool] | None = None,
    ) -> Settled | Refusal:
        """Apply `action` as of `at_ns` (default: now). A call that is not live is `NO_SUCH_CALL`.

        `certain`: see `LiveRecordings.toggle`.
        """
        outcome = await self._judge(call, action, by, at_ns, certain)
        self._metrics.toggled(by.means, _told(outcome))
        return outcome

    async def _judge(
        self,
        call: CallId,
        action: Action,
        by: Actor,
        at_ns: int | None,
        certain: asyncio.Future[bool] | None,
    ) -> Settled | Refusal:
        record = self._live_call(call)
        if record is None:
            return Refusal.NO_SUCH_CALL
        if record.state != "answered":
            return Refusal.ENDED if record.state == "ended" else Refusal.NOT_ANSWERED
        if not self._recordings.armed(call):
            return Refusal.NOT_ENABLED
        at_ns = time.monotonic_ns() if at_ns is None else at_ns
        outcome = await self._recordings.toggle(call, action, by, at_ns=at_ns, certain=certain)
        if isinstance(outcome, states.Refusal):
            return REFUSALS[outcome]
        refused = outcome.toggled.tentative and not outcome.durable and not outcome.withdrawn
        return Refusal.NOT_DURABLE if refused else outcome


def _told(outcome: Settled | Refusal) -> str:
    if isinstance(outcome, Refusal):
        return outcome.value
    return "withdrawn" if outcome.withdrawn else outcome.toggled.state.value


def agent_on(record: CallRecord, leg: LegId) -> str | None:
    """The agent who is on that leg now."""
    for participant in record.participants:
        if participant.leg is leg and participant.kind == "agent" and participant.to_ms is None:
            return participant.name
    return None
