"""500 SIPp calls at 50 a second, all with RTP and all recorded: none lost, nothing left behind."""

import asyncio
import shutil
from collections import Counter

import numpy as np
import psutil
import pytest

from tests.support.proxy import run_command
from tests.support.recorded import check_row
from tests.support.rtp_oracle import PCMU, offset_of, read_wav
from tests.support.sipp import Sipp
from tests.support.speech import PCMU_FILE

AUTOMATIC = "+15550101"
CALLS, RATE, CALL_MS = 500, 50, 2000
SETTLE_S = 6.0  # ports rest in quarantine before they are closed or used again
RSS_GROWTH_BYTES = 60 << 20


async def batch(folder, server, calls):
    net = server.net
    agent = Sipp(folder, "uas_answer", net.alice, echo=True, calls=calls, at_once=1000, limit_s=60)
    carrier = Sipp(
        folder, "uac_speak", net.carrier, server.sip, service=AUTOMATIC, calls=calls, rate=RATE,
        at_once=1000, limit_s=60, keys={"from_user": "carrier"}, options=("-d", str(CALL_MS)),
    )  # fmt: skip
    async with agent:
        counts = await carrier.run()
        assert counts.successful == calls
        assert (await agent.finish()).successful == calls


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
    return Counter(server.descriptors()), len(server.bound_udp()), process.num_threads()


def check_file(path, row, said):
    frames = read_wav(path)
    assert len(frames) == row["recording"]["duration_samples"]
    for channel in (0, 1):
        track = frames[:, channel]
        offset = offset_of(track, said, (0, len(track)))
        first, last = max(0, offset), np.flatnonzero(track)[-1]
        np.testing.assert_array_equal(track[first:last], said[first - offset : last - offset])
        assert last > len(track) - 1600


@pytest.mark.timeout(180)
async def test_five_hundred_recorded_calls(make_proxy, casts, tmp_path, corpora_path, needs_sipp):
    shutil.copy(corpora_path / PCMU_FILE, tmp_path / "speech.ul")
    said = PCMU.decode((tmp_path / "speech.ul").read_bytes())[: 8000 * 5]
    server = make_proxy()
    api = casts(server).api()
    await batch(tmp_path, server, 20)
    await all_rows(api, 20)
    await asyncio.sleep(SETTLE_S)
    before, memory = holdings(server), server.rss_bytes()

    await batch(tmp_path, server, CALLS)
    rows = await all_rows(api, CALLS + 20)
    assert len({row["id"] for row in rows}) == CALLS + 20
    assert len({row["recording"]["id"] for row in rows}) == CALLS + 20
    for row in rows:
        assert check_row(row) == [(0, row["recording"]["duration_samples"])]
        assert CALL_MS - 100 < row["duration_ms"] < CALL_MS + 1000
        check_file(server.published(row["recording"]["id"]), row, said)
    assert list((server.storage / "live").iterdir()) == []
    verified = run_command("verify", str(server.storage), timeout=60)
    assert verified.returncode == 0, verified.stdout[-2000:]

    await asyncio.sleep(SETTLE_S)
    after = holdings(server)
    assert after[0] - before[0] == Counter(), "descriptors were left open"
    assert after[1] <= before[1], "UDP ports were left open"
    assert after[2] <= before[2] + 2, "threads were left"
    assert server.rss_bytes() - memory < RSS_GROWTH_BYTES
