"""`/v1/recordings`: the object, its audio, its manifest."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api import problems
from mediaproxy.api.access import caller_of, is_id, may_see
from mediaproxy.api.backend import Backend, Published, RenditionFormat, Renditions
from mediaproxy.api.files import PRIVATE_FILE, Files, SentFile
from mediaproxy.api.problems import Problem
from mediaproxy.api.replies import json_response
from mediaproxy.api.shapes import RecordingJson, recording_json
from mediaproxy.calllog.rows import LoggedCall, RecordingRow
from mediaproxy.errors import Unavailable

MEDIA_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mono": "audio/wav",
    "opus": "audio/ogg",
    "mp3": "audio/mpeg",
}
MASTER_HASH = "Master-SHA256"
_SHA256 = re.compile(r"[0-9a-f]{64}")

AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {media_type: {} for media_type in MEDIA_TYPES.values()},
        "headers": {MASTER_HASH: {"description": "of the WAV or FLAC, in hex", "schema": {"type": "string"}}},
    },
    206: {
        "content": {media_type: {} for media_type in MEDIA_TYPES.values()},
        "description": "the range asked for",
    },
    304: {"description": "the client has it"},
    416: {"description": "there are no such bytes"},
    503: {"description": "the log cannot be read, or this format could not be made; the detail says why"},
}


class RecordingRoutes:
    """Recordings of the calls that the caller may see."""

    def __init__(self, backend: Backend, files: Files, renditions: Renditions) -> None:
        self._backend = backend
        self._files = files
        self._renditions = renditions

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
        return json_response(recording_json((await self.seen(request, id))[1]))

    async def get_audio(
        self, request: Request, id: str, format: Annotated[RenditionFormat | None, Query()] = None
    ) -> Response:
        """The master, as long as the call to the sample: a WAV or a FLAC. With `format` a rendition of it
        where that is another one, made when first asked for: that reply may take a while. `wav` and `flac`
        hold the same samples, `mono` is a WAV of both channels mixed."""
        row = (await self.seen(request, id))[1]
        published = self.published(row)
        row = await self._as_of_now(row, published)
        if format is None or format == _form(published):
            return await self._files.reply(request, _master(row, published))
        return await self._files.reply(request, await self._rendition(row, published, format))

    async def get_manifest(self, request: Request, id: str) -> Response:
        """What the recording claims, signed: `mediaproxy verify` holds the file against it."""
        path = self.published((await self.seen(request, id))[1]).manifest
        text = await self._files.read(path)
        return Response(text, 200, PRIVATE_FILE, media_type="application/json")

    async def seen(self, request: Request, id: str) -> tuple[LoggedCall, RecordingRow]:
        """The recording and its call, if the caller may see them."""
        logged = await self._backend.call_of_recording(id) if is_id(id) else None
        if logged is None or logged.recording is None:
            raise Problem(problems.NO_SUCH_RECORDING)
        if not may_see(caller_of(request), logged.call):
            raise Problem(problems.NOT_YOURS)
        return logged, logged.recording

    def published(self, row: RecordingRow) -> Published:
        if row.result is None:
            raise Problem(problems.STILL_LIVE)
        published = self._backend.published(row)
        if published is None:
            raise Problem(problems.NOTHING_KEPT)
        return published

    async def _as_of_now(self, row: RecordingRow, published: Published) -> RecordingRow:
        """A command beside us may have redacted it since the row was written: the manifest knows."""
        with suppress(Problem):  # without it the row is all there is
            sha256 = _master_sha256(await self._files.read(published.manifest))
            return row if sha256 is None else replace(row, sha256=sha256)
        return row

    async def _rendition(self, row: RecordingRow, published: Published, form: RenditionFormat) -> SentFile:
        """Made anew by another encoder it has other bytes, hence its time in the ETag."""
        await self._files.stat(published.audio)  # no rendition outlives its master
        try:
            path = await self._renditions.get(row.id, published.audio, row.sha256 or "", form)
        except Unavailable as error:
            raise Problem(problems.NO_RENDITION, str(error)) from error
        made_ns = (await self._files.stat(path)).st_mtime_ns
        return _sent(row, path, f'"{row.sha256}-{form}-{made_ns:x}"', form)


def _master_sha256(document: bytes) -> str | None:
    """None: it is no manifest of ours, which is for `verify` to tell."""
    try:
        named = json.loads(document)["master"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return named if isinstance(named, str) and _SHA256.fullmatch(named) else None


def _master(row: RecordingRow, published: Published) -> SentFile:
    return _sent(row, published.audio, f'"{row.sha256}"', _form(published))


def _form(published: Published) -> str:
    return published.audio.suffix[1:]


def _sent(row: RecordingRow, path: Path, etag: str, form: str) -> SentFile:
    headers = {MASTER_HASH: row.sha256 or ""}
    name = f"{row.id}.mono.wav" if form == "mono" else f"{row.id}.{form}"
    return SentFile(path, etag, MEDIA_TYPES[form], name, headers)
