"""What nobody is to see: digits, secrets, a peer's control characters, other users' files; and numbers
that must say the same wherever they stand."""

import asyncio
import json
import sqlite3
import stat
from datetime import datetime

from tests.support.proxy import READY, run_command
from tests.support.recorded import check_finished
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC, OFF = "+15550100", "+15550101", "+15550102"
LOG_FIELDS = {
    "event", "level", "timestamp", "call", "recording", "status", "action", "sample", "means", "user",
    "durable", "result", "head",
}  # fmt: skip


def everything_kept(server):
    """The text of whatever the server wrote: log, journals, manifests, and the database's rows."""
    files = [server.log_path, *server.storage.rglob("*.journal"), *server.storage.rglob("*.json")]
    texts = [file.read_text(errors="replace") for file in files]
    with sqlite3.connect(f"file:{server.folder / 'db.sqlite'}?mode=ro", uri=True) as database:
        for table in ("calls", "call_agents", "recordings"):
            texts += [json.dumps(row) for row in database.execute(f"SELECT * FROM {table}")]
    database.close()
    return "\n".join(texts)


async def test_what_is_dialled_is_written_down_nowhere(make_proxy, casts):
    """Codes, refused digits and digits by INFO: the log tells what followed, never what was pressed."""
    server = make_proxy({"recording.dtmf": {"start": "*71", "stop": "*72", "toggle": "*73"}})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await alice.media.dial("*71")
    await api.until(call, lambda row: row["recording"]["state"] == "recording")
    await alice.media.dial("*768")
    await asyncio.sleep(2.2)  # RFC 4733 was seen in the last 2 s: INFO would be its repetition
    for digit in "*72":
        body = f"Signal={digit}\r\nDuration=160\r\n".encode()
        pair.callee.send(pair.callee.request("INFO", body, [("Content-Type", "application/dtmf-relay")]))
        await pair.callee.expect(200)
    await api.until(call, lambda row: row["recording"]["state"] == "inactive")
    kept_live = everything_kept(server)
    metrics = (await cast.api(None).client.get("/metrics")).text
    await pair.hush()
    await pair.hang_up()
    row = await api.ended(call)
    for text in (kept_live, everything_kept(server), metrics, json.dumps(row)):
        for digits in ("*7", "Signal", "*768", '"71"', '"72"'):
            assert digits not in text
    lines = server.log.splitlines()
    lines.remove(READY)
    for line in lines:
        assert json.loads(line).keys() <= LOG_FIELDS, line


async def test_no_secret_and_no_control_character_is_repeated(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    assert await cast.api("a-wrong-secret-XYZZY").status("GET", "/v1/calls") == 401
    out = carrier.dialog("%1b%5b2J%1b%5d0%3bowned%07")
    out.local = out.local.replace("<sip:", '"\x1b[2J\x1b]0;owned\x07" <sip:')
    out.send(out.request("INVITE", carrier.sdp()))
    out.ack(await out.expect(400, 404))
    pair = await connect(carrier, alice, ON_DEMAND, speak=False)
    await api.toggle((await api.call_of(pair.caller.call_id))["id"], "start")
    await pair.hang_up()
    await api.ended((await api.call_of(pair.caller.call_id))["id"])
    config = str(server.config_path)
    shown = [run_command("calls", "--config", config), run_command("calls", "--json", "--config", config)]
    rows = (await api.client.get("/v1/calls")).text
    for text in (server.log, *(done.stdout + done.stderr for done in shown), rows):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert all(done.returncode == 0 for done in shown)
    for text in (server.log, everything_kept(server)):
        assert "XYZZY" not in text
        assert "Bearer" not in text


async def test_files_are_for_our_user_alone(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.6)
    others = [server.config_path, server.log_path]
    for when in ("live", "published"):
        for path in server.folder.rglob("*"):
            allowed = 0o700 if path.is_dir() else 0o600
            if path not in others:
                assert stat.S_IMODE(path.stat().st_mode) & ~allowed == 0, (when, path)
        if when == "live":
            await pair.hush()
            await pair.hang_up()
            await api.ended((await api.call_of(pair.caller.call_id))["id"])


def ms_between(row, first, last):
    return round(
        (datetime.fromisoformat(row[last]) - datetime.fromisoformat(row[first])).total_seconds() * 1000
    )


async def test_every_number_of_a_call_agrees(proxy, cast):
    """With a recording and without: times, duration, participants and samples say the same."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    for number in (AUTOMATIC, OFF):
        pair = await connect(carrier, alice, number, speak=False)
        call = (await api.call_of(pair.caller.call_id))["id"]
        await asyncio.sleep(0.3)
        live = await api.get(f"/v1/calls/{call}")
        await asyncio.sleep(0.1)
        later = await api.get(f"/v1/calls/{call}")
        assert 250 <= live["duration_ms"] < later["duration_ms"]
        assert [(who["from_ms"], who["to_ms"]) for who in live["participants"]] == [(0, None)] * 2
        assert (live["sip_status"], live["disposition"], live["ended_by"], live["ended_at"]) == (None,) * 4
        await pair.hang_up()
        row = await api.ended(call)
        assert row["duration_ms"] == ms_between(row, "answered_at", "ended_at")
        assert [(who["from_ms"], who["to_ms"]) for who in row["participants"]] == [
            (0, row["duration_ms"])
        ] * 2
        if row["recording"] is not None:
            assert live["recorded_ms"] == live["duration_ms"]
            assert later["recorded_ms"] > live["recorded_ms"]
            check_finished(proxy, row)
        else:
            assert row["recorded_ms"] == 0
            assert await api.status("GET", f"/v1/calls/{call}/recording") == 404
