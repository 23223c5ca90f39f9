"""What a recording holds, sample by sample, of calls whose every sample is known."""

import asyncio
import random
import time

import numpy as np
import pytest

from tests.support.recorded import check_finished, check_on_the_clock, check_verified
from tests.support.rtp_oracle import PCMA, PTIME_SAMPLES, check_track, frame_map, offset_of, spans_of
from tests.support.sip_wire import media_of
from tests.support.softphone import connect

AUTOMATIC, ON_DEMAND = "+15550101", "+15550100"
NS_PER_SAMPLE = 125_000
HEARD_LATE = 480  # the last samples of a call may still be on the way when the BYE comes


def relayed_alike(sent, received) -> None:
    """All of one telephone's packets came out at the other end, every byte, in order."""
    assert [k.raw for k in received] == [k.raw for k in sent]


async def finish(proxy, api, pair):
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
    return row, *check_finished(proxy, row)


@pytest.mark.parametrize("law", [None, PCMA], ids=["pcmu", "pcma"])
async def test_automatic_records_all_of_the_call(proxy, cast, law):
    options = {"law": law} if law else {}
    carrier, alice, api = await cast.carrier(**options), await cast.alice(**options), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(1.5)
    row, spans, one, two = await finish(proxy, api, pair)
    length = row["recording"]["duration_samples"]
    assert spans == [(0, length)]
    assert row["recording"]["policy"] == "automatic"
    (interval,) = row["recording"]["intervals"]
    assert interval["started_by"] == {"means": "policy", "user": None}
    assert interval["ended_by"] == {"means": "call_end", "user": None}
    for track, phone in ((one, carrier), (two, alice)):
        (said_from, said_to), *more = spans_of(track)
        assert not more, frame_map(track)
        assert said_from < HEARD_LATE
        offset = offset_of(track, phone.media.said(), (0, length))
        check_track(track, phone.media.said(), [(max(0, offset), said_to)])
        check_on_the_clock([offset], phone.media, pair.callee.answered_ns)
        assert said_to >= offset + len(phone.media.said()) or said_to == length, frame_map(track)
    relayed_alike(carrier.media.sent, alice.media.received)
    relayed_alike(alice.media.sent, carrier.media.received)


async def test_any_number_of_toggles_make_one_file_with_exact_edges(proxy, cast):
    """Each toggle's reply names the position, and the file changes exactly there."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    rng, edges = random.Random(2), []
    for action in ("start", "pause", "resume", "stop", "resume", "pause", "start", "stop"):
        await asyncio.sleep(rng.uniform(0.15, 0.6))
        reply = await api.toggle(call, action)
        assert reply["changed"]
        edges.append(reply["effective_sample"])
    await asyncio.sleep(0.4)
    row, spans, one, two = await finish(proxy, api, pair)
    assert spans == list(zip(edges[::2], edges[1::2], strict=True))
    for track, phone in ((one, carrier), (two, alice)):
        offsets = check_track(track, phone.media.said(), spans)
        check_on_the_clock(offsets, phone.media, pair.callee.answered_ns)
    relayed_alike(carrier.media.sent, alice.media.received)
    relayed_alike(alice.media.sent, carrier.media.received)
    assert len(list(proxy.storage.rglob(f"{row['recording']['id']}.wav"))) == 1
    check_verified(proxy, row)


async def test_toggles_that_change_nothing_are_harmless(proxy, cast):
    """The state table of the contract, walked by requests that are repeated."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    walk = [
        ("pause", "inactive", False), ("stop", "inactive", False), ("start", "recording", True),
        ("start", "recording", False), ("resume", "recording", False), ("pause", "paused", True),
        ("pause", "paused", False), ("stop", "inactive", True), ("resume", "recording", True),
        ("stop", "inactive", True), ("pause", "inactive", False), ("stop", "inactive", False),
    ]  # fmt: skip
    since, edges, open_before = 0, [], False
    for action, state, changes in walk:
        await asyncio.sleep(0.1)
        reply = await api.toggle(call, action)
        assert (reply["state"], reply["changed"]) == (state, changes), action
        if changes:
            since = reply["effective_sample"]
        if (state == "recording") != open_before:
            open_before = not open_before
            edges.append(since)
        assert reply["effective_sample"] == since, action
        assert (await api.get(f"/v1/calls/{call}/recording"))["state"] == state
    _, spans, *_ = await finish(proxy, api, pair)
    assert spans == list(zip(edges[::2], edges[1::2], strict=True))


async def test_loss_jitter_and_reordering_leave_holes_and_shift_nothing(proxy, cast):
    rng = random.Random(5)
    fate = [None if rng.random() < 0.2 else rng.choice((0.0, 0.0, 0.0, 0.03, 0.07)) for _ in range(500)]
    fate[:16] = [0.0] * 16
    carrier, alice, api = await cast.carrier(plan=lambda n: fate[n]), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(3.0)
    row, _, one, _ = await finish(proxy, api, pair)
    length = row["recording"]["duration_samples"]
    said = carrier.media.said()
    offset = offset_of(one, said, (0, length))
    first, last = max(80, offset), min(length, offset + len(said)) - 800  # at an opening doubt is silence
    np.testing.assert_array_equal(one[first:last], said[first - offset : last - offset])
    assert 0.1 < np.mean(one[first:last] == 0) < 0.35
    relayed_alike(carrier.media.sent, alice.media.received)


async def test_a_telephone_that_falls_silent_leaves_silence_of_the_same_length(proxy, cast):
    """DTX: no packets for 0.6 s while the timestamps go on; then in one leg no packets at all."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.8)
    carrier.media.muted = True
    await asyncio.sleep(0.6)
    carrier.media.muted = False
    await alice.media.hush()
    await asyncio.sleep(0.8)
    row, _, one, two = await finish(proxy, api, pair)
    said = carrier.media.said()
    (first, second) = spans_of(one)
    assert second[0] - first[1] == pytest.approx(4800, abs=2 * PTIME_SAMPLES)
    offset = offset_of(one, said, first)
    check_track(one, said, [(first[0], second[1])])
    check_on_the_clock([offset], carrier.media, pair.callee.answered_ns)
    (spoke,) = spans_of(two)
    assert spoke[1] < row["recording"]["duration_samples"] - 4000


async def test_a_call_without_any_packet_is_as_long_as_the_call(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC, speak=False)
    await asyncio.sleep(0.7)
    row, spans, one, two = await finish(proxy, api, pair)
    passed = (pair.caller.ended_ns - pair.callee.answered_ns) * 8000 / 1e9
    assert row["recording"]["duration_samples"] == pytest.approx(passed, abs=600)
    assert spans == [(0, len(one))]
    assert not one.any()
    assert not two.any()


async def test_a_new_source_of_the_same_voice_goes_on_in_place(proxy, cast):
    """The SSRC, sequence and timestamps start anew in mid-call; the gate stays as it was."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.8)
    await carrier.media.hush()
    before = len(carrier.media.sent)
    carrier.media.ssrc, carrier.media._timestamp, carrier.media._seq = 0xBEEF, 77, 9
    carrier.media.codes = carrier.law.noise(99, 10)
    carrier.media.speak()
    await asyncio.sleep(0.8)
    row, _, one, _ = await finish(proxy, api, pair)
    old, new = carrier.media.sent[:before], carrier.media.sent[before:]
    for kept in (old, new):
        carrier.media.sent = kept
        said = carrier.media.said()
        offset = offset_of(one, said, (0, len(one)))
        found = one[max(0, offset) : offset + len(said)]
        np.testing.assert_array_equal(found, said[max(0, -offset) : max(0, -offset) + len(found)])
        check_on_the_clock([offset], carrier.media, pair.callee.answered_ns)
    assert row["recording"]["result"] == "complete"


async def test_early_media_is_heard_but_stays_out_of_the_file(proxy, cast):
    """183 with SDP: announcements are relayed before the answer, and position 0 is the answer."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    out = carrier.invite(AUTOMATIC)
    rang = await alice.ring(status=None)
    rang.reply(rang.invite, 183, alice.sdp())
    progress = await out.expect(183)
    alice.media.speak(media_of(rang.invite.sdp))
    carrier.media.speak(media_of(progress.sdp))
    await asyncio.sleep(0.8)
    assert len(carrier.media.received) > 30
    row = await api.call_of(out.call_id)
    assert (row["state"], row["duration_ms"], row["answered_at"]) == ("ringing", 0, None)
    answering = asyncio.create_task(rang.answer())
    out.ack(await out.expect(200))
    await answering
    await asyncio.sleep(1.0)
    await carrier.media.hush()
    await alice.media.hush()
    await asyncio.sleep(0.05)
    out.send(out.request("BYE"))
    await rang.hung_up()
    row = await api.ended(row["id"])
    _, one, two = check_finished(proxy, row)
    passed = (out.ended_ns - rang.answered_ns) * 8000 / 1e9
    assert row["recording"]["duration_samples"] == pytest.approx(passed, abs=600)
    for track, phone in ((one, carrier), (two, alice)):
        said = phone.media.said()
        offset = offset_of(track, said, (0, len(track)))
        before = (phone.media.sent[0].at_ns - rang.answered_ns) * 8000 / 1e9
        assert offset == pytest.approx(before - PTIME_SAMPLES, abs=600)
        check_track(track, said, [(0, len(track))], head_slack=PTIME_SAMPLES, tail_slack=HEARD_LATE)
        check_on_the_clock([offset], phone.media, rang.answered_ns)
    relayed_alike(alice.media.sent, carrier.media.received)


async def test_agent_to_carrier_keeps_the_channels(proxy, cast):
    """Channel 1 is the carrier's leg and 2 the agent's, whoever called."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(alice, carrier, "+4930123456")
    row = await api.call_of(pair.caller.call_id)
    assert row == row | {
        "direction": "outbound", "from": "alice", "to": "+4930123456", "agent": "alice", "trunk": "carrier",
    }  # fmt: skip
    await asyncio.sleep(0.4)
    await api.toggle(row["id"], "start")
    await asyncio.sleep(0.6)
    row, spans, one, two = await finish(proxy, api, pair)
    assert spans[0][1] == row["recording"]["duration_samples"]
    for track, phone in ((one, carrier), (two, alice)):
        check_track(track, phone.media.said(), spans, tail_slack=800)


async def test_agent_to_agent_puts_the_caller_on_channel_one(make_proxy, casts):
    server = make_proxy({"routes.0.from": "agent:*", "routes.0.to": "20?", "routes.0.recording": "automatic"})
    cast = casts(server)
    bob, alice, api = await cast.bob(), await cast.alice(), cast.api()
    pair = await connect(bob, alice, "201")
    await asyncio.sleep(0.6)
    row, _, one, two = await finish(server, api, pair)
    assert row["direction"] == "internal"
    length = len(one)
    assert offset_of(one, bob.media.said(), (0, length)) < HEARD_LATE
    assert offset_of(two, alice.media.said(), (0, length)) < HEARD_LATE


async def test_what_comes_more_than_200_ms_after_a_stop_is_not_recorded(proxy, cast):
    """Every second packet is 280 ms late: spoken inside the interval, some arrive after its late window."""
    delay_s, late_ns = 0.28, 200_000_000
    slow_ns = 80_000_000  # by so much a proxy on a busy machine may read late what was sent
    fits_ns = 295_000_000  # and so late this process may have sent what is still placed
    carrier = await cast.carrier(plan=lambda n: delay_s if 30 <= n < 70 and n % 2 else 0.0)
    alice, api = await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.4)
    await api.toggle(call, "start")
    await asyncio.sleep(0.6)
    asked_ns = time.monotonic_ns()  # between this and the reply the stop took effect
    await api.toggle(call, "stop")
    replied_ns = time.monotonic_ns()
    await asyncio.sleep(0.6)
    row, ((start, end),), one, _ = await finish(proxy, api, pair)
    assert row["recording"]["result"] == "complete"
    said = carrier.media.said()
    offset = offset_of(one, said, (start, end))
    first = carrier.media.sent[0].packet.timestamp
    spoken = [(kept.packet.timestamp - first) & 0xFFFFFFFF for kept in carrier.media.sent]
    delays_ns = [k.at_ns - at * NS_PER_SAMPLE for k, at in zip(carrier.media.sent, spoken, strict=True)]
    verdicts = set()
    for kept, at, delay_ns in zip(carrier.media.sent, spoken, delays_ns, strict=True):
        if not start <= offset + at <= end - PTIME_SAMPLES:
            continue
        part = one[offset + at : offset + at + PTIME_SAMPLES]
        too_late_ns = kept.at_ns - (replied_ns + late_ns)
        if too_late_ns > 0:
            assert not part.any(), f"came {too_late_ns / 1e6:.0f} ms too late: {frame_map(one, 160)}"
            verdicts.add("too late")
        elif kept.at_ns + slow_ns < asked_ns + late_ns and delay_ns - min(delays_ns) < fits_ns:
            np.testing.assert_array_equal(part, said[at : at + PTIME_SAMPLES])
            verdicts.add("in time")
    assert verdicts == {"in time", "too late"}
