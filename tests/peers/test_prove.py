"""`mediaproxy prove`: finds nothing in our proxy, and everything that a leaking one leaves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mediaproxy.prove.plan import Plan
from mediaproxy.prove.run import prove, script_of
from tests.support.counts import count

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(os.geteuid() != 0, reason="searching a process's memory takes root"),
]

# A proxy that taps payload while the gate is closed, never wipes the ring, and logs every digit.
LEAKS = """
import sys
if "serve" in sys.argv or "mediaproxy.service.worker" in sys.orig_argv:
    from mediaproxy.calls.plane import Tap
    from mediaproxy.recording import recorder, ring
    from mediaproxy.rtp import codes

    changes, feed = recorder.Recorder.tap_changes, codes.CodeMatcher.feed

    def tap_changes(self, now_ns):
        return [one._replace(tap=Tap.PAYLOAD) for one in changes(self, now_ns)]

    def free(self, wipe=None):
        self._read = self._written

    def logged_feed(self, digit, now_ns):
        print(f"digit={digit} seen", file=sys.stderr)
        return feed(self, digit, now_ns)

    recorder.Recorder.tap_changes = tap_changes
    ring.PacketRing.free = free
    codes.CodeMatcher.feed = logged_feed
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_left_behind(tmp_path: Path, workers: int) -> None:
    report = tmp_path / "report.json"
    seconds, calls = count((4, 2), full=(120, 20))
    command = [
        sys.executable,
        "-c",
        "from mediaproxy.cli import main; main()",
        "prove",
        "--seconds",
        str(seconds),
        "--calls",
        str(calls),
        "--workers",
        str(workers),
    ]
    ran = subprocess.run(
        [*command, "--json", str(report)], check=False, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(report.read_text())
    assert (told["good"], told["hits"], told["faults"]) == (True, [], [])
    assert told["toggles"] >= 2 * calls
    assert told["digits"] > 0
    assert min(told["marked_s"], told["recorded_s"]) > 0.4 * calls
    assert told["searched"]["files"] > 10
    assert told["searched"]["memory_bytes"] > 1e8
    assert "0 hits" in ran.stdout


@pytest.mark.parametrize("workers", [0, 2])
async def test_whatever_leaks_is_found_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Audio is in the memory of workers alone, where there are any."""
    leaking, directory = tmp_path / "leaking", tmp_path / "run"
    leaking.mkdir()
    directory.mkdir()
    (leaking / "sitecustomize.py").write_text(LEAKS)
    monkeypatch.setenv("PYTHONPATH", str(leaking))
    script = script_of(7)

    def plant(what: str, done: int, total: int) -> None:
        if (what, done) == ("search (live)", 0):
            (directory / "recordings" / "live" / "planted.txt").write_text(script.marker.hex())
            (directory / "trace.log").write_text(" ".join(script.number))

    proof = await prove(Plan(calls=2, seconds=4, seed=7, workers=workers), directory, plant)
    assert not proof.good
    found = {(hit.place.split(" ")[0], hit.form) for hit in (*proof.files.hits, *proof.memory.hits)}
    assert ("recordings/live/planted.txt", "marker as µ-law in hex") in found
    assert ("trace.log", "number as text") in found
    assert ("serve.log", "a digit with its name") in found
    assert ("memory", "marker as µ-law") in found
    assert not any(place.endswith((".wav", ".journal")) for place, _ in found)
