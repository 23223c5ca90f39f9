"""The ladder of a real call, by command and API; and copies of its messages at a real capture server."""

import asyncio
import json
import os
import re
import shutil
import subprocess

import pytest

from tests.support.proxy import run_command
from tests.support.sip_wire import host_port
from tests.support.softphone import connect

ON_DEMAND = "+15550100"
HEP_PORT = 9060


async def trace(server, call, *options, token="adm"):
    command = ("trace", call, "--api", f"http://{server.config['api']['listen']}", "--token", token, *options)
    return await asyncio.to_thread(run_command, *command)


async def test_a_recent_call_is_drawn_without_digits_or_secrets(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND, headers=[("Authorization", 'Digest response="5ec2e7"')])
    call = (await api.call_of(pair.caller.call_id))["id"]
    for digit in "*2":
        body = f"Signal={digit}\r\nDuration=160\r\n".encode()
        pair.callee.send(pair.callee.request("INFO", body, [("Content-Type", "application/dtmf-relay")]))
        await pair.callee.expect(200)
    await pair.hang_up()
    await api.ended(call)

    drawn = await trace(server, call)
    assert drawn.returncode == 0, drawn.stderr
    summaries = [
        re.sub(r"[─│]+", "", line).split(None, 1)[1].strip() for line in drawn.stdout.splitlines()[2:]
    ]
    assert [each for each in summaries if "100" not in each] == [
        "INVITE (sdp) ▶", "INVITE (sdp) ▶", "◀ 180 Ringing (INVITE)", "◀ 180 Ringing (INVITE)",
        "◀ 200 OK (INVITE, sdp)", "ACK ▶", "◀ 200 OK (INVITE, sdp)", "ACK ▶",
        "◀ INFO", "200 OK (INFO) ▶", "◀ INFO", "200 OK (INFO) ▶",
        "BYE ▶", "◀ 200 OK (BYE)", "BYE ▶", "◀ 200 OK (BYE)",
    ]  # fmt: skip

    whole = await trace(server, call, "--json")
    assert "5ec2e7" not in whole.stdout
    assert "Signal" not in whole.stdout
    messages = json.loads(whole.stdout)["messages"]
    assert {m["leg"] for m in messages} == {"A", "B"}
    assert any("(24 bytes left out)" in m["text"] for m in messages)
    assert any("Authorization: (left out)" in m["text"] for m in messages)
    assert {m["remote"] for m in messages if m["leg"] == "B"} == {host_port(server.net.alice)}
    assert [m["elapsed_us"] for m in messages] == sorted(m["elapsed_us"] for m in messages)


async def test_what_can_not_be_drawn_says_why(proxy, cast):
    unknown = await trace(proxy, "0193aaaa-0000-7000-8000-000000000000")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "404" in unknown.stderr
    agent = await trace(proxy, "0193aaaa-0000-7000-8000-000000000000", token="nobody's")
    assert agent.returncode == 2
    assert "401" in agent.stderr
    nowhere = await asyncio.to_thread(
        run_command, "trace", "x", "--api", "http://127.0.0.1:9", "--token", "adm"
    )
    assert nowhere.returncode == 2
    assert "--api" in nowhere.stderr


@pytest.mark.skipif(shutil.which("sngrep") is None, reason="sngrep is not installed (apt: sngrep)")
async def test_a_capture_server_gets_every_message(make_proxy, casts, tmp_path):
    server = make_proxy(start=False)
    host, captured = server.net.host(9), tmp_path / "captured.pcap"
    server.config["capture"] = {"server": f"{host}:{HEP_PORT}", "id": 7}
    collector = subprocess.Popen(
        ["sngrep", "-N", "-q", "-L", f"udp:{host}:{HEP_PORT}", "-O", str(captured)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    try:
        server.start()
        cast = casts(server)
        carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
        await asyncio.sleep(1)  # until the collector listens
        pair = await connect(carrier, alice, ON_DEMAND)
        await pair.hang_up()
        row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
        said = json.loads((await trace(server, row["id"], "--json")).stdout)["messages"]
        await asyncio.sleep(1)
    finally:
        collector.terminate()
        collector.wait(10)
    fields = ("ip.src", "udp.srcport", "ip.dst", "udp.dstport", "sip.CSeq.method", "sip.Status-Code")
    shown = subprocess.run(
        ["tshark", "-r", captured, "-d", "udp.port==1-65535,sip", "-T", "fields",
         *(word for field in fields for word in ("-e", field))],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    seen = [tuple(line.split("\t")[:4]) for line in shown.splitlines()]
    wanted = []
    for message in said:
        ends = [message["local"].rpartition(":"), message["remote"].rpartition(":")]
        (source, _, source_port), (to, _, to_port) = ends if message["sent"] else reversed(ends)
        wanted.append((source, source_port, to, to_port))
    assert len(wanted) > 8
    assert sorted(seen) == sorted(wanted)
