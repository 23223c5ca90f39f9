"""Errors as RFC 9457 has them: `application/problem+json {type, title, status, detail}`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mediaproxy.api.backend import Refusal
from mediaproxy.api.replies import PRIVATE, Reply, json_bytes
from mediaproxy.api.shapes import ProblemJson
from mediaproxy.errors import Unavailable

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mediaproxy:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to fail: `name` ends its type URI."""

    status: HTTPStatus
    name: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


NOT_AUTHENTICATED = Kind(
    HTTPStatus.UNAUTHORIZED,
    "not_authenticated",
    "send a known token as `Authorization: Bearer …`",
    {"WWW-Authenticate": "Bearer"},
)
NO_SUCH_CALL = Kind(HTTPStatus.NOT_FOUND, "no_such_call", "there is no such call")
NO_SUCH_RECORDING = Kind(HTTPStatus.NOT_FOUND, "no_such_recording", "there is no such recording")
NO_RECORDING = Kind(HTTPStatus.NOT_FOUND, "no_recording", "this call has no recording")
NOTHING_KEPT = Kind(HTTPStatus.NOT_FOUND, "nothing_kept", "nothing of this recording was kept")
NOT_YOURS = Kind(HTTPStatus.FORBIDDEN, "not_yours", "this call is not yours")
ON_NO_CALL = Kind(HTTPStatus.NOT_FOUND, "on_no_call", "this agent is on no call, or on hold")
SEVERAL_CALLS = Kind(
    HTTPStatus.CONFLICT, "several_calls", "this agent is on several calls: name the one that is meant"
)
NO_AGENT = Kind(HTTPStatus.FORBIDDEN, "no_agent", "this token is not an agent's")
STILL_LIVE = Kind(
    HTTPStatus.CONFLICT, "still_live", "this recording is not published yet", {"Retry-After": "1"}
)
LOG_UNAVAILABLE = Kind(
    HTTPStatus.SERVICE_UNAVAILABLE, "log_unavailable", "the call log cannot be read now", {"Retry-After": "1"}
)
UNSATISFIABLE = Kind(
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "unsatisfiable", "the recording has no such bytes"
)
FILE_GONE = Kind(HTTPStatus.NOT_FOUND, "file_gone", "the file is no longer where it was published")
NO_RENDITION = Kind(
    HTTPStatus.SERVICE_UNAVAILABLE, "no_rendition", "this format could not be made", {"Retry-After": "10"}
)
TOO_MANY_READERS = Kind(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "too_many_readers",
    "too many clients read events now",
    {"Retry-After": "10"},
)
NOT_THAT_FAR = Kind(
    HTTPStatus.FORBIDDEN, "not_that_far", "agents may redact the end of a call, where they may, and no more"
)
ADMINS_ALONE = Kind(HTTPStatus.FORBIDDEN, "admins_alone", "this is for admins")
UNCHANGED = Kind(HTTPStatus.CONFLICT, "unchanged", "")
STORAGE_UNAVAILABLE = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "storage_unavailable", "", {"Retry-After": "10"})
TOO_LARGE = Kind(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", "the body is longer than what may be asked for here"
)
INVALID = Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "")
NOT_READY = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", "")
OURS = Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "ours", "a fault of ours; it is in the log")

REFUSALS: Mapping[Refusal, Kind] = {
    Refusal.NO_SUCH_CALL: NO_SUCH_CALL,
    Refusal.NOT_ANSWERED: Kind(HTTPStatus.CONFLICT, "not_answered", "the call is not answered"),
    Refusal.ENDED: Kind(HTTPStatus.CONFLICT, "ended", "the call has ended"),
    Refusal.NOT_ENABLED: Kind(HTTPStatus.FORBIDDEN, "not_enabled", "recording is off for this call"),
    Refusal.LOCKED: Kind(
        HTTPStatus.FORBIDDEN, "locked", "this call's recording may not be paused or stopped"
    ),
    Refusal.NOT_DURABLE: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not_durable",
        "the start could not be written down, so nothing is recorded",
    ),
}


# What any guarded route may answer, for the schema.
DESCRIBED: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {}}, "model": ProblemJson}
    for status, description in (
        (401, "no or bad token"),
        (403, "not this caller's call, or recording not enabled or locked"),
        (404, "no such thing"),
        (409, "not answered, ended, or not published yet"),
        (422, "the detail names the field"),
        (503, "a start could not be made durable, or the log cannot be read"),
    )
}


class Problem(Exception):
    """Raised by a route to be answered as it says; `more` are members beyond the usual ones."""

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(kind.name)
        self.kind = kind
        self.detail = kind.detail if detail is None else detail
        self.headers = headers
        self.more = more or {}


def problem_json(kind: Kind, detail: str) -> ProblemJson:
    return {
        "type": TYPE_PREFIX + kind.name,
        "title": kind.status.phrase,
        "status": kind.status.value,
        "detail": detail,
    }


def reply(kind: Kind) -> Reply:
    """A problem that can be given again."""
    return Reply(kind.status, json_bytes(problem_json(kind, kind.detail)), MEDIA_TYPE, kind.headers)


def named(error: Mapping[str, Any]) -> str:
    """A validator's first error: the field, or that it is the body as a whole, and what is wrong with it."""
    where = [str(part) for part in error["loc"] if part not in ("query", "path", "header", "body")]
    return f"{'.'.join(where) or 'body'}: {error['msg']}"


def install(app: FastAPI) -> None:
    """Every error of this app, also the framework's own, leaves as a problem: by no thread, for whose making
    something may lack (a descriptor, say)."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(Unavailable, _on_unavailable)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)


def _reply(
    kind: Kind,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:
    return Response(
        json_bytes({**problem_json(kind, detail), **(more or {})}),
        kind.status,
        {**PRIVATE, **kind.headers, **(headers or {})},
        media_type=MEDIA_TYPE,
    )


async def _on_problem(_: Request, error: Any) -> Response:
    return _reply(error.kind, error.detail, error.headers, error.more)


async def _on_unavailable(_: Request, _error: Any) -> Response:
    return _reply(LOG_UNAVAILABLE, LOG_UNAVAILABLE.detail)


async def _on_invalid(_: Request, error: Any) -> Response:
    return _reply(INVALID, named(error.errors()[0]))


async def _on_http(_: Request, error: Any) -> Response:
    status = HTTPStatus(error.status_code)
    kind = Kind(status, status.name.lower(), str(error.detail))
    return _reply(kind, kind.detail, error.headers)


async def _on_fault(_: Request, _error: Any) -> Response:
    return _reply(OURS, OURS.detail)
