"""Every way a call can end, on the wire and in its row."""

import asyncio
import itertools
import time

import pytest

from tests.support.recorded import CALL_KEYS
from tests.support.softphone import connect

ON_DEMAND = "+15550100"


async def ended_row(cast, call):
    api = cast.api()
    row = await api.ended((await api.call_of(call.call_id))["id"])
    assert row.keys() >= CALL_KEYS
    assert row["ended_at"] is not None
    return row


def check_unanswered(row, disposition, status):
    assert row == row | {
        "state": "ended", "disposition": disposition, "sip_status": status, "answered_at": None,
        "duration_ms": 0, "recorded_ms": 0, "recording": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "disposition"),
    [(486, {"busy"}), (603, {"rejected"}), (480, {"no_answer", "unavailable"}), (404, None), (503, None)],
)
async def test_a_refusal_reaches_the_caller_and_the_row(proxy, cast, status, disposition):
    carrier, alice = await cast.carrier(), await cast.alice()
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring()
    await out.expect(180)
    rang.reply(rang.invite, status)
    await rang.expect("ACK")
    out.ack(await out.expect(status))
    row = await ended_row(cast, out)
    check_unanswered(row, row["disposition"], status)
    assert row["disposition"] != "answered"
    if disposition:
        assert row["disposition"] in disposition


async def test_cancel_reaches_the_agent(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring()
    await out.expect(180)
    out.cancel()
    cancel = await rang.expect("CANCEL")
    rang.reply(cancel, 200)
    rang.reply(rang.invite, 487)
    await rang.expect("ACK")
    answers = [await out.expect(200, 487), await out.expect(200, 487)]
    assert {m.method: m.status for m in answers} == {"CANCEL": 200, "INVITE": 487}
    out.ack(next(m for m in answers if m.status == 487))
    row = await ended_row(cast, out)
    check_unanswered(row, "cancelled", row["sip_status"])
    assert row["ended_by"] == "caller"


async def test_an_answer_that_crosses_a_cancel_is_acknowledged_and_ended(proxy, cast):
    """RFC 3261, 9.1: the 2xx wins on its leg, so that leg gets ACK and BYE; the caller gets its 487."""
    carrier, alice = await cast.carrier(), await cast.alice()
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring()
    out.cancel()
    cancel = await rang.expect("CANCEL")
    rang.reply(rang.invite, 200, alice.sdp())
    rang.reply(cancel, 200)
    await rang.expect("ACK")
    await rang.hung_up()
    answers = [await out.expect(200, 487), await out.expect(200, 487)]
    assert {m.method: m.status for m in answers} == {"CANCEL": 200, "INVITE": 487}
    out.ack(next(m for m in answers if m.status == 487))
    row = await ended_row(cast, out)
    assert row["disposition"] == "cancelled"


async def test_the_agent_hangs_up(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, ON_DEMAND)
    await asyncio.sleep(0.2)
    pair.callee.send(pair.callee.request("BYE"))
    await pair.caller.hung_up()
    await pair.callee.expect(200)
    row = await ended_row(cast, pair.caller)
    assert (row["disposition"], row["ended_by"]) == ("answered", "callee")
    passed_ms = (pair.callee.ended_ns - pair.callee.answered_ns) / 1e6
    assert row["duration_ms"] == pytest.approx(passed_ms, abs=100)


async def test_both_hang_up_at_once(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, ON_DEMAND)
    for call in (pair.caller, pair.callee):
        call.send(call.request("BYE"))
    for call in (pair.caller, pair.callee):
        message = await call.expect("BYE", 200, 481)
        if message.status is None:
            call.reply(message, 200)
            await call.expect(200, 481)
    row = await ended_row(cast, pair.caller)
    assert row["disposition"] == "answered"


async def test_no_route_is_404_with_a_row(proxy, cast):
    carrier = await cast.carrier()
    out = carrier.invite("+19990000")
    out.ack(await out.expect(404))
    row = await ended_row(cast, out)
    check_unanswered(row, "no_route", 404)
    assert row == row | {"agent": None, "trunk": "carrier", "to": "+19990000", "direction": "inbound"}


@pytest.mark.parametrize(
    ("dialled", "called"),
    [
        ("+1-555-(01)00", "+15550100"),
        ("%2B15550100", "+15550100"),
        ("+15550100;phone-context=x", "+15550100"),
    ],
)
async def test_numbers_are_read_without_their_ornaments(proxy, cast, dialled, called):
    carrier, alice = await cast.carrier(), await cast.alice()
    out = carrier.invite(dialled)
    rang = await alice.ring()
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    out.ack(await out.expect(486))
    assert (await ended_row(cast, out))["to"] == called


async def test_an_unknown_source_is_refused_without_a_row(proxy, cast):
    stranger = await cast.phone("mallory", (proxy.net.host(66), 15070))
    out = stranger.invite(ON_DEMAND)
    out.ack(await out.expect(403))
    await asyncio.sleep(0.6)
    assert (await cast.api().get("/v1/calls", sip_call_id=out.call_id))["calls"] == []


async def test_an_agent_who_does_not_answer_is_let_go(make_proxy, casts):
    server = make_proxy({"sip.ring_timeout_s": 1})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring()
    cancel = await rang.expect("CANCEL", timeout=3)
    rang.reply(cancel, 200)
    rang.reply(rang.invite, 487)
    await rang.expect("ACK")
    out.ack(await out.expect(480))
    row = await ended_row(cast, out)
    check_unanswered(row, "no_answer", 480)
    assert row["ended_by"] == "us"


async def test_a_repeated_invite_rings_once_and_a_lost_ack_is_asked_for(proxy, cast):
    carrier, alice = await cast.carrier(), await cast.alice()
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring()
    for _ in range(3):
        out.send(out.sent_invite)
    await out.expect(180)
    rang.reply(rang.invite, 200, alice.sdp())
    answer = await out.expect(200)
    await asyncio.sleep(1.2)
    assert out.retransmissions >= 1, "the 200 was not repeated while its ACK was missing"
    out.ack(answer, speak=False)
    await rang.expect("ACK")
    await alice.nothing_rings(0.1)
    out.send(out.request("BYE"))
    await rang.hung_up()
    await out.expect(200)


async def test_a_media_timeout_ends_both_legs(make_proxy, casts):
    server = make_proxy({"media.timeout_s": 1})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, "+15550101")
    await asyncio.sleep(1.4)
    assert pair.caller.inbox.empty(), "ended although RTP was flowing"
    await pair.hush()
    await asyncio.gather(pair.caller.hung_up(timeout=4), pair.callee.hung_up(timeout=4))
    row = await ended_row(cast, pair.caller)
    assert (row["disposition"], row["ended_by"]) == ("media_timeout", "us")
    assert row["recording"]["result"] == "complete"


async def test_a_held_call_may_be_silent(make_proxy, casts):
    server = make_proxy({"media.timeout_s": 1})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, ON_DEMAND)
    pair.callee.reinvite(direction="inactive")
    invite = await pair.caller.expect("INVITE")
    pair.caller.reply(invite, 200, carrier.sdp(direction="inactive", version=2))
    pair.callee.ack(await pair.callee.expect(200), speak=False)
    await pair.caller.expect("ACK")
    await pair.hush()
    await asyncio.sleep(2.5)
    assert pair.caller.inbox.empty()
    await pair.hang_up()


@pytest.mark.parametrize("limit", ["sip.max_calls", "media.ports"])
async def test_a_full_house_is_503_with_retry_after_and_a_row(make_proxy, casts, limit):
    server = make_proxy({limit: 1 if limit == "sip.max_calls" else "20000-20003"})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, ON_DEMAND)
    second = carrier.invite(ON_DEMAND)
    refusal = await second.expect(503)
    second.ack(refusal)
    assert int(refusal.get("Retry-After").split()[0]) > 0
    row = await ended_row(cast, second)
    assert row["sip_status"] == 503
    await alice.nothing_rings(0.1)
    await pair.hang_up()


async def test_states_as_they_pass(proxy, cast):
    """A row is there before the 2xx, and grows while the call lives."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    out = carrier.invite(ON_DEMAND)
    rang = await alice.ring(status=None)
    row = await api.call_of(out.call_id)
    assert (row["state"], row["disposition"], row["ended_at"]) == ("trying", None, None)
    rang.reply(rang.invite, 180)
    row = await api.until(row["id"], lambda r: r["state"] == "ringing", 1.0)
    answering = asyncio.create_task(rang.answer())
    out.ack(await out.expect(200))
    await answering
    seen = []
    for _ in range(3):
        await asyncio.sleep(0.2)
        asked_ns = time.monotonic_ns()
        row = await api.get(f"/v1/calls/{row['id']}")
        assert (row["state"], row["disposition"]) == ("answered", None)
        seen.append((asked_ns, row["duration_ms"], time.monotonic_ns()))
    for (asked_ns, before_ms, told_ns), (asked_then_ns, after_ms, told_then_ns) in itertools.pairwise(seen):
        assert (
            (asked_then_ns - told_ns) / 1e6 - 2 <= after_ms - before_ms <= (told_then_ns - asked_ns) / 1e6 + 2
        )
    out.send(out.request("BYE"))
    await rang.hung_up()
    await out.expect(200)
    assert (await api.ended(row["id"]))["disposition"] == "answered"
