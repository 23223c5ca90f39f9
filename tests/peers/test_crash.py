"""kill -9 in a recorded call: the file as it lies, and what the next start makes of it."""

import asyncio
import subprocess
import time
import wave

import numpy as np
import pytest

from tests.support.pace import measured_pace
from tests.support.recorded import check_finished, check_verified
from tests.support.rtp_oracle import RATE_HZ, check_track, read_wav
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"
LOST_AT_MOST = RATE_HZ


def check_opens_as_it_lies(path):
    """In Python's reader and in sox, and both see the same length."""
    with wave.open(str(path), "rb") as file:
        frames = file.getnframes()
    seen = subprocess.run(["soxi", "-s", str(path)], capture_output=True, text=True, check=True)
    assert int(seen.stdout) == frames
    assert not seen.stderr, seen.stderr
    return frames


@pytest.fixture
def pace(tmp_path):
    with measured_pace(tmp_path) as measured:
        yield measured


async def until_dead(server, pair, seconds):
    """Runs the call on, kills the server, gives the samples that had passed since the answer."""
    await asyncio.sleep(seconds)
    server.kill()
    passed = (time.monotonic_ns() - pair.callee.answered_ns) * RATE_HZ // 10**9
    await pair.hush()
    return passed


def lost_at_most(pace):
    """A second, and for what a busy machine may have held up the proxy."""
    return LOST_AT_MOST + 800 + int(pace.late_s() * RATE_HZ)


async def test_an_automatic_recording_loses_at_most_a_second(make_proxy, casts, pace):
    server = make_proxy()
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC)
    row = await cast.api().call_of(pair.caller.call_id)
    passed = await until_dead(server, pair, 3.4)
    kept = passed - lost_at_most(pace)
    live = server.live_wav(row["recording"]["id"])
    lying = check_opens_as_it_lies(live)
    assert kept <= lying <= passed
    before = read_wav(live)

    server.start()
    row = await cast.api().ended(row["id"])
    assert (row["state"], row["disposition"]) == ("ended", "interrupted")
    spans, one, two = check_finished(server, row, "recovered")
    length = row["recording"]["duration_samples"]
    assert kept <= length <= passed
    assert spans == [(0, lying)]  # from there on nobody knows who was recorded, only that they spoke
    assert length >= lying
    assert row["recording"]["intervals"][0]["ended_by"]["means"] == "recovery"
    assert (one[: len(before)] == before[:, 0]).all()
    for track, phone in ((one, carrier), (two, alice)):
        check_track(track, phone.media.said(), spans, head_slack=800, tail_slack=LOST_AT_MOST)
    check_verified(server, row)
    assert not live.exists()
    assert list(live.parent.iterdir()) == []


async def test_no_acknowledged_toggle_is_lost(make_proxy, casts):
    """Stopped 50 ms before the crash: nothing after the stop, everything before it."""
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.3)
    edges = []
    for action in ("start", "pause", "resume", "stop"):
        edges.append((await api.toggle(call, action))["effective_sample"])
        await asyncio.sleep(0.6 if action != "stop" else 0.05)
    await until_dead(server, pair, 0)
    server.start()
    row = await api.ended(call)
    spans, one, two = check_finished(server, row, "recovered")
    assert spans == list(zip(edges[::2], edges[1::2], strict=True))
    assert row["recording"]["intervals"][1]["ended_by"] == {"means": "api", "user": "alice"}
    for track, phone in ((one, carrier), (two, alice)):
        first = np.where(np.arange(len(track)) < spans[1][0], track, 0)
        check_track(first, phone.media.said(), spans[:1])  # of the second, up to a second may be lost


async def test_a_crash_after_a_stop_leaves_silence_to_the_end(make_proxy, casts, pace):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await api.toggle(call, "start")
    await asyncio.sleep(0.5)
    stopped = (await api.toggle(call, "stop"))["effective_sample"]
    passed = await until_dead(server, pair, 1.6)
    kept = passed - lost_at_most(pace)
    server.start()
    row = await api.ended(call)
    spans, *_ = check_finished(server, row, "recovered")
    assert [end for _, end in spans] == [stopped]
    assert row["recording"]["duration_samples"] >= kept


async def test_calls_that_held_nothing_are_closed_too(make_proxy, casts):
    """One ringing, one answered whose recorder never opened; and the server takes calls again."""
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    silent = await connect(carrier, alice, ON_DEMAND)
    ringing = carrier.invite(ON_DEMAND)
    await alice.ring()
    calls = [(await api.call_of(c.call_id))["id"] for c in (silent.caller, ringing)]
    await until_dead(server, silent, 1.2)
    server.start()
    first, second = [await api.ended(call) for call in calls]
    assert first["disposition"] == second["disposition"] == "interrupted"
    assert first["recording"]["result"] in {"none", "recovered"}
    assert first["duration_ms"] == pytest.approx(1200, abs=1100)
    assert second["recording"] is None
    assert second["duration_ms"] == 0
    await carrier.media.hush()
    await alice.media.hush()
    again = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.2)
    await again.hang_up()
    row = await api.ended((await api.call_of(again.caller.call_id))["id"])
    check_finished(server, row)


async def test_a_second_crash_during_nothing_changes_nothing(make_proxy, casts):
    """What was recovered once stays as it is through another kill and start."""
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await until_dead(server, pair, 1.3)
    server.start()
    row = await api.ended(call)
    raw = server.published(row["recording"]["id"]).read_bytes()
    server.kill()
    server.start()
    assert await api.get(f"/v1/calls/{call}") == row
    assert server.published(row["recording"]["id"]).read_bytes() == raw
