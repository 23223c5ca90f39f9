"""The peers of a black-box test: a network of loopback addresses, the server, its callers and callees."""

import contextlib
import itertools
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import baresip, sipp
from tests.support.proxy import Api, Net, ProxyProcess
from tests.support.rtp_oracle import PCMU
from tests.support.rtp_phone import RtpPhone
from tests.support.softphone import Phone

FIRST_NET = 20  # 127.20.x.y and up, one second octet a worker
BARESIP_FIRST_PORT = 41000

MakeProxy = Callable[..., ProxyProcess]

_networks = itertools.count(1)
_rtp_ranges = itertools.count()


def worker() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.peer)
            item.add_marker(pytest.mark.slow)


def new_net() -> Net:
    return Net(f"127.{FIRST_NET + worker()}.{next(_networks) % 256}")


@pytest.fixture
def net() -> Net:
    return new_net()


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ProxyProcess]]:
    """The one server of this worker that plain tests share; started by the first."""
    servers: list[ProxyProcess] = []
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def proxy(_shared: list[ProxyProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A server with the acceptance configuration, alive before and after the test."""
    if not _shared or not _shared[-1].alive:
        _shared.append(ProxyProcess(tmp_path_factory.mktemp("proxy"), new_net()).start())
    server = _shared[-1]
    logged = len(server.log)
    yield server
    assert server.alive, f"the server died:\n{server.log[-4000:]}"
    assert "Traceback" not in server.log[logged:], server.log[logged:][-6000:]


@pytest.fixture
def make_proxy(tmp_path: Path) -> Iterator[MakeProxy]:
    """Servers of the test's own, with changes to the acceptance configuration."""
    servers: list[ProxyProcess] = []

    def make(changes: dict[str, Any] | None = None, *, start: bool = True) -> ProxyProcess:
        server = ProxyProcess(tmp_path / f"proxy-{len(servers)}", new_net(), changes)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        server.stop()
        if server.starts:
            server.check_log()


class Cast:
    """The peers of one server, closed when the test ends."""

    def __init__(self, server: ProxyProcess) -> None:
        self.server = server
        self._closers: list[Any] = []

    async def phone(self, user: str, address: tuple[str, int], **options: Any) -> Phone:
        options.setdefault("seed", len(self._closers) + 1)
        phone = Phone(user, address, options.pop("proxy", self.server.sip), **options)
        self._closers.append(phone)
        return await phone.open()

    def stranger(self, host: str, seed: int) -> RtpPhone:
        """RTP alone, from where no party is."""
        media = RtpPhone(host, codes=PCMU.noise(seed, 20.0), ssrc=seed)
        self._closers.append(media)
        return media

    def beside(self, media: RtpPhone) -> RtpPhone:
        """The RTCP port of a telephone: its RTP port + 1."""
        host, port = media.local
        rtcp = RtpPhone(host, port + 1, codes=media.codes)
        self._closers.append(rtcp)
        return rtcp

    async def carrier(self, **options: Any) -> Phone:
        return await self.phone("carrier", self.server.net.carrier, **options)

    async def alice(self, **options: Any) -> Phone:
        return await self.phone("alice", self.server.net.alice, **options)

    async def bob(self, **options: Any) -> Phone:
        return await self.phone("bob", self.server.net.bob, **options)

    def api(self, token: str | None = "adm") -> Api:
        api = self.server.api(token)
        self._closers.append(api)
        return api

    async def close(self) -> None:
        for closer in reversed(self._closers):
            await closer.close()


@pytest.fixture
async def casts() -> AsyncIterator[Callable[[ProxyProcess], Cast]]:
    made: list[Cast] = []

    def cast_of(server: ProxyProcess) -> Cast:
        made.append(Cast(server))
        return made[-1]

    yield cast_of
    for cast in made:
        await cast.close()


@pytest.fixture
def cast(proxy: ProxyProcess, casts: Callable[[ProxyProcess], Cast]) -> Cast:
    """Peers of the shared server."""
    return casts(proxy)


@pytest.fixture
def needs_sipp() -> None:
    if not sipp.installed():
        pytest.skip("sipp is not installed (apt: sip-tester)")


@pytest.fixture
def needs_baresip() -> None:
    if not baresip.installed():
        pytest.skip("baresip is not installed (apt: baresip-core)")


@pytest.fixture
def rtp_range() -> Callable[[], int]:
    """A range of 40 RTP ports that no other baresip of this run has; they bind to every address."""
    return lambda: BARESIP_FIRST_PORT + worker() * 1000 + next(_rtp_ranges) % 24 * 40


@pytest.fixture
def free_ipv6_ports() -> Callable[[int], list[int]]:
    """Ports of ::1 that nobody has now; a worker takes them from a range of its own."""

    def take(count: int) -> list[int]:
        found: list[int] = []
        for port in itertools.count(45000 + worker() * 500 + next(_networks) % 100 * 5):
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
                probe.bind(("::1", port))
                found.append(port)
            if len(found) == count:
                return found
        raise AssertionError

    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no ::1")
    return take
