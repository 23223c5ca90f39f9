"""What anybody can send to the new parts of the API, on a running proxy: judged in order, and cheap."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tests.support.proxy import ProxyProcess, run_command
from tests.support.softphone import connect

AUTOMATIC = "+15550101"
MB = 1 << 20


async def endless(pieces: list[int], most: int = 64 * MB) -> AsyncIterator[bytes]:
    while sum(pieces) < most:
        pieces.append(65_536)
        yield b"[" * 65_536


async def test_bodies_without_end_keys_and_bare_deletes(make_proxy: Any, casts: Any) -> None:
    server: ProxyProcess = make_proxy()
    cast = casts(server)
    api, bob, nobody = cast.api("adm"), cast.api("bo"), cast.api(None)
    pair = await connect(await cast.carrier(), await cast.alice(), AUTOMATIC)
    await asyncio.sleep(0.5)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await pair.hang_up()
    recording = (await api.ended(call))["recording"]["id"]
    path = f"/v1/recordings/{recording}"

    before = server.rss_bytes()
    for client, status in ((nobody, 401), (bob, 403), (api, 413)):
        answer = await client.client.post(f"{path}/redact", content=endless([]))
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert server.rss_bytes() - before < 16 * MB

    keyed = {"json": {"reason": "<b>\n", "start_ms": 0, "end_ms": 100}, "headers": {"Idempotency-Key": "k"}}
    answers = [await api.client.post(f"{path}/redact", **keyed) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert [each["reason"] for each in (await api.get(f"{path}/manifest"))["redactions"]] == ["<b>\n"]
    assert await api.status("GET", path.upper()) == 404
    assert await bob.status("DELETE", path) == 403
    assert await api.status("DELETE", path) == 204
    verified = await asyncio.to_thread(run_command, "verify", str(server.storage))
    assert (verified.returncode, "1 redacted, 1 deleted" in verified.stdout) == (0, True), verified.stdout
