"""A database that fails or hangs costs no row and holds up no call."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediaproxy.calllog import CallFilter, database
from mediaproxy.calllog import log as calllog_log
from mediaproxy.calllog.log import CallLog
from mediaproxy.errors import Unavailable
from tests.support.alarms import Alarms
from tests.support.call_rows import call_id, call_row


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calllog_log, "RETRY_S", (0.01,))
    monkeypatch.setattr(calllog_log, "PATIENCE_S", 20.0)  # a busy machine must not pass for a slow disk
    monkeypatch.setattr(
        database, "SQLITE_PRAGMAS", ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=20")
    )


@pytest.fixture
def locked(url: str, log: CallLog) -> Iterator[sqlite3.Connection]:
    """Another process holds the write lock."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_rows_wait_for_the_database_and_are_written_when_it_is_back(
    log: CallLog, locked: sqlite3.Connection, alarms: Alarms
) -> None:
    assert await log.started(call_row(1)) is False
    assert await log.started(call_row(2)) is False
    assert log.backlog == 2
    locked.execute("COMMIT")
    while log.backlog:
        await asyncio.sleep(0.005)
    page = await log.calls(CallFilter(), limit=10)
    assert [one.call.id for one in page.calls] == [call_id(2), call_id(1)]
    assert alarms.events == ["calllog_failing", "calllog_recovered"]
    assert log.counters.failures > 0


async def test_once_it_fails_no_further_call_waits(log: CallLog, locked: sqlite3.Connection) -> None:
    await log.started(call_row(1))
    assert log.started(call_row(2)).done()
    locked.execute("COMMIT")


async def test_a_newer_snapshot_survives_a_failed_batch(log: CallLog, locked: sqlite3.Connection) -> None:
    await log.started(call_row(1))
    log.put_call(call_row(1, state="ringing"))
    locked.execute("COMMIT")
    while log.backlog:
        await asyncio.sleep(0.005)
    stored = await log.call(call_id(1))
    assert stored is not None
    assert stored.call.state == "ringing"


async def test_a_hanging_write_delays_a_call_by_no_more_than_the_promise(
    log: CallLog, alarms: Alarms, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(calllog_log, "write", hang)
    monkeypatch.setattr(calllog_log, "PATIENCE_S", 0.05)
    before = time.monotonic()
    assert await log.started(call_row(1)) is False
    assert time.monotonic() - before < 2
    assert alarms.events == ["calllog_late"]
    assert log.counters.late == 1
    monkeypatch.setattr(calllog_log, "CLOSE_S", 0.01)
    await log.close()
    assert alarms.events == ["calllog_late", "calllog_closed_with_backlog"]


async def test_a_full_backlog_loses_rows_and_counts_them(
    log: CallLog, locked: sqlite3.Connection, alarms: Alarms
) -> None:
    log._backlog.limit = 2
    for number in (1, 2, 3):
        log.put_call(call_row(number))
    log.put_call(call_row(2, state="ringing"))  # known rows may still change
    assert log.lost == 1
    assert "calllog_row_lost" in alarms.events
    assert await log.started(call_row(4)) is False
    locked.execute("COMMIT")


async def test_closing_on_a_broken_database_ends_and_says_what_is_lost(
    log: CallLog, locked: sqlite3.Connection, alarms: Alarms
) -> None:
    log.put_call(call_row(1))
    await log.close()
    assert alarms[-1] == ("calllog_closed_with_backlog", {"rows": 1})


async def test_closing_writes_what_waits(url: str) -> None:
    log = await CallLog.open(url, on_alarm=lambda *_: None)
    for number in range(1_000):
        log.put_call(call_row(number))
    await log.close()
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        assert database.execute("SELECT count(*) FROM calls").fetchone() == (1_000,)


async def test_an_unreadable_database_says_so(log: CallLog, url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
        other.execute("DROP TABLE recordings")
    with pytest.raises(Unavailable, match=r"log\.sqlite.*no such table"):
        await log.calls(CallFilter(), limit=10)


async def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        await CallLog.open(f"sqlite:///{tmp_path}/none/log.sqlite", on_alarm=lambda *_: None)
    text = str(caught.value)
    assert "none/log.sqlite" in text
    assert "database.url" in text
    assert "\n" not in text


async def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_text("not a database, but long enough to be taken for one" * 50)
    with pytest.raises(Unavailable, match="not a database"):
        await CallLog.open(f"sqlite:///{tmp_path}/log.sqlite", on_alarm=lambda *_: None)
