"""The server removes what is due, tells the log and whoever listens, and lets go when it is to stop."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from mediaproxy.calllog.log import CallLog
from mediaproxy.recording.keeping import MS_PER_DAY, Limits
from mediaproxy.service import retention
from mediaproxy.service.events import EventStream
from mediaproxy.service.retention import Retention
from mediaproxy.storage import Storage
from tests.support.call_rows import ended_call, recording_row
from tests.support.published import publish_one
from tests.support.recordings import ANSWERED_AT_MS, header_of, recording_id

NOW_MS = ANSWERED_AT_MS + 31 * MS_PER_DAY


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = Storage.open(tmp_path / "rec", min_free_bytes=0)
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def log(tmp_path: Path) -> AsyncIterator[CallLog]:
    opened = await CallLog.open(f"sqlite:///{tmp_path}/log.sqlite", on_alarm=lambda *_: None)
    yield opened
    await opened.close()


@pytest.fixture
def events() -> EventStream:
    return EventStream(run="run", now_ms=lambda: NOW_MS, find=lambda _: None)


@pytest.fixture
def keeper(storage: Storage, log: CallLog, events: EventStream, monkeypatch: pytest.MonkeyPatch) -> Retention:
    monkeypatch.setattr(retention, "REST_S", 0)
    return Retention(storage=storage, call_log=log, events=events, limits=Limits, now_ms=lambda: NOW_MS)


def lay(storage: Storage, log: CallLog, n: int, keep_days: int) -> Path:
    audio = publish_one(storage, n, keep_days=keep_days)
    header = header_of(n)
    row = recording_row(
        0, id=header.recording_id, call=header.call_id, file=str(audio.relative_to(storage.root))
    )
    log.put_call(replace(ended_call(0), id=header.call_id, sip_call_id=header.sip_call_id))
    log.put_recording(row)
    return audio


async def test_what_is_due_goes_and_its_row_and_event_say_so(
    storage: Storage, log: CallLog, events: EventStream, keeper: Retention
) -> None:
    gone, kept = lay(storage, log, 1, 30), lay(storage, log, 2, 32)
    before = await log.call_of_recording(recording_id(1))
    assert await keeper.run() == 1
    assert (gone.exists(), kept.exists()) == (False, True)
    logged = await log.call_of_recording(recording_id(1))
    assert logged is not None
    assert before is not None
    assert logged.recording is not None
    assert before.recording is not None
    assert logged.recording == replace(
        before.recording, file=None, manifest=None, sha256=None, deleted_at_ms=NOW_MS
    )
    assert logged.call == before.call
    (event,) = events.read(1, 100) or ()
    told = json.loads(event.text())
    assert (told["type"], told["recording_id"]) == ("recording.deleted", recording_id(1))
    assert (told["reason"], told["means"], told["user"]) == ("kept 30 days", "policy", None)
    assert told["recording"]["result"] == "complete"
    other = await log.call_of_recording(recording_id(2))
    assert other is not None
    assert other.recording is not None
    assert other.recording.file is not None


async def test_a_recording_that_the_log_never_knew_goes_too(
    storage: Storage, events: EventStream, keeper: Retention
) -> None:
    audio = publish_one(storage, keep_days=30)
    assert await keeper.run() == 1
    assert not audio.exists()
    assert not events.read(1, 100)


async def test_it_runs_by_itself_and_ends_when_asked(
    storage: Storage, log: CallLog, keeper: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FIRST_S", 0.0)
    monkeypatch.setattr(retention, "EVERY_S", 0.01)
    audio = lay(storage, log, 1, 30)
    keeper.start()
    async with asyncio.timeout(10):
        while audio.exists():
            await asyncio.sleep(0.01)
        again = lay(storage, log, 2, 30)
        while again.exists():
            await asyncio.sleep(0.01)
    await keeper.close()
    await keeper.close()
    left = lay(storage, log, 3, 30)
    await asyncio.sleep(0.05)
    assert left.exists()


async def test_a_stop_ends_a_long_run_between_two_recordings(
    storage: Storage, log: CallLog, keeper: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    masters = [lay(storage, log, n, 30) for n in range(1, 6)]
    monkeypatch.setattr(retention, "FIRST_S", 0.0)
    tell = keeper._tell

    async def stopping(due: retention.Due) -> None:
        await tell(due)
        keeper._stopped.set()

    monkeypatch.setattr(keeper, "_tell", stopping)
    keeper.start()
    async with asyncio.timeout(10):
        while not keeper._stopped.is_set():
            await asyncio.sleep(0.01)
    await keeper.close()
    assert sum(master.exists() for master in masters) == 4
