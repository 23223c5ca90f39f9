"""The load test of the product, as its user runs it: a proxy of its own, real SIP and RTP."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.proxy import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.peer]


def test_ten_calls_toggled_at_random_lose_nothing(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [
        *COMMAND, "loadtest", "--calls", "10", "--cps", "10", "--duration", "3", "--record", "random",
        "--json", str(figures), "--report", str(tmp_path / "report"),
    ]  # fmt: skip
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    told = json.loads(figures.read_text())
    assert told["packets"]["arrived"] == told["packets"]["sent"] == 2 * 10 * 150
    assert told["log_rows"] == {"right": 10, "expected": 10}
    assert told["recordings"]["right"] == told["recordings"]["expected"] > 0
    assert told["toggles"]["count"] > 10
    assert "<svg" in (tmp_path / "report" / "loadtest.html").read_text()
