"""The peers of a black-box test: a network of loopback addresses, the server, its callers and callees."""

import fcntl
import itertools
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import baresip, sipp
from tests.support.proxy import POLL_S, Api, Net, ProxyProcess
from tests.support.rtp_oracle import PCMU
from tests.support.rtp_phone import RtpPhone
from tests.support.softphone import Phone

OCTETS = range(20, 250)  # 127.20.x.y and up: one second octet for each worker of each run
CLAIM = ("255.254", 9)  # whoever has bound this of 127.<octet> has the octet
BARESIP_PORTS = (41000, 64)  # first, how many an octet; baresip binds them on every address
IPV6_PORTS = (11000, 8)  # all of it is on ::1
TIMEOUT_S = 240  # of which a minute may be spent waiting for the machine
NAP_S, MISSED_S = 0.01, 0.02  # audio that is later by a packet may be placed, or cut, otherwise
DOOR, ROOM = "mediaproxy-peers-door.lock", "mediaproxy-peers-room.lock"

MakeProxy = Callable[..., ProxyProcess]

_serial = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.peer)
            item.add_marker(pytest.mark.slow)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIMEOUT_S))
            # Telephones that get no turn send late, and say nothing of the proxy: then once more.
            if item.config.pluginmanager.hasplugin("rerunfailures"):
                item.add_marker(pytest.mark.flaky(reruns=2, condition="config.turns.were_missed()"))


class Turns:
    """Whether this process, and so the telephones in it and beside it, got its turns lately."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="turns", daemon=True).start()

    def begin(self) -> None:
        self.worst_s = 0.0

    def were_missed(self) -> bool:
        return self.worst_s > MISSED_S

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            self._ended.wait(NAP_S)
            self.worst_s = max(self.worst_s, time.monotonic() - began - NAP_S)


def pytest_configure(config: pytest.Config) -> None:
    config.turns = Turns()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def octet() -> Iterator[int]:
    """The second octet of every address of this worker, ours alone as long as it runs."""
    for candidate in OCTETS:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind((f"127.{candidate}.{CLAIM[0]}", CLAIM[1]))
            except OSError:
                continue
            yield candidate
            return
    pytest.fail("every octet of 127 is taken")


def new_net(octet: int) -> Net:
    return Net(f"127.{octet}.{next(_serial) % 255}")


@pytest.fixture(autouse=True)
def machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests share the machine; one marked by the fixture `alone` waits until it has it to itself.

    Two locks, so that whoever waits to be alone keeps new tests out: through the door, into the room.
    """
    request.config.turns.begin()  # type: ignore[attr-defined]
    kind = fcntl.LOCK_EX if "alone" in request.fixturenames else fcntl.LOCK_SH
    folder = Path(tempfile.gettempdir())
    with (folder / DOOR).open("w") as door, (folder / ROOM).open("w") as room:
        fcntl.flock(door, kind)
        fcntl.flock(room, kind)
        if kind == fcntl.LOCK_SH:
            fcntl.flock(door, fcntl.LOCK_UN)
        yield


@pytest.fixture
def alone() -> None:
    """No other test of this folder runs meanwhile, in whatever process: it measures the machine."""


@pytest.fixture
def net(octet: int) -> Net:
    return new_net(octet)


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ProxyProcess]]:
    """The one server of this worker that plain tests share; started by the first."""
    servers: list[ProxyProcess] = []
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def proxy(
    _shared: list[ProxyProcess], tmp_path_factory: pytest.TempPathFactory, octet: int
) -> Iterator[ProxyProcess]:
    """A server with the acceptance configuration, alive before and after the test."""
    if not _shared or not _shared[-1].alive:
        _shared.append(ProxyProcess(tmp_path_factory.mktemp("proxy"), new_net(octet)).start())
    server = _shared[-1]
    logged = len(server.log)
    yield server
    if live_calls(server):
        server.stop()  # what a failed test left ringing is no other test's business
        return
    assert server.alive, f"the server died:\n{server.log[-4000:]}"
    assert "Traceback" not in server.log[logged:], server.log[logged:][-6000:]


def live_calls(server: ProxyProcess) -> int:
    """How many calls go on half a second after a test."""
    for _ in range(10):
        if not server.alive or not (count := server.live_calls()):
            return 0
        time.sleep(POLL_S)
    return count


@pytest.fixture
def make_proxy(tmp_path: Path, octet: int) -> Iterator[MakeProxy]:
    """Servers of the test's own, with changes to the acceptance configuration."""
    servers: list[ProxyProcess] = []

    def make(changes: dict[str, Any] | None = None, *, start: bool = True) -> ProxyProcess:
        server = ProxyProcess(tmp_path / f"proxy-{len(servers)}", new_net(octet), changes)
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
def rtp_range(octet: int) -> Callable[[], int]:
    """A range of RTP ports that no other baresip has now; they bind to every address."""
    first, count = BARESIP_PORTS
    return lambda: first + (octet - OCTETS[0]) * count + next(_serial) % 2 * (count // 2)


@pytest.fixture
def ipv6_ports(octet: int) -> list[int]:
    """Ports of ::1 that no other worker uses."""
    first, count = IPV6_PORTS
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no ::1")
    return [first + (octet - OCTETS[0]) * count + i for i in range(count)]
