"""One transaction a batch: each row in its newest form, the older one replaced."""

from collections.abc import Iterable

from sqlalchemy import Delete, Table, Update
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    StatementError,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from mediaproxy.calllog.backlog import Row
from mediaproxy.calllog.encode import Columns, agents_of, call_columns, recording_columns, stored_metadata
from mediaproxy.calllog.outbox import Attempt, Message, Prune, Replay
from mediaproxy.calllog.outbox_queries import attempt, prune, replay
from mediaproxy.calllog.rows import RecordingRow
from mediaproxy.calllog.tables import (
    call_agents,
    call_metadata,
    calls,
    heartbeat,
    recordings,
    webhook_outbox,
)
from mediaproxy.calls.events import CallRecord

_ROW_FAULTS = (DataError, IntegrityError, InterfaceError, ProgrammingError, OverflowError, UnicodeError)


async def write(engine: AsyncEngine, rows: Iterable[Row]) -> None:
    """All of them or none; when this returns they are on the disk."""
    rows = list(rows)
    changes = [(table, columns) for table, columns in _by_table(rows) if columns]
    attempts = [row.columns() for row in rows if isinstance(row, Attempt)]
    others = [_statement(row) for row in rows if isinstance(row, Replay | Prune)]
    if not changes and not attempts and not others:
        return
    async with engine.begin() as connection:
        for table, columns in changes:
            await connection.execute(_STATEMENTS[table], columns)
        if attempts:
            await connection.execute(attempt(), attempts)
        for statement in others:
            await connection.execute(statement)


def _statement(row: Replay | Prune) -> Update | Delete:
    return replay(row) if isinstance(row, Replay) else prune(row)


def is_rows_fault(error: BaseException) -> bool:
    """Whether it is the row that cannot be stored, rather than the database that cannot store."""
    if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
        return True  # raised while the values were bound
    return isinstance(error, _ROW_FAULTS)


def _by_table(rows: Iterable[Row]) -> list[tuple[Table, list[Columns]]]:
    called: list[Columns] = []
    agents: list[Columns] = []
    recorded: list[Columns] = []
    about: list[Columns] = []
    messages: list[Columns] = []
    beats: list[Columns] = []
    for row in rows:
        if isinstance(row, CallRecord):
            called.append(call_columns(row))
            about += [{"key": key, "value": value, "call_id": row.id} for key, value in stored_metadata(row)]
            agents += [_agent_columns(row, agent) for agent in agents_of(row)]
        elif isinstance(row, RecordingRow):
            recorded.append(recording_columns(row))
        elif isinstance(row, Message):
            messages.append(row.columns())
        elif isinstance(row, int):
            beats.append({"id": 1, "at_ms": row})
    return [
        (calls, called),
        (call_agents, agents),
        (call_metadata, about),
        (recordings, recorded),
        (webhook_outbox, messages),
        (heartbeat, beats),
    ]


def _agent_columns(call: CallRecord, agent: str) -> Columns:
    return {"agent": agent, "started_at_ms": call.started_at_ms, "call_id": call.id}


def _upsert(table: Table) -> Insert:
    keys = [column.name for column in table.primary_key]
    statement = insert(table)
    newer = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    if not newer:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(index_elements=keys, set_=newer)


_STATEMENTS = {
    table: _upsert(table) for table in (calls, call_agents, call_metadata, recordings, heartbeat)
} | {webhook_outbox: insert(webhook_outbox).on_conflict_do_nothing()}
