"""A webhook's receiver: a real HTTP server on loopback that answers as it is told to, or does not."""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HANGS, HANGS_UP = b"hangs", b"hangs up"


@dataclass
class Receiver:
    """`say` is what the next request is answered by its number, from 0."""

    say: Callable[[int], bytes] = lambda _: OK
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)  # ids answered 2xx, in order
    port: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            answer = self.say(len(self.requests))
            self.requests.append((line, headers, body))
            self.news.set()
            if answer == HANGS:
                await reader.read()
            elif answer != HANGS_UP:
                if answer.startswith(b"HTTP/1.1 2"):
                    self.taken.append(headers["webhook-id"])
                writer.write(answer)
                await writer.drain()
                self.news.set()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def is_signed(key: bytes, headers: dict[str, str], body: bytes) -> bool:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = b64encode(hmac.digest(key, signed, sha256)).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


@asynccontextmanager
async def receiver(say: Callable[[int], bytes] = lambda _: OK) -> AsyncIterator[Receiver]:
    made = Receiver(say)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
