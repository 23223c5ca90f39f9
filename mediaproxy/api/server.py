"""uvicorn inside our own loop: no signal handlers, no logging set-up, a socket that we bound."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from mediaproxy.errors import Unavailable
from mediaproxy.net import Endpoint, Family

BACKLOG = 128
MAX_CONCURRENT = 256
KEEP_ALIVE_S = 5
GRACE_S = 3
MAX_WS_BYTES = 4_096  # clients have nothing to say there
UNREAD_MS = 30_000  # a client that acknowledges nothing for so long is gone


class _Server(uvicorn.Server):
    """Signals are the service's; `listening` is set when it accepts."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Serves one app on one address, from `start` to `stop`."""

    def __init__(self, app: FastAPI, listen: Endpoint) -> None:
        self._listen = listen
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="websockets-sansio",
                ws_max_size=MAX_WS_BYTES,
                ws_per_message_deflate=False,  # 300 KB a client, on the loop that relays
                log_level="warning",  # its other lines would tell tokens in query strings
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONCURRENT,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens; the port is the real one once started."""
        return self._listen

    async def start(self) -> None:
        """Listening when it returns. Raises Unavailable."""
        self._socket = _bind(self._listen)
        self._listen = Endpoint(*self._socket.getsockname()[:2])
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="api")
        await self._server.listening.wait()

    async def stop(self) -> None:
        """Replies that are under way may end, for GRACE_S. Idempotent."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        if self._socket is not None:
            self._socket.close()


def _bind(listen: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if listen.family is Family.IPV6 else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)  # accepted ones inherit it
        bound.bind(listen)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise Unavailable(
            f"api.listen = {listen}: {error.strerror}; free the port or choose another"
        ) from error
    return bound
