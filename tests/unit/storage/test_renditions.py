"""Renditions are made once, by workers that live and die apart from us."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mediaproxy.errors import Misuse, Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.storage import Renditions, Storage, encoders, renditions
from mediaproxy.storage.disk import draft_of
from mediaproxy.storage.jobs import Job, encode
from mediaproxy.storage.renditions import trim
from tests.support.masters import Master, call_audio, decode, write_master
from tests.support.recordings import recording_id

ID = recording_id(1)
SLEEPER = "tests.support.sleeper"
WORKER = b"mediaproxy.storage.encode"  # other tests of this process may keep a proxy running

Failures = list[tuple[RecordingId, str, str]]


@pytest.fixture
def failures() -> Failures:
    return []


@pytest.fixture
def master(storage: Storage) -> Master:
    return write_master(storage.root / "master.wav", call_audio(2.0, left=[0.5]))


@pytest.fixture
def files() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest_asyncio.fixture
async def made(storage: Storage, files: ThreadPoolExecutor, failures: Failures) -> AsyncIterator[Renditions]:
    renditions = Renditions(storage, files, lambda *failure: failures.append(failure))
    yield renditions
    await renditions.close()


@pytest.fixture
def sleeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that make a draft and then nothing more."""
    monkeypatch.setattr(encoders, "_MODULE", SLEEPER)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def children() -> list[int]:
    ours: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            ours += (task / "children").read_text().split()
    return [int(pid) for pid in ours if WORKER in (c := cmdline(pid)) or SLEEPER.encode() in c]


def cmdline(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def until_drafts(storage: Storage, count: int) -> None:
    async with asyncio.timeout(20):
        while len(list(storage.renditions.glob("*.tmp"))) != count:
            await asyncio.sleep(0.01)


@pytest.mark.slow  # a real worker
async def test_it_is_made_once_and_kept(
    made: Renditions, storage: Storage, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [made.get(ID, master.path, master.sha256, "opus") for _ in range(5)]
    started = count_workers(monkeypatch)
    paths = await asyncio.gather(*asked)
    assert set(paths) == {storage.renditions / f"{ID}-{master.sha256}.opus"}
    assert decode(paths[0]).seconds == pytest.approx(2.0, abs=0.02)
    assert await made.get(ID, master.path, master.sha256, "opus") == paths[0]
    assert len(started) == 1
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(storage.renditions.stat().st_mode) == 0o700
    assert os.listdir(storage.renditions) == [paths[0].name]


def count_workers(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    started: list[object] = []
    start = subprocess.Popen

    def counted(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(arguments)
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", counted)
    return started


@pytest.mark.slow  # real workers
async def test_at_most_two_run_at_a_time_and_few_wait(
    made: Renditions, storage: Storage, master: Master, sleeping: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renditions, "MAX_UNDER_WAY", 4)
    started = count_workers(monkeypatch)
    asked = [
        asyncio.create_task(made.get(recording_id(n), master.path, master.sha256, "mp3")) for n in range(4)
    ]
    await until_drafts(storage, 2)
    with pytest.raises(Unavailable, match="too many"):
        await made.get(recording_id(5), master.path, master.sha256, "mp3")
    assert len(started) == 2
    assert len(children()) == 2
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in children()} == {19}
    assert {os.sched_getscheduler(pid) for pid in children()} == {os.SCHED_IDLE}
    await made.close()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(result) for result in results] == [encoders.CLOSED] * 4
    assert children() == []
    assert os.listdir(storage.renditions) == []


@pytest.mark.slow  # real workers
async def test_a_killed_worker_leaves_nothing_and_the_next_request_tries_again(
    made: Renditions, storage: Storage, master: Master, failures: Failures, sleeping: None
) -> None:
    asking = asyncio.create_task(made.get(ID, master.path, master.sha256, "opus"))
    await until_drafts(storage, 1)
    os.kill(children()[0], signal.SIGKILL)
    with pytest.raises(Unavailable, match="the encoder failed"):
        await asking
    assert failures == [(ID, encoders.BROKEN, "exit -9")]
    assert os.listdir(storage.renditions) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "_MODULE", "mediaproxy.storage.encode")
        assert (await made.get(ID, master.path, master.sha256, "opus")).exists()


@pytest.mark.slow  # a real worker
async def test_a_worker_that_takes_too_long_is_stopped(
    made: Renditions,
    storage: Storage,
    master: Master,
    failures: Failures,
    sleeping: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renditions, "TIMEOUT_S", 0.05)
    with pytest.raises(Unavailable, match="too long"):
        await made.get(ID, master.path, master.sha256, "opus")
    assert failures == [(ID, encoders.TOO_LONG, "")]
    assert children() == []
    assert os.listdir(storage.renditions) == []


@pytest.mark.slow  # a real worker
async def test_a_worker_ends_with_a_killed_proxy(tmp_path: Path) -> None:
    target = tmp_path / "rendition"
    job = encode(Job("opus", tmp_path / "x", target, "0" * 64))
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-m', '{SLEEPER}'], input={job!r})"
    proxy = await asyncio.create_subprocess_exec(sys.executable, "-c", start, cwd=Path(__file__).parents[3])
    async with asyncio.timeout(20):
        while not draft_of(target).exists():
            await asyncio.sleep(0.01)
        (worker,) = Path(f"/proc/{proxy.pid}/task/{proxy.pid}/children").read_text().split()
        assert SLEEPER.encode() in cmdline(worker)
        proxy.kill()
        await proxy.wait()
        while SLEEPER.encode() in cmdline(worker):
            await asyncio.sleep(0.01)


@pytest.mark.slow  # a real worker
async def test_who_gives_up_takes_it_from_no_other(
    made: Renditions, storage: Storage, master: Master
) -> None:
    first, second = (asyncio.create_task(made.get(ID, master.path, master.sha256, "mp3")) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await second).suffix == ".mp3"
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.slow  # real workers
@pytest.mark.parametrize(
    ("damage", "reason"),
    [(lambda path: path.write_bytes(b"x" * 5000), encoders.NOT_THE_MASTER), (Path.unlink, encoders.DISK)],
)
async def test_what_the_worker_says_is_told(
    made: Renditions, storage: Storage, master: Master, failures: Failures, damage: object, reason: str
) -> None:
    storage.renditions.mkdir()
    damage(master.path)  # type: ignore[operator]
    with pytest.raises(Unavailable, match=reason):
        await made.get(ID, master.path, master.sha256, "opus")
    assert [failure[1] for failure in failures] == [reason]
    assert os.listdir(storage.renditions) == []


async def test_live_calls_need_the_space_more(
    made: Renditions, storage: Storage, master: Master, failures: Failures
) -> None:
    storage.min_free_bytes = 1 << 60
    with pytest.raises(Unavailable, match="full"):
        await made.get(ID, master.path, master.sha256, "opus")
    assert failures == [(ID, encoders.FULL, "")]


async def test_without_an_interpreter_it_is_told(
    made: Renditions, master: Master, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable, match="the encoder failed"):
        await made.get(ID, master.path, master.sha256, "opus")
    assert failures == [(ID, encoders.BROKEN, "No such file or directory")]


async def test_a_link_in_place_of_the_folder_is_not_followed(
    made: Renditions, storage: Storage, master: Master, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    storage.renditions.symlink_to(elsewhere)
    with pytest.raises(Unavailable, match="cannot be read or written"):
        await made.get(ID, master.path, master.sha256, "opus")
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize(
    ("name", "sha256", "form"),
    [("../../etc", "a" * 64, "opus"), (ID, "../x", "opus"), (ID, "A" * 64, "opus"), (ID, "a" * 64, "o/../p")],
)
def test_names_are_made_of_our_own_words(storage: Storage, name: str, sha256: str, form: str) -> None:
    with pytest.raises(Misuse):
        storage.rendition(RecordingId(name), sha256, form)


def test_what_a_killed_proxy_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    first = Storage.open(tmp_path / "rec", min_free_bytes=0)
    kept = first.rendition(ID, "a" * 64, "opus")
    kept.parent.mkdir()
    kept.touch()
    draft_of(kept).touch()
    first.close()
    Storage.open(tmp_path / "rec", min_free_bytes=0).close()
    assert os.listdir(kept.parent) == [kept.name]


def test_a_worker_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAPROXY_API__ADMIN_TOKEN", "secret")
    assert "secret" not in encoders._environment().values()
    assert "PATH" in encoders._environment()


def lay_copies(storage: Storage, count: int) -> list[Path]:
    """Of a thousand bytes each, the first the longest unused."""
    storage.renditions.mkdir()
    copies = [storage.rendition(recording_id(n), "a" * 64, "opus") for n in range(count)]
    for used_s, copy in enumerate(copies):
        copy.write_bytes(bytes(1_000))
        os.utime(copy, (used_s, 1_000 - used_s))  # the oldest is not the least used
    return copies


@pytest.mark.parametrize(("limit", "kept"), [(4_000, 4), (3_999, 3), (1_000, 1), (0, 0), (9_999, 4)])
def test_what_was_not_used_for_the_longest_time_goes_first(storage: Storage, limit: int, kept: int) -> None:
    copies = lay_copies(storage, 4)
    draft_of(copies[0]).write_bytes(bytes(9_000))
    trim(storage.renditions, limit)
    assert [copy.exists() for copy in copies] == [False] * (4 - kept) + [True] * kept
    assert draft_of(copies[0]).exists()


def test_the_one_that_was_just_made_stays(storage: Storage) -> None:
    copies = lay_copies(storage, 3)
    trim(storage.renditions, 0, but=copies[0])
    assert [copy.exists() for copy in copies] == [True, False, False]


async def test_to_be_asked_for_is_to_be_used(made: Renditions, storage: Storage, master: Master) -> None:
    copies = lay_copies(storage, 3)
    changed = copies[0].stat().st_mtime_ns
    assert await made.get(recording_id(0), master.path, "a" * 64, "opus") == copies[0]
    assert copies[0].stat().st_mtime_ns == changed  # it names the bytes, for clients
    trim(storage.renditions, 1_000)
    assert [copy.exists() for copy in copies] == [True, False, False]


@pytest.mark.slow  # a real worker
async def test_the_limit_holds_after_each_that_is_made(
    storage: Storage, files: ThreadPoolExecutor, master: Master
) -> None:
    copies = lay_copies(storage, 3)
    small = Renditions(storage, files, lambda *_: None, max_bytes=0)
    made = await small.get(ID, master.path, master.sha256, "opus")
    await small.close()
    assert made.exists()
    assert not any(copy.exists() for copy in copies if copy != made)


def test_copies_give_way_before_live_calls_do(
    storage: Storage, files: ThreadPoolExecutor, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = lay_copies(storage, 3)
    monkeypatch.setattr(storage, "has_space", lambda: not any(copy.exists() for copy in copies))
    assert Renditions(storage, files, lambda *_: None)._prepare(master.path) > 0
    assert not any(copy.exists() for copy in copies)


@pytest.mark.slow  # a real worker
async def test_no_copy_appears_of_a_master_that_changes_meanwhile(
    made: Renditions, storage: Storage, failures: Failures
) -> None:
    """Redacted in place: the copy would hold what was to go."""
    long = write_master(storage.root / "long.wav", call_audio(600.0, left=range(0, 600, 2)))
    making = asyncio.create_task(made.get(ID, long.path, long.sha256, "opus"))
    await until_drafts(storage, 1)
    with long.path.open("r+b") as file:
        file.seek(-1_000, os.SEEK_END)
        file.write(bytes(10))
    with pytest.raises(Unavailable, match="not the one that was published"):
        await making
    assert os.listdir(storage.renditions) == []
