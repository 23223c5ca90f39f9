"""The HTTP interface, put together. Every judgement is made in the order: who asks, what, may they."""

from collections.abc import Callable
from concurrent.futures import Executor

from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer
from prometheus_client import CollectorRegistry

from mediaproxy import __version__
from mediaproxy.api import problems
from mediaproxy.api.access import Authentication
from mediaproxy.api.agents import AgentRoutes
from mediaproxy.api.archive import ArchiveRoutes
from mediaproxy.api.backend import Archive, Backend, Changes, Renditions, Webhooks
from mediaproxy.api.calls import CallRoutes
from mediaproxy.api.changes import ChangeRoutes
from mediaproxy.api.dashboard import DashboardRoutes
from mediaproxy.api.events import EventRoutes, Events
from mediaproxy.api.files import Files
from mediaproxy.api.health import HealthRoutes
from mediaproxy.api.recordings import RecordingRoutes
from mediaproxy.api.tokens import Tokens
from mediaproxy.api.webhooks import WebhookRoutes


def create_app(
    backend: Backend,
    tokens: Tokens,
    *,
    renditions: Renditions,
    archive: Archive,
    changes: Changes,
    webhooks: Webhooks,
    events: Events,
    registry: CollectorRegistry,
    files: Executor,
    now_ms: Callable[[], int],
) -> FastAPI:
    """`files` reads recordings off the loop; `now_ms` is Unix time."""
    app = FastAPI(
        title="mediaproxy",
        version=__version__,
        openapi_url="/openapi.json",
        docs_url=None,  # their pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    authenticate = Authentication(tokens)
    HealthRoutes(backend, authenticate, registry).add_to(app.router)
    EventRoutes(events, tokens).add_to(app.router)
    guarded = _guarded(authenticate)
    calls = CallRoutes(backend, now_ms)
    calls.add_to(guarded)
    WebhookRoutes(webhooks).add_to(guarded)
    ChangeRoutes(changes, calls).add_to(guarded)
    AgentRoutes(backend, calls).add_to(guarded)
    recordings = RecordingRoutes(backend, Files(files), renditions)
    recordings.add_to(guarded)
    proof = ArchiveRoutes(archive, recordings, Files(files))
    proof.add_to(guarded)
    proof.add_open_to(app.router)
    dashboard = DashboardRoutes()
    dashboard.add_to(guarded)
    dashboard.add_open_to(app.router)
    app.include_router(guarded)
    app.openapi()  # kept by the app: made at its first request it would hold up the relay
    return app


def _guarded(authenticate: Authentication) -> APIRouter:
    """For routes that need a token; HTTPBearer only describes it in the schema."""
    guards = [Depends(HTTPBearer(auto_error=False)), Depends(authenticate)]
    return APIRouter(dependencies=guards, responses=problems.DESCRIBED)
