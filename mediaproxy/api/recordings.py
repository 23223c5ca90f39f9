"""`/v1/recordings`: the object, its audio, its manifest. Files are read off the loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, TypeVar

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mediaproxy.api import problems
from mediaproxy.api.access import caller_of, is_id, may_see
from mediaproxy.api.backend import Backend, Published
from mediaproxy.api.problems import Problem
from mediaproxy.api.ranges import Span, Unsatisfiable, matches, parse_range
from mediaproxy.api.replies import json_response
from mediaproxy.api.shapes import RecordingJson, recording_json
from mediaproxy.calllog.rows import RecordingRow

CHUNK_BYTES = 65_536

AUDIO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/wav": {}}},
    206: {"content": {"audio/wav": {}}, "description": "the range asked for"},
    304: {"description": "the client has it"},
    416: {"description": "there are no such bytes"},
}

T = TypeVar("T")


class RecordingRoutes:
    """Recordings of the calls that the caller may see."""

    def __init__(self, backend: Backend, files: Executor) -> None:
        self._backend = backend
        self._files = files

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/v1/recordings/{id}", self.get_recording, response_model=RecordingJson)
        for method in ("GET", "HEAD"):
            router.add_api_route(
                "/v1/recordings/{id}/audio",
                self.get_audio,
                methods=[method],
                operation_id=f"{method.lower()}_audio",
                response_class=Response,
                responses=AUDIO,
            )
        router.add_api_route("/v1/recordings/{id}/manifest", self.get_manifest)

    async def get_recording(self, request: Request, id: str) -> Response:
        return json_response(recording_json(await self._seen(request, id)))

    async def get_audio(
        self, request: Request, id: str, format: Annotated[Literal["wav"], Query()] = "wav"
    ) -> Response:
        """The whole file or one range of it, as long as the call to the sample."""
        row = await self._seen(request, id)
        path = self._published(row).audio
        etag = f'"{row.sha256}"'
        headers = {
            "ETag": etag,
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": f'inline; filename="{row.id}.wav"',
        }
        if matches(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        size = await self._off_loop(_size, path)
        span = _asked_span(request, etag, size)
        status, part = (200, Span(0, size)) if span is None else (206, span)
        if span is not None:
            headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
        headers["Content-Length"] = str(part.length)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type="audio/wav")
        return StreamingResponse(self._chunks(path, part), status, headers, media_type="audio/wav")

    async def get_manifest(self, request: Request, id: str) -> Response:
        """What the recording claims, signed: `mediaproxy verify` holds the file against it."""
        path = self._published(await self._seen(request, id)).manifest
        text = await self._off_loop(_read, path)
        return Response(text, 200, {"Cache-Control": "private, no-cache"}, media_type="application/json")

    async def _seen(self, request: Request, id: str) -> RecordingRow:
        logged = await self._backend.call_of_recording(id) if is_id(id) else None
        if logged is None or logged.recording is None:
            raise Problem(problems.NO_SUCH_RECORDING)
        if not may_see(caller_of(request), logged.call):
            raise Problem(problems.NOT_YOURS)
        return logged.recording

    def _published(self, row: RecordingRow) -> Published:
        if row.result is None:
            raise Problem(problems.STILL_LIVE)
        published = self._backend.published(row)
        if published is None:
            raise Problem(problems.NOTHING_KEPT)
        return published

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
        return await asyncio.get_running_loop().run_in_executor(self._files, act, *arguments)


def _asked_span(request: Request, etag: str, size: int) -> Span | None:
    """Ranges are for GET alone, and of the very file that If-Range names (RFC 9110 13.1.5, 14.2)."""
    if request.method != "GET" or request.headers.get("if-range", etag) != etag:
        return None
    try:
        return parse_range(request.headers.get("range"), size)
    except Unsatisfiable:
        raise Problem(problems.UNSATISFIABLE, headers={"Content-Range": f"bytes */{size}"}) from None


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        raise Problem(problems.FILE_GONE) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Problem(problems.FILE_GONE) from None
