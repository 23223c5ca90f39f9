"""What a crash left in log and storage, joined at the next start."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import CallFilter, IntervalRow, LoggedCall, RecordingRow
from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.observe import Metrics
from mediaproxy.recording import journal, manifest
from mediaproxy.service import repairs as repairs_module
from mediaproxy.service.events import EventStream
from mediaproxy.service.recovery import Recovery
from mediaproxy.storage import Refused, Repaired, Spool, Storage, disk, pending
from mediaproxy.storage.repair import LastKnown
from tests.support.live_world import RECORD

RECORDING = RecordingId(uuid7(2, bytes(10)))
POLICY = manifest.Actor("policy")
HEADER = journal.Header(RECORDING, RECORD.id, "x", 2_000, 8_000, "automatic")
ROW = RecordingRow(RECORDING, RECORD.id, "inactive", "on_demand", 8_000)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = Storage.open(tmp_path / "rec", min_free_bytes=0)
    yield opened
    opened.close()


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


async def started_again(storage: Storage) -> Recovery:
    """All that a start does about what was left, to its end."""
    async with opened_log(storage) as log:
        recovery = recovery_of(storage, log)
        await recovery.close_rows()
        recovery.start()
        await recovery.done()
        await recovery.close()
        assert recovery.pending == 0
    return recovery


async def recovered(storage: Storage) -> LoggedCall:
    await started_again(storage)
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


async def row_of(storage: Storage) -> LoggedCall:
    async with opened_log(storage) as log:
        logged = await log.call(CallId(RECORD.id))
    assert logged is not None
    return logged


async def test_before_anything_is_repaired_the_call_is_over(storage: Storage) -> None:
    """Nobody sees it live; its file is awaited, as that of any call that has just ended."""
    await spool_a_second(storage, publish=False)
    opened = IntervalRow(0, None, POLICY, None)
    await left(storage, replace(ROW, state="recording", policy="automatic", intervals=(opened,)))
    async with opened_log(storage) as log:
        await recovery_of(storage, log).close_rows()
        (found,) = (await log.calls(CallFilter(), limit=9)).calls
        assert not (await log.calls(CallFilter(state="live"), limit=9)).calls
    assert (found.call.state, found.call.disposition, found.call.ended_at_ms) == (
        "ended", "interrupted", 5_000,
    )  # fmt: skip
    assert found.recording is not None
    assert (found.recording.state, found.recording.result) == ("finished", None)
    again = await started_again(storage)  # the next crash came at once
    assert again.refused == []
    logged = await row_of(storage)
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.duration_samples) == ("recovered", 24_000)
    assert [who.to_ms for who in logged.call.participants] == [3_000, 3_000]


async def test_what_is_refused_is_named_and_left(storage: Storage) -> None:
    await spool_a_second(storage, publish=False)
    await left(storage, replace(ROW, policy="automatic"))
    journal_file = storage.journal(RECORDING)
    kept = journal_file.read_bytes()
    journal_file.unlink()
    recovery = await started_again(storage)
    assert [each.recording_id for each in recovery.refused] == [RECORDING]
    logged = await row_of(storage)
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.reasons) == ("failed", ("not_recovered",))
    assert (logged.call.state, logged.call.ended_at_ms) == ("ended", 5_000)
    assert [each.recording_id for each in (await started_again(storage)).refused] == [RECORDING]
    journal_file.write_bytes(kept)  # somebody found it
    assert (await started_again(storage)).refused == []
    logged = await row_of(storage)
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.recorded_samples) == ("recovered", 8_000)
    assert logged.recording.file is not None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE])
async def test_what_the_disk_refuses_is_repaired_when_it_is_well_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Without another start; meanwhile its file is awaited."""
    monkeypatch.setattr(repairs_module, "RETRY_S", 0.01)
    await spool_a_second(storage, publish=False)
    await left(storage, replace(ROW, policy="automatic"))
    refused, real = Event(), os.open

    def broken(*arguments: Any, **options: Any) -> int:
        if threading.current_thread().name == "repair":
            refused.set()
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    async with opened_log(storage) as log:
        recovery = recovery_of(storage, log)
        await recovery.close_rows()
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", broken)
            recovery.start()
            assert await asyncio.to_thread(refused.wait, 5)
            await asyncio.sleep(0.05)
            assert (recovery.pending, recovery.refused) == (1, [])
            logged = await log.call(CallId(RECORD.id))
            assert logged is not None
            assert logged.recording is not None
            assert logged.recording.result is None
        await recovery.done()
        assert (recovery.pending, recovery.refused) == (0, [])
        await recovery.close()
    logged = await row_of(storage)
    assert logged.recording is not None
    assert (logged.recording.result, logged.recording.recorded_samples) == ("recovered", 8_000)


async def test_a_disk_that_stays_broken_holds_up_no_stop(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spool_a_second(storage, publish=False)
    await left(storage, replace(ROW, policy="automatic"))

    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(disk, "write_new", broken)
        async with opened_log(storage) as log:
            recovery = recovery_of(storage, log)
            await recovery.close_rows()
            recovery.start()
            await asyncio.sleep(0.05)
            await asyncio.wait_for(recovery.close(), 1)
    assert (recovery.pending, recovery.refused) == (1, [])
    assert (await started_again(storage)).pending == 0
    logged = await row_of(storage)
    assert logged.recording is not None
    assert logged.recording.result == "recovered"


async def test_a_bug_in_one_repair_is_that_ones_alone(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spool_a_second(storage, publish=False)
    await left(storage, replace(ROW, policy="automatic"))
    (storage.live / "eeeeeeee-0000-0000-0000-000000000000.wav").write_bytes(b"")
    real = repairs_module.repair_one

    def broken(at: Storage, name: str, known: LastKnown) -> Repaired | Refused | None:
        if name.startswith("eeee"):
            raise ZeroDivisionError
        return real(at, name, known)

    monkeypatch.setattr(repairs_module, "repair_one", broken)
    recovery = await started_again(storage)
    assert [each.recording_id[:4] for each in recovery.refused] == ["eeee"]
    logged = await row_of(storage)
    assert logged.recording is not None
    assert logged.recording.result == "recovered"


async def test_a_stop_meanwhile_leaves_the_rest_to_the_next_start(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spool_a_second(storage, publish=False)
    await left(storage, replace(ROW, policy="automatic"))
    begun, go_on = Event(), Event()
    real = repairs_module.repair_one

    def slow(at: Storage, name: str, known: LastKnown) -> Repaired | Refused | None:
        begun.set()
        go_on.wait(5)
        return real(at, name, known)

    monkeypatch.setattr(repairs_module, "repair_one", slow)
    (storage.live / "ffffffff-0000-0000-0000-000000000000.wav").write_bytes(b"")
    async with opened_log(storage) as log:
        recovery = recovery_of(storage, log)
        await recovery.close_rows()
        recovery.start()
        await asyncio.to_thread(begun.wait, 5)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        await recovery.close()
    assert not storage.journal(RECORDING).exists()  # what was begun is done
    assert recovery.refused == []  # the other was not looked at
    monkeypatch.undo()
    await started_again(storage)
    logged = await row_of(storage)
    assert logged.recording is not None
    assert logged.recording.result == "recovered"
