"""The HTTP interface as a script would use it, and free ports to put one's own things on.

Connections are kept and used again, so that what is measured is the answer and not the greeting.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from mediaproxy.net import Endpoint

TIMEOUT_S = 5.0
_AUDIO_TIMEOUT_S = 60.0
_OK = 300


class Refused(OSError):
    """The API answered, but not with what was asked for."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status} {detail}".strip())
        self.status = status


class Api:
    """`OSError` when there is no answer (`TimeoutError` among them), `Refused` when the answer is no."""

    def __init__(self, base: str | Endpoint, token: str) -> None:
        url = urlsplit(base if isinstance(base, str) else f"http://{base}")
        self._host, self._tls = url.hostname or "", url.scheme == "https"
        self._port = url.port or (443 if self._tls else 80)
        self._path = url.path.rstrip("/")
        self._head = f"Host: {url.netloc}\r\nAuthorization: Bearer {token}\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str) -> Any:
        return json.loads(await self._ask("GET", path, TIMEOUT_S))

    async def post(self, path: str) -> Any:
        return json.loads(await self._ask("POST", path, TIMEOUT_S))

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", path, TIMEOUT_S)

    async def download(self, path: str) -> bytes:
        return await self._ask("GET", path, _AUDIO_TIMEOUT_S)

    def close(self) -> None:
        """Part with the connections; a later request makes new ones."""
        while self._idle:
            self._idle.pop()[1].close()

    async def _ask(self, method: str, path: str, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await self._ask_until_answered(method, path)
        except TimeoutError:
            raise TimeoutError(f"no answer from the API within {seconds:.0f} s") from None

    async def _ask_until_answered(self, method: str, path: str) -> bytes:
        """A kept connection may have been closed meanwhile: what it did not take is asked on a new one."""
        while self._idle:
            kept = self._idle.pop()
            try:
                return await self._exchange(*kept, method, path)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise OSError("the API broke off its answer") from error
        try:
            fresh = await asyncio.open_connection(self._host, self._port, ssl=self._tls or None)
            return await self._exchange(*fresh, method, path)
        except asyncio.IncompleteReadError as error:
            raise OSError("the API broke off its answer") from error

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, path: str
    ) -> bytes:
        try:
            writer.write(
                f"{method} {self._path}{path} HTTP/1.1\r\n{self._head}Content-Length: 0\r\n\r\n".encode()
            )
            status, header, body = await _answer(reader)
        except BaseException:
            writer.close()
            raise
        if header("connection").lower() == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        if status >= _OK:
            raise Refused(status, _detail(body))
        return body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Callable[[str], str], bytes]:
    """Status, header fields and body of one response (RFC 9112)."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
    except (asyncio.LimitOverrunError, ValueError, IndexError):
        raise OSError("what answers does not speak HTTP") from None
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head)
    }
    if fields.get("transfer-encoding", "").lower() == "chunked":
        return status, lambda name: fields.get(name, ""), await _chunks(reader)
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    return status, lambda name: fields.get(name, ""), body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return body


def _detail(body: bytes) -> str:
    """What a problem says of itself (RFC 9457)."""
    try:
        told = json.loads(body)
        return str(told.get("detail") or told.get("title") or "")
    except (ValueError, AttributeError):
        return ""


def free_endpoint(host: str, kind: socket.SocketKind) -> Endpoint:
    """A port of `host` that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return Endpoint(*probe.getsockname())
