"""How toggles become durable. They have taken effect in memory before anything is asked of the disk.

A closing that does not become durable stays closed and says so. An opening that does not, or that turns
out not to have been meant, is annulled, and no byte of it is ever written; but for the policy's own, for
which nobody waits: no disk refuses it, its audio waits in the spool until its line is durable.
"""

import asyncio
from collections.abc import Callable

import structlog

from mediaproxy.recording import journal
from mediaproxy.recording.recorder import Recorder
from mediaproxy.recording.states import Toggled
from mediaproxy.service.live import Live
from mediaproxy.service.media import Counts
from mediaproxy.service.tasks import Tasks
from mediaproxy.storage import JournalResult, Spool

OPENING_WAIT_S = 1.0  # an opening that is not durable by then is refused
CLOSING_WAIT_S = 0.25  # a closing is answered by then, durable or not
CERTAIN_WAIT_S = 16.0  # eight digits, each at the last moment

log = structlog.get_logger()

Written = asyncio.Future[JournalResult]
Certain = asyncio.Future[bool]


class Journalling:
    """Settles what the recorder did: `stands` is told of an opening that counts from now on, `annulled` of
    a recording whose opening never was."""

    def __init__(
        self,
        recorder: Recorder,
        spool: Spool,
        counts: Counts,
        tasks: Tasks,
        *,
        stands: Callable[[Live, Toggled], None],
        annulled: Callable[[Live], None],
    ) -> None:
        self._recorder = recorder
        self._spool = spool
        self._counts = counts
        self._tasks = tasks
        self._stands = stands
        self._annulled = annulled

    def write(self, live: Live, toggled: Toggled, certain: Certain | None = None) -> asyncio.Task[bool]:
        """Whether it is durable; of an opening: whether it stands."""
        written = self._spool.toggle(live.id, _line(toggled))
        if not toggled.tentative:
            return self._tasks.start(self._close(live, toggled, written))
        live.certain = certain
        live.opening = self._tasks.start(self._open(live, toggled, written, certain))
        return live.opening

    def insist(self, live: Live, toggled: Toggled) -> asyncio.Task[bool]:
        """The policy's opening: it stands at once, and is durable some time."""
        self._recorder.confirm(live.generation, toggled.number)
        self._stands(live, toggled)
        written = self._spool.toggle(live.id, _line(toggled), insist=True)
        return self._tasks.start(self._insisted(live, toggled, written))

    async def _insisted(self, live: Live, toggled: Toggled, written: Written) -> bool:
        if not await _durable(written, OPENING_WAIT_S):
            self._alarm("opening_not_durable", live, toggled)
        return (await written).durable

    async def _close(self, live: Live, toggled: Toggled, written: Written) -> bool:
        durable = await _durable(written, CLOSING_WAIT_S)
        if not durable:
            self._alarm("closing_not_durable", live, toggled)
        return durable

    async def _open(self, live: Live, toggled: Toggled, written: Written, certain: Certain | None) -> bool:
        try:
            durable = await _durable(written, OPENING_WAIT_S)
            stands = durable and (certain is None or await _is_certain(certain))
            self._decide(live, toggled, stands=stands)
            if not durable:
                self._alarm("opening_not_durable", live, toggled)
        finally:  # others wait for it
            live.opening = live.certain = None
        return stands

    def _decide(self, live: Live, toggled: Toggled, *, stands: bool) -> None:
        if stands:
            self._recorder.confirm(live.generation, toggled.number)
            self._stands(live, toggled)
        else:
            self._recorder.annul(live.generation, toggled.number)
            self._spool.annul(live.id, toggled.number)
            self._annulled(live)

    def _alarm(self, event: str, live: Live, toggled: Toggled) -> None:
        self._counts.alarm(event)
        log.error(event, call=live.call.id, recording=live.id, means=toggled.by.means)


def _line(toggled: Toggled) -> journal.Toggled:
    return journal.Toggled(
        number=toggled.number,
        position=toggled.effective_sample,
        action=toggled.action.value,
        by=toggled.by,
        state=journal.ANNOUNCING if toggled.announcing else toggled.state.value,
    )


async def _durable(written: Written, wait_s: float) -> bool:
    """Whether the line was on the disk in time; it may still get there later."""
    done, _ = await asyncio.wait({written}, timeout=wait_s)
    return bool(done) and written.result().durable


async def _is_certain(certain: Certain) -> bool:
    """When in doubt, no: an opening that nobody confirms was none."""
    done, _ = await asyncio.wait({certain}, timeout=CERTAIN_WAIT_S)
    return bool(done) and certain.result()
