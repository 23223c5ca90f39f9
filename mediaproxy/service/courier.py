"""What waits in the outbox for one webhook is posted, and posted again until it is taken or given up.

Nothing waits for it: it reads from the log what others put there, in a task of its own, and what becomes of
a message goes to the log as a row among others. A message may be posted twice, with the same id: after a
crash, or when its answer came too late.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.outbox import DELIVERED, GIVEN_UP, WAITING, Attempt, Due, Outlook
from mediaproxy.webhooks.hook import Hook
from mediaproxy.webhooks.post import Failed, Poster
from mediaproxy.webhooks.signature import headers

AT_ONCE: Final = 8  # posts to one webhook
IDLE_S: Final = 30.0  # the longest rest: a clock may have been set
REST_S: Final = 1.0  # while the log is away
LOOK_MS: Final = 1_000
# After the first attempt, the second, …: three days, in which somebody may come to mend it.
RETRY_S: Final = (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 64_800, 79_200)

log = structlog.get_logger()


@dataclass(slots=True)
class Counters:
    """Messages delivered and given up; attempts that failed."""

    delivered: int = 0
    failed: int = 0
    given_up: int = 0


class Courier:
    """`run` it as a task; `wake` it when something was put into its outbox. `now_ms` is Unix time."""

    def __init__(
        self, hook: Hook, call_log: CallLog, poster: Poster, counters: Counters, now_ms: Callable[[], int]
    ) -> None:
        self.hook = hook
        self.outlook = Outlook(0, None, None)
        self._log = call_log
        self._poster = poster
        self._counters = counters
        self._now_ms = now_ms
        self._woken = asyncio.Event()
        self._looked_ms = 0
        self._tried: dict[str, int] = {}  # attempts at messages whose rows may not say so yet
        self._well = True

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        while True:
            try:
                await self._round()
            except Exception as error:  # noqa: BLE001  a task root: the log is away, or a fault of ours
                log.warning("webhook_waits", webhook=self.hook.name, why=type(error).__name__)
                await asyncio.sleep(REST_S)

    async def _round(self) -> None:
        self._woken.clear()
        if not self._log.backlog:
            self._tried.clear()
        now_ms = self._now_ms()
        found = await self._log.due(self.hook.name, now_ms, AT_ONCE)
        due = [each for each in found if each.attempts >= self._tried.get(each.id, 0)]
        if not due or now_ms >= self._looked_ms + LOOK_MS:
            self._looked_ms, self.outlook = now_ms, await self._log.outlook(self.hook.name)
        if due:
            await asyncio.gather(*(self._deliver(each) for each in due))
        else:
            await self._rest()

    async def _rest(self) -> None:
        """Until something is due, or new."""
        next_ms = self.outlook.next_at_ms
        seconds = IDLE_S if next_ms is None else (next_ms - self._now_ms()) / 1_000
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), min(max(seconds, REST_S), IDLE_S))

    async def _deliver(self, due: Due) -> None:
        body = due.body.encode()
        signed = headers(self.hook.key, due.id, self._now_ms() // 1_000, body)
        status, error = None, None
        try:
            status = await self._poster.post(self.hook.place, signed, body)
        except Failed as failed:
            error = str(failed)
        taken = status is not None and 200 <= status < 300
        self._tell(taken, due.id, status, error)
        self._tried[due.id] = due.attempts + 1
        self._log.put_attempt(self._attempt(due, taken, status, error))

    def _attempt(self, due: Due, taken: bool, status: int | None, error: str | None) -> Attempt:
        now_ms, attempts = self._now_ms(), due.attempts + 1
        state = DELIVERED if taken else WAITING if attempts <= len(RETRY_S) else GIVEN_UP
        wait_s = RETRY_S[attempts - 1] if state == WAITING else 0
        if state == GIVEN_UP:
            self._counters.given_up += 1
            log.error("webhook_gave_up", webhook=self.hook.name, id=due.id)
        return Attempt(
            self.hook.name, due.id, state, attempts, now_ms + wait_s * 1_000, now_ms, status, error
        )

    def _tell(self, taken: bool, ident: str, status: int | None, error: str | None) -> None:
        """The log hears of the first failure, and that it is over."""
        if taken:
            self._counters.delivered += 1
        else:
            self._counters.failed += 1
        if taken != self._well:
            self._well = taken
            event = "webhook_recovered" if taken else "webhook_failing"
            log.warning(event, webhook=self.hook.name, id=ident, status=status, error=error)
