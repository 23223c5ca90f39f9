"""A thousand recordings in the spool: calls are served at once, and the recordings repaired beside them."""

import asyncio
import time

from tests.support.crashed import PROMISED, STARTED, STOPPED, leave_rows, leave_spool
from tests.support.proxy import Json, ProxyProcess
from tests.support.recorded import check_finished
from tests.support.recordings import RATE
from tests.support.softphone import connect

LEFT = 1_000
SERVING_S = 2.0
REPAIRED_S = 120.0  # on a machine that does much else


def started_s(server: ProxyProcess) -> float:
    began = time.monotonic()
    server.start()
    return time.monotonic() - began


async def test_a_thousand_recordings_keep_nobody_waiting(make_proxy, casts, alone):
    """The machine's own pace is taken from a start with an empty spool."""
    server = make_proxy(start=False)
    server.folder.mkdir(exist_ok=True)
    empty_s = min(started_s(server), _again(server))
    server.stop()
    await leave_rows(server.folder / "db.sqlite", leave_spool(server.storage, LEFT))
    full_s = started_s(server)
    print(f"\nready after {empty_s:.2f} s with an empty spool, {full_s:.2f} s with {LEFT} recordings")
    assert full_s <= max(SERVING_S, 2 * empty_s)
    await check_a_call_meanwhile(server, casts(server))
    await check_repaired(server)


def _again(server: ProxyProcess) -> float:
    server.stop()
    return started_s(server)


async def check_a_call_meanwhile(server: ProxyProcess, cast: object) -> None:
    """While they are repaired a new call is recorded, and nobody sees the old ones live."""
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    assert (await api.get("/v1/calls", state="live"))["calls"] == []
    pair = await connect(carrier, alice, "+15550101")
    await asyncio.sleep(0.5)
    await pair.hang_up()
    row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
    check_finished(server, row)
    before = (await api.get("/v1/calls", limit=2))["calls"][1]
    assert (before["state"], before["disposition"]) == ("ended", "interrupted")


async def check_repaired(server: ProxyProcess) -> None:
    api = server.api()
    until = time.monotonic() + REPAIRED_S
    while await pending(api):
        assert time.monotonic() < until
        await asyncio.sleep(0.5)
    rows = [row for row in await all_rows(api) if row["disposition"] == "interrupted"]
    assert len(rows) == LEFT
    for row in rows:
        recording = row["recording"]
        assert recording["result"] == "recovered", row
        assert row["duration_ms"] == 9_000
        (span,) = recording["intervals"]
        assert (span["start_sample"], span["end_sample"]) in {(STARTED, STOPPED), (STARTED, PROMISED)}
        assert len(server.tracks(row)[0]) == 9 * RATE
    assert list((server.storage / "live").iterdir()) == []
    await api.close()


async def pending(api: object) -> int:
    text = (await api.client.get("/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith("mediaproxy_recovery_pending ")]
    return int(float(line.split()[1]))


async def all_rows(api: object) -> list[Json]:
    rows: list[Json] = []
    cursor: dict[str, str] = {}
    while True:
        page = await api.get("/v1/calls", limit=500, **cursor)
        rows += page["calls"]
        if page["next_cursor"] is None:
            return rows
        cursor = {"cursor": page["next_cursor"]}
