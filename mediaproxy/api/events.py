"""`/v1/events`: a WebSocket on which every event is one JSON message.

A browser cannot set headers on a WebSocket, so the token may also come as a subprotocol
(`Sec-WebSocket-Protocol: bearer, <token>`) or, last, as `?token=`, which proxies may log.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from mediaproxy.api import problems
from mediaproxy.api.access import may_see
from mediaproxy.api.problems import Kind
from mediaproxy.api.tokens import Caller, Role, Tokens
from mediaproxy.calls.events import CallRecord

MAX_READERS: Final = 128  # half of what the server takes: the other half stays for commands
AT_ONCE: Final = 16  # events encoded before the loop may look at media again
STALL_S: Final = 10.0  # a client that takes nothing for so long is let go
GOODBYE_S: Final = 1.0
SUBPROTOCOL: Final = "bearer"

TOO_SLOW: Final = 4408
REVOKED: Final = 4401


class ReadableEvent(Protocol):
    @property
    def call(self) -> CallRecord | None: ...

    def text(self) -> str: ...


class Events(Protocol):
    """The events of this run of the proxy by number; see `service.events.EventStream`."""

    def position(self, since: str | None) -> int | None: ...

    @property
    def oldest(self) -> int: ...

    def read(self, seq: int, limit: int) -> Sequence[ReadableEvent] | None: ...

    async def wait(self, seq: int) -> None: ...

    def missed(self) -> str: ...


class EventRoutes:
    """Admins see every event, agents those of calls that they are or were on."""

    def __init__(self, events: Events, tokens: Tokens) -> None:
        self._events = events
        self._tokens = tokens
        self._readers = 0

    def add_to(self, router: APIRouter) -> None:
        router.add_api_websocket_route("/v1/events", self.stream)

    async def stream(self, websocket: WebSocket) -> None:
        authorization = authorization_of(websocket)
        if self._tokens.caller(authorization) is None:
            return await _deny(websocket, problems.NOT_AUTHENTICATED)
        if self._readers >= MAX_READERS:
            return await _deny(websocket, problems.TOO_MANY_READERS)
        self._readers += 1
        try:
            await self._serve(websocket, authorization)
        finally:
            self._readers -= 1

    async def _serve(self, websocket: WebSocket, authorization: str | None) -> None:
        offered = websocket.scope["subprotocols"]
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        sending = asyncio.ensure_future(self._send(websocket, authorization))
        leaving = asyncio.ensure_future(_left(websocket))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            ended, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(ended, tuple):
            await _close(websocket, *ended)
        elif not isinstance(ended, asyncio.CancelledError | WebSocketDisconnect):
            raise ended

    async def _send(self, websocket: WebSocket, authorization: str | None) -> tuple[int, str]:
        """Event after event, until there is a reason to close: (code, reason)."""
        since = websocket.query_params.get("since") or None
        seq = self._events.position(since)
        if seq is None:
            await websocket.send_text(self._events.missed())
            seq = self._events.oldest
        while (caller := self._tokens.caller(authorization)) is not None:
            batch = self._events.read(seq, AT_ONCE)
            if batch is None:
                return TOO_SLOW, "too slow: resume with ?since="
            seq += len(batch)
            try:
                async with asyncio.timeout(STALL_S):
                    await _send_batch(websocket, caller, batch)
            except TimeoutError:
                return TOO_SLOW, "nothing was read: resume with ?since="
            await (self._events.wait(seq) if len(batch) < AT_ONCE else asyncio.sleep(0))
        return REVOKED, "the token is no longer valid"


async def _send_batch(websocket: WebSocket, caller: Caller, batch: Sequence[ReadableEvent]) -> None:
    for event in batch:
        if caller.role is Role.ADMIN or (event.call is not None and may_see(caller, event.call)):
            await websocket.send_text(event.text())


async def _left(websocket: WebSocket) -> None:
    """Until the client goes; what it says is not for us."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """A client that takes nothing is not waited for."""
    try:
        async with asyncio.timeout(GOODBYE_S):
            await websocket.close(code, reason)
    except (TimeoutError, WebSocketDisconnect):
        return


async def _deny(websocket: WebSocket, kind: Kind) -> None:
    await websocket.send_denial_response(problems.reply(kind).response())


def authorization_of(websocket: WebSocket) -> str | None:
    """As the Authorization header would say it."""
    header = websocket.headers.get("authorization")
    if header is not None:
        return header
    offered = websocket.scope["subprotocols"]
    if len(offered) == 2 and offered[0] == SUBPROTOCOL:
        return f"Bearer {offered[1]}"
    token = websocket.query_params.get("token")
    return None if token is None else f"Bearer {token}"
