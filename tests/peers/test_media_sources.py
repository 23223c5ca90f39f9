"""Whose media is relayed and recorded: the party's own, byte by byte, and nobody else's."""

import asyncio
import os

import pytest

from tests.support.patience import seen
from tests.support.recorded import check_finished
from tests.support.rtp_oracle import RtpPacket, offset_of, spans_of
from tests.support.sip_wire import media_of
from tests.support.softphone import connect, sdp_for

AUTOMATIC = "+15550101"
SENDER_REPORT = bytes.fromhex("80c80006 5eed0001 00000000 00000000 00000000 00000005 00000320")


async def finish(cast, server, pair):
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    api = cast.api()
    row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
    return row, *check_finished(server, row)


async def test_a_third_address_is_not_relayed_not_recorded_and_gets_nothing(proxy, cast):
    """Before, during and after the party's own stream; also with the party's own SSRC."""
    carrier, alice = await cast.carrier(), await cast.alice()
    intruder = cast.stranger(proxy.net.host(66), 666)
    pair = await connect(carrier, alice, AUTOMATIC, speak=False)
    target = media_of(pair.callee.invite.sdp)
    intruder.speak(target)
    await asyncio.sleep(0.3)
    carrier.media.speak(media_of(pair.caller.answer_sdp))
    alice.media.speak(target)
    await asyncio.sleep(0.5)
    intruder.ssrc = alice.media.ssrc
    await asyncio.sleep(0.5)
    _, _, one, two = await finish(cast, proxy, pair)
    assert intruder.received == []
    assert [k.raw for k in carrier.media.received] == [k.raw for k in alice.media.sent]
    foreign = intruder.said()
    for track in (one, two):
        with pytest.raises(AssertionError):
            offset_of(track, foreign, (0, len(track)))
    (_, spoke_to), *more = spans_of(two)
    assert not more
    assert spoke_to > 4000


async def test_garbage_and_giants_are_dropped(proxy, cast):
    """From the right address: what is no RTP, and what no telephone would send."""
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.3)
    target = media_of(pair.callee.invite.sdp)
    ours = alice.media
    giant = RtpPacket(0, 5, 5, ours.ssrc, bytes(9000)).encode()
    for junk in (
        b"",
        b"\x80",
        b"\x80\x00" + bytes(9),
        os.urandom(11),
        b"\x00" * 200,
        b"\x40" + bytes(171),
        giant,
    ):
        ours.socket.sendto(junk, target)
    await asyncio.sleep(0.3)
    _, _, _, two = await finish(cast, proxy, pair)
    assert [k.raw for k in carrier.media.received] == [k.raw for k in ours.sent]
    assert len(spans_of(two)) == 1


async def test_a_port_change_is_followed_under_auto_until_locked(proxy, cast):
    """Auto: the SDP's address with any port; once locked, even the same host's other port is a stranger."""
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC, speak=False)
    target = media_of(pair.callee.invite.sdp)
    other = cast.stranger(proxy.net.alice[0], 0x41)
    other.speak(target)
    await asyncio.sleep(0.3)
    alice.media.speak(target)
    carrier.media.speak(media_of(pair.caller.answer_sdp))
    await asyncio.sleep(0.3)
    await finish(cast, proxy, pair)
    assert {p.ssrc for p in carrier.media.heard()} == {0x41}
    assert len(other.received) > 5, "media goes to where it comes from"


async def test_never_latching_means_the_sdp_alone(make_proxy, casts):
    server = make_proxy({"agents.0.latch": "never"})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC)
    other = cast.stranger(server.net.alice[0], 0x41)
    other.speak(media_of(pair.callee.invite.sdp))
    await asyncio.sleep(0.4)
    await finish(cast, server, pair)
    assert [k.raw for k in carrier.media.received] == [k.raw for k in alice.media.sent]
    assert other.received == []


async def test_always_latching_takes_the_first_and_then_no_other(make_proxy, casts):
    server = make_proxy({"agents.0.latch": "always"})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC, speak=False)
    target = media_of(pair.callee.invite.sdp)
    elsewhere, late = cast.stranger(server.net.host(77), 77), cast.stranger(server.net.host(78), 78)
    elsewhere.speak(target)
    await asyncio.sleep(0.2)
    late.speak(target)
    carrier.media.speak(media_of(pair.caller.answer_sdp))
    await asyncio.sleep(0.4)
    await finish(cast, server, pair)
    heard = [k.raw for k in carrier.media.received]
    assert heard == [k.raw for k in elsewhere.sent][: len(heard)]
    assert len(elsewhere.received) > 10
    assert late.received == []


async def test_rtcp_is_relayed_on_its_own_port(proxy, cast):
    """Port + 1 by default; every byte kept."""
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.1)
    from_alice, at_carrier = (cast.beside(phone.media) for phone in (alice, carrier))
    host, port = media_of(pair.callee.invite.sdp)
    from_alice.send(SENDER_REPORT, (host, port + 1))
    await seen(lambda: at_carrier.received != [])
    assert [k.raw for k in at_carrier.received] == [SENDER_REPORT]
    await finish(cast, proxy, pair)


async def test_rtcp_mux_shares_the_port_and_is_never_recorded(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    mux = ["a=rtcp-mux"]
    out = carrier.invite(AUTOMATIC, sdp=sdp_for(carrier.media.local, extra=mux))
    rang = await alice.ring()
    assert "a=rtcp-mux" in rang.invite.sdp
    answering = asyncio.create_task(rang.answer(sdp=sdp_for(alice.media.local, extra=mux)))
    answer = await out.expect(200)
    assert "a=rtcp-mux" in answer.sdp
    out.ack(answer)
    await answering
    await asyncio.sleep(0.4)
    alice.media.send(SENDER_REPORT)
    await seen(lambda: SENDER_REPORT in [k.raw for k in carrier.media.received])
    alice.media.sent = [k for k in alice.media.sent if k.raw != SENDER_REPORT]
    await carrier.media.hush()
    await alice.media.hush()
    out.send(out.request("BYE"))
    await rang.hung_up()
    api = cast.api()
    row = await api.ended((await api.call_of(out.call_id))["id"])
    _, _, two = check_finished(proxy, row)
    assert len(spans_of(two)) == 1
