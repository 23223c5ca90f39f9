"""The proxy gets no turn for a while, as on an overloaded machine: afterwards it is as fast as before."""

import asyncio
import os
import signal

import pytest

from mediaproxy.loadtest import cpu
from mediaproxy.loadtest.traffic import Traffic
from tests.bench.ours import Mediaproxy
from tests.bench.relay import planned_calls

CALLS, STALL_S, TALK_S = 100, 1.5, 11.0


@pytest.mark.timeout(300)
async def test_a_stall_is_over_when_it_is_over(tmp_path, alone):
    """What waited is relayed and recorded, every sample of it, and what comes then costs what it did."""
    proxy, traffic = Mediaproxy(tmp_path / "proxy"), Traffic(tmp_path / "traffic")
    try:
        await proxy.start()
        calls = planned_calls(traffic, CALLS)
        await traffic.start(await proxy.set_up(calls), TALK_S)
        await asyncio.sleep(3.0)
        before = await cores(proxy)
        os.kill(proxy.pid, signal.SIGSTOP)
        await asyncio.sleep(STALL_S)
        os.kill(proxy.pid, signal.SIGCONT)
        await asyncio.sleep(2.0)
        after = await cores(proxy)
        books = await traffic.finish()
        await proxy.tear_down(calls)
        checked = proxy.check(calls, traffic.packets, books.sent_ns[:, 0])
    finally:
        traffic.close()
        await proxy.stop()
    assert books.sound
    assert books.lost == 0
    assert checked.files == CALLS, checked.faults[:3]
    assert after < 1.5 * before, "it has fallen into a slower way of doing things"


async def cores(proxy):
    first = cpu.read(proxy.pid)
    await asyncio.sleep(2.0)
    usage = cpu.between(first, cpu.read(proxy.pid))
    return usage.tree_s / usage.seconds
