"""Start, reload, drain and stop as an operator sees them."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.patience import seen
from tests.support.proxy import COMMAND, clean_environment, run_command, to_toml
from tests.support.recorded import check_finished
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"


def check(server, changes_text=""):
    path = server.write_config()
    path.write_text(path.read_text() + changes_text)
    return run_command("serve", "--check", "--config", str(path))


def output(done):
    return done.stdout + done.stderr


def test_the_acceptance_configuration_is_good(make_proxy):
    done = check(make_proxy(start=False))
    assert done.returncode == 0, output(done)


BAD = {
    "unknown key": ({"sip.lisen": ["udp:127.0.0.1:5060"]}, ["sip.lisen", "listen"]),
    "unknown section": ({"sipp": {"a": 1}}, ["sipp"]),
    "wrong type": ({"sip.max_calls": "many"}, ["max_calls", "many"]),
    "policy that is none": ({"recording.policy": "sometimes"}, ["policy", "sometimes", "on_demand"]),
    "ports upside down": ({"media.ports": "30000-20000"}, ["ports", "30000-20000"]),
    "agent that is not there": ({"routes.0.agent": "carol"}, ["carol"]),
    "trunk that is not there": ({"routes.3.trunk": "nowhere"}, ["nowhere"]),
    "two agents of one name": ({"agents.1.name": "alice"}, ["alice"]),
    "a later listener": ({"sip.listen": ["ws:127.0.0.1:5061"]}, ["ws:"]),
    "TLS without a certificate": ({"sip.listen": ["tls:127.0.0.1:5061"]}, ["sip.tls.certificate"]),
    "a later registration": ({"agents.0.password": "x"}, ["password"]),
    "latch that is none": ({"trunks.0.latch": "sometimes"}, ["latch", "sometimes"]),
    "source that is no network": ({"trunks.0.sources": ["carrier"]}, ["sources", "carrier"]),
    "contact that is no URI": ({"agents.0.contact": "alice"}, ["contact"]),
    "rate that is none": ({"recording.sample_rate": 7999}, ["sample_rate", "7999"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_configuration_names_file_key_and_value(make_proxy, case):
    changes, named = BAD[case]
    server = make_proxy(changes, start=False)
    done = check(server)
    assert done.returncode == 2, output(done)
    text = output(done)
    assert "Traceback" not in text
    assert server.config_path.name in text
    for word in named:
        assert word in text, text


def test_broken_toml_and_a_missing_file_are_told_plainly(make_proxy, tmp_path):
    done = check(make_proxy(start=False), "\n[sip\n")
    assert done.returncode == 2
    assert "mediaproxy.toml" in output(done)
    assert "Traceback" not in output(done)
    done = run_command("serve", "--check", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert "none.toml" in output(done)
    assert "Traceback" not in output(done)


def test_agents_who_share_an_address_are_warned_of(make_proxy):
    server = make_proxy(start=False)
    server.config["agents"][1]["contact"] = f"sip:bob@{server.net.alice[0]}:15081"
    done = check(server)
    assert done.returncode == 0, output(done)
    assert "alice" in output(done)
    assert "bob" in output(done)


def test_the_environment_overrides_the_file(make_proxy, monkeypatch):
    server = make_proxy(start=False)
    path = str(server.write_config())
    environment = clean_environment() | {"MEDIAPROXY_RECORDING__POLICY": "sometimes"}
    command = [*COMMAND, "serve", "--check", "--config", path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2, output(done)
    assert "sometimes" in output(done)


def start_and_fail(server):
    """A start that must not succeed: its exit code and its lines."""
    server.spawn()
    code = server.wait(20)
    assert code in {1, 2}, server.log
    assert "Traceback" not in server.log
    lines = [line for line in server.log.splitlines() if line.strip()]
    assert "mediaproxy ready" not in server.log
    return lines


@pytest.mark.parametrize("what", ["sip", "api"])
def test_a_busy_port_is_one_line(make_proxy, what):
    server = make_proxy(start=False)
    kind, port = (socket.SOCK_DGRAM, 15060) if what == "sip" else (socket.SOCK_STREAM, 18080)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((server.net.proxy[0], port))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        lines = start_and_fail(server)
    assert len(lines) == 1, lines
    assert str(port) in lines[0]


def test_a_directory_that_cannot_be_written_is_one_line(make_proxy):
    server = make_proxy({"storage.directory": "/proc/mediaproxy-rec"}, start=False)
    (line,) = start_and_fail(server)
    assert "/proc/mediaproxy-rec" in line


def test_a_database_that_cannot_be_opened_is_one_line(make_proxy):
    server = make_proxy({"database.url": "sqlite:////proc/none/db.sqlite"}, start=False)
    (line,) = start_and_fail(server)
    assert "/proc/none" in line or "database" in line


async def test_sigterm_lets_the_call_be_finished_and_goes(make_proxy, casts):
    """No new call is taken; the live one is published, whoever ends it; exit 0."""
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    row = await api.call_of(pair.caller.call_id)
    await asyncio.sleep(0.5)
    server.signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    late = carrier.invite(ON_DEMAND)
    late.ack(await late.expect(503))
    if pair.caller.inbox.empty():
        assert len(carrier.media.received) > 20
        await pair.hang_up()
    else:
        await pair.caller.hung_up()
        await pair.callee.hung_up()
    await pair.hush()
    assert await asyncio.to_thread(server.wait, 10) == 0, server.log
    server.start()
    row = await cast.api().get(f"/v1/calls/{row['id']}")
    assert row["state"] == "ended"
    check_finished(server, row)


async def test_sigterm_without_calls_ends_at_once(make_proxy):
    server = make_proxy()
    begun = time.monotonic()
    server.signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.wait, 10) == 0
    assert time.monotonic() - begun < 5
    server.check_log()


async def test_sighup_reloads_and_live_calls_go_on(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, bob, api = await cast.carrier(), await cast.alice(), await cast.bob(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    unknown = carrier.invite("+15550177")
    unknown.ack(await unknown.expect(404))
    server.config["routes"].append({"from": "trunk:carrier", "to": "+15550177", "agent": "bob"})
    server.write_config()
    server.signal(signal.SIGHUP)
    await seen(lambda: "configuration_reloaded" in server.log)
    known = carrier.invite("+15550177")
    rang = await bob.ring()
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    known.ack(await known.expect(486))
    heard = len(alice.media.received)
    await seen(lambda: len(alice.media.received) > heard)
    await pair.hush()
    await pair.hang_up()
    row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
    check_finished(server, row)


async def test_a_bad_reload_keeps_what_was(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    server.config_path.write_text(to_toml(server.config) + "\n[odd]\nkey = 1\n")
    server.signal(signal.SIGHUP)
    await seen(lambda: "odd" in server.log)
    assert server.alive
    pair = await connect(carrier, alice, ON_DEMAND, speak=False)
    await pair.hang_up()


async def test_no_core_can_be_dumped(make_proxy):
    """Property 3: nothing of a call's audio may reach a core file."""
    server = make_proxy()
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            os.listdir(f"/proc/{server.pid}/fd")
