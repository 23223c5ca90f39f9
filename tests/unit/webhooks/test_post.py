"""One POST against a real server: what counts as an answer, and whom we refuse to talk to."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mediaproxy.webhooks import post
from mediaproxy.webhooks.post import Failed, Poster, parse_url
from tests.support.receiver import BROKEN, HANGS, HANGS_UP, OK, receiver

HEADERS = [("webhook-id", "1")]


@pytest.fixture
def poster() -> Iterator[Poster]:
    with ThreadPoolExecutor(1, "names") as pool:
        yield Poster(pool, timeout_s=0.3)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (OK, 204),
        (BROKEN, 500),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", 302),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 100_000, 200),
    ],
)
async def test_the_status_is_what_counts(poster: Poster, answer: bytes, status: int) -> None:
    """No redirect is followed, and no body waited for."""
    async with receiver(lambda _: answer) as server:
        place = parse_url(f"{server.url}?a=b", allow_private=True)
        assert await poster.post(place, HEADERS, b"{}") == status
        (line, headers, body) = server.requests[0]
        assert (line, body) == ("POST /hook?a=b HTTP/1.1", b"{}")
        assert headers["host"] == f"127.0.0.1:{server.port}"
        assert headers["content-type"] == "application/json"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HANGS, "no answer in time"),
        (HANGS_UP, "the connection was closed without an answer"),
        (b"SSH-2.0-x\r\n\r\n", "the answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "the answer is no HTTP"),
    ],
)
async def test_what_is_no_answer(poster: Poster, answer: bytes, why: str) -> None:
    async with receiver(lambda _: answer) as server:
        with pytest.raises(Failed, match=why):
            await poster.post(parse_url(server.url, allow_private=True), HEADERS, b"{}")


async def test_nobody_there(poster: Poster) -> None:
    async with receiver() as server:
        url = server.url
    with pytest.raises(Failed, match="the connection failed"):
        await poster.post(parse_url(url, allow_private=True), HEADERS, b"{}")


async def test_plain_http_is_no_tls(poster: Poster) -> None:
    async with receiver() as server:
        place = replace(parse_url(server.url, allow_private=True), scheme="https")
        with pytest.raises(Failed):
            await poster.post(place, HEADERS, b"{}")
        assert server.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1"])
async def test_what_is_private_is_not_reached(poster: Poster, host: str) -> None:
    """Whatever its spelling: a name is judged by what it means now."""
    async with receiver() as server:
        with pytest.raises(Failed, match=r"the address is private|the name is unknown"):
            await poster.post(parse_url(f"http://{host}:{server.port}/"), HEADERS, b"{}")
        assert server.requests == []


async def test_of_several_addresses_the_public_ones_alone(
    poster: Poster, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    async def open_connection(host: str, port: int) -> None:
        opened.append(host)
        raise ConnectionRefusedError

    monkeypatch.setattr(
        post, "_look_up", lambda host, port: ["10.0.0.1", "8.8.8.8", "::1", "8.8.4.4", "8.8.8.8"]
    )
    monkeypatch.setattr("asyncio.open_connection", open_connection)
    with pytest.raises(Failed, match="the connection failed"):
        await poster.post(parse_url("http://a.example/"), HEADERS, b"{}")
    assert opened == ["8.8.8.8", "8.8.4.4"]


async def test_who_is_there_in_the_end_is_judged(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that came to be elsewhere than it was meant for gets no byte."""
    async with receiver() as server:
        real = post.asyncio.open_connection

        async def elsewhere(host: str, port: int) -> object:
            return await real("127.0.0.1", server.port)

        monkeypatch.setattr("asyncio.open_connection", elsewhere)
        with pytest.raises(Failed, match="the address is private"):
            await poster.post(parse_url("http://8.8.8.8/"), HEADERS, b"{}")
        assert server.requests == []


async def test_a_name_that_nobody_has(poster: Poster, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror

    monkeypatch.setattr(post, "_look_up", unknown)
    with pytest.raises(Failed, match="the name is unknown"):
        await poster.post(parse_url("http://a.example/"), HEADERS, b"{}")
