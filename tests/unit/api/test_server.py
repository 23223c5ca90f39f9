"""The real server on a real socket, within our loop."""

import asyncio
import signal
import socket

import httpx
import pytest
from fastapi import FastAPI

from mediaproxy.api import ApiServer
from mediaproxy.errors import Unavailable
from mediaproxy.net import Endpoint

ANYWHERE = Endpoint("127.0.0.1", 0)


async def test_it_serves_and_stops_and_leaves_signals_alone(app: FastAPI) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    server = ApiServer(app, ANYWHERE)
    await server.start()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    async with httpx.AsyncClient(base_url=f"http://{server.endpoint}") as client:
        answer = await client.get("/healthz")
        assert answer.json() == {"status": "ok"}
        assert "server" not in answer.headers
        assert (await client.get("/v1/calls")).status_code == 401
        assert (await client.get("/metrics")).status_code == 200
    await server.stop()
    await server.stop()
    with pytest.raises(httpx.ConnectError):
        await httpx.AsyncClient().get(f"http://{server.endpoint}/healthz")


async def test_a_busy_port_is_one_line(app: FastAPI) -> None:
    with socket.create_server(ANYWHERE) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(Unavailable) as caught:
            await ApiServer(app, Endpoint("127.0.0.1", port)).start()
    assert str(caught.value) == (
        f"api.listen = 127.0.0.1:{port}: Address already in use; free the port or choose another"
    )


async def test_an_address_of_another_machine_is_one_line(app: FastAPI) -> None:
    with pytest.raises(Unavailable, match=r"192\.0\.2\.1:80: Cannot assign requested address"):
        await ApiServer(app, Endpoint("192.0.2.1", 80)).start()


async def test_a_client_that_says_nothing_does_not_hold_up_the_stop(app: FastAPI) -> None:
    server = ApiServer(app, ANYWHERE)
    await server.start()
    _, writer = await asyncio.open_connection(*server.endpoint)
    writer.write(b"GET /v1/calls HTTP/1.1\r\n")
    async with asyncio.timeout(2):
        await server.stop()
    writer.close()


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"GET / HTTP/9\r\n\r\n", b"A" * 70_000])
async def test_garbage_is_400_and_the_server_lives(app: FastAPI, garbage: bytes) -> None:
    server = ApiServer(app, ANYWHERE)
    await server.start()
    reader, writer = await asyncio.open_connection(*server.endpoint)
    writer.write(garbage + b"\r\n\r\n")
    assert b"400" in await reader.readline()
    writer.close()
    async with httpx.AsyncClient(base_url=f"http://{server.endpoint}") as client:
        assert (await client.get("/healthz")).status_code == 200
    await server.stop()
