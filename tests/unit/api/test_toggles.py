"""Commands to a recording: who may give them, what is answered, and that repeating one is harmless."""

import asyncio
from dataclasses import replace
from functools import partial

import httpx
import pytest

from mediaproxy.api import Action, Demand, Refusal, Toggled, replies
from mediaproxy.calllog import LoggedCall
from mediaproxy.calls.events import Participant
from mediaproxy.calls.plane import LegId
from tests.support.api_shapes import PROBLEM, TOGGLED
from tests.support.call_rows import START_MS, call_id, call_row, ended_call
from tests.support.fake_backend import FakeBackend

START = f"/v1/calls/{call_id(0)}/recording/start"


@pytest.fixture
def own_key(request: pytest.FixtureRequest) -> str:
    """An Idempotency-Key that no other test uses."""
    return str(request.node.name)


def _answered(*participants: Participant) -> LoggedCall:
    return LoggedCall(call_row(0, state="answered", answered_at_ms=START_MS, participants=participants))


def _agent(name: str, to_ms: int | None = None) -> Participant:
    return Participant(LegId.B, "agent", name, "", 0, to_ms)


@pytest.mark.parametrize("action", list(Action))
async def test_a_toggle_reaches_the_call_and_says_where_it_took_effect(
    alice: httpx.AsyncClient, backend: FakeBackend, action: Action
) -> None:
    backend.logged = [_answered(_agent("alice"))]
    answer = await alice.post(f"/v1/calls/{call_id(0)}/recording/{action.value}")
    assert answer.status_code == 200
    assert TOGGLED(answer.json())
    assert answer.json() == {
        "state": "recording", "changed": True, "durable": True,
        "effective_sample": 32_008, "effective_ms": 4_001, "sample_rate": 8_000,
    }  # fmt: skip
    assert backend.demands == [Demand(call_id(0), action, "alice")]


async def test_the_tokens_name_is_the_user(bob: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.logged = [_answered(_agent("alice"), _agent("bob"))]
    await bob.post(START)
    assert [demand.user for demand in backend.demands] == ["Bob B."]


@pytest.mark.parametrize(
    ("refusal", "status", "name"),
    [
        (Refusal.NO_SUCH_CALL, 404, "no_such_call"),
        (Refusal.NOT_ANSWERED, 409, "not_answered"),
        (Refusal.ENDED, 409, "ended"),
        (Refusal.NOT_ENABLED, 403, "not_enabled"),
        (Refusal.LOCKED, 403, "locked"),
        (Refusal.NOT_DURABLE, 503, "not_durable"),
    ],
)
async def test_a_refusal_says_why(
    admin: httpx.AsyncClient, backend: FakeBackend, refusal: Refusal, status: int, name: str
) -> None:
    backend.logged = [_answered()]
    backend.outcome = lambda _: refusal
    answer = await admin.post(START)
    assert answer.status_code == status
    assert PROBLEM(answer.json())
    assert answer.json()["type"] == f"urn:mediaproxy:problem:{name}"


@pytest.mark.parametrize(
    ("logged", "bobs_status"),
    [
        (_answered(_agent("alice")), 403),
        (_answered(_agent("alice"), _agent("bob")), 200),
        (_answered(_agent("bob", to_ms=500), _agent("alice")), 403),  # transferred away
        (_answered(Participant(LegId.A, "trunk", "bob", "", 0, None)), 403),  # a trunk of that name
        (LoggedCall(call_row(0, state="ringing", agent="bob")), 200),  # the call itself says 409
        (LoggedCall(call_row(0, state="ringing", participants=(_agent("bob"),))), 200),
        (LoggedCall(replace(ended_call(0), participants=(_agent("bob", 10_000),))), 200),
        (LoggedCall(ended_call(0)), 403),
    ],
)
async def test_agents_change_only_the_call_they_are_on_now(
    bob: httpx.AsyncClient, backend: FakeBackend, logged: LoggedCall, bobs_status: int
) -> None:
    backend.logged = [logged]
    assert (await bob.post(START)).status_code == bobs_status
    assert len(backend.demands) == (bobs_status == 200)


async def test_the_same_key_gets_the_stored_reply(
    admin: httpx.AsyncClient, backend: FakeBackend, own_key: str
) -> None:
    backend.logged = [_answered()]
    first = await admin.post(START, headers={"Idempotency-Key": own_key})
    backend.outcome = lambda _: Refusal.ENDED
    again = await admin.post(START, headers={"Idempotency-Key": own_key})
    assert (again.status_code, again.content) == (200, first.content)
    assert len(backend.demands) == 1


async def test_another_key_path_or_call_is_another_command(
    admin: httpx.AsyncClient, backend: FakeBackend, own_key: str
) -> None:
    backend.logged = [_answered(), LoggedCall(call_row(1, state="answered"))]
    for path in (START, START.replace("start", "stop"), START.replace(call_id(0), call_id(1))):
        for key in (own_key, own_key.upper()):
            await admin.post(path, headers={"Idempotency-Key": key})
    await admin.post(START)
    await admin.post(START)
    assert len(backend.demands) == 8


async def test_a_stored_refusal_is_stored_but_a_failure_of_ours_is_tried_again(
    admin: httpx.AsyncClient, backend: FakeBackend, own_key: str
) -> None:
    backend.logged = [_answered()]
    types = []
    for outcome in (Refusal.NOT_DURABLE, Refusal.NOT_ANSWERED, Refusal.ENDED):
        backend.outcome = partial(lambda given, _: given, outcome)
        answer = await admin.post(START, headers={"Idempotency-Key": own_key})
        types.append(answer.json()["type"].rpartition(":")[2])
    assert types == ["not_durable", "not_answered", "not_answered"]


async def test_a_key_sent_twice_at_once_acts_once(
    admin: httpx.AsyncClient, backend: FakeBackend, own_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.logged = [_answered()]
    slow = asyncio.Event()
    toggle = backend.toggle

    async def toggle_slowly(demand: Demand) -> Toggled | Refusal:
        await slow.wait()
        return await toggle(demand)

    monkeypatch.setattr(backend, "toggle", toggle_slowly)
    posts = [asyncio.create_task(admin.post(START, headers={"Idempotency-Key": own_key})) for _ in range(3)]
    await asyncio.sleep(0)
    slow.set()
    answers = await asyncio.gather(*posts)
    assert {answer.content for answer in answers} == {answers[0].content}
    assert len(backend.demands) == 1


async def test_only_so_many_replies_are_remembered(
    admin: httpx.AsyncClient, backend: FakeBackend, own_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "MAX_REMEMBERED", 2)
    backend.logged = [_answered()]
    for key in (own_key + end for end in "abcba"):
        await admin.post(START, headers={"Idempotency-Key": key})
    assert len(backend.demands) == 4


async def test_not_yours_comes_before_the_stored_reply(
    admin: httpx.AsyncClient, bob: httpx.AsyncClient, backend: FakeBackend, own_key: str
) -> None:
    backend.logged = [_answered(_agent("alice"))]
    await admin.post(START, headers={"Idempotency-Key": own_key})
    assert (await bob.post(START, headers={"Idempotency-Key": own_key})).status_code == 403


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_bad_key_is_named(admin: httpx.AsyncClient, backend: FakeBackend, key: str) -> None:
    backend.logged = [_answered()]
    answer = await admin.post(START, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("Idempotency-Key: ")
    assert backend.demands == []


async def test_a_body_is_of_no_interest(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.logged = [_answered()]
    assert (await admin.post(START, content=b"\xff{not json")).status_code == 200
