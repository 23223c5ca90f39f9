"""A recording fetched as Opus and MP3: the same call again, made once, and no part of what is proven."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.support.masters import decode
from tests.support.recorded import check_verified
from tests.support.softphone import connect

AUTOMATIC = "+15550101"


@pytest.mark.parametrize(
    ("form", "media_type", "frame_s"), [("opus", "audio/ogg", 0.02), ("mp3", "audio/mpeg", 0.072)]
)
async def test_a_recording_as_a_rendition(
    proxy, cast, tmp_path: Path, form: str, media_type: str, frame_s: float
) -> None:
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(1.0)
    live = await api.call_of(pair.caller.call_id)
    path = f"/v1/recordings/{live['recording']['id']}/audio?format={form}"
    assert await api.status("GET", path) == 409
    await pair.hang_up()
    row = await api.ended(live["id"])
    replies = await asyncio.gather(*(api.client.get(path, timeout=30) for _ in range(3)))
    assert {(reply.status_code, reply.headers["content-type"]) for reply in replies} == {(200, media_type)}
    assert len({(reply.content, reply.headers["etag"]) for reply in replies}) == 1
    part: httpx.Response = await api.client.get(path, headers={"Range": "bytes=-100"})
    assert part.content == replies[0].content[-100:]
    file = tmp_path / "rendition"
    file.write_bytes(replies[0].content)
    heard = decode(file)
    recording = row["recording"]
    assert heard.seconds == pytest.approx(recording["duration_samples"] / 8000, abs=frame_s)
    assert replies[0].headers["master-sha256"] in heard.comment
    assert heard.frames[:, 0].any()
    assert heard.frames[:, 1].any()
    assert [kept.suffix for kept in (proxy.storage / "renditions").glob(f"{recording['id']}*")] == [
        f".{form}"
    ]
    check_verified(proxy, row)
