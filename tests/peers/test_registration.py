"""baresip as an agent who registers: let in by its password, called where it is, 480 once it is gone."""

import asyncio
import hashlib
import json

import numpy as np
import pytest

from tests.support.baresip import Baresip
from tests.support.recorded import check_finished, check_verified
from tests.support.rtp_oracle import PCMU, check_zero_outside
from tests.support.speech import share_at, speech_codes, tone, window_likeness

ON_DEMAND, OUTSIDE, HUM_HZ = "+15550100", "+4930888", 440
PASSWORD = "correct-horse-battery"
# baresip 1.0.0 fails when it is offered SHA-256: of this agent there is no such hash.
HA1 = hashlib.md5(f"alice:pbx.example:{PASSWORD}".encode()).hexdigest()
AGENT = {
    "trunks.0.latch": "always",
    "agents.0.latch": "always",
    "agents.0.contact": None,
    "agents.0.ha1": HA1,
}


@pytest.fixture
def words(corpora_path):
    return PCMU.decode(speech_codes(corpora_path, 10, 30))


@pytest.fixture
def alice_at(tmp_path, rtp_range, needs_baresip):
    """Makes alice's telephone, which registers with a password."""

    def make(server, password=PASSWORD, **options):
        options.setdefault("registrar", server.sip)
        hum = tone(HUM_HZ, 30)
        return Baresip(
            tmp_path / "alice", "alice", server.net.alice, hum, rtp_range(), password=password, **options
        )

    return make


async def until_logged(server, text):
    for _ in range(100):
        if text in server.log:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not in the log: {text}\n{server.log}")


def check_sides(one, two, spans, words):
    """Channel 1 holds the words, channel 2 the hum, both inside the intervals alone."""
    for start, end in spans:
        for track in (one, two):
            check_zero_outside(track, spans)
        assert np.median(window_likeness(one[start:end], words, 0.25)) > 0.97
        assert share_at(two[(start + end) // 2 - 800 : (start + end) // 2 + 800], HUM_HZ) > 0.95


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_registered_agent_is_called_and_calls_and_both_are_recorded(
    make_proxy, casts, alice_at, tmp_path, rtp_range, words, transport
):
    server = make_proxy(AGENT)
    api = casts(server).api()
    host, port = server.sip
    carrier = Baresip(tmp_path / "carrier", OUTSIDE, server.net.carrier, words, rtp_range())
    async with carrier, alice_at(server, transport=transport) as alice:
        await until_logged(server, "agent_contacts")
        for caller, callee, number in ((carrier, alice, ON_DEMAND), (alice, carrier, OUTSIDE)):
            await caller.command("dial", f"sip:{number}@{host}:{port}")
            await caller.event("CALL_ESTABLISHED")
            await callee.event("CALL_ESTABLISHED")
            await asyncio.sleep(0.5)
            call = (await api.get("/v1/calls", state="answered"))["calls"][0]["id"]
            await api.toggle(call, "start")
            await asyncio.sleep(1.5)
            await caller.command("hangup")
            await callee.event("CALL_CLOSED")
            row = await api.ended(call)
            assert (row["agent"], row["trunk"], row["disposition"]) == ("alice", "carrier", "answered")
            assert row["direction"] == ("outbound" if caller is alice else "inbound")
            spans, one, two = check_finished(server, row)
            check_sides(one, two, spans, words)
            check_verified(server, row)
    assert HA1 not in server.log
    assert PASSWORD not in server.log


async def test_a_wrong_password_is_refused_and_said_in_one_line(make_proxy, casts, alice_at):
    server = make_proxy(AGENT)
    async with alice_at(server, password="guessed"):
        await until_logged(server, "password_refused")
        await asyncio.sleep(0.5)
    (line,) = [json.loads(line) for line in server.log.splitlines() if "password_refused" in line]
    assert (line["source"], line["agent"], line["limited"]) == (server.net.alice[0], "alice", False)
    assert "agent_contacts" not in server.log
    assert "guessed" not in server.log
    metrics = (await casts(server).api().client.get("/metrics")).text
    assert "mediaproxy_calls_wrong_passwords_total 1.0" in metrics
    assert "mediaproxy_agent_contacts 0.0" in metrics


async def test_who_unregistered_is_not_called(make_proxy, casts, alice_at):
    server = make_proxy(AGENT)
    cast = casts(server)
    carrier = await cast.carrier()
    async with alice_at(server) as alice:
        await until_logged(server, '"contacts": 1')
        call = carrier.invite(ON_DEMAND)
        call.ack(await call.expect(200))
        await alice.event("CALL_ESTABLISHED")
        call.send(call.request("BYE"))
        await call.expect(200)
    await until_logged(server, '"contacts": 0')  # it unregisters when it is stopped
    call = carrier.invite(ON_DEMAND)
    refusal = await call.expect(480)
    assert "Agent not registered" in refusal.get("Reason")
    call.ack(refusal)
    row = await cast.api().call_of(call.call_id)
    assert (row["agent"], row["disposition"], row["sip_status"]) == ("alice", "unavailable", 480)


async def test_the_host_and_name_of_a_registered_agent_call_nobody(make_proxy, casts, alice_at):
    """A telephone at the host of a registered one, under its name, without its password."""
    server = make_proxy(AGENT)
    cast = casts(server)
    carrier = await cast.carrier()
    async with alice_at(server):
        await until_logged(server, "agent_contacts")
        intruder = await cast.phone("alice", (server.net.alice[0], 15999))
        call = intruder.invite(OUTSIDE)
        challenge = await call.expect(407)
        assert challenge.get("Proxy-Authenticate").startswith('Digest realm="pbx.example"')
        call.ack(challenge)
        await carrier.nothing_rings()
    assert (await cast.api().get("/v1/calls"))["calls"] == []
