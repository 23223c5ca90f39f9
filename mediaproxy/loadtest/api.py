"""The HTTP interface as a script would use it, and free ports to put one's own things on."""

import asyncio
import json
import socket
import urllib.request
from typing import Any

from mediaproxy.net import Endpoint

TIMEOUT_S = 5.0


class Api:
    """Asks in threads; `urllib.error.HTTPError` when the answer is no."""

    def __init__(self, at: Endpoint, token: str) -> None:
        self._base = f"http://{at}"
        self._token = token

    async def get(self, path: str) -> Any:
        return await asyncio.to_thread(self._ask, "GET", path)

    async def post(self, path: str) -> Any:
        return await asyncio.to_thread(self._ask, "POST", path)

    def _ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own API on loopback
            self._base + path, method=method, headers={"Authorization": f"Bearer {self._token}"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
            return json.load(reply)


def free_endpoint(host: str, kind: socket.SocketKind) -> Endpoint:
    """A port of `host` that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return Endpoint(*probe.getsockname())
