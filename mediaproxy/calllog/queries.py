"""Questions to the log as SQL, paged by keyset: a page is stable whatever is inserted meanwhile."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_

from mediaproxy.calllog.encode import RECORDING_PREFIX
from mediaproxy.calllog.rows import CallFilter, Cursor
from mediaproxy.calllog.tables import call_agents, call_metadata, calls, heartbeat, recordings

LIVE_STATES = ("trying", "ringing", "answered")

_columns = [*calls.c, *(column.label(RECORDING_PREFIX + column.name) for column in recordings.c)]
_joined = calls.outerjoin(recordings, recordings.c.call_id == calls.c.id)


def one_call(call_id: str) -> Select[Any]:
    return select(*_columns).select_from(_joined).where(calls.c.id == call_id)


def call_of_recording(recording_id: str) -> Select[Any]:
    return select(*_columns).select_from(_joined).where(recordings.c.id == recording_id)


def unfinished() -> Select[Any]:
    """Calls that never ended, and those whose recording was never published."""
    unpublished = and_(recordings.c.id.is_not(None), recordings.c.result.is_(None))
    return select(*_columns).select_from(_joined).where(or_(calls.c.state.in_(LIVE_STATES), unpublished))


def last_heartbeat() -> Select[tuple[int]]:
    return select(heartbeat.c.at_ms)


def page(query: CallFilter, *, limit: int, after: Cursor | None) -> Select[Any]:
    """At most `limit` calls, newest first; the table that carries the order depends on the filter."""
    if not query.agents:
        order = (calls.c.started_at_ms, calls.c.id)
        rows = select(*_columns).select_from(_joined)
    else:
        order = (call_agents.c.started_at_ms, call_agents.c.call_id)
        first, *others = sorted(query.agents)
        on_call = call_agents.join(_joined, call_agents.c.call_id == calls.c.id)
        rows = select(*_columns).select_from(on_call).where(call_agents.c.agent == first)
        rows = rows.where(*(_was_on_call(agent) for agent in others))
    if after is not None:
        rows = rows.where(tuple_(*order) < tuple_(after.started_at_ms, after.id))
    if query.since_ms is not None:
        rows = rows.where(order[0] >= query.since_ms)
    if query.until_ms is not None:
        rows = rows.where(order[0] < query.until_ms)
    return rows.where(*_exact(query)).order_by(*(column.desc() for column in order)).limit(limit)


def _exact(query: CallFilter) -> list[ColumnElement[bool]]:
    wanted = (
        (calls.c.from_user, query.from_user),
        (calls.c.to_user, query.to_user),
        (calls.c.sip_call_id, query.sip_call_id),
    )
    conditions: list[ColumnElement[bool]] = [column == value for column, value in wanted if value is not None]
    conditions += [_is_about(key, value) for key, value in query.metadata]
    if query.state == "live":
        conditions.append(calls.c.state.in_(LIVE_STATES))
    elif query.state is not None:
        conditions.append(calls.c.state == query.state)
    return conditions


def _is_about(key: str, value: str) -> ColumnElement[bool]:
    """Found by the index, which keeps what was; judged by the row."""
    ever = select(call_metadata.c.call_id).where(call_metadata.c.key == key, call_metadata.c.value == value)
    now = func.json_each(calls.c["metadata"]).table_valued("key", "value")
    has = exists().select_from(now).where(now.c.key == key, now.c.value == value)
    return and_(calls.c.id.in_(ever), has)


def _was_on_call(agent: str) -> ColumnElement[bool]:
    other = call_agents.alias()
    return exists().where(
        other.c.agent == agent, other.c.call_id == calls.c.id, other.c.started_at_ms == calls.c.started_at_ms
    )
