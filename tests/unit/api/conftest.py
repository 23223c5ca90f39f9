from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from mediaproxy.api import Caller, Role, Token, Tokens, create_app
from mediaproxy.service.events import EventStream
from tests.support.call_rows import START_MS
from tests.support.fake_backend import FakeArchive, FakeBackend, FakeChanges, FakeRenditions, FakeWebhooks

NOW_MS = START_MS + 60_000


@pytest.fixture(scope="module")
def shared_backend() -> FakeBackend:
    return FakeBackend(Path())


@pytest.fixture
def backend(shared_backend: FakeBackend, tmp_path: Path) -> FakeBackend:
    shared_backend.reset(tmp_path)
    return shared_backend


@pytest.fixture(scope="module")
def shared_renditions() -> FakeRenditions:
    return FakeRenditions()


@pytest.fixture
def renditions(shared_renditions: FakeRenditions) -> FakeRenditions:
    vars(shared_renditions).update(vars(FakeRenditions()))
    return shared_renditions


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(
        [
            Token("adm", Caller(Role.ADMIN, "admin")),
            Token("ali", Caller(Role.AGENT, "alice", "alice")),
            Token("bo", Caller(Role.AGENT, "Bob B.", "bob")),
        ]
    )


@pytest.fixture(scope="module")
def events() -> EventStream:
    return EventStream(run="run", now_ms=lambda: NOW_MS, find=lambda call: None)


@pytest.fixture(scope="module")
def shared_archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def archive(shared_archive: FakeArchive) -> FakeArchive:
    vars(shared_archive).update(vars(FakeArchive()))
    return shared_archive


@pytest.fixture(scope="module")
def shared_changes() -> FakeChanges:
    return FakeChanges()


@pytest.fixture
def changes(shared_changes: FakeChanges) -> FakeChanges:
    vars(shared_changes).update(vars(FakeChanges()))
    return shared_changes


@pytest.fixture(scope="module")
def shared_webhooks() -> FakeWebhooks:
    return FakeWebhooks()


@pytest.fixture
def webhooks(shared_webhooks: FakeWebhooks) -> FakeWebhooks:
    vars(shared_webhooks).update(vars(FakeWebhooks()))
    return shared_webhooks


@pytest.fixture(scope="module")
def app(
    shared_backend: FakeBackend,
    shared_renditions: FakeRenditions,
    shared_archive: FakeArchive,
    shared_changes: FakeChanges,
    shared_webhooks: FakeWebhooks,
    events: EventStream,
    tokens: Tokens,
) -> Iterator[FastAPI]:
    with ThreadPoolExecutor(1, "api-files") as files:
        files.submit(int).result()  # its thread is the module's, no test's
        yield create_app(
            shared_backend,
            tokens,
            renditions=shared_renditions,
            archive=shared_archive,
            changes=shared_changes,
            webhooks=shared_webhooks,
            events=events,
            registry=CollectorRegistry(),
            files=files,
            now_ms=lambda: NOW_MS,
        )


def _client(app: FastAPI, token: str | None) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api", headers=headers)


@pytest.fixture
async def admin(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(app, "adm") as client:
        yield client


@pytest.fixture
async def alice(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(app, "ali") as client:
        yield client


@pytest.fixture
async def bob(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(app, "bo") as client:
        yield client


@pytest.fixture
async def nobody(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(app, None) as client:
        yield client
