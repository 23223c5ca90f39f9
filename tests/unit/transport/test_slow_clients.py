"""Who connects and says nothing, or too slowly, or does not listen, is let go; and nobody takes every place.

Time is the test's own: the connections are swept when it says so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import MagicMock

import pytest

from mediaproxy.clock import NS_PER_S
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.outputs import Transmit
from mediaproxy.transport import connections
from mediaproxy.transport.connections import FIRST_S, IDLE_S, PARTIAL_S, STALL_S, Connections
from mediaproxy.transport.counters import TransportCounters
from tests.unit.transport.nodes import LOCAL, LOCAL6, until

WHOLE = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"
HALF = WHOLE[:30]


class World:
    """Connections under a clock that stands until it is moved."""

    def __init__(self, most_per_source: int = 100) -> None:
        self.now_ns = NS_PER_S
        self.counters = TransportCounters()
        self.receiver = MagicMock()
        self.of = Connections(
            self.receiver, self.counters, most_per_source=most_per_source, clock_ns=lambda: self.now_ns
        )
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> asyncio.StreamWriter:
        before = len(self.of)
        _, writer = await asyncio.open_connection(*self.at)
        self.writers.append(writer)
        await until(lambda: len(self.of) == before + 1)
        return writer

    async def say(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Until it was heard."""
        heard: list[Any] = []
        connection = self.connection()
        receive = connection._framer.receive
        connection._framer.receive = lambda more: (heard.append(more), receive(more))[1]  # type: ignore[method-assign]
        writer.write(data)
        await until(lambda: b"".join(heard) == data)
        connection._framer.receive = receive  # type: ignore[method-assign]

    def connection(self) -> Any:
        return list(self.of._by_ident.values())[-1]

    def pass_s(self, seconds: float) -> int:
        """How many are left when so much time has passed."""
        self.now_ns += round(seconds * NS_PER_S)
        self.of._sweeper.cancel()
        self.of._sweep()
        return sum(not connection._transport.is_closing() for connection in self.of._by_ident.values())


@asynccontextmanager
async def world(local: Endpoint = LOCAL, **options: int) -> AsyncIterator[World]:
    made = World(**options)
    made.at = await made.of.listen("tcp", local)  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        for writer in made.writers:
            writer.close()
        await made.of.close()


async def test_who_says_nothing_at_all() -> None:
    async with world() as w:
        await w.connect()
        assert w.pass_s(FIRST_S - 1) == 1
        assert w.pass_s(2) == 0
        assert w.counters.idle_closed == 1


@pytest.mark.parametrize("sign", [WHOLE, b"\r\n\r\n", b"\r\n"])
async def test_a_message_or_a_keep_alive_is_a_sign_of_life(sign: bytes) -> None:
    async with world() as w:
        await w.say(await w.connect(), sign)
        assert w.pass_s(FIRST_S + 1) == 1
        assert w.pass_s(IDLE_S) == 0


@pytest.mark.parametrize("before", [b"", WHOLE, b"\r\n\r\n"])
async def test_a_message_that_comes_byte_by_byte_began_once(before: bytes) -> None:
    async with world() as w:
        writer = await w.connect()
        await w.say(writer, before + HALF)
        for _ in range(8):
            assert w.pass_s(PARTIAL_S / 8) == 1
            await w.say(writer, b"x")
        assert w.pass_s(1) == 0
        assert w.counters.idle_closed == 1


async def test_each_message_has_its_own_time() -> None:
    async with world() as w:
        writer = await w.connect()
        await w.say(writer, HALF)
        for _ in range(8):
            assert w.pass_s(PARTIAL_S - 1) == 1
            await w.say(writer, WHOLE[30:] + HALF)
        assert w.receiver.message_arrived.call_count == 8
        assert w.pass_s(PARTIAL_S + 1) == 0


async def test_whom_we_connected_to_owes_us_nothing() -> None:
    async with world() as w:
        heard: list[bytes] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(100))
            w.writers.append(writer)

        server = await asyncio.start_server(hear, *LOCAL)
        there = Endpoint(*server.sockets[0].getsockname()[:2])
        w.of.send(Transmit(Flow("tcp", LOCAL, there), WHOLE))
        await until(lambda: heard == [WHOLE])
        assert w.pass_s(FIRST_S + 1) == 1
        server.close()


async def test_who_does_not_read() -> None:
    async with world() as w:
        await w.say(await w.connect(), WHOLE)
        connection = w.connection()
        while connection.stalled_ns is None:
            assert connection.write(b"x" * 60_000)
        assert w.pass_s(STALL_S - 1) == 1
        assert w.pass_s(2) == 0
        assert w.counters.slow_closed == 1


async def test_who_reads_again_may_stay() -> None:
    async with world() as w:
        reader, writer = await asyncio.open_connection(*w.at)  # type: ignore[attr-defined]
        w.writers.append(writer)
        await until(lambda: len(w.of) == 1)
        await w.say(writer, WHOLE)
        connection, sent = w.connection(), 0
        while connection.stalled_ns is None:
            assert connection.write(b"x" * 60_000)
            sent += 60_000
        await reader.readexactly(sent)
        await until(lambda: connection.stalled_ns is None)
        assert w.pass_s(STALL_S + 1) == 1


@pytest.mark.parametrize("local", [LOCAL, LOCAL6])
async def test_one_source_has_so_many_places(local: Endpoint) -> None:
    async with world(local, most_per_source=2) as w:
        first = await w.connect()
        await w.connect()
        reader, third = await asyncio.open_connection(*w.at)  # type: ignore[attr-defined]
        w.writers.append(third)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        assert (w.counters.connections_refused, len(w.of)) == (1, 2)
        first.close()
        await until(lambda: len(w.of) == 1)
        await w.connect()
        assert len(w.of) == 2


async def test_places_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_SIP_CONNECTIONS", 3)
    async with world() as w:
        for _ in range(5):
            (await w.connect()).close()
            await until(lambda: len(w.of) == 0)
        assert not w.of._accepted_from
