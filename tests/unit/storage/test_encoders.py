"""Workers: one does job after job, an ended one is replaced, and what goes wrong has a name."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.wav import Identity
from mediaproxy.storage import encoders, jobs
from mediaproxy.storage.disk import draft_of
from mediaproxy.storage.encoders import Encoders, Failed
from mediaproxy.storage.jobs import Answer, Exit, Inscription, Job, Progress
from tests.support.masters import Master, call_audio, write_master
from tests.support.recordings import interval


@pytest.fixture
def made() -> Iterator[Encoders]:
    workers = Encoders(2)
    yield workers
    workers.stop()


@pytest.fixture
def master(tmp_path: Path) -> Master:
    return write_master(tmp_path / "m.wav", call_audio(40.0, left=range(40)))


def job(master: Master, form: str = "flac", name: str = "copy") -> Job:
    return Job(form, master.path, master.path.with_name(name), master.sha256)


def pids(workers: Encoders) -> set[int]:
    return {worker._process.pid for worker in workers._all}


def test_a_job_and_what_is_said_of_it_survive_the_way() -> None:
    told = Inscription(Identity("r", "c", 1, 8_000), (interval(1, 2, Actor("dtmf", "é\udcff")),))
    for each in (
        Job("flac", Path("/a b"), Path("/c\nd"), None, told),
        Job("opus", Path("x"), Path("y"), "00" * 32),
    ):
        line = jobs.encode(each)
        assert (line.count(b"\n"), jobs.decode(line)) == (1, each)
    for said in (Progress(1, 2), Answer(0, "ab"), Answer(4, words="no\nspace")):
        assert jobs.decode_said(jobs.encode_said(said)) == said
    for noise in (b"", b"{}", b"[]", b"Traceback", b'{"exit": 0, "strange": 1}', b"\xff"):
        assert jobs.decode_said(noise) is None


@pytest.mark.slow  # real workers
def test_one_worker_does_job_after_job_and_says_how_far_it_is(made: Encoders, master: Master) -> None:
    told: list[Progress] = []
    made.run(job(master), timeout_s=60, on_progress=told.append)
    assert [each.of for each in told] == [320_000] * len(told)
    assert [each.done for each in told] == sorted({each.done for each in told})
    assert told[-1].done == 320_000
    first = pids(made)
    made.run(job(master, "opus", "two"), timeout_s=60)
    assert pids(made) == first
    assert len(first) == 1


@pytest.mark.slow  # real workers
def test_one_that_ended_while_it_waited_is_replaced_unseen(made: Encoders, master: Master) -> None:
    made.run(job(master), timeout_s=60)
    (waiting,) = made._idle
    os.kill(waiting._process.pid, signal.SIGKILL)
    waiting._process.wait(10)
    made.run(job(master, name="two"), timeout_s=60)
    assert master.path.with_name("two").exists()
    assert waiting not in made._all


@pytest.mark.slow  # a real worker
def test_a_worker_that_is_tired_of_waiting_ends(
    made: Encoders, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "_MODULE", "tests.support.impatient")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    made.run(job(master), timeout_s=60)
    (waiting,) = made._idle
    assert waiting._process.wait(20) == 0


@pytest.mark.slow  # real workers
def test_a_failure_is_its_jobs_alone(made: Encoders, master: Master) -> None:
    gone = Job("flac", master.path.with_name("gone.wav"), master.path.with_name("one"), "0" * 64)
    with pytest.raises(Failed, match=encoders.DISK) as caught:
        made.run(gone, timeout_s=60)
    assert caught.value.last_words == "No such file or directory"
    other = write_master(master.path.with_name("n.wav"), call_audio(1.0))
    with pytest.raises(Failed, match="SHA-256"):
        made.run(Job("flac", other.path, master.path.with_name("one"), master.sha256), timeout_s=60)
    first = pids(made)
    made.run(job(master), timeout_s=60)
    assert pids(made) == first


def test_who_gets_no_turn_in_time_is_told(master: Master) -> None:
    workers = Encoders(1)
    assert workers._turns.acquire()
    began = time.monotonic()
    with pytest.raises(Failed, match=encoders.NO_TURN):
        workers.run(job(master), timeout_s=0.05)
    with pytest.raises(Failed, match=encoders.NO_TURN):
        workers.run(job(master), timeout_s=-1)
    assert time.monotonic() - began < 2
    workers._turns.release()


@pytest.mark.slow  # a real worker
def test_a_stop_ends_what_runs_and_nothing_starts_any_more(
    made: Encoders, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "_MODULE", "tests.support.sleeper")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    failures: list[str] = []

    def run() -> None:
        try:
            made.run(job(master), timeout_s=60)
        except Failed as failed:
            failures.append(failed.reason)

    running = threading.Thread(target=run)
    running.start()
    while not draft_of(master.path.with_name("copy")).exists():
        time.sleep(0.01)
    made.stop()
    running.join(10)
    assert failures == [encoders.CLOSED]
    assert not draft_of(master.path.with_name("copy")).exists()
    with pytest.raises(Failed, match=encoders.CLOSED):
        made.run(job(master), timeout_s=60)
    assert made._all == set()


def test_every_ending_has_its_sentence() -> None:
    assert set(encoders._REASONS) == set(Exit) - {Exit.MADE}
