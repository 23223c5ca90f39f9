"""What calls are about: kept, found by, and taken back; and a database of before is opened."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from alembic import command

from mediaproxy.calllog import CallFilter
from mediaproxy.calllog.database import _alembic, migrate, open_engine
from mediaproxy.calllog.log import CallLog
from mediaproxy.calls.metadata import Metadata
from tests.support.alarms import Alarms
from tests.support.call_rows import call_id, call_row, ended_call


async def found(log: CallLog, *metadata: tuple[str, str], agents: frozenset[str] = frozenset()) -> list[str]:
    page = await log.calls(CallFilter(agents=agents, metadata=metadata), limit=50)
    return [one.call.id for one in page.calls]


@pytest.mark.parametrize("key", ["ticket", 'a"b', "a.b", "$", "[0]", "ü\\n", "a\0b"])
async def test_a_call_is_found_by_each_of_its_keys(log: CallLog, key: str) -> None:
    stored = key.replace("\0", "\ufffd")
    log.put_call(ended_call(1, metadata=((key, "T'1"), ("more", "x"))))
    log.put_call(ended_call(2, metadata=((key, "T'2"), ("more", "x"))))
    assert await found(log, (stored, "T'1")) == [call_id(1)]
    assert await found(log, ("more", "x")) == [call_id(2), call_id(1)]
    assert await found(log, ("more", "x"), (stored, "T'2"), agents=frozenset({"alice"})) == [call_id(2)]
    assert await found(log, (stored, "x")) == []
    logged = await log.call(call_id(1))
    assert logged is not None
    assert logged.call.metadata == ((stored, "T'1"), ("more", "x"))


async def test_what_was_taken_back_finds_nothing(log: CallLog) -> None:
    call = ended_call(1, metadata=(("ticket", "1"),))
    log.put_call(call)
    assert await found(log, ("ticket", "1")) == [call_id(1)]
    after: tuple[Metadata, ...] = ((("ticket", "2"),), ())
    for metadata in after:
        log.put_call(replace(call, metadata=metadata))
        assert await found(log, ("ticket", "1")) == []
    assert await found(log, ("ticket", "2")) == []
    log.put_call(call)
    assert await found(log, ("ticket", "1")) == [call_id(1)]


async def test_they_are_found_by_the_index(log: CallLog, url: str) -> None:
    """However long the log is."""
    log.put_call(call_row(1, metadata=(("ticket", "1"),)))
    assert await found(log, ("ticket", "1")) == [call_id(1)]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM calls LEFT JOIN recordings ON recordings.call_id = calls.id"
            " WHERE calls.id IN (SELECT call_id FROM call_metadata WHERE key = 'a' AND value = 'b')"
            " AND EXISTS (SELECT * FROM json_each(calls.metadata) AS j WHERE j.key = 'a' AND j.value = 'b')"
            " ORDER BY calls.started_at_ms DESC, calls.id DESC LIMIT 51"
        ).fetchall()
    assert not any("SCAN calls" in step for *_, step in plan), plan


@pytest.mark.parametrize("revision", ["0001", "0002"])
async def test_a_database_of_before_is_opened(url: str, alarms: Alarms, revision: str) -> None:
    path = url.removeprefix("sqlite:///")
    engine = open_engine(url, create=True)

    def lay(connection: object) -> None:
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with engine.connect() as connection:
        await connection.run_sync(lay)
        await connection.commit()
    await engine.dispose()
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "INSERT INTO calls (id, sip_call_id, direction, from_user, to_user, from_uri, to_uri, state,"
            " started_at_ms, participants)"
            " VALUES (?, 'x', 'inbound', 'a', 'b', 'sip:a', 'sip:b', 'ended', 5, '[]')",
            (call_id(1),),
        )
        database.commit()
    log = await CallLog.open(url, on_alarm=alarms)
    logged = await log.call(call_id(1))
    assert logged is not None
    assert logged.call.metadata == ()
    log.put_call(replace(logged.call, metadata=(("ticket", "1"),)))
    assert await found(log, ("ticket", "1")) == [call_id(1)]
    await log.close()
    engine = open_engine(url, create=False)
    await migrate(engine)  # a second time changes nothing
    await engine.dispose()
