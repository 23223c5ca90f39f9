"""The load test of the product, as its user runs it: a proxy of its own, real SIP and RTP."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.counts import count
from tests.support.proxy import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.peer]


def loadtest(tmp_path: Path, *options: str, timeout: float = 60) -> tuple[int, dict[str, Any], str]:
    """Exit code, figures, and all that was said."""
    figures = tmp_path / "figures.json"
    command = [*COMMAND, "loadtest", *options, "--json", str(figures)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert "Traceback" not in shown.stderr, shown.stderr
    told = json.loads(figures.read_text()) if figures.exists() else {}
    return shown.returncode, told, shown.stdout + shown.stderr


@pytest.mark.parametrize("workers", [0, 2])
def test_ten_calls_toggled_at_random_lose_nothing(tmp_path: Path, workers: int) -> None:
    figures = tmp_path / "figures.json"
    command = [
        *COMMAND, "loadtest", "--calls", "10", "--cps", "10", "--duration", "3", "--record", "random",
        "--toggle-every", "1.5", "--workers", str(workers),
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


@pytest.mark.timeout(600)
def test_calls_come_and_go_toggled_by_api_and_by_code_and_held(tmp_path: Path) -> None:
    calls, cps, seconds = count((40, 10, 5), full=(3_000, 50, 10))
    options = ("--calls", str(calls), "--cps", str(cps), "--duration", str(seconds), "--record", "random")
    status, told, shown = loadtest(tmp_path, *options, "--dtmf", "--hold", "--toggle-every", "3", timeout=500)
    assert status == 0, shown
    assert told["log_rows"] == {"right": calls, "expected": calls}
    assert told["recordings"]["right"] == told["recordings"]["expected"] > calls // 4
    assert told["packets"]["withheld"] >= 14 * calls // 2
    assert told["packets"]["digits_heard"] == 0


@pytest.mark.timeout(300)
def test_a_thousand_calls_at_once_are_recorded_to_the_sample(tmp_path: Path) -> None:
    calls, cps, seconds = count((30, 15, 5), full=(1_000, 50, 40))
    options = ("--calls", str(calls), "--cps", str(cps), "--duration", str(seconds))
    status, told, shown = loadtest(tmp_path, *options, timeout=250)
    assert status == 0, shown
    assert told["calls"]["at_once"] >= 0.9 * calls
    assert told["recordings"] == {"right": calls, "expected": calls}
    assert told["memory_kb_per_call"] > 0


@pytest.mark.parametrize("codec", ["pcmu", "pcma", "g722"])
def test_a_bad_network_leaves_nothing_uncertain(tmp_path: Path, codec: str) -> None:
    options = ("--calls", "8", "--cps", "10", "--duration", "3", "--codec", codec)
    network = ("--loss", "5", "--jitter", "40", "--reorder", "3", "--seed", "11")
    status, told, shown = loadtest(tmp_path, *options, *network)
    assert status == 0, shown
    assert told["packets"]["lost"] == 0
    assert 0.9 < told["packets"]["sent"] / (2 * 8 * 150) < 0.98


def test_a_stranger_s_flood_costs_no_call_a_packet(tmp_path: Path) -> None:
    rate, lasts = count(10_000, full=50_000), count(3, full=20)
    options = ("--calls", "10", "--cps", "10", "--duration", str(lasts), "--flood", str(rate))
    status, told, shown = loadtest(tmp_path, *options, timeout=90)
    assert status == 0, shown
    assert told["flooded"] > rate
    assert told["packets"]["lost"] == told["packets"]["foreign"] == 0
    assert told["recordings"]["right"] == 10


@pytest.mark.timeout(count(120, full=7_200))
def test_a_soak_is_checked_as_it_goes_and_leaves_nothing_but_the_chain(tmp_path: Path) -> None:
    lasts = count("9s", full="1h")
    options = ("--soak", lasts, "--cps", "4", "--duration", "2", "--record", "random", "--toggle-every", "1")
    status, told, shown = loadtest(tmp_path, *options, timeout=count(60, full=4_200))
    assert status == 0, shown
    assert told["log_rows"]["right"] == told["calls"]["set_up"] >= 25


def test_a_limit_is_looked_for_below_where_a_bound_broke(tmp_path: Path) -> None:
    bounds = ("--max-delay-ms", "0.001")
    options = ("--find-limit", "--calls", "2", "--cps", "5", "--duration", "1", *bounds)
    status, told, shown = loadtest(tmp_path, *options, "--report", str(tmp_path / "report"))
    assert status == 1
    assert told["limit"] == 0
    assert [level["plan"]["calls"] for level in told["levels"]] == [2, 1]
    assert "its bound 0.001 ms" in told["levels"][0]["faults"][0], shown
    assert (tmp_path / "report" / "level-delay.png").exists()


def test_a_bound_that_breaks_is_a_finding(tmp_path: Path) -> None:
    options = ("--calls", "2", "--duration", "1", "--max-setup-ms", "0.01")
    status, told, _ = loadtest(tmp_path, *options)
    assert status == 1
    assert [fault for fault in told["faults"] if "set-up time" in fault] == told["faults"]


def test_a_proxy_that_dies_meanwhile_is_a_finding_with_a_report(tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = [
        *COMMAND,
        "loadtest",
        "--calls",
        "4",
        "--cps",
        "20",
        "--duration",
        "3",
        "--report",
        str(report),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        proxy = next(child for child in _children(process.pid, wanted=3) if "serve" in child.cmdline())
        time.sleep(1)
        proxy.kill()
        shown, _ = process.communicate(timeout=50)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 1
    assert "the proxy ended with -9" in shown
    assert "the proxy ended with -9" in (report / "loadtest.html").read_text()


def _children(pid: int, wanted: int) -> list[psutil.Process]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = psutil.Process(pid).children(recursive=True)
        if len(found) >= wanted:
            return found
        time.sleep(0.1)
    raise AssertionError("the load never began")
