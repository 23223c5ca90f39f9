"""A row that was reported stored outlives `kill -9`."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

WRITER = """
import asyncio, sys
from dataclasses import replace
from mediaproxy.calllog.log import CallLog
from tests.support.call_rows import call_row

async def main():
    log = await CallLog.open(sys.argv[1], on_alarm=lambda *_: None)
    for number in range(100_000):
        # Neighbours that nobody waits for must not get in the way.
        log.put_call(replace(call_row(number), id="unawaited"))
        if await log.started(call_row(number)):
            print(call_row(number).id, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_kill_9_loses_no_awaited_row(url: str) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(150)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().split("\n")[:-1]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        stored = {row[0] for row in database.execute("SELECT id FROM calls")}
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(acknowledged) >= 150
    assert set(acknowledged) <= stored
