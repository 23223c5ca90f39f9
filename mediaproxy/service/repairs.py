"""Repairs what lies in the spool, on threads: one for each crash, one recording after the other."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from mediaproxy.calllog.rows import InterruptedCall, LoggedCall
from mediaproxy.ids import CallId
from mediaproxy.service.tasks import Tasks
from mediaproxy.storage import Outcome, Refused, Repaired, Storage, in_spool, published, repair_one
from mediaproxy.storage.disk import may_pass

STOP_WAIT_S = 5.0
RETRY_S = 2.0  # until what a failing disk refused is tried again

log = structlog.get_logger()

Result = Repaired | Refused | None


@dataclass(slots=True)
class Leavings:
    """What one crash left: `names` in the spool, and the calls that were not told yet how they ended."""

    names: Sequence[str]
    interrupted: dict[CallId, InterruptedCall] = field(default_factory=dict)


class Repairs:
    """`settle` is told of each name how it came out, then `settle_rest` of what no name was told of."""

    def __init__(
        self,
        storage: Storage,
        settle: Callable[[Leavings, Result], Awaitable[None]],
        settle_rest: Callable[[Leavings], Awaitable[None]],
    ) -> None:
        self.pending = 0
        self._storage = storage
        self._settle = settle
        self._settle_rest = settle_rest
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tasks = Tasks("recovery_failed")

    def start(self, left: Leavings) -> None:
        if self._stopping.is_set():
            return
        self.pending += len(left.names)
        results: asyncio.Queue[tuple[str, Result]] = asyncio.Queue()

        def told(name: str, result: Result) -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(results.put_nowait, (name, result))

        # A hung disk must not keep the process from ending.
        thread = threading.Thread(target=self._repair_all, args=(left, told), name="repair", daemon=True)
        thread.start()
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        self._tasks.start(self._settle_all(left, results))

    async def close(self) -> None:
        """Idempotent."""
        self._stopping.set()
        self._tasks.cancel()
        await self._tasks.wait()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, STOP_WAIT_S)
            if thread.is_alive():
                self._storage.keep()

    async def done(self) -> None:
        await self._tasks.wait()

    async def published(self, logged: LoggedCall) -> Outcome | None:
        """The crash came between file and row."""
        if logged.recording is None or logged.call.answered_at_ms is None:
            return None
        recording, answered_at_ms = logged.recording.id, logged.call.answered_at_ms
        return await asyncio.to_thread(published, self._storage, recording, answered_at_ms)

    def _repair_all(self, left: Leavings, told: Callable[[str, Result], None]) -> None:
        last_known_ms = {call: each.last_known_ms for call, each in left.interrupted.items()}
        names, put_off = list(left.names), set[str]()
        while names and not self._stopping.is_set():
            names = [name for name in names if not self._done_with(name, last_known_ms, put_off, told)]
            if names:
                self._stopping.wait(RETRY_S)

    def _done_with(
        self,
        name: str,
        last_known_ms: dict[CallId, int],
        put_off: set[str],
        told: Callable[[str, Result], None],
    ) -> bool:
        """Whether its result is the last word; while the disk refuses, or when we stop, there is none."""
        if self._stopping.is_set():
            return False
        result = self._repair(name, last_known_ms)
        if isinstance(result, Refused) and result.may_pass:
            if name not in put_off:
                put_off.add(name)
                log.warning("repair_put_off", recording=name, why=result.reason)
            return False
        told(name, result)
        return True

    def _repair(self, name: str, last_known_ms: dict[CallId, int]) -> Result:
        try:
            if not in_spool(self._storage, name):
                return None
            return repair_one(self._storage, name, last_known_ms.get)
        except OSError as error:
            return Refused(name, error.strerror or "the disk refuses it", may_pass(error))
        except Exception:  # the supervisor of one recording: the others are repaired all the same
            log.exception("repair_failed", recording=name)
            return Refused(name, "something unforeseen happened; the log of the proxy says what")

    async def _settle_all(self, left: Leavings, results: asyncio.Queue[tuple[str, Result]]) -> None:
        for _ in left.names:
            name, result = await results.get()
            try:
                await self._settle(left, result)
            except Exception:  # a task root: the rows of the others become right
                log.exception("recovery_failed", recording=name)
            self.pending -= 1
        await self._settle_rest(left)
