"""Redacting, deleting and proving on a running proxy, with commands beside it."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect as connect_websocket

from mediaproxy.storage import Verification, keys
from tests.support.proxy import Json, ProxyProcess, run_command
from tests.support.published import as_the_first_version_wrote_it
from tests.support.softphone import connect

AUTOMATIC = "+15550101"
RATE = 8_000


async def recorded(carrier: Any, alice: Any, api: Any) -> Json:
    """A call of a second that was recorded from its beginning."""
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(1.0)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await pair.hang_up()
    row: Json = (await api.ended(call))["recording"]
    return row


def everything_said_against(server: ProxyProcess) -> list[str]:
    verification = Verification([server.storage])
    said = [str(each) for each in verification.verdicts() if not each.ok]
    return said + [str(each) for each in verification.chains() if not each.ok]


async def test_redact_and_delete(make_proxy: Any, casts: Any, tmp_path: Path) -> None:
    server: ProxyProcess = make_proxy({"recording.agents_may_redact_s": 1})
    cast = casts(server)
    api, alice = cast.api("adm"), cast.api("ali")
    phones = await cast.carrier(), await cast.alice()
    first, second = await recorded(*phones, api), await recorded(*phones, api)
    kept = tmp_path / "kept.pem"
    (key,) = (await api.get("/v1/keys"))["keys"]
    kept.write_text(key["pem"])
    assert len(base64.b64decode(key["public_key"])) == 32
    noted = (await api.get("/v1/chain/head"))["head"]
    path = f"/v1/recordings/{first['id']}"
    old = await api.client.get(f"{path}/audio")
    assert (await api.client.get(f"{path}/audio?format=opus", timeout=30)).status_code == 200
    outline = await api.get(f"{path}/waveform")
    assert max(outline["channels"][0]["max"]) > 1_000

    url = str(api.client.base_url).replace("http", "ws", 1)
    async with connect_websocket(
        f"{url}/v1/events", additional_headers={"Authorization": "Bearer adm"}
    ) as events:
        done = await alice.client.post(f"{path}/redact", json={"last_s": 0.5, "reason": "card number"})
        assert done.status_code == 200, done.text
        assert await alice.status("POST", f"{path}/redact", json={"last_s": 1.1, "reason": "x"}) == 403
        event = json.loads(await asyncio.wait_for(events.recv(), 5))
        assert (event["type"], event["recording_id"]) == ("recording.redacted", first["id"])
        assert (event["user"], event["start_sample"]) == ("alice", done.json()["start_sample"])

    audio = await api.client.get(f"{path}/audio", headers={"If-None-Match": old.headers["etag"]})
    assert audio.status_code == 200
    assert audio.headers["etag"] == f'"{done.json()["master_sha256"]}"'
    before, after = (np.frombuffer(each.content[1024:], "<i2") for each in (old, audio))
    start, end = done.json()["start_sample"] * 2, done.json()["end_sample"] * 2
    assert before[start:end].any()
    assert not after[start:end].any()
    assert np.array_equal(before[:start], after[:start])
    drawn = (await api.get(f"{path}/waveform"))["channels"][0]
    width = outline["samples_per_bucket"]
    assert not any(drawn["max"][-(-start // 2 // width) :])
    assert not list((server.storage / "renditions").glob("*.opus"))
    manifest = await api.get(f"{path}/manifest")
    assert [each["reason"] for each in manifest["redactions"]] == ["card number"]
    assert everything_said_against(server) == []

    beside = await asyncio.to_thread(
        run_command, "redact", second["id"], "--config", str(server.config_path), "--range", "0-0.2",
        "--reason", "asked for",
    )  # fmt: skip
    assert beside.returncode == 0, beside.stderr
    third = await recorded(*phones, api)
    audio = await api.client.get(f"/v1/recordings/{second['id']}/audio")
    assert not np.frombuffer(audio.content[1024 : 1024 + RATE // 5 * 4], "<i2").any()
    assert audio.headers["etag"] == f'"{audio.headers["master-sha256"]}"'
    assert (await api.get(f"/v1/recordings/{second['id']}/manifest"))["master"]["sha256"] in audio.headers[
        "etag"
    ]

    gone = await api.client.request("DELETE", f"/v1/recordings/{third['id']}", params={"reason": "asked for"})
    assert gone.status_code == 204
    row = await api.get(f"/v1/recordings/{third['id']}")
    assert (row["result"], row["deleted_at"] is None) == ("complete", False)
    for what in ("audio", "manifest", "waveform"):
        assert await api.status("GET", f"/v1/recordings/{third['id']}/{what}") == 404
    assert await api.status("DELETE", f"/v1/recordings/{third['id']}", params={"reason": "again"}) == 404
    assert not any(third["id"] in str(each) for each in server.storage.rglob("*"))

    verified = await asyncio.to_thread(
        run_command, "verify", str(server.storage), "--key", str(kept), "--head", noted, "--json"
    )
    report = json.loads(verified.stdout)
    assert (verified.returncode, report["good"], report["keys"]) == (0, True, "given"), report
    assert report["chains"][0]["counts"] == {
        "adopted": 0, "deleted": 1, "expired": 0, "published": 3, "redacted": 2
    }  # fmt: skip
    for path in (server.storage / "chain.jsonl", *(server.storage / "changes").iterdir()):
        assert path.stat().st_mode & 0o077 == 0
    (server.storage / "chain.jsonl").write_bytes(b"")
    verified = await asyncio.to_thread(run_command, "verify", str(server.storage), "--head", noted)
    assert verified.returncode == 1


@pytest.mark.timeout(120)
async def test_a_storage_of_before_gets_its_chain_at_the_first_start(make_proxy: Any, casts: Any) -> None:
    server: ProxyProcess = make_proxy()
    cast = casts(server)
    row = await recorded(await cast.carrier(), await cast.alice(), cast.api("adm"))
    server.stop()
    for document in server.storage.glob("*/*/*/*.json"):
        as_the_first_version_wrote_it(document, keys.load_or_make(server.storage / "keys"))
    (server.storage / "chain.jsonl").unlink()
    assert len(everything_said_against(server)) == 1
    server.start()
    assert "chain_begun" in server.log
    assert everything_said_against(server) == []
    assert f'"recording_id":"{row["id"]}"' in (server.storage / "chain.jsonl").read_text()


@pytest.mark.parametrize("crash", [False, True])
async def test_a_live_call_is_redacted_before_anyone_can_hear_it(
    make_proxy: Any, casts: Any, crash: bool
) -> None:
    server: ProxyProcess = make_proxy()
    cast = casts(server)
    api = cast.api("adm")
    pair = await connect(await cast.carrier(), await cast.alice(), AUTOMATIC)
    await asyncio.sleep(2.0)
    row = await api.call_of(pair.caller.call_id)
    path = f"/v1/recordings/{row['recording']['id']}"
    done = await api.client.post(f"{path}/redact", json={"last_s": 1, "reason": "forgot to stop"})
    assert done.status_code == 202, done.text
    start, end = done.json()["start_sample"], done.json()["end_sample"]
    assert RATE - 200 <= end - start <= RATE
    await asyncio.sleep(1.5)
    if crash:
        server.kill()
        server.start()
        api = cast.api("adm")
    else:
        await pair.hang_up()
    recording = (await api.ended(row["id"]))["recording"]
    content = (await api.client.get(f"{path}/audio")).content
    samples = np.frombuffer(content, "<i2", recording["duration_samples"] * 2, 1024).reshape(-1, 2)
    assert not samples[start:end].any()
    assert samples[start - RATE // 4 : start].any()
    assert samples[end : end + RATE // 4].any()
    assert recording["intervals"][0]["end_sample"] > end
    (told,) = (await api.get(f"{path}/manifest"))["redactions"]
    assert (told["start_sample"], told["end_sample"], told["reason"]) == (start, end, "forgot to stop")
    assert list((server.storage / "live").iterdir()) == []
    assert everything_said_against(server) == []
