"""`/v1/calls`: the log, and the recording of one call."""

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api import problems
from mediaproxy.api.access import caller_of, is_id, may_see, may_toggle
from mediaproxy.api.backend import Action, Backend, Demand, Refusal
from mediaproxy.api.export import PAGE, CsvResponse, pieces
from mediaproxy.api.problems import Problem
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
    CallJson,
    CallsJson,
    RecordingJson,
    ToggledJson,
    TraceJson,
    call_json,
    recording_json,
    toggled_json,
    trace_json,
)
from mediaproxy.api.tokens import Role
from mediaproxy.calllog.rows import CallFilter, Cursor, LoggedCall, Page
from mediaproxy.calls.events import CallRecord
from mediaproxy.ids import CallId

MAX_PAGE = 500
METADATA = "metadata."  # before the key, in a query
CALLS_PER_TURN = 25  # calls encoded before the loop may look at media again

# At the start of a number, and before the offset at the end of a time.
_LOST_PLUS = re.compile(r"^ (?=[0-9])|(?<=[0-9]) (?=[0-9]{2}:[0-9]{2}$)")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CallState = Literal["trying", "ringing", "answered", "ended", "live"]


class CallFilters(BaseModel):
    """The filters of the log; an empty one counts as not given.

    `+` in a query means a blank, and everyone forgets to escape it: `?to=+1555` finds +1555.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: CallState | None = None
    agent: str | None = None
    from_: str | None = Field(None, alias="from")
    to: str | None = None
    sip_call_id: str | None = None
    since: AwareDatetime | None = Field(None, description="started at or after this time")
    until: AwareDatetime | None = Field(None, description="started before this time")
    metadata: dict[str, str] = Field({}, description="as `metadata.KEY=VALUE`, each exact")

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, given: dict[str, str]) -> dict[str, object]:
        about = {key: value for key, value in given.items() if key.startswith(METADATA)}
        plain = {key: with_plus(value) for key, value in given.items() if value != "" and key not in about}
        if "metadata" in plain:
            raise ValueError("write metadata.KEY=VALUE")
        return {**plain, "metadata": {key.removeprefix(METADATA): value for key, value in about.items()}}

    def for_agents(self, *agents: str | None) -> CallFilter:
        """What to ask of the log; every agent given must have been on the call."""
        return CallFilter(
            state=self.state,
            agents=frozenset(agent for agent in (self.agent, *agents) if agent is not None),
            from_user=self.from_,
            to_user=self.to,
            sip_call_id=self.sip_call_id,
            since_ms=None if self.since is None else (self.since - _EPOCH) // timedelta(milliseconds=1),
            metadata=tuple(self.metadata.items()),
            until_ms=None if self.until is None else (self.until - _EPOCH) // timedelta(milliseconds=1),
        )


class CallQuery(CallFilters):
    """A page of `GET /v1/calls`."""

    limit: int = Field(50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(None, description="the previous page's `next_cursor`")

    @field_validator("cursor")
    @classmethod
    def _is_cursor(cls, text: str | None) -> str | None:
        decode_cursor(text)
        return text


class CallRoutes:
    """Calls as the caller may see them."""

    def __init__(self, backend: Backend, now_ms: Callable[[], int]) -> None:
        self._backend = backend
        self._now_ms = now_ms
        self._replies = Replies()
        self._toggles = [self._toggle_route(action) for action in Action]

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/v1/calls", self.list_calls, response_model=CallsJson)
        router.add_api_route("/v1/calls.csv", self.export_calls, response_class=CsvResponse)
        router.add_api_route("/v1/calls/{id}", self.get_call, response_model=CallJson)
        router.add_api_route("/v1/calls/{id}/recording", self.get_recording, response_model=RecordingJson)
        router.add_api_route("/v1/calls/{id}/trace", self.get_trace, response_model=TraceJson)
        for action, toggle in zip(Action, self._toggles, strict=True):
            router.add_api_route(
                f"/v1/calls/{{id}}/recording/{action.value}",
                toggle,
                methods=["POST"],
                response_model=ToggledJson,
                operation_id=f"{action.value}_recording",
            )

    async def list_calls(self, request: Request, query: Annotated[CallQuery, Query()]) -> Response:
        """Newest first. Agents see the calls that they were on."""
        caller = caller_of(request)
        wanted = query.for_agents(caller.agent if caller.role is Role.AGENT else None)
        page = await self._backend.calls(wanted, limit=query.limit, after=decode_cursor(query.cursor))
        return Response(await self._encode(page), 200, PRIVATE, media_type="application/json")

    async def export_calls(self, request: Request, query: Annotated[CallFilters, Query()]) -> Response:
        """All that fit, newest first, as CSV. Agents get the calls that they were on."""
        caller = caller_of(request)
        wanted = query.for_agents(caller.agent if caller.role is Role.AGENT else None)
        first = await self._backend.calls(wanted, limit=PAGE, after=None)  # what fails, fails before the 200
        headers = {**PRIVATE, "Content-Disposition": 'attachment; filename="calls.csv"'}
        return CsvResponse(pieces(self._pages(wanted, first), self._now_ms), headers=headers)

    async def _pages(self, wanted: CallFilter, page: Page) -> AsyncIterator[Page]:
        yield page
        while page.next is not None:
            page = await self._backend.calls(wanted, limit=PAGE, after=page.next)
            yield page

    async def get_call(self, request: Request, id: str) -> Response:
        logged = await self._seen_call(request, id)
        return json_response(call_json(logged, now_ms=self._now_ms()))

    async def get_recording(self, request: Request, id: str) -> Response:
        logged = await self._seen_call(request, id)
        if logged.recording is None:
            raise Problem(problems.NO_RECORDING)
        return json_response(recording_json(logged.recording))

    async def get_trace(self, request: Request, id: str) -> Response:
        """The SIP messages of a recent call, without credentials, keys and digits. For admins."""
        logged = await self.known_call(id)
        if caller_of(request).role is not Role.ADMIN:
            raise Problem(problems.ADMINS_ALONE)
        return json_response(trace_json(self._backend.trace(logged.call)))

    def _toggle_route(self, action: Action) -> Callable[..., Awaitable[Response]]:
        async def toggle(request: Request, id: str, key: IdempotencyKey = None) -> Response:
            logged = await self.known_call(id)
            return await self.toggle(request, logged.call, action, key)

        toggle.__doc__ = f"{action.value.capitalize()} the recording; repeating it is harmless."
        return toggle

    async def toggle(self, request: Request, call: CallRecord, action: Action, key: str | None) -> Response:
        """The same key and path on that call is the same command: its reply is given again."""
        caller = caller_of(request)
        if not may_toggle(caller, call):
            raise Problem(problems.NOT_YOURS)
        demand = Demand(call.id, action, caller.name)
        if key is None:
            return (await self._act(demand)).response()
        known = ReplyKey(f"{request.url.path} {call.id}", key)
        return (await self._replies.once(known, lambda: self._act(demand))).response()

    async def _act(self, demand: Demand) -> Reply:
        outcome = await self._backend.toggle(demand)
        if isinstance(outcome, Refusal):
            return problems.reply(problems.REFUSALS[outcome])
        return Reply(200, json_bytes(toggled_json(outcome)))

    async def known_call(self, id: str) -> LoggedCall:
        """Raises the problem that there is none."""
        logged = await self._backend.call(CallId(id)) if is_id(id) else None
        if logged is None:
            raise Problem(problems.NO_SUCH_CALL)
        return logged

    async def _seen_call(self, request: Request, id: str) -> LoggedCall:
        logged = await self.known_call(id)
        if not may_see(caller_of(request), logged.call):
            raise Problem(problems.NOT_YOURS)
        return logged

    async def _encode(self, page: Page) -> bytes:
        now_ms = self._now_ms()
        encoded = []
        for count, logged in enumerate(page.calls):
            if count % CALLS_PER_TURN == 0:
                await asyncio.sleep(0)
            encoded.append(json_bytes(call_json(logged, now_ms=now_ms)))
        following = json_bytes(None if page.next is None else encode_cursor(page.next))
        return b'{"calls":[' + b",".join(encoded) + b'],"next_cursor":' + following + b"}"


def with_plus(value: str) -> str:
    """A number or a time zone that lost its plus sign; neither holds a blank there otherwise."""
    return _LOST_PLUS.sub("+", value)


def encode_cursor(cursor: Cursor) -> str:
    """Opaque to clients."""
    return urlsafe_b64encode(f"{cursor.started_at_ms}.{cursor.id}".encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> Cursor | None:
    """Raises ValueError for what `encode_cursor` never made."""
    if text is None:
        return None
    try:
        started, _, id = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(".")
    except ValueError as error:
        raise ValueError("not a cursor of ours") from error
    if not (re.fullmatch(r"[0-9]{1,15}", started) and is_id(id)):
        raise ValueError("not a cursor of ours")
    return Cursor(int(started), id)
