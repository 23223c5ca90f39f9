"""What proving and packing cost, in CPU of one run against the time of the calls, and against others."""

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mediaproxy.recording import wav
from mediaproxy.storage import Storage, Verification, flacs
from mediaproxy.storage.masters import filled, open_master
from tests.support.published import publish_one

RATE = 8_000
MINUTES = 10
DURATION = MINUTES * 60 * RATE
VERIFIED = 500  # times as fast as the call, at least
AGAINST_FLAC = 3.0  # of the CPU that `flac -V` takes for the same: it decodes and compares, too


@pytest.mark.slow
@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_recording_is_verified_much_faster_than_it_is_heard(storage: Storage, form: str) -> None:
    """Recorded from end to end: nothing of it is a hole."""
    publish_one(storage, duration=DURATION, spans=[(0, DURATION)], form=form)
    began = time.process_time()
    (verdict,) = Verification([storage.root]).verdicts()
    took_s = time.process_time() - began
    assert verdict.problems == ()
    assert verdict.path.suffix == f".{form}"
    assert MINUTES * 60 / took_s >= VERIFIED, f"{MINUTES * 60 / took_s:.0f} times as fast"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("flac") is None, reason="no flac: apt-get install flac")
def test_packing_costs_little_more_than_flac_itself(storage: Storage, tmp_path: Path) -> None:
    master = publish_one(storage, duration=DURATION, spans=[(0, DURATION)])
    ours = theirs = float("inf")
    for _ in range(3):  # the least of several: others want the machine, too
        ours = min(ours, packed_s(master, tmp_path / "ours.flac"))
        theirs = min(theirs, flac_s(master, tmp_path / "theirs.flac"))
    print(
        f"an hour: {ours * 60 / MINUTES:.2f} s of CPU, flac -V {theirs * 60 / MINUTES:.2f} s", file=sys.stderr
    )
    assert ours <= AGAINST_FLAC * theirs


def packed_s(master: Path, target: Path) -> float:
    began = time.process_time()
    with open_master(master) as pcm, target.open("w+b") as file:
        shape = wav.Shape(RATE, DURATION)
        flacs.check(file.fileno(), flacs.write(file.fileno(), filled(pcm), shape, [], lambda _: None))
    return time.process_time() - began


def flac_s(master: Path, target: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["flac", "-5", "-V", "-s", "-f", "-o", target, master], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
