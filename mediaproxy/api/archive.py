"""What was published: its outline and its proof; redacting and deleting it."""

from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api import problems, verifier
from mediaproxy.api.access import caller_of
from mediaproxy.api.backend import Archive, Unchanged
from mediaproxy.api.bodies import body_as, described
from mediaproxy.api.files import PRIVATE_FILE, Files
from mediaproxy.api.problems import Problem
from mediaproxy.api.recordings import RecordingRoutes
from mediaproxy.api.replies import (
    PRIVATE,
    IdempotencyKey,
    Replies,
    Reply,
    ReplyKey,
    json_bytes,
    json_response,
)
from mediaproxy.api.shapes import (
    HeadJson,
    KeysJson,
    RedactedJson,
    head_json,
    key_json,
    redacted_json,
)
from mediaproxy.api.tokens import Caller, Role
from mediaproxy.calllog.rows import LoggedCall, RecordingRow
from mediaproxy.errors import Malformed, Unavailable
from mediaproxy.recording import redaction

MS_PER_S = 1_000
MAX_S = 10_000_000.0
MAX_REASON = 500
NO_REASON = "not given"

T = TypeVar("T")


def _says_something(reason: str) -> str:
    if not reason.strip():
        raise PydanticCustomError("blank", f"say why, in 1 to {MAX_REASON} characters")
    return reason


Reason = Annotated[str, Field(max_length=MAX_REASON), AfterValidator(_says_something)]
Position = Annotated[int | None, Field(ge=0, le=1 << 53)]


class RedactionAsked(BaseModel):
    """A range in samples or in milliseconds, or the last seconds; and why."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    reason: Reason
    start_sample: Position = None
    end_sample: Position = None
    start_ms: Position = None
    end_ms: Position = None
    last_s: Annotated[float | None, Field(gt=0, le=MAX_S)] = None

    def samples(self, row: RecordingRow) -> tuple[int, int]:
        """Which samples these are of that recording; the problem names the field."""
        duration, rate = row.duration_samples, row.sample_rate
        unit = self._unit()
        try:
            if self.last_s is not None:
                return redaction.last_ms(redaction.whole_ms(self.last_s), duration, rate)
            if self.start_sample is not None and self.end_sample is not None:
                return redaction.by_samples(self.start_sample, self.end_sample, duration)
            assert self.start_ms is not None
            assert self.end_ms is not None
            return redaction.by_ms(self.start_ms, self.end_ms, duration, rate)
        except Malformed as error:
            field = unit if self.last_s is not None else f"start_{unit}"
            raise Problem(problems.INVALID, f"{field}: it {error.reason}") from error

    def _unit(self) -> str:
        """Exactly one way to say it, and that one whole."""
        pairs = {"sample": (self.start_sample, self.end_sample), "ms": (self.start_ms, self.end_ms)}
        given = {unit: pair for unit, pair in pairs.items() if pair != (None, None)}
        if (self.last_s is not None) + len(given) != 1:
            hint = "give start_sample and end_sample, or start_ms and end_ms, or last_s"
            raise Problem(problems.INVALID, f"last_s: {hint}")
        for unit, pair in given.items():
            for end, value in zip(("start", "end"), pair, strict=True):
                if value is None:
                    raise Problem(problems.INVALID, f"{end}_{unit}: is missing")
            return unit
        return "last_s"


class ArchiveRoutes:
    """Who may see a recording may see its outline. Redacting is for admins, and for agents as far back as
    they may; deleting is for admins."""

    def __init__(self, archive: Archive, recordings: RecordingRoutes, files: Files) -> None:
        self._archive = archive
        self._recordings = recordings
        self._files = files
        self._replies = Replies()

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/v1/keys", self.get_keys, response_model=KeysJson)
        router.add_api_route("/v1/chain/head", self.get_head, response_model=HeadJson)
        router.add_api_route("/v1/recordings/{id}/waveform", self.get_waveform)
        router.add_api_route(
            "/v1/recordings/{id}/redact",
            self.redact,
            methods=["POST"],
            response_model=RedactedJson,
            openapi_extra=described(RedactionAsked),
        )
        router.add_api_route(
            "/v1/recordings/{id}", self.delete, methods=["DELETE"], status_code=204, response_class=Response
        )

    def add_open_to(self, router: APIRouter) -> None:
        """For whoever was given a recording and no token."""
        router.add_api_route("/verifier", self.get_verifier, include_in_schema=False)

    async def get_keys(self) -> Response:
        """The public keys that signed manifests and chain, former ones too. Keep a copy elsewhere."""
        keys = await self._asked(self._archive.public_keys())
        return json_response({"keys": [key_json(key) for key in keys]})

    async def get_head(self) -> Response:
        """Where the chain stands. Noted elsewhere, it shows later that nothing before it was changed."""
        return json_response(head_json(await self._asked(self._archive.head())))

    async def get_verifier(self) -> Response:
        """A page that verifies recordings in the browser, with this proxy's keys in it."""
        keys = await self._asked(self._archive.public_keys())
        return Response(verifier.page([key.pem for key in keys]), 200, PRIVATE, media_type="text/html")

    async def get_waveform(self, request: Request, id: str) -> Response:
        """Least and greatest sample of each stretch of `samples_per_bucket` samples, by channel:
        `{recording_id, sample_rate, duration_samples, samples_per_bucket, channels: [{min, max}]}`."""
        _, row = await self._recordings.seen(request, id)
        path = await self._asked(self._archive.waveform(row.id, self._recordings.published(row)))
        return Response(await self._files.read(path), 200, PRIVATE_FILE, media_type="application/json")

    async def redact(self, request: Request, id: str, key: IdempotencyKey = None) -> Response:
        """Make a range of the recording silent for ever: master, renditions and outline. Of a call that
        lives: what was recorded up to now, done (202) before anyone can hear it."""
        logged, row = await self._recordings.seen(request, id)
        caller = caller_of(request)
        if caller.role is not Role.ADMIN and not self._archive.agents_may_redact_ms:
            raise Problem(problems.NOT_THAT_FAR)
        asked = await body_as(RedactionAsked, request)
        if key is None:
            return (await self._redact(logged, row, caller, asked)).response()
        known = ReplyKey(request.url.path, key)
        reply = await self._replies.once(known, lambda: self._redact(logged, row, caller, asked))
        return reply.response()

    async def delete(
        self, request: Request, id: str, reason: Annotated[Reason, Query()] = NO_REASON
    ) -> Response:
        """Delete the recording's audio for ever. The call log and the chain keep that it was there."""
        logged, row = await self._recordings.seen(request, id)
        caller = caller_of(request)
        if caller.role is not Role.ADMIN:
            raise Problem(problems.ADMINS_ALONE)
        self._recordings.published(row)
        await self._asked(self._archive.remove(logged, user=caller.name, reason=reason))
        return Response(status_code=204, headers=dict(PRIVATE))

    async def _redact(
        self, logged: LoggedCall, row: RecordingRow, caller: Caller, asked: RedactionAsked
    ) -> Reply:
        if row.result is not None:
            self._recordings.published(row)
        span = asked.samples(row)
        self._require_near_end(caller, row, span[0])
        done = await self._asked(self._archive.redact(logged, span, user=caller.name, reason=asked.reason))
        return Reply(200 if done.manifest_sha256 else 202, json_bytes(redacted_json(row, done)))

    def _require_near_end(self, caller: Caller, row: RecordingRow, start: int) -> None:
        samples = self._archive.agents_may_redact_ms * row.sample_rate // MS_PER_S
        if caller.role is not Role.ADMIN and start < row.duration_samples - samples:
            raise Problem(problems.NOT_THAT_FAR)

    async def _asked(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except Unchanged as unchanged:
            raise Problem(problems.UNCHANGED, str(unchanged)) from unchanged
        except Unavailable as error:
            raise Problem(problems.STORAGE_UNAVAILABLE, str(error)) from error
