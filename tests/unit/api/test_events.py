"""`/v1/events` through a real server and a real WebSocket client."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from mediaproxy.api import ApiServer, Caller, Role, Token, Tokens
from mediaproxy.api import events as module
from mediaproxy.calllog.rows import LoggedCall
from mediaproxy.calls.events import Participant
from mediaproxy.calls.plane import LegId
from mediaproxy.net import Endpoint
from mediaproxy.service import events as service_events
from mediaproxy.service.events import EventStream
from tests.support.call_rows import call_id, call_row, ended_call


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    server = ApiServer(app, Endpoint("127.0.0.1", 0))
    await server.start()
    yield f"ws://{server.endpoint}/v1/events"
    await server.stop()


@pytest.fixture(autouse=True)
def fresh(events: EventStream) -> None:
    """The module's app is shared; its stream begins anew."""
    vars(events).update(vars(EventStream(run="run", now_ms=lambda: 0, find=lambda call: None)))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ring(events: EventStream, number: int = 1, agent: str | None = "alice") -> None:
    events.publish("call.ringing", call_id(number), logged=LoggedCall(call_row(number, agent=agent)))


async def heard(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(2):
        body: dict[str, Any] = json.loads(await client.recv())
    return body


async def test_events_come_as_they_happen_one_a_message(url: str, events: EventStream) -> None:
    ring(events)  # before anyone listened: not told without `since`
    async with connect(url, additional_headers=bearer("adm")) as client:
        await asyncio.sleep(0.02)
        ring(events, 2)
        ring(events, 3)
        assert [(await heard(client))["call_id"] for _ in range(2)] == [call_id(2), call_id(3)]


async def test_since_resumes_without_gap_or_repetition(url: str, events: EventStream) -> None:
    for number in range(1, 41):  # more than go out at once
        ring(events, number)
    async with connect(f"{url}?since=run-3", additional_headers=bearer("adm")) as client:
        assert [(await heard(client))["seq"] for _ in range(37)] == list(range(4, 41))
        ring(events, 41)
        assert (await heard(client))["seq"] == 41


@pytest.mark.parametrize("since", ["another-1", "run-99", "nonsense"])
async def test_who_has_missed_events_is_told_so_first(url: str, events: EventStream, since: str) -> None:
    ring(events)
    async with connect(f"{url}?since={since}", additional_headers=bearer("adm")) as client:
        gap = await heard(client)
        assert (gap["type"], gap["call"]) == ("events.missed", None)
        assert (await heard(client))["seq"] == 1


async def test_agents_see_their_own_calls_alone(url: str, events: EventStream) -> None:
    on_both = (
        Participant(LegId.A, "agent", "bob", "bob", 0, None),
        Participant(LegId.B, "agent", "alice", "alice", 0, None),
    )
    async with connect(url, additional_headers=bearer("bo")) as client:
        await asyncio.sleep(0.02)
        ring(events, 1, agent="alice")
        events.publish("recording.deleted", call_id(9))  # nobody knows whose
        events.publish("call.ended", call_id(2), logged=LoggedCall(ended_call(2)))
        both = LoggedCall(call_row(3, agent="alice", participants=on_both))
        events.publish("call.answered", call_id(3), logged=both)
        assert (await heard(client))["seq"] == 4


async def test_the_token_may_come_as_a_browser_can_send_it(url: str, events: EventStream) -> None:
    offered = [Subprotocol("bearer"), Subprotocol("adm")]
    async with connect(url, subprotocols=offered) as client:
        assert client.subprotocol == "bearer"
    async with connect(f"{url}?token=adm") as client:
        await asyncio.sleep(0.02)
        ring(events)
        assert (await heard(client))["seq"] == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [("", {}), ("", bearer("no")), ("?token=no", {}), ("?token=adm", bearer("no")), ("?token=", {})],
)
async def test_without_a_known_token_there_is_no_stream(
    url: str, path: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(url + path, additional_headers=headers)
    assert caught.value.response.status_code == 401
    assert json.loads(caught.value.response.body)["type"] == "urn:mediaproxy:problem:not_authenticated"
    assert "token" not in caplog.text


async def test_tokens_are_in_no_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connect(f"{url}?token=adm"):
        pass
    assert "token=adm" not in caplog.text


async def test_a_revoked_token_ends_the_stream(url: str, events: EventStream, tokens: Tokens) -> None:
    known = tokens_of_tests()
    tokens.replace([*known, Token("old", Caller(Role.ADMIN, "old"))])
    async with connect(url, additional_headers=bearer("old")) as client:
        await asyncio.sleep(0.02)
        tokens.replace(known)
        ring(events)
        with pytest.raises(ConnectionClosedError) as caught:
            await heard(client)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == module.REVOKED


def tokens_of_tests() -> list[Token]:
    return [
        Token("adm", Caller(Role.ADMIN, "admin")),
        Token("ali", Caller(Role.AGENT, "alice", "alice")),
        Token("bo", Caller(Role.AGENT, "Bob B.", "bob")),
    ]


async def test_who_falls_out_of_the_history_is_closed_with_a_code(
    url: str, events: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_events, "MAX_EVENTS", 10)
    async with connect(url, additional_headers=bearer("adm")) as client:
        await asyncio.sleep(0.02)
        for number in range(100):  # in one turn of the loop: nobody can keep up
            ring(events, number)
        with pytest.raises(ConnectionClosedError) as caught:
            await heard(client)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (
        module.TOO_SLOW,
        "too slow: resume with ?since=",
    )


async def test_a_client_that_reads_nothing_is_let_go(
    app: FastAPI, url: str, events: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALL_S", 0.05)
    monkeypatch.setattr(module, "GOODBYE_S", 0.05)
    routes = next(r for r in app.routes if getattr(r, "path", "") == "/v1/events").endpoint.__self__  # type: ignore[attr-defined]
    client = await connect(url, additional_headers=bearer("adm"), max_queue=1)
    await asyncio.sleep(0.02)
    client.transport.pause_reading()
    bulky = call_row(1, from_name="x" * 500_000)
    for _ in range(16):
        events.publish("call.ringing", call_id(1), logged=LoggedCall(bulky))
    async with asyncio.timeout(2):
        while routes._readers:
            await asyncio.sleep(0.01)
    client.transport.abort()
    await client.wait_closed()


async def test_readers_are_limited(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_READERS", 1)
    async with connect(url, additional_headers=bearer("adm")):
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, additional_headers=bearer("adm"))
        assert caught.value.response.status_code == 503


async def test_what_a_client_says_changes_nothing(url: str, events: EventStream) -> None:
    async with connect(url, additional_headers=bearer("adm")) as client:
        for _ in range(20):
            await client.send("hello")
        ring(events)
        assert (await heard(client))["seq"] == 1
