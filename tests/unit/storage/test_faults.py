"""A disk that is full, broken or hanging costs audio or an opening, never time, length or truth."""

import asyncio
import errno
import os
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from mediaproxy.errors import Unavailable
from mediaproxy.recording import journal
from mediaproxy.recording.journal import Ended, JournalState
from mediaproxy.storage import (
    Refused,
    Repaired,
    Spool,
    Storage,
    audio,
    journals,
    postponed,
    repair,
    threads,
    verify,
)
from mediaproxy.storage.journals import Append, JournalWriter
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

ONE, TWO = recording_id(1), recording_id(2)
FAR_NS = 1 << 60
HELD_S = 2.0  # a hung disk lets go after ten; a busy machine takes the turn away for less


@pytest.fixture(autouse=True)
def quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "RETRY_S", 0.01)
    monkeypatch.setattr(audio, "RETRY_S", 0.01)
    monkeypatch.setattr(threads, "PROBE_S", 0.01)
    monkeypatch.setattr(postponed, "FIRST_PATIENCE_S", 0.01)


@pytest_asyncio.fixture
async def live(spool: Spool) -> AsyncIterator[Spool]:
    """Recording ONE is on from 0 and has its first 100 frames on disk."""
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    spool.write(ONE, 0, speech(0, 100).tobytes())
    await flushed(spool, 1)
    yield spool


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.002)


async def flushed(spool: Spool, turn: int) -> None:
    spool.flush(FAR_NS + turn * 1_000_000_000)
    await written(spool)


def journalled(storage: Storage) -> JournalState:
    return journal.replay(storage.journal(ONE).read_bytes())


class Full:
    """Makes a descriptor one of a full disk, and whole again."""

    def __init__(self, fd: int) -> None:
        self._fd, self._kept = fd, os.dup(fd)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, fd)
        os.close(full)

    def heal(self) -> None:
        os.dup2(self._kept, self._fd)
        os.close(self._kept)


def audio_fd(spool: Spool) -> int:
    return spool._threads._audio_writer._files[ONE]._fd


def journal_fd(spool: Spool) -> int:
    (opened,) = (w._journals[ONE] for w in spool._threads._journal_writers if ONE in w._journals)
    fd = opened.fd
    assert fd is not None
    return fd


async def test_audio_that_finds_no_space_waits_and_goes_to_its_place(live: Spool, storage: Storage) -> None:
    full = Full(audio_fd(live))
    live.write(ONE, 100, speech(100, 200).tobytes())
    await flushed(live, 2)
    live.extend(ONE, 250)
    await flushed(live, 3)
    assert (live.failing, live.trouble_of(ONE)) == ("storage_full", "storage_full")
    assert live.stats().backlog_bytes == 400
    assert len(frames_in(storage.live_audio(ONE))) == 100
    full.heal()
    live.write(ONE, 250, speech(250, 300).tobytes())
    await flushed(live, 4)
    await until(lambda: live.failing is None)
    assert live.trouble_of(ONE) is None
    assert live.stats().backlog_bytes == 0
    outcome = await live.finish(ONE, Ended(300, (interval(0, 300),)))
    assert (outcome.result, outcome.reasons) == ("complete", ())
    assert live.stats().lost_samples == 0
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(300, [(0, 200), (250, 300)])).all()
    assert [v.ok for v in verify([outcome.audio])] == [True]


async def test_only_what_the_backlog_cannot_hold_is_lost(storage: Storage) -> None:
    loop = asyncio.get_running_loop()
    spool = Spool(storage, loop, on_crash=pytest.fail, max_backlog_bytes=400)
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    spool.write(ONE, 0, speech(0, 10).tobytes())
    await flushed(spool, 1)
    full = Full(audio_fd(spool))
    for at in range(10, 210, 20):
        spool.write(ONE, at, speech(at, at + 20).tobytes())
        await flushed(spool, 1 + at)
    assert (spool.stats().backlog_bytes, spool.stats().lost_samples) == (400, 100)
    full.heal()
    await until(lambda: spool.stats().backlog_bytes == 0)
    spool.write(ONE, 210, speech(210, 300).tobytes())
    outcome = await spool.finish(ONE, Ended(300, (interval(0, 300),)))
    assert (outcome.result, outcome.reasons) == ("degraded", ("storage_backlog",))
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(300, [(0, 110), (210, 300)])).all()
    await spool.close()


async def test_the_policys_opening_waits_for_the_disk_and_its_audio_with_it(
    live: Spool, storage: Storage
) -> None:
    await live.toggle(ONE, toggled(2, 100, "paused"))
    full = Full(journal_fd(live))
    opening = live.toggle(ONE, toggled(3, 200, "recording"), insist=True)
    live.write(ONE, 200, speech(200, 300).tobytes())
    await until(lambda: live.failing is not None)
    await flushed(live, 2)
    assert live.trouble_of(ONE) in ("storage_full", "storage_error")  # /dev/full cannot be cut either
    assert not opening.done()
    assert not frames_in(storage.live_audio(ONE))[100:].any()
    full.heal()
    assert (await opening).durable
    await until(lambda: live.failing is None)
    outcome = await live.finish(ONE, Ended(300, (interval(0, 100), interval(200, 300))))
    assert outcome.audio is not None
    assert outcome.result == "complete"
    assert (frames_in(outcome.audio) == expected_frames(300, [(0, 100), (200, 300)])).all()


async def test_an_opening_that_finds_no_space_did_not_happen(live: Spool, storage: Storage) -> None:
    await live.toggle(ONE, toggled(2, 100, "paused"))
    full = Full(journal_fd(live))
    result = await live.toggle(ONE, toggled(3, 100, "recording"))
    assert (result.durable, result.reason, live.failing) == (False, "storage_full", "storage_full")
    live.write(ONE, 100, speech(100, 200).tobytes())
    full.heal()
    await until(lambda: live.failing is None)
    await flushed(live, 2)
    assert [toggle.number for toggle in journalled(storage).toggles] == [1, 2]
    assert not frames_in(storage.live_audio(ONE))[100:].any()
    outcome = await live.finish(ONE, Ended(200, (interval(0, 100),)))
    assert outcome.result == "complete"


async def test_a_closing_that_finds_no_space_is_written_as_soon_as_there_is(
    live: Spool, storage: Storage
) -> None:
    full = Full(journal_fd(live))
    result = await live.toggle(ONE, toggled(2, 150, "paused"))
    assert (result.durable, result.reason) == (False, "storage_full")
    live.extend(ONE, 400)
    await flushed(live, 2)
    assert len(frames_in(storage.live_audio(ONE))) == 150  # so that its length proves the journal
    full.heal()
    await until(lambda: len(journalled(storage).toggles) == 2)
    await until(lambda: not live._awaited)
    assert live.failing is None
    await flushed(live, 3)
    assert len(frames_in(storage.live_audio(ONE))) == 400
    await live.finish(ONE, Ended(400, (interval(0, 150),)))


async def test_the_order_of_lines_survives_a_failure(live: Spool, storage: Storage) -> None:
    full = Full(journal_fd(live))
    stopped = live.toggle(ONE, toggled(2, 150, "paused"))
    assert not (await stopped).durable
    full.heal()
    assert (await live.toggle(ONE, toggled(3, 200, "recording"))).durable
    assert [toggle.number for toggle in journalled(storage).toggles] == [1, 2, 3]
    await live.finish(ONE, Ended(400, (interval(0, 150), interval(200, 400))))


async def test_openings_are_refused_before_the_last_space_is_gone(live: Spool, storage: Storage) -> None:
    storage.min_free_bytes = 1 << 60
    assert (await live.toggle(ONE, toggled(2, 100, "paused"))).durable
    refused = await live.toggle(ONE, toggled(3, 100, "recording"))
    assert (refused.durable, refused.reason, live.failing) == (False, "storage_full", "storage_full")
    storage.min_free_bytes = 0
    await until(lambda: live.failing is None)
    await live.finish(ONE, Ended(100, (interval(0, 100),)))


async def test_a_recording_begins_late_when_the_disk_comes_late(spool: Spool, storage: Storage) -> None:
    gone = storage.live.rename(storage.root / "gone")
    assert not (await spool.create(header_of())).durable
    assert not (await spool.toggle(ONE, toggled(1, 0, "recording"))).durable
    gone.rename(storage.live)
    await until(lambda: journalled(storage).header is not None if storage.journal(ONE).exists() else False)
    assert (await spool.toggle(ONE, toggled(2, 100, "recording"))).durable
    spool.write(ONE, 100, speech(100, 200).tobytes())
    outcome = await spool.finish(ONE, Ended(200, (interval(100, 200),)))
    assert outcome.result == "complete"


async def test_a_recording_that_never_began_leaves_nothing_or_begins_at_its_end(
    spool: Spool, storage: Storage
) -> None:
    gone = storage.live.rename(storage.root / "gone")
    await spool.create(header_of())
    await spool.create(header_of(2, keep_unrecorded=True))
    endings = [spool.finish(ONE, Ended(100)), spool.finish(TWO, Ended(100))]
    await asyncio.sleep(0.05)
    assert not any(ending.done() for ending in endings)
    gone.rename(storage.live)
    assert [(await ending).result for ending in endings] == ["none", "complete"]
    assert spool.stats().failed == 0


async def test_what_cannot_be_published_is_tried_until_it_can(live: Spool, storage: Storage) -> None:
    (storage.root / "2026").write_text("in the way")
    ending = live.finish(ONE, Ended(200, (interval(0, 200),)))
    await until(lambda: live.failing is not None)
    assert (live.failing, live.stats().postponed, ending.done()) == ("storage_error", 1, False)
    (storage.root / "2026").unlink()
    outcome = await ending
    assert (outcome.result, live.failing, live.stats().postponed) == ("complete", None, 0)
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(200, [(0, 100)])).all()


async def test_a_disk_that_finds_no_file_has_not_lost_it(
    live: Spool, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is still known, what lies in it cannot be read: that is no reason to give it up."""

    real = {name: getattr(os, name) for name in ("stat", "lstat")}

    def broken(name: str, path: object, *rest: object, **options: object) -> object:
        if str(path).endswith(".wav") and threading.current_thread().name == "publish":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real[name](path, *rest, **options)

    with monkeypatch.context() as patched:
        for name in real:
            patched.setattr(os, name, partial(broken, name))
        ending = live.finish(ONE, Ended(200, (interval(0, 200),)))
        await until(lambda: live.failing is not None)
        await asyncio.sleep(0.02)
        assert (live.failing, live.stats().postponed, ending.done()) == ("storage_error", 1, False)
    assert (await ending).result == "complete"


async def test_what_could_not_be_published_waits_for_repair(live: Spool, storage: Storage) -> None:
    (storage.root / "2026").write_text("in the way")
    ending = live.finish(ONE, Ended(200, (interval(0, 200),)))
    await until(lambda: live.failing is not None)
    await live.close()
    assert ((await ending).result, (await ending).reasons) == ("failed", ("storage_stopped",))
    (refused,) = repair(storage)
    assert isinstance(refused, Refused)
    (storage.root / "2026").unlink()
    (repaired,) = repair(storage)
    assert isinstance(repaired, Repaired)
    assert repaired.outcome.audio is not None
    assert (frames_in(repaired.outcome.audio) == expected_frames(200, [(0, 100)])).all()


async def test_a_live_file_that_somebody_removes_fails_that_recording_alone(
    live: Spool, storage: Storage
) -> None:
    await live.create(header_of(2))
    await live.toggle(TWO, toggled(1, 0, "recording"))
    storage.live_audio(ONE).unlink()
    storage.live_audio(TWO).unlink()  # not opened yet
    for name in (ONE, TWO):
        live.write(name, 100, speech(100, 200).tobytes())
    await flushed(live, 2)
    for name in (ONE, TWO):
        outcome = await live.finish(name, Ended(200, (interval(0, 200),)))
        assert (outcome.result, outcome.audio) == ("failed", None)
    assert live.failing is None
    assert live.stats().backlog_bytes == 0


class Hung:
    """A disk whose calls of one kind do not return before `release`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        self._go = threading.Event()
        self.entered = threading.Event()
        real = getattr(os, call)

        def hang(*arguments: object) -> object:
            self.entered.set()
            assert self._go.wait(10)
            return real(*arguments)

        monkeypatch.setattr(os, call, hang)

    def release(self) -> None:
        self._go.set()


async def test_a_hung_audio_disk_never_holds_the_loop(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    spool = Spool(storage, loop, on_crash=pytest.fail, max_backlog_bytes=64_000)
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    hung = Hung(monkeypatch, "pwrite")
    longest = 0.0
    for turn in range(100):
        began = time.monotonic()
        spool.write(ONE, turn * 400, speech(turn * 400, turn * 400 + 400).tobytes())
        spool.flush(FAR_NS + turn * 1_000_000_000)
        longest = max(longest, time.monotonic() - began)
        if turn == 0:
            assert await asyncio.to_thread(hung.entered.wait, 5)
    assert longest < HELD_S
    assert spool.stats().backlog_bytes <= 64_000
    assert spool.stats().lost_samples == 40_000 - 16_000
    hung.release()
    outcome = await spool.finish(ONE, Ended(40_000, (interval(0, 40_000),)))
    assert (outcome.result, outcome.reasons) == ("degraded", ("storage_backlog",))
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(40_000, [(0, 16_000)])).all()
    await spool.close()


async def test_a_hung_journal_holds_the_interval_not_the_loop(
    live: Spool, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.toggle(ONE, toggled(2, 100, "paused"))
    hung = Hung(monkeypatch, "fdatasync")
    opening = live.toggle(ONE, toggled(3, 200, "recording"))
    live.write(ONE, 200, speech(200, 300).tobytes())
    done, _ = await asyncio.wait([opening], timeout=0.05)
    assert not done
    live.annul(ONE, 3)  # the caller has waited long enough, answers 503 and closes the gate
    live.extend(ONE, 500)
    await flushed(live, 2)
    assert len(frames_in(storage.live_audio(ONE))) == 200
    hung.release()
    assert (await opening).durable  # true of the line, which the next one takes back
    await until(lambda: [toggle.number for toggle in journalled(storage).toggles] == [1, 2])
    await until(lambda: not live._awaited)
    await flushed(live, 3)
    frames = frames_in(storage.live_audio(ONE))
    assert len(frames) == 500
    assert not frames[100:].any()
    assert (await live.finish(ONE, Ended(500, (interval(0, 100),)))).result == "complete"


async def test_no_file_grows_before_its_journal_is_durable(
    spool: Spool, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = Hung(monkeypatch, "fsync")
    created = spool.create(header_of(keep_unrecorded=True))
    await asyncio.to_thread(hung.entered.wait, 5)
    spool.extend(ONE, 100)
    await flushed(spool, 1)
    assert not frames_in(storage.live_audio(ONE)).size
    hung.release()
    assert (await created).durable
    assert spool.failing is None
    assert (await spool.finish(ONE, Ended(100))).result == "complete"


async def test_a_journal_begun_too_late_leaves_no_file_either(
    spool: Spool, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked, turn = threading.Event(), threading.Event()
    accept = JournalWriter._accept

    def late(writer: JournalWriter, item: Append) -> None:
        blocked.set()
        turn.wait(5)
        accept(writer, item)

    monkeypatch.setattr(JournalWriter, "_accept", late)
    created = spool.create(header_of())
    assert await asyncio.to_thread(blocked.wait, 5)
    ending = spool.finish(ONE, Ended(100))
    await written(spool)
    await asyncio.sleep(0.05)
    turn.set()
    assert (await created).durable
    assert (await ending).result == "none"
    assert not list(storage.live.iterdir())


async def test_every_toggle_is_answered_when_the_end_overtakes_it(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spool.create(header_of())
    hung = Hung(monkeypatch, "fdatasync")
    first = spool.toggle(ONE, toggled(1, 0, "paused"))
    await asyncio.to_thread(hung.entered.wait, 5)
    second = spool.toggle(ONE, toggled(2, 0, "inactive"))
    ending = spool.finish(ONE, Ended(100))
    await written(spool)
    hung.release()
    assert [(await each).durable for each in (first, second)] == [True, True]
    assert (await ending).result == "none"


async def test_stopping_does_not_wait_for_a_hung_disk(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_JOIN_S", 0.02)
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=pytest.fail)
    await spool.create(header_of(keep_unrecorded=True))
    hung = Hung(monkeypatch, "fdatasync")
    stopped = spool.toggle(ONE, toggled(1, 0, "paused"))
    ending = spool.finish(ONE, Ended(100))
    await asyncio.to_thread(hung.entered.wait, 5)
    await spool.close()
    assert (await stopped).reason == "storage_stopped"
    assert ((await ending).result, (await ending).reasons) == ("failed", ("storage_stopped",))
    storage.close()
    with pytest.raises(Unavailable, match="in use"):  # what hangs may write yet
        Storage.open(storage.root, min_free_bytes=0)
    hung.release()
    assert storage.left_behind is not None
    os.close(storage.left_behind)
    for worker, writer in zip(spool._threads._journals, spool._threads._journal_writers, strict=True):
        assert worker.join(5)
        writer.close()


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@pytest_asyncio.fixture
async def crashing(storage: Storage) -> AsyncIterator[tuple[Spool, list[Exception]]]:
    """A spool with two recordings, and what its threads met."""
    crashes: list[Exception] = []
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=crashes.append)
    await asyncio.gather(*(spool.create(header_of(n, keep_unrecorded=True)) for n in (1, 5)))
    yield spool, crashes
    await spool.close()


async def test_a_bug_in_a_journal_ends_that_one_alone(
    crashing: tuple[Spool, list[Exception]], storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, crashes = crashing
    with monkeypatch.context() as patched:
        patched.setattr(journal, "encode", broken)
        assert not (await spool.toggle(ONE, toggled(1, 50, "paused"))).durable
    assert len(crashes) == 1
    assert spool.failing == "storage_error"
    assert not (await spool.toggle(ONE, toggled(2, 60, "recording"))).durable
    spool.extend(ONE, 100)
    await flushed(spool, 1)
    assert len(frames_in(storage.live_audio(ONE))) == 50
    assert (await spool.finish(ONE, Ended(100))).result == "failed"
    assert (await spool.finish(recording_id(5), Ended(100))).result == "complete"


@pytest.mark.parametrize("broken_part", ["mediaproxy.recording.manifest.sign", "os.ftruncate"])
async def test_a_bug_in_another_thread_ends_that_recording_alone(
    crashing: tuple[Spool, list[Exception]], monkeypatch: pytest.MonkeyPatch, broken_part: str
) -> None:
    spool, crashes = crashing
    with monkeypatch.context() as patched:
        patched.setattr(broken_part, broken)
        outcome = await spool.finish(ONE, Ended(100))
    assert (outcome.result, outcome.reasons) == ("failed", ("storage_error",))
    assert {type(crash) for crash in crashes} == {ZeroDivisionError}
    assert (await spool.finish(recording_id(5), Ended(100))).result == "complete"


async def test_a_start_line_that_hangs_holds_its_audio_at_the_end_too(
    live: Spool, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.toggle(ONE, toggled(2, 100, "paused"))
    hung = Hung(monkeypatch, "fdatasync")
    live.toggle(ONE, toggled(3, 200, "recording"))
    live.write(ONE, 200, speech(200, 300).tobytes())
    ending = live.finish(ONE, Ended(300, (interval(0, 100), interval(200, 300))))
    await written(live)
    assert len(frames_in(storage.live_audio(ONE))) == 100
    hung.release()
    outcome = await ending
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(300, [(0, 100), (200, 300)])).all()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


async def test_a_disk_that_fills_up_and_is_emptied_again(small_disk: Path) -> None:
    storage = Storage.open(small_disk / "rec", min_free_bytes=0)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(700_000))
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=pytest.fail)
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    for turn in range(20):  # 640 kB in all, where 300 kB are free
        at = turn * 8_000
        spool.write(ONE, at, speech(at, at + 8_000).tobytes())
        await flushed(spool, turn)
        if turn == 14:
            assert spool.trouble_of(ONE) == "storage_full"
            filler.unlink()
    await until(lambda: spool.failing is None)
    outcome = await spool.finish(ONE, Ended(160_000, (interval(0, 160_000),)))
    assert (outcome.result, outcome.reasons) == ("complete", ())
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == speech(0, 160_000)).all()
    assert [v.ok for v in verify([outcome.audio])] == [True]
    await spool.close()
    storage.close()


async def test_a_disk_without_any_space_refuses_to_begin(small_disk: Path) -> None:
    storage = Storage.open(small_disk / "rec", min_free_bytes=0)
    with pytest.raises(OSError, match="space"):
        (small_disk / "filler").write_bytes(bytes(1 << 20))
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=pytest.fail)
    created = await spool.create(header_of())
    assert (created.durable, created.reason) == (False, "storage_full")
    assert (await spool.toggle(ONE, toggled(1, 0, "recording"))).durable is False
    assert (await spool.finish(ONE, Ended(100))).result == "none"
    assert [path.name for path in storage.live.iterdir()] == []
    await spool.close()
    storage.close()
