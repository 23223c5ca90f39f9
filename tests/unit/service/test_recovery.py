"""What a crash left in log and storage, joined at the next start."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mediaproxy.calllog import CallLog
from mediaproxy.calllog.rows import IntervalRow, LoggedCall, RecordingRow
from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.observe import Metrics
from mediaproxy.recording import journal, manifest
from mediaproxy.service.events import EventStream
from mediaproxy.service.recovery import Recovery
from mediaproxy.storage import Spool, Storage, pending
from tests.unit.service.test_live_recordings import RECORD

RECORDING = RecordingId(uuid7(2, bytes(10)))
POLICY = manifest.Actor("policy")
HEADER = journal.Header(RECORDING, RECORD.id, "x", 2_000, 8_000, "automatic")
ROW = RecordingRow(RECORDING, RECORD.id, "inactive", "on_demand", 8_000)


@pytest.fixture
def storage(tmp_path: Path) -> "Storage":
    return Storage.open(tmp_path / "rec", min_free_bytes=0)


@asynccontextmanager
async def opened_log(storage: Storage) -> AsyncIterator[CallLog]:
    url = f"sqlite:///{storage.root.parent}/calls.sqlite"
    log = await CallLog.open(url, on_alarm=lambda event, fields: None)
    yield log
    await log.close()


async def left(storage: Storage, row: RecordingRow | None) -> None:
    """A crash left these rows."""
    async with opened_log(storage) as log:
        await log.started(replace(RECORD, state="trying"))
        log.put_call(RECORD)
        if row is not None:
            log.put_recording(row)
        log.beat(5_000)


def recovery_of(storage: Storage, log: CallLog) -> Recovery:
    events = EventStream(run="run", now_ms=lambda: 0, find=lambda call: None)
    return Recovery(call_log=log, storage=storage, names=pending(storage), metrics=Metrics(), events=events)


async def recovered(storage: Storage) -> LoggedCall:
    async with opened_log(storage) as log:
        recovery = recovery_of(storage, log)
        await recovery.close_rows()
        recovery.start()
        await recovery.done()
        await recovery.close()
        assert recovery.pending == 0
    storage.close()
    async with opened_log(storage) as log:
        assert await log.interrupted() == []
        logged = await log.call(CallId(RECORD.id))
    assert logged is not None
    return logged


async def spool_a_second(storage: Storage, *, publish: bool) -> None:
    """An automatic recording of 1 s: as a crash leaves it, or published in time."""
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=lambda error: None)
    await spool.create(HEADER)
    await spool.toggle(RECORDING, journal.Toggled(1, 0, "start", POLICY, "recording"))
    spool.write(RECORDING, 0, b"\1\1\1\1" * 8_000)
    spool.flush(time.monotonic_ns() + 1_000_000_000)
    if publish:
        interval = manifest.Interval(0, 8_000, POLICY, manifest.Actor("call_end"))
        await spool.finish(RECORDING, journal.Ended(8_000, (interval,)))
    await spool.close()


async def test_a_call_that_was_not_recorded_ends_when_the_log_last_saw_it(storage: Storage) -> None:
    await left(storage, None)
    logged = await recovered(storage)
    assert (logged.call.state, logged.call.disposition) == ("ended", "interrupted")
    assert (logged.call.ended_at_ms, logged.recording) == (5_000, None)
    assert [who.to_ms for who in logged.call.participants] == [3_000, 3_000]


async def test_a_recording_in_the_spool_ends_its_call(storage: Storage) -> None:
    await spool_a_second(storage, publish=False)
    await left(storage, replace(ROW, policy="automatic"))
    logged = await recovered(storage)
    assert logged.call.ended_at_ms == 5_000  # when the log last knew it to live
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.duration_samples) == ("recovered", 24_000)
    assert logged.recording.recorded_samples == 8_000
    assert [who.to_ms for who in logged.call.participants] == [3_000, 3_000]
    assert [one.ended_by and one.ended_by.means for one in logged.recording.intervals] == ["recovery"]


async def test_a_recording_whose_row_was_never_written_gets_one(storage: Storage) -> None:
    await spool_a_second(storage, publish=False)
    await left(storage, None)
    logged = await recovered(storage)
    assert logged.recording is not None
    assert (logged.recording.id, logged.recording.result) == (RECORDING, "recovered")


async def test_a_crash_after_publishing_loses_nothing(storage: Storage) -> None:
    await spool_a_second(storage, publish=True)
    await left(storage, replace(ROW, policy="automatic"))
    logged = await recovered(storage)
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.recorded_samples) == ("complete", 8_000)
    assert logged.recording.file is not None


async def test_a_recorder_that_never_opened_left_nothing_to_miss(storage: Storage) -> None:
    await left(storage, ROW)
    logged = await recovered(storage)
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.duration_samples) == ("none", 24_000)


async def test_audio_that_is_gone_is_called_failed(storage: Storage) -> None:
    opened = IntervalRow(8_000, None, manifest.Actor("api", "alice"), None)
    await left(storage, replace(ROW, state="recording", intervals=(opened,)))
    logged = await recovered(storage)
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.reasons) == ("failed", ("spool_missing",))
    assert logged.recording.intervals == (
        replace(opened, end_sample=24_000, ended_by=manifest.Actor("recovery", None)),
    )
