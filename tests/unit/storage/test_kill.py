"""`kill -9` at any instant: every file opens as it lies, nothing acknowledged is lost, repair is right."""

import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.recording import journal
from mediaproxy.storage import Repaired, Storage, repair, verify
from tests.support.counts import count
from tests.support.pace import measured_pace
from tests.support.recordings import RATE, frames_in, recording_id, speech
from tests.support.spool_writer import RECORDINGS

ROUNDS = count(10, full=200)
ROOT = Path(__file__).parents[3]


@dataclass
class Told:
    """What the process said before it died."""

    answered_ns: int = 0
    tried: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    acknowledged: dict[int, set[int]] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        match line.split():
            case ["answered", at]:
                self.answered_ns = int(at)
            case ["try", n, _, position, state]:
                self.tried.setdefault(int(n), []).append((int(position), state))
            case ["ack", n, number]:
                self.acknowledged.setdefault(int(n), set()).add(int(number))
            case _ if line.endswith("\n"):
                pytest.fail(line)

    def spans(self, n: int, end: int) -> list[tuple[int, int]]:
        """Where the gate was open, as it was in memory."""
        edges = [*self.tried.get(n, []), (end, "")]
        return [
            (start, min(stop, end))
            for (start, state), (stop, _) in pairwise(edges)
            if state == "recording" and start < end
        ]


def run_and_kill(directory: Path, seed: int, after_s: float) -> tuple[Told, int, int]:
    """What was told, the call's position when the kill was sent, and for how many samples the machine
    may have held up the writer before it."""
    command = [sys.executable, "-m", "tests.support.spool_writer", str(directory), str(seed)]
    told = Told()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told.hear(process.stdout.readline())
        reader = threading.Thread(target=lambda: [told.hear(line) for line in process.stdout or ()])
        reader.start()
        with measured_pace(directory.parent) as pace:
            time.sleep(after_s)
            killed_ns, late_s = time.monotonic_ns(), pace.late_s()
        process.kill()
        reader.join()
    return told, (killed_ns - told.answered_ns) * RATE // 1_000_000_000, int(late_s * RATE)


def check_as_it_lies(storage: Storage, told: Told, n: int, killed_at: int, late: int) -> None:
    path = storage.live_audio(recording_id(n))
    frames = frames_in(path)
    assert len(frames) >= killed_at - RATE - late, f"{(killed_at - len(frames)) / RATE:.3f} s are missing"
    truth = np.zeros((len(frames), 2), "<i2")
    for start, end in told.spans(n, len(frames)):
        truth[start:end] = speech(start, end, n)
    assert (frames == truth).all()
    state = journal.replay(storage.journal(recording_id(n)).read_bytes())
    assert {toggle.number for toggle in state.toggles} >= told.acknowledged.get(n, set())
    assert len(state.toggles) <= len(told.tried.get(n, []))
    if shutil.which("soxi"):
        shown = subprocess.run(["soxi", "-s", path], check=True, capture_output=True, text=True)
        assert (shown.stdout.strip(), shown.stderr) == (str(len(frames)), "")


def check_repaired(found: Repaired, told: Told, n: int, before: int) -> None:
    outcome = found.outcome
    if outcome.audio is None:
        assert not told.acknowledged.get(n) or outcome.recorded_samples == 0
        return
    assert outcome.result == "recovered"
    assert outcome.duration_samples >= before
    frames = frames_in(outcome.audio)
    truth = np.zeros((len(frames), 2), "<i2")
    for start, end in told.spans(n, len(frames)):
        truth[start:end] = speech(start, end, n)
    assert (frames[:before] == truth[:before]).all()
    assert ((frames == truth) | (frames == 0)).all()
    assert [str(v) for v in verify([outcome.audio])] == [f"{outcome.audio}: ok"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_kill_at_any_instant(tmp_path: Path, seed: int) -> None:
    told, killed_at, late = run_and_kill(tmp_path / "rec", seed, random.Random(seed).uniform(0.0, 2.0))
    storage = Storage.open(tmp_path / "rec", min_free_bytes=0)
    for n in range(1, RECORDINGS + 1):
        check_as_it_lies(storage, told, n, killed_at, late)
    held = [len(frames_in(storage.live_audio(recording_id(n)))) for n in range(1, RECORDINGS + 1)]
    found = repair(storage)
    assert len(found) == RECORDINGS
    for n, each in enumerate(found, 1):
        assert isinstance(each, Repaired), each
        check_repaired(each, told, n, held[n - 1])
    assert list(storage.live.iterdir()) == []
    assert repair(storage) == []
    storage.close()
