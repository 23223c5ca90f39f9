"""What is open to all, and what only to this machine."""

import httpx
import pytest
from fastapi import FastAPI

from tests.support.api_shapes import PROBLEM
from tests.support.fake_backend import FakeBackend


async def test_health_and_readiness_need_no_token(nobody: httpx.AsyncClient, backend: FakeBackend) -> None:
    assert (await nobody.get("/healthz")).json() == {"status": "ok"}
    assert (await nobody.get("/readyz")).json() == {"status": "ready"}
    backend.reason = "draining"
    answer = await nobody.get("/readyz")
    assert answer.status_code == 503
    assert PROBLEM(answer.json())
    assert answer.json()["detail"] == "draining"
    assert (await nobody.get("/healthz")).status_code == 200


async def test_the_schema_needs_no_token_and_names_every_key(nobody: httpx.AsyncClient) -> None:
    schema = (await nobody.get("/openapi.json")).json()
    shapes = schema["components"]["schemas"]
    assert set(shapes["CallJson"]["required"]) == set(shapes["CallJson"]["properties"])
    assert {"from", "recording", "ended_by"} <= set(shapes["CallJson"]["required"])
    assert set(shapes["RecordingJson"]["required"]) == set(shapes["RecordingJson"]["properties"])
    operation = schema["paths"]["/v1/calls/{id}/recording/start"]["post"]
    assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}
    assert operation["security"] == [{"HTTPBearer": []}]


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.9.9.9", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.1", {}, 401),
        ("192.0.2.1", {"Authorization": "Bearer adm"}, 200),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}, 401),
    ],
)
async def test_metrics_are_for_this_machine_or_a_token(
    app: FastAPI, client: str, headers: dict[str, str], status: int
) -> None:
    transport = httpx.ASGITransport(app, client=(client, 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as asker:
        answer = await asker.get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["content-type"].startswith("text/plain; version=")
