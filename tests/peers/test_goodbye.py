"""A server that leaves takes its leave of everybody."""

import asyncio
import signal

from tests.support.softphone import connect

AUTOMATIC = "+15550101"


async def test_a_bye_that_nobody_answered_is_repeated_before_we_leave(make_proxy, casts):
    server = make_proxy({"sip.drain_timeout_s": 0.2})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    pair = await connect(carrier, alice, AUTOMATIC, speak=False)
    server.signal(signal.SIGTERM)
    bye = await pair.caller.expect("BYE")
    await pair.callee.hung_up()
    await asyncio.sleep(0.8)
    assert pair.caller.retransmissions >= 1
    pair.caller.reply(bye, 200)
    assert await asyncio.to_thread(server.wait, 5) == 0
