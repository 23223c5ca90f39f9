"""500 SIPp calls at 50 a second, all with RTP and all recorded: none lost, nothing left behind."""

import asyncio
import json
import shutil
from collections import Counter

import numpy as np
import psutil
import pytest

from tests.support.proxy import run_command
from tests.support.recorded import check_row
from tests.support.rtp_oracle import (
    CERTAIN_RUN,
    PCMU,
    PTIME_SAMPLES,
    RATE_HZ,
    expected_track,
    offset_of,
    read_wav,
)
from tests.support.sipp import Sipp
from tests.support.speech import PCMU_FILE

AUTOMATIC = "+15550101"
CALLS, RATE, CALL_MS = 500, 50, 1500
SPOKEN = CALL_MS * RATE_HZ // 1000  # samples; SIPp falls silent then, whenever its BYE comes
TAIL = RATE_HZ // 4
SETTLE_S = 6.0  # ports rest in quarantine before they are closed or used again
RSS_GROWTH_BYTES = 60 << 20
DATABASE, DATABASE_POOL = "db.sqlite", 8  # descriptors that a pool may hold on to


async def batch(folder, server, calls):
    net = server.net
    agent = Sipp(folder, "uas_answer_at_once", net.alice, echo=True, calls=calls, at_once=1000, limit_s=60)
    carrier = Sipp(
        folder, "uac_speak", net.carrier, server.sip, service=AUTOMATIC, calls=calls, rate=RATE,
        at_once=1000, limit_s=60, keys={"from_user": "carrier"}, options=("-d", str(CALL_MS)),
    )  # fmt: skip
    async with agent:
        counts = await carrier.run()
        assert counts.successful == calls
        assert (await agent.finish()).successful == calls
    return counts.mean_call_ms


async def all_rows(api, expected):
    """Every row of the log once all are published."""
    for _ in range(100):
        rows, cursor = [], None
        while True:
            page = await api.get("/v1/calls", limit=500, **({"cursor": cursor} if cursor else {}))
            rows += page["calls"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        results = Counter((row["state"], (row["recording"] or {}).get("result")) for row in rows)
        if results == {("ended", "complete"): expected}:
            return rows
        await asyncio.sleep(0.1)
    raise AssertionError(f"{results}")


def holdings(server):
    process = psutil.Process(server.pid)
    descriptors = Counter(d for d in server.descriptors() if DATABASE not in d)
    connections = sum(DATABASE in d for d in server.descriptors())
    return descriptors, connections, len(server.bound_udp()), process.num_threads()


def check_file(path, row, said):
    """As long as the call; each channel the speech at one offset, except at re-anchors that are counted, and
    zeros where SIPp lost packets, which are counted too. (How an end is cut that comes amid late packets is
    for those who know when each was sent.)

    SIPp that was not woken in time sends a burst later; when that runs ahead, the offset moves. All its
    echoes share a socket, which overflows when it is not woken for long.
    """
    frames = read_wav(path)
    assert len(frames) == row["recording"]["duration_samples"]
    streams = json.loads(path.with_suffix(".json").read_text())["streams"]
    for channel, leg in ((0, "A"), (1, "B")):
        counted = sum(s["reanchors"] for s in streams if s["leg"] == leg)
        lost = sum(s["lost"] for s in streams if s["leg"] == leg)
        pieces, missing = pieces_of(frames[:-TAIL, channel], said)
        assert pieces <= 1 + counted, streams
        assert missing <= PTIME_SAMPLES * lost, streams
        assert np.flatnonzero(frames[:, channel])[-1] > min(len(frames), SPOKEN) - 1600


def pieces_of(track, said):
    """How many stretches of one constant offset make up a track, from its first sample to its last; and how
    many samples of what was said lie between them, apart from where the offset moved back: there the earlier
    stretch keeps its place."""
    sounding = np.flatnonzero(track)
    at, last, count, missing = sounding[0], sounding[-1], 0, 0
    offset, heard = None, 0  # `heard`: up to where of `said`
    while last - at > PTIME_SAMPLES:  # in less than a packet nothing is certain
        before, offset = offset, offset_of(track, said, (at, len(track)))
        if before is not None:
            missing += max(0, np.count_nonzero(said[heard : at - offset]) - max(0, before - offset))
        want = expected_track(said, offset, len(track))
        wrong = np.flatnonzero(track[at:last] != want[at:last])
        if len(wrong) and wrong[0] < CERTAIN_RUN:
            return len(track), missing  # what was never said
        count += offset != before
        at = at + wrong[0] if len(wrong) else last
        heard = at - offset
        at += np.argmax(track[at : last + 1] != 0)
    return count, missing


@pytest.mark.timeout(300)
async def test_five_hundred_recorded_calls(make_proxy, casts, tmp_path, corpora_path, needs_sipp, alone):
    shutil.copy(corpora_path / PCMU_FILE, tmp_path / "speech.ul")
    said = PCMU.decode((tmp_path / "speech.ul").read_bytes())[: RATE_HZ * 60]
    server = make_proxy()
    api = casts(server).api()
    await batch(tmp_path, server, 20)
    await all_rows(api, 20)
    await asyncio.sleep(SETTLE_S)
    before, memory = holdings(server), server.rss_bytes()

    sipp_mean_ms = await batch(tmp_path, server, CALLS)
    rows = await all_rows(api, CALLS + 20)
    assert len({row["id"] for row in rows}) == CALLS + 20
    assert len({row["recording"]["id"] for row in rows}) == CALLS + 20
    for row in rows:
        assert check_row(row) == [(0, row["recording"]["duration_samples"])]
        assert row["duration_ms"] > CALL_MS - 100
        check_file(server.published(row["recording"]["id"]), row, said)
    # A BYE may be late, on a busy machine; SIPp says how long its calls were from INVITE to 200.
    assert np.mean([row["duration_ms"] for row in rows[:CALLS]]) < sipp_mean_ms + 20
    assert list((server.storage / "live").iterdir()) == []
    verified = run_command("verify", str(server.storage), timeout=60)
    assert verified.returncode == 0, verified.stdout[-2000:]

    await asyncio.sleep(SETTLE_S)
    after = holdings(server)
    assert after[0] - before[0] == Counter(), "descriptors were left open"
    assert after[1] <= before[1] + DATABASE_POOL, "connections to the log pile up"
    assert after[2] <= before[2], "UDP ports were left open"
    assert after[3] <= before[3] + 2 + DATABASE_POOL, "threads were left"
    assert server.rss_bytes() - memory < RSS_GROWTH_BYTES
