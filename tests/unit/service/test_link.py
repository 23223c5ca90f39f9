"""What goes between a proxy and its workers arrives whole, in order, or the link is given up."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.errors import Malformed, Misuse
from mediaproxy.service import link as link_module
from mediaproxy.service.link import Frames, Link, frame, unframed

CHUNK = 1 << 16


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(1, 400)))
def test_any_split_gives_the_same_messages(contents: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(frame(each) for each in contents)
    frames, found = Frames(), []
    for size in [*sizes, len(stream) + 1]:
        chunk, stream = stream[:size], stream[size:]
        found += [unframed(each) for each in frames.receive(chunk)]
    assert found == contents


def test_what_is_too_long_is_neither_sent_nor_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = frame(bytes(100))
    monkeypatch.setattr(link_module, "MAX_BYTES", 50)
    with pytest.raises(Misuse):
        frame(bytes(100))
    with pytest.raises(Malformed):
        Frames().receive(sent)


class End:
    """One end of a link, and what it was told."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.lost = asyncio.Event()
        self.link = Link(self.receive, self.lost.set)

    def receive(self, message: Any) -> None:
        if message == "fail":
            raise ValueError(message)
        self.heard.append(message)


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[End, End]]:
    ends = End(), End()
    loop = asyncio.get_running_loop()
    for end, sock in zip(ends, socket.socketpair(), strict=True):
        await loop.create_unix_connection(lambda end=end: end.link, sock=sock)
    yield ends
    for end in ends:
        end.link.close()
    for end in ends:
        await end.lost.wait()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_messages_arrive_in_their_order_whatever_one_of_them_does() -> None:
    async with linked() as (one, two):
        for message in (1, "fail", 2, bytes(5 * CHUNK), 3):
            one.link.send(message)
        two.link.send("back")
        await until(lambda: len(two.heard) == 4 and one.heard)
        assert two.heard == [1, 2, bytes(5 * CHUNK), 3]
        assert (one.heard, two.link.received) == (["back"], 5)


async def test_the_other_end_is_told_when_one_is_gone() -> None:
    async with linked() as (one, two):
        one.link.send("last")
        one.link.close()
        one.link.send("too late")
        await two.lost.wait()
        assert two.heard == ["last"]


async def test_a_far_end_that_does_not_read_costs_no_more_than_so_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "MAX_WAITING_BYTES", 4 * CHUNK)
    async with linked() as (one, two):
        for _ in range(100):  # the loop has no turn, so the far end does not read
            one.link.send(bytes(CHUNK))
        await one.lost.wait()
        await two.lost.wait()
        assert len(two.heard) < 50
