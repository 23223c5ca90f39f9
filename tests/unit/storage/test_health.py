"""What is due when, what hangs, what is tried again."""

import asyncio
from dataclasses import dataclass

import pytest

from mediaproxy.recording.journal import Ended
from mediaproxy.storage import Spool, Storage, threads
from mediaproxy.storage.health import HUNG_S, LOOK_S, HangWatch, Probe, Probed, Troubles
from mediaproxy.storage.postponed import FIRST_PATIENCE_S, MOST_PATIENCE_S, PostponedPublications
from mediaproxy.storage.publisher import Publication
from mediaproxy.storage.wheel import SLOTS, Wheel
from tests.support.recordings import header_of, recording_id

PERIOD_NS = 1_600


@dataclass
class Thread:
    busy_since: float = 0.0


def test_everything_is_due_once_a_period_and_evenly() -> None:
    wheel = Wheel[int](PERIOD_NS)
    for number in range(1, 33):
        wheel.add(number, number)
    list(wheel.due(10 * PERIOD_NS))
    seen = [list(wheel.due(10 * PERIOD_NS + step * 100)) for step in range(1, SLOTS + 1)]
    assert {len(each) for each in seen} == {2}
    assert sorted(number for each in seen for number in each) == list(range(1, 33))


def test_after_a_stall_everything_is_due_once() -> None:
    wheel = Wheel[int](PERIOD_NS)
    wheel.add(1, 1)
    wheel.add(2, 2)
    assert sorted(wheel.due(100 * PERIOD_NS)) == [1, 2]
    assert list(wheel.due(100 * PERIOD_NS)) == []
    wheel.remove(2)
    assert list(wheel.due(300 * PERIOD_NS)) == [1]


def test_a_thread_hangs_when_it_does_not_come_back_in_time() -> None:
    audio, journal = Thread(), Thread(busy_since=100.0)
    watch = HangWatch({"audio": audio, "journal 0": journal})
    assert not watch.look(100.0 + HUNG_S)
    assert watch.look(100.0 + HUNG_S + LOOK_S)
    assert watch.hung == {"journal 0"}
    journal.busy_since = 0.0
    assert not watch.look(100.0 + HUNG_S + 1.5 * LOOK_S)  # not so soon
    assert watch.look(100.0 + HUNG_S + 2 * LOOK_S)
    assert watch.hung == frozenset()


def test_the_first_trouble_is_told_until_it_is_over() -> None:
    troubles = Troubles()
    assert not troubles
    troubles.note("audio", "storage_full")
    troubles.note("journal", "storage_error")
    assert troubles.first == "storage_full"
    troubles.note("audio", None)
    assert troubles.first == "storage_error"
    troubles.note("journal", None)
    assert troubles.first is None


def test_a_job_is_tried_again_and_less_often() -> None:
    postponed, job = PostponedPublications(), Publication(header_of(), Ended(0), keep=True)
    now, waits = 0.0, []
    for _ in range(10):
        postponed.add(job, "storage_full", now)
        wait = FIRST_PATIENCE_S
        while not postponed.due(now + wait):
            wait *= 2 if wait * 2 <= MOST_PATIENCE_S else MOST_PATIENCE_S / wait
        assert postponed.due(now + wait) == []  # it is on its way
        waits.append(wait)
        now += wait
    assert waits[0] == FIRST_PATIENCE_S
    assert waits == sorted(waits)
    assert waits[-1] == MOST_PATIENCE_S
    postponed.forget(recording_id(1))
    assert (len(postponed), postponed.reason) == (0, None)


def test_a_probe_looks_always_and_writes_only_when_something_is_suspicious(storage: Storage) -> None:
    told: list[Probed] = []
    probe = Probe(storage, told.append)
    probe.perform([])
    probe.perform([])
    assert told == [Probed(None, None, wrote=False)]
    probe.suspicious = True
    probe.perform([])
    assert told[1:] == [Probed(None, None, wrote=True)]
    gone = storage.live.rename(storage.root / "gone")
    probe.perform([])
    assert told[-1] == Probed(None, "storage_error", wrote=False)
    gone.rename(storage.live)
    storage.min_free_bytes = 1 << 60
    probe.perform([])
    assert told[-1] == Probed("storage_full", None, wrote=True)
    assert list(storage.live.iterdir()) == []


async def test_a_nearly_full_disk_fails_although_nothing_is_written(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "PROBE_S", 0.01)
    storage.min_free_bytes = 1 << 60
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=pytest.fail)
    async with asyncio.timeout(5):
        while spool.failing is None:
            await asyncio.sleep(0.01)
    assert spool.failing == "storage_full"
    await spool.close()
