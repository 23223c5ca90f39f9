"""Announcements on real calls: who hears what, and from when on anybody is recorded."""

import asyncio
import random
import wave
from itertools import pairwise

import numpy as np
import pytest

from tests.peers.test_crash import until_dead
from tests.peers.test_dialect import reinvite
from tests.peers.test_tshark_agrees import capture as capture
from tests.peers.test_tshark_agrees import read, streams_from
from tests.support.recorded import check_manifest, check_row, check_verified
from tests.support.rtp_oracle import PCMU, check_track
from tests.support.sip_wire import media_of
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"
SECONDS, LONG_S = 1.2, 4.0  # the long one is for what happens before its end, however late that is


def announcement(seconds=SECONDS):
    """A sound without a zero, of which no stretch occurs twice."""
    at = np.arange(int(seconds * 8000)) / 8000
    sound = 6000 * np.sin(2 * np.pi * (300 + 400 * at) * at)
    return np.where(np.abs(sound) < 8, 8, sound).astype(np.int16)


def quiet(seed):
    """Speech beside which an announcement is heard, and no sample of which is zero."""
    soft = bytes(code for code in range(256) if 64 <= abs(int(PCMU.table[code])) <= 1000)
    return bytes(random.Random(seed).choices(soft, k=30 * 8000))


def settings_with(sound, folder):
    path = folder / "announcement.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(sound.astype("<i2").tobytes())
    return {"recording.consent": "required", "recording.announcement": {"file": str(path)}}


@pytest.fixture
def settings(tmp_path):
    return settings_with(announcement(), tmp_path)


@pytest.fixture
def long_settings(tmp_path):
    return settings_with(announcement(LONG_S), tmp_path)


async def cast_of(server, casts):
    cast = casts(server)
    return await cast.carrier(codes=quiet(1)), await cast.alice(codes=quiet(2)), cast.api("ali")


def added(listener, speaker):
    """What the listener was sent beyond what the speaker said, along the stream."""
    said = {(p.seq, p.timestamp): p.payload for p in (kept.packet for kept in speaker.sent)}
    parts = []
    for packet in listener.heard():
        pcm = PCMU.decode(packet.payload).astype(np.int32)
        own = said.get((packet.seq, packet.timestamp))
        parts.append(pcm if own is None else pcm - PCMU.decode(own))
    return np.concatenate(parts)


def check_heard(listener, speaker):
    """All of the announcement, once, without a pause."""
    sound, extra = announcement().astype(np.int32), added(listener, speaker)
    loud = np.flatnonzero(np.abs(extra) > 200)
    start = loud[0] // 160 * 160
    assert np.abs(extra[start : start + len(sound)] - sound).max() < 600, "G.711's steps at most"
    assert not extra[:start].any()
    assert not extra[start + -(-len(sound) // 160) * 160 :].any()


def spoke_on(speaker):
    """Whether a telephone on this machine was never late enough to be taken for silent."""
    return max(after.at_ns - before.at_ns for before, after in pairwise(speaker.sent)) < 70_000_000


def check_placed(track, start, end):
    """All of the announcement stands in `[start, end)` of a track, and nothing else."""
    found = np.flatnonzero(track[start:end])
    assert len(found) == len(announcement())
    assert (track[start + found[0] : start + found[-1] + 1] == announcement()).all()
    assert end - (start + found[-1]) < 4000, "the recording begins soon after it"


async def finish(api, pair, call):
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    return await api.ended(call)


def intervals(row):
    return [(i["kind"], i["start_sample"], i["end_sample"]) for i in row["recording"]["intervals"]]


def is_on(row):
    return row["recorded_ms"] > 0


async def test_both_hear_all_of_it_before_anybody_is_recorded(make_proxy, casts, settings):
    server = make_proxy(settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.4)
    started = await api.toggle(call, "start")
    assert (started["state"], started["changed"]) == ("recording", True)
    await asyncio.sleep(0.3)
    [open_one] = (await api.get(f"/v1/calls/{call}/recording"))["intervals"]
    assert (open_one["kind"], open_one["end_sample"]) == ("announcement", None)
    await api.until(call, is_on)
    await asyncio.sleep(0.8)
    stopped = await api.toggle(call, "stop")
    await asyncio.sleep(0.2)
    row = await finish(api, pair, call)
    (first, s, a), (second, b, e) = intervals(row)
    assert (first, second, s, e) == (
        "announcement", "audio", started["effective_sample"], stopped["effective_sample"],
    )  # fmt: skip
    assert a == b
    assert a - s >= len(announcement())
    spans = check_row(row)
    assert check_manifest(server, row)["consent"] == "required"
    check_verified(server, row)
    for listener, speaker in ((carrier.media, alice.media), (alice.media, carrier.media)):
        check_heard(listener, speaker)
        if spoke_on(speaker):  # else the proxy spoke in its stead
            packets = listener.heard()
            assert [(p.seq, p.timestamp, p.ssrc) for p in packets] == [
                (p.seq, p.timestamp, p.ssrc) for p in (kept.packet for kept in speaker.sent)
            ], "the streams are the parties' own, packet by packet"
    for track, phone in zip(server.tracks(row), (carrier, alice), strict=True):
        check_placed(track, s, a)
        said = track.copy()
        said[s:a] = 0
        check_track(said, phone.media.said(), spans, tail_slack=80)


async def test_an_automatic_recording_begins_with_it(make_proxy, casts, settings):
    server = make_proxy(settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await api.until(call, is_on)
    await asyncio.sleep(0.5)
    row = await finish(api, pair, call)
    (first, s, a), (second, b, e) = intervals(row)
    assert (first, s, second, e) == ("announcement", 0, "audio", row["recording"]["duration_samples"])
    assert a == b
    for track in server.tracks(row):
        check_placed(track, s, a)
    check_heard(carrier.media, alice.media)
    check_heard(alice.media, carrier.media)
    check_verified(server, row)


async def test_where_a_party_cannot_hear_nothing_opens_until_it_can(make_proxy, casts, settings):
    server = make_proxy(settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await reinvite(pair.caller, pair.callee, "inactive", "inactive")
    s = (await api.toggle(call, "start"))["effective_sample"]
    await asyncio.sleep(SECONDS + 0.8)
    row = await api.get(f"/v1/calls/{call}")
    assert intervals(row) == [("announcement", s, None)]
    assert row["recorded_ms"] == 0
    assert row["recording"]["state"] == "recording"
    heard = len(alice.media.received)
    await reinvite(pair.caller, pair.callee, "sendrecv", "sendrecv")
    await api.until(call, is_on)
    assert len(alice.media.received) > heard
    row = await finish(api, pair, call)
    (_, s, a), (second, b, _) = intervals(row)
    assert (second, a) == ("audio", b)
    for track in server.tracks(row):
        check_placed(track, s, a)
    check_verified(server, row)


async def test_who_hangs_up_before_its_end_is_not_recorded(make_proxy, casts, long_settings):
    server = make_proxy(long_settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.6)
    row = await finish(api, pair, call)
    assert intervals(row) == [("announcement", 0, row["recording"]["duration_samples"])]
    assert row["recorded_ms"] == 0
    for track in server.tracks(row):
        ours = track[track != 0]
        assert len(ours) > 1600
        assert (ours == announcement(LONG_S)[: len(ours)]).all()
    check_verified(server, row)


async def test_kill_9_before_its_end_leaves_nobody_in_the_file(make_proxy, casts, long_settings):
    server = make_proxy(long_settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await until_dead(server, pair, 1.1)
    server.start()
    row = await api.ended(call)
    assert [kind for kind, *_ in intervals(row)] == ["announcement"]
    assert (row["recording"]["result"], row["recorded_ms"]) == ("recovered", 0)
    for track in server.tracks(row):
        ours = track[track != 0]
        assert (ours == announcement(LONG_S)[: len(ours)]).all()
    check_verified(server, row)


async def test_kill_9_after_its_end_keeps_both_kinds(make_proxy, casts, settings):
    server = make_proxy(settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    opened = (await api.until(call, is_on))["recording"]["intervals"][1]["start_sample"]
    await until_dead(server, pair, 1.6)
    server.start()
    row = await api.ended(call)
    (first, s, a), (second, b, _) = intervals(row)
    assert (first, s, a, second, b) == ("announcement", 0, opened, "audio", opened)
    for track in server.tracks(row):
        check_placed(track, s, a)
        assert track[a + 800 : a + 2400].all()
    check_verified(server, row)


async def test_nobody_speaks_and_both_hear_it_all_the_same(make_proxy, casts, settings, capture):
    """Packets of ours alone, in one stream each; tshark finds no gap in them."""
    server = make_proxy(settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.3)
    carrier.media.muted = alice.media.muted = True
    await asyncio.sleep(0.2)
    await api.toggle(call, "start")
    await api.until(call, is_on)
    carrier.media.muted = alice.media.muted = False
    await asyncio.sleep(0.5)
    row = await finish(api, pair, call)
    (_, s, a), _ = intervals(row)
    for listener, speaker, track in (
        (carrier.media, alice.media, server.tracks(row)[1]),
        (alice.media, carrier.media, server.tracks(row)[0]),
    ):
        check_placed(track, s, a)
        packets = listener.heard()
        assert {p.ssrc for p in packets} == {speaker.ssrc}
        steps = {(q.seq - p.seq) & 0xFFFF for p, q in pairwise(packets)}
        assert steps == {1}
        stamps = [(q.timestamp - p.timestamp) & 0xFFFFFFFF for p, q in pairwise(packets)]
        assert min(stamps) >= 80
        assert max(stamps) < 8000
    listing = await read(capture, server, "-q", "-z", "rtp,streams")
    ours = streams_from(listing, server.net.proxy[0])
    assert all(lost == 0 for _, lost in ours), listing


async def test_a_reminder_is_heard_and_kept_by_nobody(make_proxy, casts, settings):
    reminded = settings["recording.announcement"] | {"file": "", "reminder_every_s": 5}
    reminded["reminder"] = settings["recording.announcement"]["file"]
    server = make_proxy({"recording.announcement": reminded})
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(7.0)
    row = await finish(api, pair, call)
    check_heard(carrier.media, alice.media)
    check_heard(alice.media, carrier.media)
    spans = check_row(row)
    assert spans == [(0, row["recording"]["duration_samples"])]
    for track, phone in zip(server.tracks(row), (carrier, alice), strict=True):
        check_track(track, phone.media.said(), spans, head_slack=800)


async def test_a_recording_aware_peer_is_told_and_may_close(make_proxy, casts, settings):
    """RFC 7866: off while it is announced, then on; the carrier's preference closes and never opens."""
    server = make_proxy(settings)
    carrier, alice, api = await cast_of(server, casts)
    pair = await connect(carrier, alice, ON_DEMAND, headers=[("Supported", "record-aware")])
    call = (await api.call_of(pair.caller.call_id))["id"]

    async def is_told(word):
        invite = await pair.caller.expect("INVITE", timeout=6)
        assert f"a=record:{word}" in invite.sdp.splitlines()
        assert media_of(invite.sdp) == carrier.media.remote
        pair.caller.reply(invite, 200, carrier.sdp(version=2))
        await pair.caller.expect("ACK")

    await api.toggle(call, "start")
    await is_told("on")
    assert is_on(await api.get(f"/v1/calls/{call}"))
    await asyncio.sleep(0.3)
    await api.toggle(call, "pause")
    await is_told("paused")
    await api.toggle(call, "resume")
    await is_told("on")
    await asyncio.sleep(0.3)
    for version, wish in enumerate(("off", "on"), 3):
        sdp = carrier.sdp(version=version, extra=(f"a=recordpref:{wish}",))
        pair.caller.reinvite(sdp=sdp)
        offered = await pair.callee.expect("INVITE")
        pair.callee.reply(offered, 200, alice.sdp(version=version))
        pair.caller.ack(await pair.caller.expect(200), speak=False)
        await pair.callee.expect("ACK")
        if wish == "off":
            await is_told("off")
        assert (await api.get(f"/v1/calls/{call}/recording"))["state"] == "inactive"
    row = await finish(api, pair, call)
    assert row["recording"]["intervals"][-1]["ended_by"] == {"means": "sip", "user": None}
    assert [kind for kind, *_ in intervals(row)] == ["announcement", "audio", "audio"]
    check_verified(server, row)
