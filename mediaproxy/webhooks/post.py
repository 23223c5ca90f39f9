"""One POST over a connection of its own: no redirect is followed, and of the answer only the head is read.

Whom we talk to is judged by the address that is connected to, not by a name that may mean another one a
moment later.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import h11

from mediaproxy.webhooks.addresses import is_public

TIMEOUT_S: Final = 10.0  # for all of it
MAX_HEAD_BYTES: Final = 16_384
CHUNK_BYTES: Final = 4_096
PORTS: Final = {"http": 80, "https": 443}

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a webhook's messages go."""

    scheme: str
    host: str
    port: int
    target: str
    allow_private: bool = False

    @property
    def origin(self) -> str:
        """What may be shown: path and query can hold a password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")


class Failed(Exception):
    """It was not delivered; the text is fixed, and holds nothing of the peer's."""


def parse_url(text: str, *, allow_private: bool = False) -> Place:
    """Raises ValueError with a remedy."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError('not a URL; write "https://HOST/PATH"') from None
    if parts.scheme not in PORTS or not parts.hostname or not text.isascii() or not text.isprintable():
        raise ValueError('not a URL; write "https://HOST/PATH"')
    if parts.username is not None or parts.password is not None or parts.fragment or " " in text:
        raise ValueError("a URL with a user or a fragment; leave them out")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, parts.hostname, port or PORTS[parts.scheme], target, allow_private)


class Poster:
    """`resolver` looks names up: it may hang, so it is nobody else's."""

    def __init__(self, resolver: Executor, *, timeout_s: float = TIMEOUT_S) -> None:
        self._resolver = resolver
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()

    async def post(self, place: Place, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        """The status of the answer. Raises `Failed`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(place, headers, body)
        except TimeoutError:
            raise Failed("no answer in time") from None
        except ssl.SSLError:
            raise Failed("TLS failed") from None
        except OSError:
            raise Failed("the connection failed") from None
        except h11.RemoteProtocolError:
            raise Failed("the answer is no HTTP") from None

    async def _post(self, place: Place, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        reader, writer = await self._connect(place)
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
            own = [
                ("Host", place.origin.partition("://")[2]),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                ("User-Agent", "mediaproxy"),
                ("Connection", "close"),
            ]
            request = h11.Request(method="POST", target=place.target, headers=[*own, *headers])
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            return await _status(connection, reader)
        finally:
            writer.transport.abort()  # what else it says nobody reads

    async def _connect(self, place: Place) -> Streams:
        addresses = await self._addresses(place)
        allowed = [each for each in addresses if place.allow_private or is_public(each)]
        if not allowed:
            raise Failed("the address is private" if addresses else "the name is unknown")
        for address in allowed[:-1]:
            try:
                return _judged(place, await self._open(place, address))
            except OSError:
                continue
        return _judged(place, await self._open(place, allowed[-1]))

    async def _open(self, place: Place, address: str) -> Streams:
        if place.scheme == "http":
            return await asyncio.open_connection(address, place.port)
        return await asyncio.open_connection(address, place.port, ssl=self._tls, server_hostname=place.host)

    async def _addresses(self, place: Place) -> list[str]:
        try:
            return [str(ip_address(place.host))]
        except ValueError:
            pass
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolver, _look_up, place.host, place.port)
        except socket.gaierror:
            return []
        return list(dict.fromkeys(found))


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _judged(place: Place, streams: Streams) -> Streams:
    """The last look, at who is there."""
    peer = streams[1].get_extra_info("peername")
    if place.allow_private or (peer is not None and is_public(peer[0])):
        return streams
    streams[1].transport.abort()
    raise Failed("the address is private")


async def _status(connection: h11.Connection, reader: asyncio.StreamReader) -> int:
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            return event.status_code
        if event is h11.NEED_DATA:
            data = await reader.read(CHUNK_BYTES)
            if not data:
                raise Failed("the connection was closed without an answer")
            connection.receive_data(data)
