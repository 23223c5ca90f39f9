"""Toggles by who talks: the call is found, and everything else is as with its id."""

import httpx
import pytest

from mediaproxy.api import Action, Demand, Refusal
from mediaproxy.calllog import LoggedCall
from mediaproxy.calls.events import Participant
from mediaproxy.calls.plane import LegId
from tests.support.api_shapes import PROBLEM, TOGGLED
from tests.support.call_rows import START_MS, call_id, call_row
from tests.support.fake_backend import FakeBackend


def call_of(number: int, agent: str, to_ms: int | None = None, state: str = "answered") -> LoggedCall:
    on = (Participant(LegId.B, "agent", agent, "", 0, to_ms),)
    return LoggedCall(call_row(number, state=state, answered_at_ms=START_MS, participants=on))


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("who", ["agents/alice", "me"])
async def test_the_call_that_the_agent_is_on_is_meant(
    alice: httpx.AsyncClient, backend: FakeBackend, who: str, action: Action
) -> None:
    backend.logged = [call_of(0, "bob"), call_of(1, "alice"), call_of(2, "alice", to_ms=9)]
    answer = await alice.post(f"/v1/{who}/recording/{action.value}")
    assert answer.status_code == 200
    assert TOGGLED(answer.json())
    assert backend.demands == [Demand(call_id(1), action, "alice")]


async def test_who_talks_on_no_call_has_none(alice: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.logged = [call_of(0, "bob"), call_of(1, "alice", state="ringing")]
    for path in (
        "/v1/me/recording/start",
        "/v1/agents/alice/recording/start",
        "/v1/agents/x/recording/start",
    ):
        answer = await alice.post(path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:mediaproxy:problem:on_no_call"


async def test_several_calls_are_named(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.logged = [call_of(0, "alice"), call_of(1, "alice")]
    answer = await admin.post("/v1/agents/alice/recording/stop")
    assert answer.status_code == 409
    assert PROBLEM({k: v for k, v in answer.json().items() if k != "calls"})
    assert answer.json()["calls"] == [call_id(0), call_id(1)]
    assert backend.demands == []


async def test_another_agents_call_is_not_theirs_and_an_admin_is_no_agent(
    alice: httpx.AsyncClient, admin: httpx.AsyncClient, backend: FakeBackend
) -> None:
    backend.logged = [call_of(0, "bob")]
    assert (await alice.post("/v1/agents/bob/recording/start")).status_code == 403
    assert (await admin.post("/v1/agents/bob/recording/start")).status_code == 200
    refused = await admin.post("/v1/me/recording/start")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:mediaproxy:problem:no_agent")


async def test_a_key_is_good_for_one_call(
    alice: httpx.AsyncClient, backend: FakeBackend, request: pytest.FixtureRequest
) -> None:
    headers = {"Idempotency-Key": request.node.name}
    backend.logged = [call_of(0, "alice")]
    for _ in range(2):
        assert (await alice.post("/v1/me/recording/start", headers=headers)).status_code == 200
    assert len(backend.demands) == 1
    backend.logged = [call_of(1, "alice")]
    backend.outcome = lambda _: Refusal.NOT_ENABLED
    assert (await alice.post("/v1/me/recording/start", headers=headers)).status_code == 403
    assert [demand.call for demand in backend.demands] == [call_id(0), call_id(1)]
