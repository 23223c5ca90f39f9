"""The keys of `[recording]` that change what is heard or kept, tried on real calls."""

import asyncio

import numpy as np

from tests.peers.test_dialect import reinvite
from tests.support.recorded import check_finished
from tests.support.rtp_oracle import check_track
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"


async def finish(api, server, pair):
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
    return row, *check_finished(server, row)


async def test_hold_is_silence_when_it_is_not_to_be_recorded(make_proxy, casts):
    """Relayed music and all: both tracks are zero while held, and the interval goes on."""
    server = make_proxy({"recording.record_on_hold": False})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.6)
    await reinvite(pair.caller, pair.callee, "sendonly", "recvonly")
    heard = len(alice.media.received)
    held = (await api.get(f"/v1/calls/{call}"))["duration_ms"] * 8
    await asyncio.sleep(0.8)
    resumed = (await api.get(f"/v1/calls/{call}"))["duration_ms"] * 8
    await reinvite(pair.caller, pair.callee, "sendrecv", "sendrecv")
    assert len(alice.media.received) - heard > 30, "the music is relayed all the same"
    await asyncio.sleep(0.6)
    row, spans, one, two = await finish(api, server, pair)
    assert spans == [(0, row["recording"]["duration_samples"])]
    for track in (one, two):
        assert np.count_nonzero(track[800 : held - 800]) > 0.9 * (held - 1600)
        assert not track[held + 400 : resumed - 400].any()
        assert np.count_nonzero(track[resumed + 1600 : resumed + 3200]) > 1500


async def test_a_confirmation_is_heard_by_the_agent_alone_and_kept_by_nobody(make_proxy, casts):
    server = make_proxy({"recording.confirmation_tone": True})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.5)
    for action in ("start", "stop", "start"):
        await api.toggle(call, action)
        await asyncio.sleep(0.8)
    _, spans, one, two = await finish(api, server, pair)
    check_track(one, carrier.media.said(), spans)
    check_track(two, alice.media.said(), spans)
    assert [k.raw for k in carrier.media.received] == [k.raw for k in alice.media.sent]
    sent, got = ([k.packet for k in kept] for kept in (carrier.media.sent, alice.media.received))
    assert [(p.seq, p.timestamp, len(p.payload)) for p in got] == [
        (p.seq, p.timestamp, len(p.payload)) for p in sent
    ]
    changed = sum(a.payload != b.payload for a, b in zip(sent, got, strict=True))
    assert 9 <= changed <= 100, "three tones"


async def test_a_recording_that_may_not_be_stopped_says_so_everywhere(make_proxy, casts):
    """`pausable = false` of a route: 403 for every closing, an opening that changes nothing is 200."""
    server = make_proxy({"routes.1.pausable": False})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    for action in ("stop", "pause"):
        refused = await api.client.post(f"/v1/calls/{call}/recording/{action}")
        assert refused.status_code == 403
        assert refused.json()["type"].endswith("locked")
    assert not (await api.toggle(call, "start"))["changed"]
    row, spans, *_ = await finish(api, server, pair)
    assert spans == [(0, row["recording"]["duration_samples"])]


async def test_codes_that_are_switched_off_are_digits_like_others(make_proxy, casts):
    """With no code of that name `*2` reaches the carrier, and nothing stops."""
    server = make_proxy({"recording.dtmf": {"start": "*1", "stop": "", "toggle": ""}})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.3)
    await alice.media.dial("*1")
    await api.until(call, lambda row: row["recording"]["state"] == "recording")
    await alice.media.dial("*2")
    await asyncio.sleep(0.3)
    assert (await api.get(f"/v1/calls/{call}/recording"))["state"] == "recording"
    await finish(api, server, pair)
    digits = {k.packet.payload[0] for k in carrier.media.received if k.packet.payload_type == 101}
    assert digits == {10, 2}, "the star and the two"
