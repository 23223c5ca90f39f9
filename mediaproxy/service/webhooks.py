"""Events for whoever wants them posted: into the outbox at once, out of it by a courier each."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from mediaproxy.api.backend import WebhookState
from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.outbox import Message, Prune, Replay
from mediaproxy.observe import Metrics
from mediaproxy.service.courier import Counters, Courier
from mediaproxy.service.events import Event, event_id
from mediaproxy.webhooks.hook import Hook
from mediaproxy.webhooks.post import TIMEOUT_S, Poster

DAY_MS: Final = 86_400_000
KEEP_DONE_MS: Final = 3 * DAY_MS  # to be posted again
KEEP_ANY_MS: Final = 14 * DAY_MS  # of webhooks that are no longer there, too
PRUNE_S: Final = 10.0
SHOWN: Final = 50
NAME_LOOKERS: Final = 2


class Webhooks:
    """Implements `api.backend.Webhooks`. Everything is called on the loop of the log."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        call_log: CallLog,
        now_ms: Callable[[], int],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._log = call_log
        self._now_ms = now_ms
        self.counters = Counters()
        self._resolver = ThreadPoolExecutor(NAME_LOOKERS, thread_name_prefix="webhook-names")
        poster = Poster(self._resolver, timeout_s=timeout_s)
        self._couriers = {hook.name: Courier(hook, call_log, poster, self.counters, now_ms) for hook in hooks}
        self._tasks: list[asyncio.Task[None]] = []

    def tell(self, event: Event) -> None:
        """Put it into the outbox of everyone who wants it. Cheap, never waits."""
        for name, courier in self._couriers.items():
            if courier.hook.wants(event.type):
                ident = event_id(event.run, event.seq)
                self._log.put_message(
                    Message(name, ident, event.type, event.call_id, event.time_ms, event.text)
                )
                courier.wake()

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        works = [courier.run() for courier in self._couriers.values()]
        self._tasks = [loop.create_task(work) for work in (*works, self._prune_on())]

    async def close(self) -> None:
        """What waits, waits for the next start. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._resolver.shutdown(wait=False, cancel_futures=True)

    async def states(self) -> list[WebhookState]:
        return [
            WebhookState(
                name,
                courier.hook.place.origin,
                courier.hook.events,
                await self._log.outlook(name),
                await self._log.deliveries(name, SHOWN),
            )
            for name, courier in self._couriers.items()
        ]

    async def replay(self, name: str, since_ms: int) -> int | None:
        courier = self._couriers.get(name)
        if courier is None:
            return None
        count = await self._log.replay(Replay(name, since_ms, self._now_ms()))
        courier.wake()
        return count

    def watch(self, metrics: Metrics) -> None:
        counters = self.counters
        metrics.watch("webhooks_waiting", "Messages that wait for their webhook", self._waiting)
        metrics.watch("webhooks_oldest_seconds", "How long the oldest of them has waited", self._age_s)
        for name, what, read in (
            ("delivered", "Messages that a webhook took", lambda: counters.delivered),
            ("failed", "Attempts that failed", lambda: counters.failed),
            ("given_up", "Messages that no webhook took in days", lambda: counters.given_up),
        ):
            metrics.watch(f"webhooks_{name}", what, read, total=True)

    def _waiting(self) -> float:
        return sum(courier.outlook.waiting for courier in self._couriers.values())

    def _age_s(self) -> float:
        oldest = [courier.outlook.oldest_at_ms for courier in self._couriers.values()]
        since_ms = min((each for each in oldest if each is not None), default=None)
        return 0.0 if since_ms is None else max(self._now_ms() - since_ms, 0) / 1_000

    async def _prune_on(self) -> None:
        while True:
            now_ms = self._now_ms()
            self._log.prune(Prune(now_ms - KEEP_DONE_MS, now_ms - KEEP_ANY_MS))
            await asyncio.sleep(PRUNE_S)
