"""Recording by keypad (RFC 4733 and SIP INFO) and by `Record:`, from the agent's leg alone."""

import asyncio

import numpy as np
import pytest

from tests.support.patience import seen
from tests.support.recorded import check_finished, check_on_the_clock
from tests.support.rtp_oracle import DIGITS, check_zero_outside, expected_track, offset_of
from tests.support.rtp_phone import DIGIT_TYPE
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC, OFF = "+15550100", "+15550101", "+15550102"
INTER_DIGIT_S = 2.0


def digits_in(kept):
    """The digits that packets carry, one per event, with the number of their end packets."""
    events = {}
    for packet in (k.packet for k in kept):
        if packet.payload_type == DIGIT_TYPE:
            ends = events.setdefault((packet.timestamp, DIGITS[packet.payload[0]]), [])
            ends.append(packet.payload[1] >> 7)
    return [(digit, sum(ends)) for (_, digit), ends in events.items()]


def audio_in(kept):
    return [(p.timestamp, p.payload) for p in (k.packet for k in kept) if p.payload_type != DIGIT_TYPE]


def check_sequence_goes_on(kept):
    """To a receiver no packet is missing: the sequence numbers follow one another."""
    seqs = np.array([k.packet.seq for k in kept], np.int64)
    assert set(np.diff(seqs) % 65536) == {1}, np.flatnonzero(np.diff(seqs) % 65536 != 1)


async def recorded_state(api, call):
    return (await api.get(f"/v1/calls/{call}/recording"))["state"]


async def heard(carrier, digits):
    """Each of them whole, and nothing else: three end packets after the rest."""
    await seen(lambda: digits_in(carrier.media.received) == [(digit, 3) for digit in digits])


async def became(api, call, state, timeout=3.0):
    await api.until(call, lambda row: row["recording"]["state"] == state, timeout)


async def hang_up(api, pair):
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    return await api.ended((await api.call_of(pair.caller.call_id))["id"])


async def test_codes_start_stop_and_toggle(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.4)
    for code, state in (("*1", "recording"), ("*2", "inactive"), ("*3", "recording"), ("*3", "inactive")):
        await alice.media.dial(code)
        await became(api, call, state)
        await asyncio.sleep(0.4)
    row = await hang_up(api, pair)
    spans, one, two = check_finished(proxy, row)
    by_alice = {"means": "dtmf", "user": "alice"}
    assert [(i["started_by"], i["ended_by"]) for i in row["recording"]["intervals"]] == [(by_alice,) * 2] * 2

    assert digits_in(carrier.media.received) == []
    assert audio_in(carrier.media.received) == audio_in(alice.media.sent)
    check_sequence_goes_on(carrier.media.received)
    assert [k.raw for k in alice.media.received] == [k.raw for k in carrier.media.sent]

    said = carrier.media.said()
    offset = offset_of(one, said, spans[0])
    check_on_the_clock([offset], carrier.media, pair.callee.answered_ns)
    check_digits_are_silent(two, alice.media, spans)
    check_starts_at_the_last_digit(alice.media, spans[0][0], pair.callee.answered_ns)


def check_digits_are_silent(track, media, spans):
    """Inside the intervals the agent's track is her audio, and zero for as long as a digit was held."""
    said = media.said()
    check_zero_outside(track, spans)
    for start, end in spans:
        offset = offset_of(track, said, (start, end))
        want = expected_track(said, offset, len(track))
        inside = slice(start + 160, end)
        np.testing.assert_array_equal(track[inside], want[inside])


def check_starts_at_the_last_digit(media, start, answered_ns):
    """`*1` takes effect when the first packet of its `1` arrives."""
    ones = [k for k in media.sent if k.packet.payload_type == DIGIT_TYPE and k.packet.payload[0] == 1]
    at = (ones[0].at_ns - answered_ns) * 8000 / 1e9
    assert -80 <= start - at < 800, "100 ms later its end packets come"


async def test_a_refused_digit_reaches_the_carrier_whole(proxy, cast):
    """`5` begins no code, `*5` stops being one: both arrive, with their duration and three ends."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.3)
    logged = len(proxy.log)
    await alice.media.dial("5")
    await heard(carrier, "5")
    await alice.media.dial("*5")
    await heard(carrier, "5*5")
    last = [k.packet for k in carrier.media.received if k.packet.payload_type == DIGIT_TYPE][-1]
    assert int.from_bytes(last.payload[2:4]) == pytest.approx(960, abs=160)
    assert await recorded_state(api, call) == "inactive"
    await hang_up(api, pair)
    check_sequence_goes_on(carrier.media.received)
    assert "*5" not in proxy.log[logged:]


async def test_a_code_that_is_never_finished_is_let_go_in_time(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.3)
    pressed = asyncio.get_running_loop().time()
    await alice.media.dial("*")
    await asyncio.sleep(0.5)
    assert digits_in(carrier.media.received) == []
    await heard(carrier, "*")
    assert asyncio.get_running_loop().time() - pressed > INTER_DIGIT_S
    await alice.media.dial("1")
    await heard(carrier, "*1")
    assert await recorded_state(api, call) == "inactive"
    await hang_up(api, pair)


async def test_nothing_from_the_carrier_opens(proxy, cast):
    """Its digits pass untouched, its `Record: on` changes nothing."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.2)
    await carrier.media.dial("*1*3")
    pair.caller.send(pair.caller.request("INFO", headers=[("Record", "on")]))
    info = asyncio.create_task(pair.callee.expect("INFO", timeout=0.5))
    await asyncio.wait([info])
    if info.exception() is None:
        pair.callee.reply(info.result(), 200)
    await pair.caller.expect(200, 403, 405, 481, 501)
    assert await recorded_state(api, call) == "inactive"
    row = await hang_up(api, pair)
    assert [k.raw for k in alice.media.received] == [k.raw for k in carrier.media.sent]
    assert row["recording"]["intervals"] == []
    assert row["recording"]["result"] == "none"


async def test_info_with_record_starts_and_stops(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    for value, state in (("on", "recording"), ("off", "inactive")):
        await asyncio.sleep(0.4)
        pair.callee.send(pair.callee.request("INFO", headers=[("Record", value)]))
        await pair.callee.expect(200)
        assert await recorded_state(api, call) == state
    row = await hang_up(api, pair)
    check_finished(proxy, row)
    (interval,) = row["recording"]["intervals"]
    assert interval["started_by"] == interval["ended_by"] == {"means": "sip", "user": "alice"}
    assert pair.caller.inbox.empty()


async def test_info_digits_make_a_code(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    for digit in "*1":
        body = f"Signal={digit}\r\nDuration=160\r\n".encode()
        request = pair.callee.request("INFO", body, [("Content-Type", "application/dtmf-relay")])
        pair.callee.send(request)
        await pair.callee.expect(200)
    await became(api, call, "recording")
    row = await hang_up(api, pair)
    (interval,) = row["recording"]["intervals"]
    assert interval["started_by"] == {"means": "dtmf", "user": "alice"}


@pytest.mark.parametrize("number", [OFF])
async def test_record_is_refused_where_it_is_not_allowed(proxy, cast, number):
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, number)
    pair.callee.send(pair.callee.request("INFO", headers=[("Record", "on")]))
    await pair.callee.expect(403)
    await pair.hang_up()


async def test_a_locked_recording_refuses_every_closing(make_proxy, casts):
    """`pausable = false`: API, keypad and INFO leave the gate open."""
    server = make_proxy({"recording.pausable": False})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    for action in ("stop", "pause"):
        assert await api.status("POST", f"/v1/calls/{call}/recording/{action}") == 403
    pair.callee.send(pair.callee.request("INFO", headers=[("Record", "off")]))
    await pair.callee.expect(403)
    await alice.media.dial("*2")
    await asyncio.sleep(0.3)
    assert await recorded_state(api, call) == "recording"
    row = await hang_up(api, pair)
    spans, *_ = check_finished(server, row)
    assert spans == [(0, row["recording"]["duration_samples"])]
