"""JSON replies, and the memory that makes a repeated command harmless."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from fastapi import Header
from starlette.responses import Response

MAX_REMEMBERED = 4_096
MAX_KEY_LENGTH = 255

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=MAX_KEY_LENGTH)
]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that can be given again."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        return Response(self.body, self.status, {**PRIVATE, **self.headers}, media_type=self.media_type)


class ReplyKey(NamedTuple):
    """A client's Idempotency-Key on one path; the path names the call."""

    path: str
    key: str


# Calls and recordings are nobody else's business, and of this moment.
PRIVATE: Mapping[str, str] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Replies:
    """The latest replies by key. One that is being worked out is waited for, never begun twice.

    Our own failures (5xx) are forgotten: the client's repetition is meant to try again. Kept in
    memory alone; after a restart the calls that the keys were about have ended.
    """

    def __init__(self) -> None:
        self._known: dict[ReplyKey, asyncio.Future[Reply]] = {}

    async def once(self, key: ReplyKey, act: Callable[[], Awaitable[Reply]]) -> Reply:
        known = self._known.get(key)
        if known is None:
            known = asyncio.ensure_future(act())
            known.add_done_callback(lambda done: self._settle(key, done))
            self._known[key] = known
            self._forget_oldest()
        # A client that hangs up must not take the reply from another that waits for it.
        return await asyncio.shield(known)

    def _settle(self, key: ReplyKey, done: asyncio.Future[Reply]) -> None:
        failed = done.cancelled() or done.exception() is not None or done.result().status >= 500
        if failed and self._known.get(key) is done:
            del self._known[key]

    def _forget_oldest(self) -> None:
        while len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]


def json_bytes(value: object) -> bytes:
    """ASCII, so that whatever a peer wrote is inert in any log or page."""
    return json.dumps(value, separators=(",", ":")).encode()


def json_response(value: object, status: int = 200) -> Response:
    return Response(json_bytes(value), status, PRIVATE, media_type="application/json")
