"""The client keeps its connections, and says what was wrong with an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mediaproxy.loadtest.api import Api, Refused
from mediaproxy.net import Endpoint


class Server:
    """Answers each request with the next of `answers`; b"" closes the connection, and so does their end."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append(head.decode())
                answer = self.answers.pop(0)
                writer.write(answer)
                if not answer or not self.answers:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[tuple[Api, Server]]:
    server = Server(*answers)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    api = Api(Endpoint(*listener.sockets[0].getsockname()), "secret")
    try:
        yield api, server
    finally:
        api.close()
        listener.close()
        await listener.wait_closed()


def ok(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


async def test_one_connection_serves_many_requests() -> None:
    async with serving(ok(b"[1]"), ok(b"[2]"), ok(b"[3]")) as (api, server):
        assert [await api.get("/a"), await api.post("/b"), await api.get("/c")] == [[1], [2], [3]]
        assert server.connections == 1
        assert server.asked[1].startswith("POST /b HTTP/1.1\r\n")
        assert "authorization: bearer secret" in server.asked[0].lower()


async def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    async with serving(ok(b"[1]"), b"", ok(b"[2]")) as (api, server):
        assert await api.get("/") == [1]
        assert await api.get("/") == [2]
        assert server.connections == 2


async def test_chunks_are_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1;x=y\r\n]\r\n0\r\n\r\n"
    async with serving(chunked, ok(b"[2]")) as (api, _):
        assert await api.get("/") == [1]
        assert await api.get("/") == [2]


async def test_a_refusal_tells_status_and_detail() -> None:
    async with serving(ok(b'{"title": "T", "detail": "not yours"}', "403 Forbidden")) as (api, _):
        with pytest.raises(Refused, match="403 not yours") as refused:
            await api.get("/")
        assert refused.value.status == 403


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[", b""]
)
async def test_what_is_no_answer_is_an_error_of_the_connection(answer: bytes) -> None:
    async with serving(answer) as (api, server):
        with pytest.raises(OSError):
            await api.get("/")
        assert server.connections == 1
