"""Reading the log: one call, pages of calls, what a crash left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from sqlalchemy import Executable, RowMapping, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from mediaproxy.calllog import outbox_queries, queries
from mediaproxy.calllog.database import open_engine, require_current
from mediaproxy.calllog.encode import logged_call
from mediaproxy.calllog.outbox import Delivery, Due, Outlook
from mediaproxy.calllog.rows import CallFilter, Cursor, InterruptedCall, LoggedCall, Page
from mediaproxy.calls.events import CallRecord
from mediaproxy.errors import Unavailable

ROWS_PER_TURN = 25  # rows turned into values before the loop may look at media again


class Reader:
    """Answers from the stored rows. Raises Unavailable when the database cannot be read."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def open(cls, url: str) -> Self:
        """For a process that only looks: the database must exist and be of this revision."""
        engine = open_engine(url, create=False)
        try:
            await require_current(engine)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    async def close(self) -> None:
        await self._engine.dispose()

    async def call(self, call_id: str) -> LoggedCall | None:
        return await self._one(queries.one_call(call_id))

    async def call_of_recording(self, recording_id: str) -> LoggedCall | None:
        return await self._one(queries.call_of_recording(recording_id))

    async def calls(self, query: CallFilter, *, limit: int, after: Cursor | None = None) -> Page:
        # One row more than asked tells whether another page follows.
        found = await self._all(queries.page(query, limit=limit + 1, after=after))
        if len(found) <= limit:
            return Page(tuple(found))
        last = found[limit - 1].call
        return Page(tuple(found[:limit]), Cursor(last.started_at_ms, last.id))

    async def interrupted(self) -> list[InterruptedCall]:
        """What the previous process left unfinished; to be asked before the first row of this one."""
        async with self._connection() as connection:
            beat = (await connection.execute(queries.last_heartbeat())).scalar()
        found = await self._all(queries.unfinished())
        return [InterruptedCall(one, _last_known_ms(one.call, beat or 0)) for one in found]

    async def due(self, webhook: str, now_ms: int, limit: int) -> list[Due]:
        return [Due(*row) for row in await self._rows(outbox_queries.due(webhook, now_ms, limit))]

    async def outlook(self, webhook: str) -> Outlook:
        return Outlook(*(await self._rows(outbox_queries.outlook(webhook)))[0])

    async def deliveries(self, webhook: str, limit: int) -> list[Delivery]:
        return [Delivery(*row) for row in await self._rows(outbox_queries.deliveries(webhook, limit))]

    async def messages_since(self, webhook: str, since_ms: int) -> int:
        return int((await self._rows(outbox_queries.count_since(webhook, since_ms)))[0][0])

    async def _rows(self, statement: Executable) -> list[Any]:
        async with self._connection() as connection:
            return list((await connection.execute(statement)).all())

    async def _one(self, statement: Select[Any]) -> LoggedCall | None:
        found = await self._all(statement)
        return found[0] if found else None

    async def _all(self, statement: Select[Any]) -> list[LoggedCall]:
        async with self._connection() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return await _in_turns(rows)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise Unavailable(f"call log {self._engine.url.database}: {error.orig}") from error


async def _in_turns(rows: "list[RowMapping] | Any") -> list[LoggedCall]:
    """The rows as values; a page of 500 must not hold up the relay on the same loop."""
    found = []
    for count, row in enumerate(rows):
        if count % ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
        found.append(logged_call(row))
    return found


def _last_known_ms(call: CallRecord, beat_ms: int) -> int:
    if call.ended_at_ms is not None:
        return call.ended_at_ms
    return max(call.started_at_ms, call.answered_at_ms or 0, beat_ms)
