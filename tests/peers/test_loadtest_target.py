"""`mediaproxy loadtest` against a proxy that runs already, and against what is none, or half of one."""

import json
import signal
import socket
import subprocess
import time

import pytest

from mediaproxy.loadtest.api import free_endpoint
from tests.support.proxy import COMMAND, clean_environment, run_command

ON_DEMAND, AUTOMATIC, OFF = "+15550100", "+15550101", "+15550102"
SHORT = ("--calls", "5", "--cps", "10", "--duration", "2")


def at(address):
    return f"{address[0]}:{address[1]}"


def aimed(server, **changes):
    """Options that lead to this server; `api="…"` changes one."""
    options = {
        "target": f"udp:{at(server.sip)}", "api": f"http://{server.config['api']['listen']}", "token": "adm",
        "carrier": at(server.net.carrier), "agent": at(server.net.alice), "number": AUTOMATIC,
    } | changes  # fmt: skip
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def test_a_running_proxy_is_loaded_from_outside(proxy, tmp_path):
    figures = tmp_path / "figures.json"
    shown = run_command("loadtest", *SHORT, *aimed(proxy), "--json", str(figures))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    told = json.loads(figures.read_text())
    assert told["recordings"] == {"right": 5, "expected": 5}
    assert told["log_rows"]["right"] == 5
    assert told["memory_mb"] == {}
    assert any("--pid" in what for what in told["unmeasured"])
    assert "adm" not in told["command"]


def test_on_the_same_machine_nothing_is_left_unmeasured(proxy, tmp_path):
    figures = tmp_path / "figures.json"
    options = aimed(proxy, number=ON_DEMAND, storage=proxy.storage, pid=proxy.pid)
    random = ("--record", "random", "--dtmf", "--hold", "--duration", "5", "--toggle-every", "1.5")
    shown = run_command("loadtest", *SHORT, *random, *options, "--json", str(figures))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    told = json.loads(figures.read_text())
    assert told["unmeasured"] == []
    assert told["memory_mb"]["idle"] > 10
    assert told["packets"]["withheld"] > 0
    assert told["packets"]["digits_heard"] == 0
    assert told["recordings"]["right"] == told["recordings"]["expected"] > 0


def refused(server, *words, **changes):
    """The load is refused with words on what to change, fast, and without a traceback."""
    shown = run_command("loadtest", *SHORT, *aimed(server, **changes), timeout=30)
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    for word in words:
        assert word in " ".join(shown.stderr.split()), shown.stderr


def test_a_dead_api_is_named(proxy):
    dead = free_endpoint("127.0.0.1", socket.SOCK_STREAM)
    refused(proxy, str(dead), "connection refused", "--api", api=f"http://{dead}")


def test_a_wrong_token_is_named(proxy):
    refused(proxy, "does not accept the token", "--token", token="nobody")


def test_a_dead_target_is_named(proxy):
    dead = free_endpoint("127.0.0.1", socket.SOCK_DGRAM)
    refused(proxy, "nothing listens", str(dead), "--target", target=f"udp:{dead}")


def test_a_silent_target_is_named(proxy):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        refused(proxy, "keeps silent", "--target", target=f"udp:{at(silent.getsockname())}")


def test_a_target_that_does_not_know_the_carrier_says_so(proxy):
    refused(proxy, "with 403", "[[trunks]]", "--carrier", carrier=f"{proxy.net.host(77)}:15070")


def test_a_target_without_the_route_says_so(proxy):
    refused(proxy, "with 404", "[[routes]]", "+1999", number="+1999")


def test_a_target_whose_agent_is_elsewhere_says_so(make_proxy):
    server = make_proxy({"sip.ring_timeout_s": 1})
    refused(server, "[[agents]]", "--agent", agent=f"{server.net.host(4)}:15080")


def test_a_target_that_takes_no_calls_says_so(make_proxy):
    server = make_proxy({"recording.on_recorder_failure": "refuse_new"})
    server.storage.joinpath("live").chmod(0o500)
    try:
        refused(server, "policy", "automatic", number=ON_DEMAND)
    finally:
        server.storage.joinpath("live").chmod(0o700)


def test_a_route_of_another_policy_is_named(proxy):
    refused(proxy, 'by policy "on_demand"', 'recording = "automatic"', number=ON_DEMAND)
    refused(proxy, 'by policy "off"', 'recording = "automatic"', number=OFF)


def test_another_sample_rate_is_named(make_proxy):
    server = make_proxy({"recording.sample_rate": 16000})
    refused(server, "16000 Hz", "sample_rate = 8000")


def test_an_address_that_is_taken_is_named(proxy):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(proxy.net.carrier)
        refused(proxy, at(proxy.net.carrier), "in use")


@pytest.mark.parametrize("after_s", [0.1, 1.5])
def test_an_interruption_ends_the_calls_and_still_reports(proxy, tmp_path, after_s):
    report = tmp_path / "report"
    command = [*COMMAND, "loadtest", "--calls", "100", "--cps", "10", "--duration", "30", "--record", "all"]
    command += [*aimed(proxy, storage=proxy.storage, pid=proxy.pid), "--report", str(report)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_environment()
    )
    try:
        until = time.monotonic() + 20
        while not proxy.live_calls() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 1
    assert "interrupted" in shown
    assert proxy.live_calls() == 0
    told = json.loads((report / "loadtest.json").read_text())
    assert told["interrupted"]
    assert told["faults"] == []
    assert told["recordings"]["right"] == told["recordings"]["expected"] == told["calls"]["set_up"]
    assert "Interrupted" in (report / "loadtest.html").read_text()
