"""`format = "flac"` on real calls: the same recording, to the sample, in time, also after kill -9."""

import asyncio
import io
import os
import signal
import subprocess
import time
import wave
from pathlib import Path

import numpy as np

from mediaproxy.storage.encoders import NO_TURN, TOO_LONG
from tests.support import readers
from tests.support.proxy import run_command
from tests.support.recorded import check_row
from tests.support.rtp_oracle import RATE_HZ, check_track, check_zero_outside, read_wav
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"
FLAC = {"recording.format": "flac", "recording.keep_days": 30}
RESULT_S = 5.0


def frames_of(wav: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(wav)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)


async def flac_and_wav(api, recording: str) -> tuple[bytes, bytes]:
    master = await api.client.get(f"/v1/recordings/{recording}/audio")
    assert (master.status_code, master.headers["content-type"]) == (200, "audio/flac")
    copy = await api.client.get(f"/v1/recordings/{recording}/audio", params={"format": "wav"}, timeout=30)
    assert (copy.status_code, copy.headers["content-type"]) == (200, "audio/wav")
    assert copy.headers["master-sha256"] == master.headers["etag"].strip('"')
    return master.content, copy.content


async def check_flac(server, api, row, tmp_path: Path, result: str = "complete"):
    """Row, FLAC, WAV made of it and `verify` agree; spans, channel 1 and channel 2."""
    spans, recording = check_row(row), row["recording"]
    assert recording["result"] == result
    flac, wav = await flac_and_wav(api, recording["id"])
    (path,) = server.storage.glob(f"[0-9]*/*/*/{recording['id']}.flac")
    assert path.read_bytes() == flac
    assert list((server.storage / "live").iterdir()) == []
    frames = frames_of(wav)
    assert len(frames) == recording["duration_samples"]
    if not readers.missing():
        assert readers.flac_itself(path) == recording["duration_samples"]
        assert readers.samples(path) == frames.astype("<i2").tobytes()
    verified = await asyncio.to_thread(run_command, "verify", str(path))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    manifest = await api.get(f"/v1/recordings/{recording['id']}/manifest")
    assert (manifest["master"]["file"], manifest["keep_days"]) == (path.name, 30)
    one, two = frames[:, 0], frames[:, 1]
    for track in (one, two):
        check_zero_outside(track, spans)
    return spans, one, two


async def test_a_call_is_published_as_flac_in_time(make_proxy, casts, tmp_path):
    """The result is in time whatever the machine does; where encoders got no turn on it the master is a WAV,
    and the log says so. One call of three finds it free enough."""
    for _ in range(3):
        server = make_proxy(FLAC)
        cast = casts(server)
        carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
        pair = await connect(carrier, alice, ON_DEMAND)
        call = (await api.call_of(pair.caller.call_id))["id"]
        for action in ("start", "stop", "start"):
            await asyncio.sleep(0.6)
            await api.toggle(call, action)
        await asyncio.sleep(0.6)
        await pair.hush()
        await asyncio.sleep(0.05)
        await pair.hang_up()
        ended = time.monotonic()
        row = await api.ended(call)
        assert time.monotonic() - ended < RESULT_S
        if await is_flac(server, api, row):
            break
    spans, one, two = await check_flac(server, api, row, tmp_path)
    assert len(spans) == 2
    check_track(one, carrier.media.said(), spans, tail_slack=80)
    check_track(two, alice.media.said(), spans, tail_slack=80)


async def is_flac(server, api, row) -> bool:
    """What is none says why: nothing else than the time it would have taken."""
    master = await api.client.get(f"/v1/recordings/{row['recording']['id']}/audio")
    made = master.headers["content-type"] == "audio/flac"
    late = TOO_LONG in server.log or NO_TURN in server.log
    assert ("recording_not_as_configured" in server.log) == late == (not made)
    return made


async def test_after_kill_9_it_is_repaired_into_the_same_format(make_proxy, casts, tmp_path):
    """Also when the configuration was changed meanwhile: what counts is what held at the answer."""
    server = make_proxy(FLAC)
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC)
    row = await cast.api().call_of(pair.caller.call_id)
    await asyncio.sleep(2.0)
    server.kill()
    await pair.hush()
    live = server.live_wav(row["recording"]["id"])
    before = read_wav(live)
    server.config["recording"]["format"] = "wav"
    server.start()
    api = cast.api()
    row = await api.ended(row["id"])
    spans, one, _ = await check_flac(server, api, row, tmp_path, "recovered")
    assert (one[: len(before)] == before[:, 0]).all()
    check_track(one, carrier.media.said(), spans, head_slack=800, tail_slack=RATE_HZ)


async def test_encoders_that_are_killed_cost_the_format_alone(make_proxy, casts):
    server = make_proxy(FLAC)
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(1.0)
    await pair.hush()
    killing = asyncio.create_task(kill_encoders(server.pid))
    await pair.hang_up()
    row = await api.ended(call)
    killing.cancel()
    assert row["recording"]["result"] == "complete"
    master = await api.client.get(f"/v1/recordings/{row['recording']['id']}/audio")
    assert master.headers["content-type"] == "audio/wav"
    frames = frames_of(master.content)
    assert np.count_nonzero(frames) > RATE_HZ
    assert "recording_not_as_configured" in server.log


async def kill_encoders(server: int) -> None:
    """Whenever one appears."""
    while True:
        for thread in Path(f"/proc/{server}/task").iterdir():
            for child in (thread / "children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        await asyncio.sleep(0.005)


async def test_copies_are_made_by_hand_beside_the_server(make_proxy, casts, tmp_path):
    server = make_proxy(FLAC)
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(1.0)
    await pair.hush()
    await pair.hang_up()
    row = await api.ended(call)
    recording = row["recording"]["id"]
    config = ("--config", str(server.config_path))
    for form, name in (("wav", f"{recording}.wav"), ("opus", f"{recording}.opus"), ("mono", "mine.wav")):
        out = ("-o", name) if form == "mono" else ()
        words = ("render", recording, "--format", form, *config, *out)
        made: subprocess.CompletedProcess[str] = await asyncio.to_thread(run_command, *words, cwd=tmp_path)
        assert (made.returncode, made.stdout.strip()) == (0, str(tmp_path / name)), made.stderr
    _, wav = await flac_and_wav(api, recording)
    assert (tmp_path / f"{recording}.wav").read_bytes() == wav
    kept = await asyncio.to_thread(run_command, "retention", *config, "--dry-run")
    assert (kept.returncode, kept.stdout) == (0, "0 would go, 0 bytes of audio; 0 left alone\n"), kept.stderr
