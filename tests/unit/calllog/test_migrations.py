"""The schema is what the migrations build, and a database knows which code wrote it."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from mediaproxy.calllog.database import migrate, open_engine
from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.reader import Reader
from mediaproxy.calllog.tables import metadata
from mediaproxy.errors import Unavailable
from tests.support.alarms import Alarms


def _set_revision(url: str, revision: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        database.commit()


async def _on(url: str, look: Callable[[Connection], object]) -> object:
    engine = open_engine(url, create=True)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(look)
    finally:
        await engine.dispose()


async def test_from_empty_they_build_exactly_the_tables_of_the_code(log: CallLog, url: str) -> None:
    differences = await _on(
        url, lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)
    )
    assert differences == []


async def test_opening_again_changes_nothing(log: CallLog, url: str) -> None:
    again = await CallLog.open(url, on_alarm=lambda *_: None)
    await again.close()


async def test_a_newer_database_is_one_clear_error(log: CallLog, url: str) -> None:
    _set_revision(url, "9999")
    with pytest.raises(Unavailable, match=r"log\.sqlite: written by a newer mediaproxy \(revision 9999\)"):
        await CallLog.open(url, on_alarm=lambda *_: None)


async def test_a_migration_cut_short_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(url, create=True)
    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", _fail)
        with pytest.raises(ZeroDivisionError):
            await migrate(engine)
    await migrate(engine)
    await engine.dispose()


async def test_commits_are_durable(log: CallLog, url: str) -> None:
    assert await _on(url, lambda asked: asked.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
    full = 2
    assert await _on(url, lambda asked: asked.exec_driver_sql("PRAGMA synchronous").scalar()) == full


async def test_a_reader_needs_an_existing_current_database(url: str) -> None:
    with pytest.raises(Unavailable, match="there is none"):
        await Reader.open(url)
    log = await CallLog.open(url, on_alarm=lambda *_: None)
    reader = await Reader.open(url)
    await asyncio.gather(log.close(), reader.close())


def _fail(*_: object) -> None:
    raise ZeroDivisionError


async def test_a_folder_is_taken_as_it_is_spelt(tmp_path: Path, alarms: Alarms) -> None:
    folder = tmp_path / "what? 100%20 #1"
    folder.mkdir()
    log = await CallLog.open(f"sqlite:///{folder}/calls.sqlite", on_alarm=alarms)
    await log.close()
    assert (folder / "calls.sqlite").is_file()
    assert list(tmp_path.iterdir()) == [folder]
