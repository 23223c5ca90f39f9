"""What each policy leaves behind: nothing, a silent file, or the whole call."""

import asyncio

import pytest

from tests.support.recorded import check_finished, check_verified
from tests.support.softphone import connect

AUTOMATIC, ON_DEMAND, OFF = "+15550101", "+15550100", "+15550102"


async def a_call(cast, number, seconds=0.5):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, number)
    await asyncio.sleep(seconds)
    live = await api.call_of(pair.caller.call_id)
    await pair.hang_up()
    return api, live, await api.ended(live["id"])


def files_of(server):
    """What could hold or describe audio."""
    return sorted(p for p in server.storage.rglob("*") if p.suffix in {".wav", ".json", ".journal", ".tmp"})


async def test_off_records_nothing(make_proxy, casts):
    server = make_proxy()
    api, live, row = await a_call(casts(server), OFF)
    assert live["recording"] is None
    assert row["recording"] is None
    assert row["recorded_ms"] == 0
    assert files_of(server) == []
    for action in ("start", "stop", "pause", "resume"):
        assert await api.status("POST", f"/v1/calls/{row['id']}/recording/{action}") == 409
    assert await api.status("GET", f"/v1/calls/{row['id']}/recording") == 404


async def test_a_recorder_that_never_opened_leaves_no_file(make_proxy, casts):
    server = make_proxy()
    api, live, row = await a_call(casts(server), ON_DEMAND)
    assert live["recording"]["state"] == "inactive"
    recording = row["recording"]
    assert recording == recording | {
        "state": "finished", "result": "none", "policy": "on_demand", "recorded_samples": 0, "intervals": [],
    }  # fmt: skip
    assert recording["duration_samples"] * 1000 // 8000 == row["duration_ms"]
    assert files_of(server) == []
    assert await api.status("GET", f"/v1/recordings/{recording['id']}/audio") == 404


async def test_a_silent_file_is_kept_when_asked_for(make_proxy, casts):
    server = make_proxy({"recording.keep_unrecorded": True})
    _, _, row = await a_call(casts(server), ON_DEMAND)
    spans, one, two = check_finished(server, row)
    assert spans == []
    assert not one.any()
    assert not two.any()
    check_verified(server, row)


@pytest.mark.parametrize(
    ("changes", "number", "policy"),
    [
        ({"agents.0.recording": "off"}, AUTOMATIC, None),
        ({"agents.0.recording": "automatic"}, ON_DEMAND, "on_demand"),
        ({"agents.0.recording": "automatic", "routes.0.recording": None}, ON_DEMAND, "automatic"),
        ({"recording.policy": "automatic", "routes.0.recording": None}, ON_DEMAND, "automatic"),
    ],
    ids=["agent off wins", "route before agent", "agent before default", "default"],
)
async def test_who_decides(make_proxy, casts, changes, number, policy):
    _, live, row = await a_call(casts(make_proxy(changes)), number, 0.2)
    if policy is None:
        assert live["recording"] is None
    else:
        assert live["recording"]["policy"] == policy
        assert row["recording"]["result"] == ("complete" if policy == "automatic" else "none")


async def test_a_call_that_was_never_answered_has_no_recording(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    out = carrier.invite(AUTOMATIC)
    rang = await alice.ring()
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    out.ack(await out.expect(486))
    row = await api.ended((await api.call_of(out.call_id))["id"])
    assert row["recording"] is None
