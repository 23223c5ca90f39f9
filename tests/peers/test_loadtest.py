"""The load test of the product, as its user runs it: a proxy of its own, real SIP and RTP."""

import json
import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.support.proxy import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.peer]


def test_ten_calls_toggled_at_random_lose_nothing(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [
        *COMMAND, "loadtest", "--calls", "10", "--cps", "10", "--duration", "3", "--record", "random",
        "--toggle-every", "1.5",
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


def test_an_interrupted_run_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    command = [*COMMAND, "loadtest", "--calls", "4", "--cps", "20", "--duration", "20"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        children = _children(process.pid, wanted=3)  # the proxy, the sender, its sink
        process.terminate()
        assert process.wait(20) == 1
    finally:
        process.kill()
        process.communicate()
    assert psutil.wait_procs(children, timeout=5)[1] == []
    assert list(tmp_path.iterdir()) == []


def _children(pid: int, wanted: int) -> list[psutil.Process]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = psutil.Process(pid).children(recursive=True)
        if len(found) >= wanted:
            return found
        time.sleep(0.1)
    raise AssertionError("the load never began")
