"""The dashboard: pages of ours alone, which ask the API as whoever signs in there.

No file comes from elsewhere, no script stands in a page, and what a peer wrote is text wherever it is shown.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from mediaproxy.api.access import caller_of
from mediaproxy.api.replies import json_response
from mediaproxy.api.shapes import MeJson

TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


class DashboardRoutes:
    """Its files are read once; a name that is none of theirs is looked up nowhere."""

    def __init__(self) -> None:
        self._files = {name: _file(name, content) for name, content in _contents().items()}

    def add_open_to(self, router: APIRouter) -> None:
        router.add_api_route("/", self.get_page, include_in_schema=False)
        for name in self._files:
            router.add_api_route(f"/dashboard/{name}", self.get_file, include_in_schema=False)

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/v1/me", self.get_me, response_model=MeJson)

    async def get_page(self, request: Request) -> Response:
        return self._answer(request, "index.html")

    async def get_file(self, request: Request) -> Response:
        return self._answer(request, request.url.path.rpartition("/")[2])

    async def get_me(self, request: Request) -> Response:
        """Whom the token stands for."""
        caller = caller_of(request)
        return json_response({"name": caller.name, "role": caller.role.value, "agent": caller.agent})

    def _answer(self, request: Request, name: str) -> Response:
        file = self._files[name]
        headers = {**HEADERS, "ETag": file.etag}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)


def _contents() -> dict[str, bytes]:
    folder = files("mediaproxy.api") / "web" / "dashboard"
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def _file(name: str, content: bytes) -> _File:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, TYPES[name.rpartition(".")[2]], etag)
