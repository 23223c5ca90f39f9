"""Whether we live, whether we take calls, and what we count."""

from ipaddress import ip_address

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api import problems
from mediaproxy.api.access import Authentication
from mediaproxy.api.backend import Backend
from mediaproxy.api.problems import Problem
from mediaproxy.api.replies import json_response
from mediaproxy.api.shapes import StatusJson


class HealthRoutes:
    def __init__(self, backend: Backend, authenticate: Authentication, registry: CollectorRegistry) -> None:
        self._backend = backend
        self._authenticate = authenticate
        self._registry = registry

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/healthz", self.get_health, response_model=StatusJson)
        router.add_api_route("/readyz", self.get_readiness, response_model=StatusJson)
        router.add_api_route("/metrics", self.get_metrics, include_in_schema=False)

    async def get_health(self) -> Response:
        """The loop turns."""
        return json_response({"status": "ok"})

    async def get_readiness(self) -> Response:
        """New calls are taken."""
        reason = self._backend.not_ready()
        if reason is not None:
            raise Problem(problems.NOT_READY, reason)
        return json_response({"status": "ready"})

    async def get_metrics(self, request: Request) -> Response:
        """Prometheus text; without a token for whoever asks from this machine itself."""
        if not _is_local(request):
            await self._authenticate(request)
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


def _is_local(request: Request) -> bool:
    """A proxy on this machine speaks for others, and says so."""
    forwarded = {"forwarded", "x-forwarded-for"} & set(request.headers.keys())
    return request.client is not None and not forwarded and ip_address(request.client.host).is_loopback
