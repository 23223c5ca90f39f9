"""The worked call of the contract, at its own times, and what our own listening says about it."""

import asyncio
import re
from datetime import datetime

import pytest

from tests.support.recorded import (
    TOGGLE_KEYS,
    check_finished,
    check_on_the_clock,
    check_verified,
    ms,
)
from tests.support.rtp_oracle import check_track

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TOLERANCE = 600  # samples; a loaded machine wakes us late


def near(samples: int) -> object:
    return pytest.approx(samples, abs=TOLERANCE)


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


async def until(begun: float, seconds: float) -> None:
    await asyncio.sleep(begun + seconds - asyncio.get_running_loop().time())


async def test_the_worked_call(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    api = cast.api("ali")
    out = carrier.invite("+15550100")
    rang = await alice.ring()
    await asyncio.sleep(2.5)
    answering = asyncio.create_task(rang.answer())
    begun = asyncio.get_running_loop().time()
    out.ack(await out.expect(200))
    await answering
    row = await api.call_of(out.call_id)
    assert row["state"] == "answered"
    assert row["recording"]["state"] == "inactive"
    await until(begun, 4.0)
    started = await api.toggle(row["id"], "start")
    await until(begun, 6.0)
    stopped = await api.toggle(row["id"], "stop")
    await until(begun, 10.0)
    out.send(out.request("BYE"))
    await rang.hung_up()
    await out.expect(200)
    row = await api.ended(row["id"])

    assert started.keys() >= TOGGLE_KEYS
    assert started == started | {
        "state": "recording", "changed": True, "durable": True, "effective_sample": near(32000),
        "effective_ms": ms(started["effective_sample"]), "sample_rate": 8000,
    }  # fmt: skip
    assert stopped == stopped | {
        "state": "inactive",
        "changed": True,
        "durable": True,
        "effective_sample": near(48000),
    }
    recording = row["recording"]
    assert row == row | {
        "sip_call_id": out.call_id, "direction": "inbound", "from": "carrier", "to": "+15550100",
        "agent": "alice", "trunk": "carrier", "state": "ended", "disposition": "answered",
        "ended_by": "caller",
    }  # fmt: skip
    assert recording == recording | {
        "state": "finished", "result": "complete", "policy": "on_demand", "sample_rate": 8000,
        "duration_samples": near(80000),
        "recorded_samples": stopped["effective_sample"] - started["effective_sample"],
        "intervals": [{
            "kind": "audio",
            "start_sample": started["effective_sample"], "end_sample": stopped["effective_sample"],
            "start_ms": started["effective_ms"], "end_ms": stopped["effective_ms"],
            "started_by": {"means": "api", "user": "alice"}, "ended_by": {"means": "api", "user": "alice"},
        }],
    }  # fmt: skip
    assert UUID7.fullmatch(row["id"])
    assert UUID7.fullmatch(recording["id"])
    assert recording["id"] != row["id"]
    for key in ("started_at", "answered_at", "ended_at"):
        assert TIME.fullmatch(row[key]), row[key]
    assert seconds_between(row["started_at"], row["answered_at"]) == pytest.approx(2.5, abs=0.1)
    assert seconds_between(row["answered_at"], row["ended_at"]) == pytest.approx(
        row["duration_ms"] / 1000, abs=0.005
    )

    spans, one, two = check_finished(proxy, row)
    check_on_the_clock(check_track(one, carrier.media.said(), spans), carrier.media, rang.answered_ns)
    check_on_the_clock(check_track(two, alice.media.said(), spans), alice.media, rang.answered_ns)
    check_verified(proxy, row)
    assert await api.get(f"/v1/calls/{row['id']}/recording") == recording
    assert await api.get(f"/v1/recordings/{recording['id']}") == recording
