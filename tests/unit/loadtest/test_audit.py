"""The audit of rows and recordings, with one thing planted at a time."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediaproxy.loadtest import audit as auditing
from mediaproxy.loadtest import wire
from mediaproxy.loadtest.audit import Audit, Evidence, audit
from mediaproxy.loadtest.codecs import Codec
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.plan import Record
from mediaproxy.loadtest.schedule import Speech, Stream
from mediaproxy.loadtest.toggles import Reply, Toggled

PACKETS = 50

ANSWERED_NS = 500_000_000
DURATION = 16_000
OPENED = 6_000
TABLE = wire.payload_table()


class Run:
    """Two calls, recorded from position 6,000 on; everything as it must be."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.network = Network()
        self.rows: dict[int, dict[str, Any] | None] = {number: self._row(number) for number in range(2)}
        self.toggled = {number: Toggled([Reply("recording", True, OPENED)]) for number in range(2)}
        self.tracks = {number: self._tracks(number) for number in range(2)}

    def audit(self) -> Audit:
        for number, frames in self.tracks.items():
            self._write(self._path(number), frames)
        return audit([self._evidence(number) for number in range(2)])

    def _evidence(self, number: int) -> Evidence:
        one, other = (Speech(Stream(2 * number + leg, "127.0.0.1", 9), 0, PACKETS) for leg in (0, 1))
        return Evidence(
            number=number,
            record=Record.RANDOM,
            network=self.network,
            codec=Codec.PCMU,
            answered_ns=ANSWERED_NS,
            heard_ns=ANSWERED_NS,
            hung_up_ns=ANSWERED_NS + 2_000_000_000,
            speeches=(one, other),
            began_ns=(1_000_000_000, 1_000_000_000),
            toggled=self.toggled[number],
            policy="on_demand",
            row=self.rows[number],
            file=self._path(number) if number in self.tracks else None,
        )

    def _row(self, number: int) -> dict[str, Any]:
        recording = {
            "id": f"rec{number}", "state": "finished", "result": "complete", "sample_rate": 8_000,
            "duration_samples": DURATION, "recorded_samples": DURATION - OPENED,
            "intervals": [{"start_sample": OPENED, "end_sample": DURATION}],
        }  # fmt: skip
        row = {"state": "ended", "disposition": "answered", "ended_by": "caller", "duration_ms": 2_000}
        return row | {"recorded_ms": 1_250, "recording": recording}

    def _tracks(self, number: int) -> np.ndarray:
        frames = np.zeros((DURATION, 2), dtype="<i2")
        for leg in (0, 1):
            spoken = wire.decode_ulaw(wire.stream_codes(2 * number + leg, PACKETS, TABLE))
            begins = (1_000_000_000 - ANSWERED_NS) * 8 // 1_000_000 - wire.SAMPLES
            frames[begins : begins + len(spoken), leg] = spoken
        frames[:OPENED] = 0
        return frames

    def _path(self, number: int) -> Path:
        return self.directory / "2026" / "01" / "05" / f"rec{number}.wav"

    def _write(self, path: Path, frames: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = frames.tobytes()
        kind = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 8_000, 32_000, 4, 16)
        body = b"WAVE" + kind + struct.pack("<4sI", b"data", len(sound)) + sound
        path.write_bytes(struct.pack("<4sI", b"RIFF", len(body)) + body)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(auditing, "verify", lambda paths: [])  # these files have no manifests
    return Run(tmp_path)


def test_a_right_run_has_no_faults(run: Run) -> None:
    found = run.audit()
    assert (found.faults, found.rows, found.recordings, found.expected) == ([], 2, 2, 2)


def _shift(run: Run) -> None:
    frames = run.tracks[1]
    frames[8_001:9_000, 0] = frames[8_000:8_999, 0].copy()


def _lose_file(run: Run) -> None:
    del run.tracks[1]


def _lose_row(run: Run) -> None:
    run.rows[1] = None


def _swap(run: Run) -> None:
    run.tracks[1] = run.tracks[1][:, ::-1]


def _cut(run: Run) -> None:
    run.tracks[1] = run.tracks[1][:-1]


def _leak(run: Run) -> None:
    run.tracks[1][OPENED - 1, 1] = 4


def _refuse(run: Run) -> None:
    run.toggled[1].faults.append("stop was answered with 503")


PLANTED: dict[str, Callable[[Run], None]] = {
    "samples differ": _shift,
    "the recording was not published": _lose_file,
    "no row in the call log": _lose_row,
    "was not said": _swap,
    "15999 sample frames instead of 16000": _cut,
    "agent's channel: 1 samples outside the intervals": _leak,
    "stop was answered with 503": _refuse,
}


@pytest.mark.parametrize("fault", PLANTED)
def test_what_is_planted_in_one_call_is_found_there(run: Run, fault: str) -> None:
    PLANTED[fault](run)
    [found] = run.audit().faults
    assert found.startswith("call 1: ")
    assert fault in found
