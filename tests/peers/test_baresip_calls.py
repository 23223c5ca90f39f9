"""baresip as carrier and as agent: what each heard is compared with what the other said."""

import asyncio

import numpy as np
import pytest

from tests.support.baresip import Baresip
from tests.support.recorded import check_finished, check_verified
from tests.support.rtp_oracle import PCMU, check_zero_outside
from tests.support.speech import share_at, speech_codes, tone, window_likeness

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"
LATCH = {"trunks.0.latch": "always", "agents.0.latch": "always"}
OUTSIDE = "+4930888"  # baresip answers 404 to any user but its own
HUM_HZ = 440

pytestmark = pytest.mark.usefixtures("needs_baresip")


@pytest.fixture
async def pair_of(make_proxy, casts, tmp_path, corpora_path, rtp_range):
    """A server, a carrier that speaks, an agent that hums; and the API."""
    server = make_proxy(LATCH)
    words = PCMU.decode(speech_codes(corpora_path, 10, 30))
    carrier = Baresip(tmp_path / "carrier", OUTSIDE, server.net.carrier, words, rtp_range())
    alice = Baresip(tmp_path / "alice", "alice", server.net.alice, tone(HUM_HZ, 30), rtp_range())
    async with carrier, alice:
        yield server, carrier, alice, casts(server).api(), words


async def talk(server, caller, callee, number, seconds):
    host, port = server.sip
    await caller.command("dial", f"sip:{number}@{host}:{port}")
    await caller.event("CALL_ESTABLISHED")
    await callee.event("CALL_ESTABLISHED")
    await asyncio.sleep(seconds)


def check_heard(carrier, alice, words):
    """The agent heard the carrier's words, the carrier the agent's hum."""
    likeness = window_likeness(alice.heard(), words)
    assert len(likeness) >= 2
    assert np.median(likeness) > 0.95, likeness
    assert share_at(carrier.heard()[4000:12000], HUM_HZ) > 0.95


def check_recorded(server, row, words):
    """Channel 1 holds the words and nothing else, channel 2 the hum, both inside the intervals alone."""
    spans, one, two = check_finished(server, row)
    for start, end in spans:
        for track in (one, two):
            check_zero_outside(track, spans)
        likeness = window_likeness(one[start:end], words, 0.25)
        assert np.median(likeness) > 0.97, likeness
        middle = two[(start + end) // 2 - 800 : (start + end) // 2 + 800]
        assert share_at(middle, HUM_HZ) > 0.95
        assert window_likeness(two[start:end], words, 0.25) == [] or (
            np.median(window_likeness(two[start:end], words, 0.25)) < 0.7
        )
    check_verified(server, row)


async def test_baresip_carrier_to_agent_with_toggles_by_api_and_keypad(pair_of):
    server, carrier, alice, api, words = pair_of
    await talk(server, carrier, alice, ON_DEMAND, 1.0)
    call = (await api.get("/v1/calls", state="answered"))["calls"][0]["id"]
    start = (await api.toggle(call, "start"))["effective_sample"]
    await asyncio.sleep(1.5)
    stop = (await api.toggle(call, "stop"))["effective_sample"]
    await asyncio.sleep(0.4)
    for code, state in (("*1", "recording"), ("*2", "inactive")):
        await alice.dial_digits(code)
        await api.until(call, lambda row, s=state: row["recording"]["state"] == s, 2.0)
        await asyncio.sleep(1.3)
    await carrier.command("hangup")
    await alice.event("CALL_CLOSED")
    row = await api.ended(call)
    by_api, by_keypad = row["recording"]["intervals"]
    assert (by_api["start_sample"], by_api["end_sample"]) == (start, stop)
    assert by_keypad["started_by"] == by_keypad["ended_by"] == {"means": "dtmf", "user": "alice"}
    check_heard(carrier, alice, words)
    check_recorded(server, row, words)
    assert not [e for e in carrier.events if e.get("type", "").startswith("CALL_DTMF")]


async def test_baresip_agent_to_carrier(pair_of):
    server, carrier, alice, api, words = pair_of
    await talk(server, alice, carrier, OUTSIDE, 1.0)
    call = (await api.get("/v1/calls", state="answered"))["calls"][0]["id"]
    await api.toggle(call, "start")
    await asyncio.sleep(1.5)
    await alice.dial_digits("7")
    heard = await carrier.event("CALL_DTMF_START")
    assert heard["param"] == "7"
    await alice.command("hangup")
    await carrier.event("CALL_CLOSED")
    row = await api.ended(call)
    assert (row["direction"], row["ended_by"]) == ("outbound", "caller")
    check_heard(carrier, alice, words)
    check_recorded(server, row, words)
