"""The rest of the dialect: what crosses unchanged, re-INVITEs, late offers, TCP, IPv6, route sets."""

import asyncio
import random

import numpy as np
import pytest

from tests.support.recorded import check_finished
from tests.support.rtp_oracle import check_track, offset_of, spans_of
from tests.support.sip_wire import TcpWire, host_port, media_of, uri_of, user_of
from tests.support.softphone import connect, sdp_for

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"


async def finish(cast, server, pair):
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    api = cast.api()
    row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
    return row, *check_finished(server, row)


ODD_HEADERS = [
    ("X-Customer", "  4711 ; a=\"b, c\"".strip()), ("x-two", "one"), ("x-two", "two"),
    ("P-Asserted-Identity", "<sip:+15550199@carrier.example>"), ("Privacy", "id"), ("Subject", "Grüße"),
    ("Diversion", "<sip:+15550111@carrier.example>;reason=unconditional"), ("User-Agent", "tester/1"),
]  # fmt: skip


async def test_what_the_agent_is_sent(proxy, cast):
    """The contract's "on the wire": our own dialog, the caller's name and headers, our address in the SDP."""
    carrier, alice = await cast.carrier(), await cast.alice()
    extra = ["a=x-unknown:kept", "a=fmtp:0 odd=1", "m=video 4002 RTP/AVP 96", "a=rtpmap:96 VP8/90000"]
    offer = sdp_for(carrier.media.local, extra=extra)
    out = carrier.dialog(ON_DEMAND)
    out.local = '"Ann Caller" <sip:ann@carrier.example>;tag=f1'
    out.send(out.request("INVITE", offer, ODD_HEADERS))
    rang = await alice.ring()
    invite = rang.invite
    assert invite.uri == f"sip:alice@{host_port(alice.address)}"
    assert uri_of(invite.get("To")) == invite.uri
    assert invite.get("From").startswith('"Ann Caller"')
    assert uri_of(invite.get("From")) == "sip:ann@pbx.example"
    assert invite.get("Max-Forwards") == "69"
    assert invite.get("Call-ID") != out.call_id
    assert len(invite.all("Via")) == 1
    assert host_port(proxy.sip) in invite.get("Via")
    assert host_port(proxy.sip) in invite.get("Contact")
    for name in {n for n, _ in ODD_HEADERS}:
        assert invite.all(name) == [v for n, v in ODD_HEADERS if n == name], name
    check_anchored(offer.decode(), invite.sdp, proxy.net.proxy[0])
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    out.ack(await out.expect(486))
    row = await cast.api().call_of(out.call_id)
    assert (row["from"], row["from_name"]) == ("ann", "Ann Caller")


def check_anchored(offer, sent, address):
    """o=, c= and the audio port are ours, other media have port 0, every other line is the caller's."""
    assert media_of(sent)[0] == address
    assert len(offer.split("\r\n")) == len(sent.split("\r\n"))
    for before, after in zip(offer.split("\r\n"), sent.split("\r\n"), strict=True):
        if before.startswith(("o=", "c=")):
            assert address in after
        elif before.startswith("m=audio"):
            assert after.split()[2:] == before.split()[2:]
        elif before.startswith("m="):
            assert after.split()[1] == "0"
            assert after.split()[2:] == before.split()[2:]
        else:
            assert after == before


async def test_what_the_carrier_is_sent(proxy, cast):
    """From an agent: the dialled number at the trunk, and no identity that the agent claims."""
    carrier, alice = await cast.carrier(), await cast.alice()
    out = alice.invite("+4930123", headers=[("P-Asserted-Identity", "<sip:boss@x>"), ("Privacy", "id")])
    rang = await carrier.ring()
    assert rang.invite.uri == f"sip:+4930123@{host_port(carrier.address)}"
    assert user_of(rang.invite.get("From")) == "alice"
    assert rang.invite.all("P-Asserted-Identity") == []
    assert rang.invite.all("Privacy") == []
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    out.ack(await out.expect(486))


async def reinvite(asking, asked, direction, answer):
    """One re-INVITE from end to end; what the asked one was offered, and the asker answered."""
    asking.reinvite(direction=direction)
    offered = await asked.expect("INVITE")
    asked.reply(offered, 200, sdp_for(asked.media.local, direction=answer, version=2))
    response = await asking.expect(200)
    asking.ack(response, speak=False)
    await asked.expect("ACK")
    return offered, response


@pytest.mark.parametrize("holder", ["caller", "callee"])
async def test_hold_and_resume(proxy, cast, holder):
    """The holder's music is its audio; what the held one says is neither relayed nor recorded."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    held = "callee" if holder == "caller" else "caller"
    asking, asked = getattr(pair, holder), getattr(pair, held)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.6)
    offered, response = await reinvite(asking, asked, "sendonly", "recvonly")
    assert "a=sendonly" in offered.sdp
    assert "a=recvonly" in response.sdp
    assert media_of(offered.sdp) == asked.media.remote, "the port stays"
    heard = (await api.get(f"/v1/calls/{call}"))["duration_ms"] * 8
    await asyncio.sleep(0.8)
    resumed = (await api.get(f"/v1/calls/{call}"))["duration_ms"] * 8
    await reinvite(asking, asked, "sendrecv", "sendrecv")
    await asyncio.sleep(0.6)
    row, spans, one, two = await finish(cast, proxy, pair)
    assert spans == [(0, row["recording"]["duration_samples"])], "a re-INVITE moves no gate"
    tracks = {carrier: one, alice: two}
    music, silent = tracks[asking.phone], tracks[asked.phone]
    assert np.count_nonzero(music[heard:resumed]) > 0.98 * (resumed - heard)
    assert not silent[heard + 800 : resumed - 400].any()
    assert np.count_nonzero(silent[resumed + 1600 : resumed + 3200]) > 1500
    offsets = [offset_of(silent, asked.media.said(), (a, b)) for a, b in spans_of(silent) if b - a > 1000]
    assert max(offsets) - min(offsets) < 160


async def test_two_reinvites_at_once_are_glare(proxy, cast):
    """RFC 3261, 14.2: while theirs is pending, ours is answered 491; theirs goes through."""
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, ON_DEMAND)
    pair.caller.reinvite(direction="sendonly")
    pending = await pair.callee.expect("INVITE")
    pair.callee.reinvite(direction="sendonly")
    pair.callee.ack(await pair.callee.expect(491))
    pair.callee.reply(pending, 200, sdp_for(alice.media.local, direction="recvonly", version=2))
    pair.caller.ack(await pair.caller.expect(200), speak=False)
    await pair.callee.expect("ACK")
    await pair.hang_up()


async def test_a_refused_reinvite_changes_nothing(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.3)
    target, routes = pair.caller.target, pair.caller.routes
    pair.caller.reinvite(direction="inactive")
    offered = await pair.callee.expect("INVITE")
    pair.callee.reply(offered, 488)
    await pair.callee.expect("ACK")
    pair.caller.ack(await pair.caller.expect(488))
    pair.caller.target, pair.caller.routes = target, routes
    await asyncio.sleep(0.4)
    row, _, one, two = await finish(cast, proxy, pair)
    assert len(spans_of(one)) == len(spans_of(two)) == 1
    assert row["disposition"] == "answered"


async def test_media_that_moves_by_reinvite_is_followed(proxy, cast):
    """A changed c= or m= starts latching anew: the new address is heard, the old one is a stranger."""
    carrier, alice = await cast.carrier(), await cast.alice()
    moved = await cast.phone("moved", (proxy.net.host(8), 15070), seed=8)
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.3)
    await carrier.media.hush()
    pair.caller.reinvite(sdp=sdp_for(moved.media.local, version=2))
    offered = await pair.callee.expect("INVITE")
    pair.callee.reply(offered, 200, sdp_for(alice.media.local, version=2))
    answer = await pair.caller.expect(200)
    pair.caller.ack(answer, speak=False)
    await pair.callee.expect("ACK")
    moved.media.speak(media_of(answer.sdp))
    await asyncio.sleep(0.3)
    heard_before = len(alice.media.received)
    carrier.media.speak()
    await asyncio.sleep(0.3)
    assert {p.ssrc for p in alice.media.heard()[heard_before:]} == {moved.media.ssrc}
    await moved.media.hush()
    row, _, one, _ = await finish(cast, proxy, pair)
    assert len(moved.media.received) > 15
    assert offset_of(one, moved.media.said(), (len(one) // 2, len(one))) > 1600
    assert row["recording"]["result"] == "complete"


async def test_an_offer_in_the_200_is_answered_in_the_ack(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    out = carrier.invite(AUTOMATIC, sdp=b"")
    rang = await alice.ring()
    assert rang.invite.body == b""
    rang.reply(rang.invite, 200, alice.sdp())
    answer = await out.expect(200)
    assert media_of(answer.sdp)[0] == proxy.net.proxy[0]
    out.ack(answer, carrier.sdp())
    ack = await rang.expect("ACK")
    assert media_of(ack.sdp)[0] == proxy.net.proxy[0]
    alice.media.speak(media_of(ack.sdp))
    await asyncio.sleep(0.6)
    await carrier.media.hush()
    await alice.media.hush()
    out.send(out.request("BYE"))
    await rang.hung_up()
    row = await api.ended((await api.call_of(out.call_id))["id"])
    _, one, two = check_finished(proxy, row)
    for track, phone in ((one, carrier), (two, alice)):
        check_track(track, phone.media.said(), [(0, len(track))], head_slack=800, tail_slack=800)


async def test_route_sets_are_kept_on_both_legs(proxy, cast):
    """RFC 3261, 12.1: the callee's Record-Route reversed, the caller's in order, Contact as the target."""
    carrier, alice = await cast.carrier(), await cast.alice()
    to_carrier = [f"<sip:{host_port(carrier.address)};lr;hop=1>", "<sip:far.example;lr;hop=2>"]
    to_alice = ["<sip:far.example;lr;hop=3>", f"<sip:{host_port(alice.address)};lr;hop=4>"]
    out = carrier.invite(ON_DEMAND, headers=[("Record-Route", r) for r in to_carrier])
    rang = await alice.ring(status=None)
    assert rang.invite.all("Record-Route") == []
    rang.reply(rang.invite, 200, alice.sdp(), [("Record-Route", r) for r in to_alice])
    out.ack(await out.expect(200), speak=False)
    ack = await rang.expect("ACK")
    assert routes_in(ack) == list(reversed(to_alice))
    assert ack.uri == uri_of(alice.contact)
    rang.send(rang.request("BYE"))
    bye = await out.hung_up()
    assert routes_in(bye) == to_carrier
    assert bye.uri == uri_of(carrier.contact)
    await rang.expect(200)


def routes_in(message):
    return [r.strip() for value in message.all("Route") for r in value.split(",")]


async def test_a_message_in_dialog_crosses(proxy, cast):
    """An INFO that is none of ours reaches the other end with its body, and so does its answer."""
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, ON_DEMAND)
    info = pair.caller.request("INFO", b"x=1\r\n", [("Content-Type", "application/x-note"), ("X-Note", "1")])
    pair.caller.send(info)
    crossed = await pair.callee.expect("INFO")
    assert (crossed.body, crossed.get("X-Note")) == (b"x=1\r\n", "1")
    pair.callee.reply(crossed, 200)
    await pair.caller.expect(200)
    await pair.hang_up()


@pytest.mark.parametrize("seed", range(3))
async def test_tcp_messages_split_at_any_byte(proxy, cast, seed):
    """A carrier on TCP, whose bytes come in pieces and heaps; what we send uses its connection."""
    carrier, alice, api = await cast.carrier(transport="tcp"), await cast.alice(), cast.api()
    wire = carrier.wire
    assert isinstance(wire, TcpWire)
    await wire.connect()
    rng, whole_send, pending = random.Random(seed), wire.send, []

    def in_pieces(raw, to=None):
        pending.append(raw)

    async def flush():
        stream = b"\r\n\r\n" * rng.randrange(2) + b"".join(pending)
        pending.clear()
        while stream:
            cut = rng.choice((1, 2, 3, 7, 50, 400))
            whole_send(stream[:cut])
            stream = stream[cut:]
            await asyncio.sleep(0.002 if cut > 3 else 0)

    wire.send = in_pieces
    out = carrier.invite(AUTOMATIC)
    await flush()
    rang = await alice.ring()
    answering = asyncio.create_task(rang.answer())
    out.ack(await out.expect(200))
    await flush()
    await answering
    await asyncio.sleep(0.4)
    await carrier.media.hush()
    await alice.media.hush()
    rang.send(rang.request("BYE"))
    bye = await out.expect("BYE")
    out.reply(bye, 200)
    await flush()
    await rang.expect(200)
    row = await api.ended((await api.call_of(out.call_id))["id"])
    check_finished(proxy, row)
    assert row["ended_by"] == "callee"
    assert wire.connections == 0, "the connection at hand was not used"
    assert not wire.closed


async def test_a_trunk_on_tcp_is_connected_to_once(make_proxy, casts):
    server = make_proxy(start=False)
    host, port = server.net.carrier
    server.config["trunks"][0]["address"] = f"tcp:{host}:{port}"
    server.start()
    cast = casts(server)
    carrier, alice = await cast.carrier(transport="tcp"), await cast.alice()
    for _ in range(2):
        pair = await connect(alice, carrier, "+4930123")
        assert "TCP" in pair.callee.invite.get("Via")
        await asyncio.sleep(0.1)
        await pair.hang_up()
    assert carrier.wire.connections == 1


async def test_ipv6_all_the_way(make_proxy, casts, ipv6_ports):
    sip, carrier_port, alice_port = ipv6_ports[:3]
    server = make_proxy(start=False)
    config = server.config
    config["sip"]["listen"] = [f"udp:[::1]:{sip}"]
    config["media"] |= {"address": "::1"}
    config["trunks"][0] |= {"address": f"[::1]:{carrier_port}", "sources": ["::1/128"]}
    config["agents"][0]["contact"] = f"sip:alice@[::1]:{alice_port}"
    server.start()
    cast = casts(server)
    carrier = await cast.phone("carrier", ("::1", carrier_port), proxy=("::1", sip))
    alice = await cast.phone("alice", ("::1", alice_port), proxy=("::1", sip))
    pair = await connect(carrier, alice, AUTOMATIC)
    assert "c=IN IP6 ::1" in pair.callee.invite.sdp
    await asyncio.sleep(0.5)
    row, _, one, two = await finish(cast, server, pair)
    assert row["trunk"] == "carrier"
    assert [k.raw for k in alice.media.received] == [k.raw for k in carrier.media.sent]
    assert one.any()
    assert two.any()


async def test_one_family_on_each_leg(make_proxy, casts, ipv6_ports):
    """A carrier on IPv6 reaches an agent on IPv4: each is told an address of its own family."""
    sip, carrier_port = ipv6_ports[:2]
    server = make_proxy(start=False)
    config, net = server.config, server.net
    config["sip"]["listen"] = [f"udp:{net.proxy[0]}:15060", f"udp:[::1]:{sip}"]
    config["media"]["address"] = [net.proxy[0], "::1"]
    config["trunks"][0] |= {"address": f"[::1]:{carrier_port}", "sources": ["::1/128"]}
    server.start()
    cast = casts(server)
    carrier = await cast.phone("carrier", ("::1", carrier_port), proxy=("::1", sip))
    alice = await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC)
    assert media_of(pair.callee.invite.sdp)[0] == net.proxy[0]
    assert media_of(pair.caller.answer_sdp)[0] == "::1"
    await asyncio.sleep(0.4)
    await finish(cast, server, pair)
    assert [k.raw for k in alice.media.received] == [k.raw for k in carrier.media.sent]


async def test_an_srtp_answer_is_no_answer(proxy, cast):
    """An agent that answers with SAVP what was offered as AVP: nobody hears noise, nothing records it."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    out = carrier.invite(AUTOMATIC)
    rang = await alice.ring()
    rang.reply(rang.invite, 200, sdp_for(alice.media.local, profile="RTP/SAVP"))
    await rang.expect("ACK")
    await rang.hung_up()
    refusal = await out.expect(488, 500, 502, 503)
    out.ack(refusal)
    row = await api.ended((await api.call_of(out.call_id))["id"])
    assert row["disposition"] != "answered"
