"""A file as a reply: whole or one range of it, read off the loop (RFC 9110 13 and 14)."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from os import stat_result
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mediaproxy.api import problems
from mediaproxy.api.problems import Problem
from mediaproxy.api.ranges import Span, Unsatisfiable, matches, parse_range

CHUNK_BYTES = 65_536
UNREADABLE = "the file lies there and cannot be read now"

PRIVATE_FILE: Mapping[str, str] = {"Cache-Control": "private, no-cache"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that never changes; `etag` is quoted and names its bytes. `name` is for who saves it."""

    path: Path
    etag: str
    media_type: str
    name: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Files:
    """Reads with `executor`; a file that is not there is the problem `file_gone`, one that cannot be read
    `storage_unavailable`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def reply(self, request: Request, file: SentFile) -> Response:
        headers = {
            **PRIVATE_FILE,
            **file.headers,
            "ETag": file.etag,
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'inline; filename="{file.name}"',
        }
        if matches(request.headers.get("if-none-match"), file.etag):
            return Response(status_code=304, headers=headers)
        size = await self._off_loop(_found(_readable_bytes), file.path)
        span = _asked_span(request, file.etag, size)
        status, part = (200, Span(0, size)) if span is None else (206, span)
        if span is not None:
            headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
        headers["Content-Length"] = str(part.length)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=file.media_type)
        return StreamingResponse(self._chunks(file.path, part), status, headers, media_type=file.media_type)

    async def stat(self, path: Path) -> stat_result:
        return await self._off_loop(_found(Path.stat), path)

    async def read(self, path: Path) -> bytes:
        return await self._off_loop(_found(Path.read_bytes), path)

    async def _chunks(self, path: Path, span: Span) -> AsyncIterator[bytes]:
        """A published file never changes, so its size and its bytes may be read one after the other."""
        file = await self._off_loop(_open, path)
        try:
            await self._off_loop(file.seek, span.start)
            left = span.length
            while left and (chunk := await self._off_loop(file.read, min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk
        finally:
            file.close()

    async def _off_loop(self, act: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, act, *arguments)


def _asked_span(request: Request, etag: str, size: int) -> Span | None:
    """Ranges are for GET alone, and of the very file that If-Range names (RFC 9110 13.1.5, 14.2)."""
    if request.method != "GET" or request.headers.get("if-range", etag) != etag:
        return None
    try:
        return parse_range(request.headers.get("range"), size)
    except Unsatisfiable:
        raise Problem(problems.UNSATISFIABLE, headers={"Content-Range": f"bytes */{size}"}) from None


def _found(read: Callable[[Path], T]) -> Callable[[Path], T]:
    def read_found(path: Path) -> T:
        try:
            return read(path)
        except FileNotFoundError:
            raise Problem(problems.FILE_GONE) from None
        except OSError as error:
            raise Problem(problems.STORAGE_UNAVAILABLE, UNREADABLE) from error

    return read_found


def _readable_bytes(path: Path) -> int:
    """Opened once before anything is answered: what is refused later can only break the reply off."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
