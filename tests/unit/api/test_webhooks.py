"""How webhooks stand, and a replay: for admins."""

import httpx
import pytest

from mediaproxy.api.backend import WebhookState
from mediaproxy.calllog.outbox import DELIVERED, WAITING, Delivery, Outlook
from tests.support.api_shapes import PROBLEM
from tests.support.call_rows import START_MS, call_id
from tests.support.fake_backend import FakeWebhooks

SENT = Delivery("run-1", "call.ended", call_id(0), START_MS, DELIVERED, 2, START_MS, START_MS + 9, 204, None)
LEFT = Delivery(
    "run-2", "call.ended", None, START_MS, WAITING, 0, START_MS + 5, None, None, "no answer in time"
)


async def test_how_they_stand(admin: httpx.AsyncClient, webhooks: FakeWebhooks) -> None:
    outlook = Outlook(1, START_MS, START_MS + 5)
    webhooks.known = [WebhookState("crm", "https://crm.example", ("call.*",), outlook, [LEFT, SENT])]
    answer = await admin.get("/v1/webhooks")
    assert answer.status_code == 200
    left, sent = answer.json()["webhooks"][0].pop("deliveries")
    assert answer.json()["webhooks"][0].items() >= {
        "name": "crm", "url": "https://crm.example", "events": ["call.*"],
        "waiting": 1, "oldest_waiting_at": "2026-01-05T10:00:00.000Z",
    }.items()  # fmt: skip
    assert sent == {
        "id": "run-1", "type": "call.ended", "call_id": call_id(0), "created_at": "2026-01-05T10:00:00.000Z",
        "state": "delivered", "attempts": 2, "tried_at": "2026-01-05T10:00:00.009Z", "next_at": None,
        "status": 204, "error": None,
    }  # fmt: skip
    assert (left["next_at"], left["tried_at"]) == ("2026-01-05T10:00:00.005Z", None)


@pytest.mark.parametrize(
    "since", ["2026-01-05T10:00:00Z", "2026-01-05T11:00:00%2B01:00", "2026-01-05T11:00:00 01:00"]
)
async def test_a_replay(admin: httpx.AsyncClient, webhooks: FakeWebhooks, since: str) -> None:
    answer = await admin.post(f"/v1/webhooks/crm/replay?since={since}")
    assert (answer.status_code, answer.json()) == (200, {"replayed": 3})
    assert webhooks.replayed == [("crm", START_MS)]


@pytest.mark.parametrize(
    "query", ["", "?since=", "?since=yesterday", "?since=2026-01-05T10:00:00", "?until=x"]
)
async def test_since_when_must_be_said(admin: httpx.AsyncClient, webhooks: FakeWebhooks, query: str) -> None:
    assert (await admin.post(f"/v1/webhooks/crm/replay{query}")).status_code == 422
    assert webhooks.replayed == []


async def test_one_that_is_not_there(admin: httpx.AsyncClient, webhooks: FakeWebhooks) -> None:
    answer = await admin.post("/v1/webhooks/none/replay?since=2026-01-05T10:00:00Z")
    assert answer.status_code == 404
    assert PROBLEM(answer.json())


async def test_they_are_for_admins(alice: httpx.AsyncClient, webhooks: FakeWebhooks) -> None:
    assert (await alice.get("/v1/webhooks")).status_code == 403
    assert (await alice.post("/v1/webhooks/crm/replay?since=2026-01-05T10:00:00Z")).status_code == 403
    assert webhooks.replayed == []
