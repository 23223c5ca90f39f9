"""The database itself: opened, made durable, brought to this code's revision."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mediaproxy.errors import Unavailable

SQLITE = "sqlite:///"
BUSY_TIMEOUT_MS = 2_000
MIGRATIONS = Path(__file__).parent / "migrations"

# A commit in WAL mode with synchronous=FULL is on the disk before it returns, also if power fails.
SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}")


def open_engine(url: str, *, create: bool) -> AsyncEngine:
    """An engine for a `sqlite:///` URL with an absolute path. Raises Unavailable."""
    # Parsed as a URL, a folder of the operator's with a ? or % in its name would be another one.
    located = URL.create("sqlite", database=url.removeprefix(SQLITE))
    if not create and not Path(located.database or "").is_file():
        raise Unavailable(f"call log {located.database}: there is none; run `mediaproxy serve` first")
    _try_out(located)
    engine = create_async_engine(located.set(drivername="sqlite+aiosqlite"))
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


async def migrate(engine: AsyncEngine) -> None:
    """Bring the database to this code's revision. Raises Unavailable."""
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade)
            await connection.commit()
    except DBAPIError as error:
        raise _cannot_open(engine.url, error.orig) from error


async def require_current(engine: AsyncEngine) -> None:
    """Raises Unavailable unless the database is at this code's revision."""
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_require_current)
    except DBAPIError as error:
        raise _cannot_open(engine.url, error.orig) from error


def _cannot_open(url: URL, reason: object) -> Unavailable:
    return Unavailable(
        f"call log {url.database}: {reason}; database.url must name a file "
        "that this user may write, in a folder that exists"
    )


def _try_out(url: URL) -> None:
    """Say at once, in one line, what is wrong with the file: the driver's threads say it in many."""
    try:
        with closing(sqlite3.connect(url.database or "", timeout=BUSY_TIMEOUT_MS / 1_000)) as connection:
            connection.execute(f"PRAGMA {SQLITE_PRAGMAS[0]}")
    except sqlite3.Error as error:
        raise _cannot_open(url, error) from None


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """The driver opens no transaction before DDL, and a crash amid a migration would leave half a schema."""
    connection.exec_driver_sql("BEGIN")


def _upgrade(connection: Connection) -> None:
    config = _alembic()
    _refuse_unknown(connection, ScriptDirectory.from_config(config))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _require_current(connection: Connection) -> None:
    scripts = ScriptDirectory.from_config(_alembic())
    if _refuse_unknown(connection, scripts) != scripts.get_current_head():
        raise Unavailable(
            f"call log {connection.engine.url.database}: written by an older mediaproxy; "
            "start this version's `mediaproxy serve` once to migrate it"
        )


def _refuse_unknown(connection: Connection, scripts: ScriptDirectory) -> str | None:
    """The database's revision, which must be one that this code knows."""
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        raise Unavailable(
            f"call log {connection.engine.url.database}: written by a newer mediaproxy "
            f"(revision {revision}); run that version, or name another file in database.url"
        )
    return revision


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
