"""Killed between any two things that publishing or repairing asks of the disk: the next repair ends it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediaproxy.recording import journal, wav
from mediaproxy.recording.journal import Ended, Header, Record
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import Outcome, Repaired, Storage, disk, published, repair, verify
from mediaproxy.storage.audio import identity
from mediaproxy.storage.publish import publish
from tests.support.recordings import (
    ANSWERED_AT_MS,
    expected_frames,
    frames_in,
    header_of,
    interval,
    recording_id,
    toggled,
)

ONE = recording_id(1)
TRUTH = expected_frames(2_000, [(400, 800), (1_200, 2_000)])
SPANS = (interval(400, 800), interval(1_200, 2_000))
START, STOP, AGAIN = toggled(1, 400, "recording"), toggled(2, 800, "paused"), toggled(3, 1_200, "recording")
CHANGES = (
    "ftruncate", "fsync", "fdatasync", "link", "mkdir", "open", "pwrite", "pwritev", "rename", "replace",
    "unlink", "write",
)  # fmt: skip


class Killed(BaseException):
    """Nothing that the process would still have done is done; only its descriptors are closed."""


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    """Die instead of doing the `step`th thing to the disk. `os.open` alone creates files here."""
    left = step
    patch = pytest.MonkeyPatch()

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*arguments, **options)

        return call

    for name in CHANGES:
        patch.setattr(os, name, dying(getattr(os, name)))
    try:
        yield
    finally:
        patch.undo()


def lay(storage: Storage, header: Header, records: list[Record]) -> None:
    lines = [journal.encode(record, n) for n, record in enumerate([header, *records])]
    storage.journal(ONE).write_bytes(b"".join(lines))
    head = wav.header(wav.constant_part(identity(header)), len(TRUTH))
    storage.live_audio(ONE).write_bytes(head + TRUTH.tobytes())


def died(act: Callable[[], object], step: int) -> bool:
    try:
        with killed_at(step):
            act()
    except Killed:
        return True
    return False


def check(storage: Storage, outcome: Outcome | None) -> None:
    assert outcome is not None
    assert outcome.audio is not None
    assert outcome.audio.suffix != ".wav" or (frames_in(outcome.audio) == TRUTH).all()
    assert (outcome.duration_samples, outcome.recorded_samples) == (2_000, 1_200)
    assert [str(verdict) for verdict in verify([outcome.audio])] == [f"{outcome.audio}: ok"]
    assert list(storage.live.iterdir()) == []
    assert repair(storage) == []
    entries = storage.chain.path.read_bytes().splitlines()
    assert len([line for line in entries if ONE.encode() in line]) == 1


def outcome_of(storage: Storage) -> Outcome | None:
    """As the next repair finds it: it finishes it, or it was finished already."""
    for each in repair(storage):
        assert isinstance(each, Repaired), each
        return each.outcome
    return published(storage, ONE, ANSWERED_AT_MS)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[[int], Storage]]:
    opened: list[Storage] = []

    def make(n: int) -> Storage:
        opened.append(Storage.open(tmp_path / str(n), min_free_bytes=0))
        return opened[-1]

    yield make
    for storage in opened:
        storage.close()


@pytest.mark.slow
def test_publishing_is_finished_by_the_next_repair(fresh: Callable[[int], Storage]) -> None:
    """Every step of the documented order, and every single call to the disk between them."""
    end = Ended(2_000, SPANS)
    step = 0
    while True:
        storage = fresh(step)
        lay(storage, header_of(), [START, STOP, AGAIN, end])
        killed = died(lambda at=storage: publish(at, header_of(), end), step)
        check(storage, outcome_of(storage))
        if not killed:
            break
        step += 1
    assert step > 15


@pytest.mark.slow
def test_publishing_as_flac_is_finished_too(fresh: Callable[[int], Storage]) -> None:
    """An encoder's own process makes the file: fewer rounds, for each takes one or two."""
    header = replace(header_of(), format="flac")
    end = Ended(2_000, SPANS)
    for step in (*range(4, 30, 4), 1_000):
        storage = fresh(step)
        lay(storage, header, [START, STOP, AGAIN, end])
        died(lambda at=storage: publish(at, header, end, waited_s=-60.0), step)  # late, but FLAC
        outcome = outcome_of(storage)
        check(storage, outcome)
        assert outcome is not None
        assert outcome.audio is not None
        assert outcome.audio.suffix == ".flac"


@pytest.mark.slow
@pytest.mark.parametrize("torn", [b"", b'{"k":"tog'])
def test_repairing_is_finished_by_the_next_repair(fresh: Callable[[int], Storage], torn: bytes) -> None:
    step = 0
    killed = True
    while killed:
        storage = fresh(step)
        lay(storage, header_of(), [START, STOP, AGAIN])
        with storage.journal(ONE).open("ab") as file:
            file.write(torn)
        killed = died(lambda at=storage: repair(at), step)
        outcome = outcome_of(storage)
        check(storage, outcome)
        assert outcome is not None
        assert outcome.intervals == (SPANS[0], interval(1_200, 2_000, Actor("recovery")))
        assert outcome.result == "recovered"
        assert outcome.reasons[0] == "interrupted"
        step += 1
    assert step > 18


@pytest.mark.slow
def test_repairs_that_are_killed_one_after_the_other_come_to_an_end(
    fresh: Callable[[int], Storage],
) -> None:
    """Each gets a little further, or starts anew; none undoes what another did."""
    for first in range(2, 30, 5):
        for second in range(1, 30, 6):
            storage = fresh(100 * first + second)
            lay(storage, header_of(), [START, STOP, AGAIN])
            for step in (first, second, first):
                died(lambda at=storage: repair(at), step)
            check(storage, outcome_of(storage))


@pytest.mark.slow
def test_a_call_that_was_not_recorded_leaves_nothing_whenever_its_removal_is_cut_off(
    fresh: Callable[[int], Storage],
) -> None:
    for step in range(8):
        storage = fresh(step)
        lay(storage, header_of(), [])
        head = wav.header(wav.constant_part(identity(header_of())), 0)
        storage.live_audio(ONE).write_bytes(head)
        died(lambda at=storage: repair(at), step)
        assert [each.outcome.result for each in repair(storage) if isinstance(each, Repaired)] in (
            [],
            ["none"],
        )
        assert list(storage.live.iterdir()) == []


def test_names_are_durable_in_the_order_that_a_repair_relies_on(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever file system lies below: a power cut keeps of two names in a folder what it was told to."""
    end = Ended(2_000, SPANS)
    lay(storage, header_of(), [START, STOP, AGAIN, end])
    day = storage.audio(ONE, ANSWERED_AT_MS).parent
    done: list[str] = []
    real = {name: getattr(os, name) for name in ("rename", "unlink")}
    synced = disk.sync_directory

    def moved(source: Path, target: Path, *rest: Any) -> None:
        done.append(Path(target).name)
        real["rename"](source, target, *rest)

    def removed(path: Path, *rest: Any) -> None:
        if Path(path).suffix != ".tmp":
            done.append(f"no {Path(path).name}")
        real["unlink"](path, *rest)

    def sync(path: Path) -> None:
        done.append({day: "day", storage.live: "live"}.get(path, "above"))
        synced(path)

    monkeypatch.setattr(os, "rename", moved)
    monkeypatch.setattr(os, "unlink", removed)
    monkeypatch.setattr(disk, "sync_directory", sync)
    check(storage, publish(storage, header_of(), end))
    audio, document, records = f"{ONE}.wav", f"{ONE}.json", f"no {ONE}.journal"
    steps = [step for step in done if step in (audio, document, "day", "live", records)]
    assert steps == [document, "day", audio, "day", "live", records]
