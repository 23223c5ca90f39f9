"""The audit's course: rows, then files, then every sample; after the load, or beside it for hours.

Beside the load, what was checked is forgotten, and of a proxy of our own the recording is deleted: nothing
grows with the length of the run.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from mediaproxy.loadtest.api import Api
from mediaproxy.loadtest.audit import Audit, Evidence, audit
from mediaproxy.loadtest.auditors import auditors, batches
from mediaproxy.loadtest.course import Call
from mediaproxy.loadtest.log import Row, row_of, settled, settled_rows
from mediaproxy.loadtest.plan import Plan, Tell
from mediaproxy.loadtest.waiting import until
from mediaproxy.storage import Verification

_PUBLISHED_S = 30.0
_BATCH = 50  # calls that an auditor takes at once
_EVERY_S = 3.0


class Checked(Protocol):
    """What the check asks of a proxy."""

    api: Api

    @property
    def recordings(self) -> Path | None: ...

    async def files(self, rows: Mapping[str, Row]) -> dict[str, Path]: ...
    async def discard(self, row: Row, file: Path | None) -> None: ...


class Checking:
    """`policy` is that by which the proxy records our calls; what was found is in `found`."""

    def __init__(self, plan: Plan, proxy: Checked, policy: str, tell: Tell) -> None:
        self._plan = plan
        self._proxy = proxy
        self._policy = policy
        self._tell = tell
        self.found = Audit()

    async def check(self, calls: Sequence[Call]) -> None:
        """All of them, after the load; `calls` ended as they were meant to and their books are closed."""
        callers = [call.line.caller for call in calls]
        rows = await settled_rows(
            self._proxy.api, callers, _PUBLISHED_S,
            lambda done: self._tell("waiting for the recordings", done, len(callers)),
        )  # fmt: skip
        with auditors(os.cpu_count() or 1) as pool:
            checking = [
                asyncio.ensure_future(self._fetch_and_audit(pool, batch, rows))
                for batch in batches(calls, _BATCH)
            ]
            for done in asyncio.as_completed(checking):
                self.found.add(await done)
                self._tell("checking the recordings", self.found.calls, len(calls))

    async def check_beside(self, calls: list[Call], over: asyncio.Event) -> None:
        """Until the load is `over`: takes calls out of `calls` once they have ended, and checks them."""
        with auditors(1) as pool:
            while await until(time.monotonic() + _EVERY_S, over):
                with suppress(OSError):  # whether the API answers in the end is what counts
                    await self._check_over(pool, calls)

    async def _check_over(self, pool: ProcessPoolExecutor, calls: list[Call]) -> None:
        ready, rows = await self._ready(calls)
        for batch in batches(ready, _BATCH):
            files = await self._files(batch, rows)
            self.found.add(await self._audit(pool, batch, rows, files))
            self._tell("checking the recordings", self.found.calls, self._plan.calls)
            for call in batch:
                if (row := rows[call.line.caller]) is not None:
                    await self._proxy.discard(row, files.get(call.line.caller))

    async def _ready(self, calls: list[Call]) -> tuple[list[Call], dict[str, Row | None]]:
        """What can be checked now, taken out of `calls`."""
        now_ns = time.monotonic_ns()
        over = [call for call in calls if call.began_ns is not None]
        rows = {
            call.line.caller: await row_of(self._proxy.api, call.line.caller) for call in over if call.whole
        }
        patient_ns = now_ns - round(_PUBLISHED_S * 1e9)
        ready = [
            call
            for call in over
            if call.whole and (settled(rows[call.line.caller]) or call.line.hung_up_ns < patient_ns)
        ]
        gone = {id(call) for call in ready} | {id(call) for call in over if not call.whole}
        calls[:] = [call for call in calls if id(call) not in gone]
        return ready, rows

    async def _fetch_and_audit(
        self, pool: ProcessPoolExecutor, calls: Sequence[Call], rows: Mapping[str, Row | None]
    ) -> Audit:
        return await self._audit(pool, calls, rows, await self._files(calls, rows))

    async def _files(self, calls: Sequence[Call], rows: Mapping[str, Row | None]) -> dict[str, Path]:
        there = {call.line.caller: rows.get(call.line.caller) for call in calls}
        return await self._proxy.files({caller: row for caller, row in there.items() if row is not None})

    async def _audit(
        self,
        pool: ProcessPoolExecutor,
        calls: Sequence[Call],
        rows: Mapping[str, Row | None],
        files: Mapping[str, Path],
    ) -> Audit:
        evidence = [
            self._evidence(call, rows.get(call.line.caller), files.get(call.line.caller)) for call in calls
        ]
        chained = self._proxy.recordings is not None and not self._plan.soak  # which tests it at the end
        work = partial(audit, evidence, chained=chained)
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _evidence(self, call: Call, row: Row | None, file: Path | None) -> Evidence:
        assert call.began_ns is not None
        line, plan = call.line, self._plan
        return Evidence(
            number=line.number,
            record=plan.record,
            network=plan.network,
            codec=plan.codec,
            answered_ns=line.answered_ns,
            heard_ns=line.heard_ns,
            hung_up_ns=line.hung_up_ns,
            speeches=call.speeches,
            began_ns=call.began_ns,
            toggled=call.toggled,
            policy=self._policy,
            row=row,
            file=file,
        )


def chain_faults(storage: Path | None) -> list[str]:
    """What the chain of a whole storage says is wrong."""
    if storage is None:
        return []
    verification = Verification([storage])
    refused = [str(verdict) for verdict in verification.verdicts() if not verdict.ok]
    return refused + [str(verdict) for verdict in verification.chains() if not verdict.ok]
