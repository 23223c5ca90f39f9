"""Who is let in, and in which order a request is judged."""

import threading

import httpx
import pytest
from fastapi import FastAPI

from mediaproxy.api import Action, Caller, Refusal, Role, Token, Tokens
from mediaproxy.calllog import LoggedCall
from tests.support.api_shapes import PROBLEM
from tests.support.call_rows import call_id, call_row, ended_call, recording_id, recording_row
from tests.support.fake_backend import FakeBackend

GUARDED = (
    ("GET", "/v1/me"),
    ("GET", "/v1/calls"),
    ("GET", f"/v1/calls/{call_id(0)}"),
    ("GET", f"/v1/calls/{call_id(0)}/recording"),
    ("GET", f"/v1/calls/{call_id(0)}/trace"),
    ("POST", f"/v1/calls/{call_id(0)}/recording/start"),
    ("POST", f"/v1/calls/{call_id(0)}/recording/stop"),
    ("POST", f"/v1/calls/{call_id(0)}/recording/pause"),
    ("POST", f"/v1/calls/{call_id(0)}/recording/resume"),
    *(("POST", f"/v1/agents/alice/recording/{action.value}") for action in Action),
    *(("POST", f"/v1/me/recording/{action.value}") for action in Action),
    ("GET", f"/v1/recordings/{recording_id(0)}"),
    ("GET", f"/v1/recordings/{recording_id(0)}/audio"),
    ("HEAD", f"/v1/recordings/{recording_id(0)}/audio"),
    ("GET", f"/v1/recordings/{recording_id(0)}/manifest"),
    ("GET", f"/v1/recordings/{recording_id(0)}/waveform"),
    ("POST", f"/v1/recordings/{recording_id(0)}/redact"),
    ("DELETE", f"/v1/recordings/{recording_id(0)}"),
    ("GET", "/v1/keys"),
    ("GET", "/v1/chain/head"),
)


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_without_a_known_token_there_is_nothing(
    nobody: httpx.AsyncClient, backend: FakeBackend, method: str, path: str
) -> None:
    backend.logged = [LoggedCall(ended_call(0), recording_row(0))]
    for authorization in (
        None,
        "",
        "adm",
        "Bearer",
        "Bearer ",
        "Bearer ad",
        "Bearer admm",
        "Basic adm",
        "Bearer \xff",
    ):
        headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
        answer = await nobody.request(method, path, headers=headers)
        assert answer.status_code == 401, authorization
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert method == "HEAD" or PROBLEM(answer.json())
    assert backend.looked_up == []


async def test_a_bad_token_comes_before_a_bad_field(nobody: httpx.AsyncClient) -> None:
    assert (await nobody.get("/v1/calls?limit=many")).status_code == 401


def test_every_guarded_route_is_tried_above(app: FastAPI) -> None:
    routes = app.openapi()["paths"]
    guarded = {
        (method.upper(), path)
        for path, methods in routes.items()
        for method in methods
        if path.startswith("/v1/")
    }
    tried = {
        (
            method,
            path.replace(call_id(0), "{id}").replace(recording_id(0), "{id}").replace("alice", "{name}"),
        )
        for method, path in GUARDED
    }
    assert tried == guarded


async def test_a_request_needs_no_thread(alice: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.logged = [LoggedCall(ended_call(0))]
    before = threading.active_count()
    assert (await alice.get(f"/v1/calls/{call_id(0)}")).status_code == 200
    assert threading.active_count() == before


def test_a_replaced_token_is_no_longer_known() -> None:
    tokens = Tokens([Token("old", Caller(Role.ADMIN, "a"))])
    assert tokens.caller("bearer  old") == Caller(Role.ADMIN, "a")
    tokens.replace([Token("new", Caller(Role.ADMIN, "b"))])
    assert tokens.caller("Bearer old") is None
    assert tokens.caller("Bearer new") == Caller(Role.ADMIN, "b")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_problems_too(admin: httpx.AsyncClient, method: str) -> None:
    answer = await admin.request(method, "/v1/calls")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert PROBLEM(answer.json())
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/dashboard", "/v1", "/docs", "/redoc", "/v1/calls/", "/v1/events"])
async def test_other_paths_are_problems_too(admin: httpx.AsyncClient, path: str) -> None:
    answer = await admin.get(path)
    assert answer.status_code == 404
    assert PROBLEM(answer.json())


async def test_the_order_of_judgement(
    nobody: httpx.AsyncClient, bob: httpx.AsyncClient, alice: httpx.AsyncClient, backend: FakeBackend
) -> None:
    """401, 404, 403 not yours, then what the call itself says."""
    backend.logged = [LoggedCall(call_row(0))]
    backend.outcome = lambda _: Refusal.NOT_ANSWERED
    path = f"/v1/calls/{call_id(0)}/recording/start"
    unknown = f"/v1/calls/{call_id(9)}/recording/start"
    assert (await nobody.post(unknown)).status_code == 401
    assert (await bob.post(unknown)).status_code == 404
    assert (await bob.post(path)).status_code == 403
    assert (await alice.post(path)).status_code == 409
