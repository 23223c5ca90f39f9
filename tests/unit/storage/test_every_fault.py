"""Every errno at every call that a recording makes to the disk: nothing is lost, nothing is left behind."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from mediaproxy.recording.journal import Ended
from mediaproxy.storage import Outcome, Spool, Storage, audio, journals, postponed, threads, verify
from mediaproxy.storage.store import PROBE
from tests.support.counts import count
from tests.support.faulty_disk import FaultyDisk
from tests.support.recordings import (
    expected_frames,
    frames_in,
    header_of,
    interval,
    recording_id,
    speech,
    toggled,
)
from tests.support.spooling import written

ONE = recording_id(1)
INTERVALS = ((0, 400), (600, 900))
DURATION = 1_000
NEVER = 1 << 60
ERRNOS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE)
MOST_CALLS = 96  # of one recording to the disk


@pytest.fixture(autouse=True)
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "RETRY_S", 0.004)
    monkeypatch.setattr(audio, "RETRY_S", 0.004)
    monkeypatch.setattr(threads, "PROBE_S", 0.004)
    monkeypatch.setattr(postponed, "FIRST_PATIENCE_S", 0.004)


@dataclass
class Desk:
    storage: Storage
    spool: Spool
    turn: int = 0

    async def flush(self) -> None:
        self.turn += 1
        self.spool.flush((1 << 60) + self.turn * 1_000_000_000)
        await written(self.spool)

    async def speak(self, start: int, end: int) -> None:
        for at in range(start, end, 100):
            self.spool.write(ONE, at, speech(at, at + 100).tobytes())
            await self.flush()

    async def record(self) -> "asyncio.Future[Outcome]":
        """A recording of two intervals and a pause, asked of the spool without waiting for the disk."""
        self.spool.create(header_of())
        opened = self.spool.toggle(ONE, toggled(1, 0, "recording"), insist=True)
        await asyncio.wait({opened}, timeout=0.02)
        await self.speak(0, 400)
        await self.spool.toggle(ONE, toggled(2, 400, "paused"))
        self.spool.extend(ONE, 600)
        await self.flush()
        opened = self.spool.toggle(ONE, toggled(3, 600, "recording"), insist=True)
        await asyncio.wait({opened}, timeout=0.02)
        await self.speak(600, 900)
        await self.spool.toggle(ONE, toggled(4, 900, "inactive"))
        self.spool.extend(ONE, DURATION)
        await self.flush()
        return self.spool.finish(ONE, Ended(DURATION, tuple(interval(*each) for each in INTERVALS)))

    def check(self, outcome: Outcome) -> None:
        assert (outcome.result, outcome.reasons) == ("complete", ())
        assert outcome.audio is not None
        assert (frames_in(outcome.audio) == expected_frames(DURATION, INTERVALS)).all()
        assert [str(each) for each in verify([self.storage.root])] == [f"{outcome.audio}: ok"]
        left = [*self.storage.live.iterdir(), *self.storage.root.rglob("*.tmp")]
        assert not [each for each in left if not each.name.startswith(PROBE)]
        stats = self.spool.stats()
        assert (stats.backlog_bytes, stats.lost_samples, stats.postponed, stats.live) == (0, 0, 0, 0)


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    storage = Storage.open(tmp_path / "rec", min_free_bytes=0)
    crashes: list[Exception] = []
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=crashes.append)
    yield Desk(storage, spool)
    await spool.close()
    storage.close()
    assert not crashes


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.002)


async def test_the_disk_is_asked_for_less_than_is_tried_here(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = FaultyDisk(monkeypatch, at=NEVER)
    desk.check(await (await desk.record()))
    assert {"open", "pwrite", "ftruncate", "fdatasync", "fsync", "rename", "mkdir", "unlink"} <= {
        *healthy.log
    }
    assert len(healthy.log) < MOST_CALLS


@pytest.mark.parametrize("number", ERRNOS, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("at", range(0, MOST_CALLS, count(3, full=1)))
async def test_a_disk_that_fails_from_a_call_on_until_it_is_mended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, at: int, number: int
) -> None:
    disk = FaultyDisk(monkeypatch, at, number)
    ending = await desk.record()
    await asyncio.wait({ending}, timeout=0.05)
    if {*disk.failed} - {"close"}:  # which costs nothing where all is durable already
        assert not ending.done() or not (await ending).audio
        assert desk.spool.failing is not None
    disk.heal()
    desk.check(await asyncio.wait_for(ending, 10))
    await until(lambda: desk.spool.failing is None)


@pytest.mark.parametrize("at", range(MOST_CALLS))
async def test_a_call_that_fails_once(desk: Desk, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    disk = FaultyDisk(monkeypatch, at, ERRNOS[at % 3], times=1)
    ending = await desk.record()
    desk.check(await asyncio.wait_for(ending, 10))
    assert len(disk.failed) <= 1
    await until(lambda: desk.spool.failing is None)
