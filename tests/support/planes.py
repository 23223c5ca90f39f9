"""A media plane on loopback with two parties and a stranger, for the suite that every plane passes.

Nothing here waits for time to pass: that a packet was *not* relayed is shown by one sent after it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from mediaproxy.calls.plane import (
    Allocate,
    Allocated,
    Codec,
    Connect,
    Describe,
    Latch,
    LegCounters,
    LegId,
    PlaneEvent,
    PlaneOperation,
    Remote,
    SetTap,
    Tap,
)
from mediaproxy.ids import CallId
from mediaproxy.media.plane import Plane, PlaneSettings
from mediaproxy.media.userspace import UserspacePlane
from mediaproxy.net import Endpoint, Family
from mediaproxy.recording.ring import RECORD, PacketRing
from mediaproxy.rtp.packet import build

PLANE_HOST = "127.0.0.20"
CALLER_HOST = "127.0.0.2"
CALLEE_HOST = "127.0.0.3"
STRANGER_HOST = "127.0.0.4"
PORTS = range(41_000, 41_200)
PATIENCE_S = 2.5
BOTH_FAMILIES = {Family.IPV4: PLANE_HOST, Family.IPV6: "::1"}
CALL = CallId("call-1")
PCMU, PCMA = Codec("PCMU", 8000), Codec("PCMA", 8000)
AUDIO = {0: PCMU, 8: PCMA}
DIGITS = frozenset({101})

E = TypeVar("E", bound=PlaneEvent)
MakePlane = Callable[[PlaneSettings, Callable[[PlaneEvent], None], PacketRing, Callable[[], None]], Plane]


def userspace(
    settings: PlaneSettings,
    on_event: Callable[[PlaneEvent], None],
    ring: PacketRing,
    on_pressure: Callable[[], None],
) -> Plane:
    return UserspacePlane(settings, on_event=on_event, ring=ring, on_pressure=on_pressure)


PLANES: dict[str, MakePlane] = {"userspace": userspace}


class Party:
    """One UDP socket of a telephone."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((host, port))
        self.endpoint = Endpoint(*self.socket.getsockname()[:2])
        self.received: list[bytes] = []
        self.sources: set[Endpoint] = set()
        self._arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def send(self, packet: bytes, to: Endpoint) -> None:
        self.socket.sendto(packet, to)

    async def hears(self, count: int) -> list[bytes]:
        """The first `count` packets, as soon as they are there."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.received) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.received[:count]

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def _read(self) -> None:
        while True:
            try:
                packet, source = self.socket.recvfrom(65_536)
            except BlockingIOError:
                return
            self.received.append(packet)
            self.sources.add(Endpoint(*source[:2]))
            self._arrived.set()


class Bench:
    """A plane, its ring, its events, and one call between two parties."""

    def __init__(self, make: MakePlane, settings: PlaneSettings, slots: int) -> None:
        self.events: list[PlaneEvent] = []
        self.pressure = 0
        self.ring = PacketRing(slots)
        self._happened = asyncio.Event()
        self.plane = make(settings, self._on_event, self.ring, self._on_pressure)
        self.parties: list[Party] = []

    def perform(self, *operations: PlaneOperation) -> None:
        for operation in operations:
            self.plane.perform(operation)

    async def event(self, kind: type[E]) -> E:
        """The first event of this kind, taken out."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        self.events.remove(event)
                        return event
                self._happened.clear()
                await self._happened.wait()

    async def allocate(
        self,
        call: CallId = CALL,
        generation: int = 1,
        families: tuple[Family, Family] = (Family.IPV4, Family.IPV4),
    ) -> tuple[Endpoint, Endpoint]:
        self.perform(Allocate(call, generation, families))
        return (await self.event(Allocated)).local

    def party(self, host: str, port: int = 0) -> Party:
        party = Party(host, port)
        self.parties.append(party)
        return party

    def connect(
        self,
        leg: LegId,
        rtp: Endpoint,
        *,
        rtcp: Endpoint | None = None,
        latch: Latch = Latch.AUTO,
        signalling_host: str = "127.0.0.9",
        call: CallId = CALL,
    ) -> None:
        """`rtcp` equal to `rtp` is rtcp-mux; None is the port above."""
        remote = Remote(rtp, rtcp or Endpoint(rtp.host, rtp.port + 1), rtcp_mux=rtcp == rtp)
        self.perform(Connect(call, leg, remote, latch, signalling_host))

    def describe(self, leg: LegId, *, heard: bool = True, call: CallId = CALL) -> None:
        self.perform(Describe(call, leg, AUDIO, DIGITS, heard))

    def tap(self, tap: Tap, call: CallId = CALL) -> None:
        self.perform(SetTap(call, LegId.A, tap), SetTap(call, LegId.B, tap))

    def counters(self, leg: LegId, call: CallId = CALL) -> LegCounters:
        counters = self.plane.counters(call)
        assert counters
        return counters[leg]

    def records(self) -> list[dict[str, object]]:
        """What waits in the ring, as plain values, and the ring emptied."""
        names = [name for name in RECORD.names or () if name != "payload"]
        found = []
        for records in self.ring.take():
            for record in records:
                values: dict[str, object] = {name: int(record[name]) for name in names}
                values["payload"] = record["payload"].tobytes()
                found.append(values)
        self.ring.free()
        return found

    def close(self) -> None:
        self.plane.close()
        for party in self.parties:
            party.close()

    def _on_event(self, event: PlaneEvent) -> None:
        self.events.append(event)
        self._happened.set()

    def _on_pressure(self) -> None:
        self.pressure += 1
        self.ring.take()
        self.ring.free()


class TwoParties:
    """A connected call: `send` and `hears` by leg."""

    def __init__(self, bench: Bench, local: tuple[Endpoint, Endpoint], parties: tuple[Party, Party]) -> None:
        self.bench = bench
        self.local = local
        self.parties = parties

    def send(self, leg: LegId, packet: bytes) -> None:
        self.parties[leg].send(packet, self.local[leg])

    async def hears(self, leg: LegId, count: int) -> list[bytes]:
        return await self.parties[leg].hears(count)


@asynccontextmanager
async def bench_of(
    plane: str,
    *,
    ports: range = PORTS,
    quarantine_s: float = 0.0,
    slots: int = 256,
    hosts: Mapping[Family, str] = BOTH_FAMILIES,
) -> AsyncIterator[Bench]:
    bench = Bench(PLANES[plane], PlaneSettings(hosts, hosts, ports, quarantine_s), slots)
    try:
        yield bench
    finally:
        bench.close()


async def connected(bench: Bench, call: CallId = CALL, generation: int = 1) -> TwoParties:
    """A call whose parties are where their SDP says, both heard."""
    local = await bench.allocate(call, generation)
    parties = (bench.party(CALLER_HOST), bench.party(CALLEE_HOST))
    for leg in LegId:
        bench.connect(leg, parties[leg].endpoint, call=call)
        bench.describe(leg, call=call)
    return TwoParties(bench, local, parties)


def speech(seq: int, *, payload_type: int = 0, ssrc: int = 0xA1, marker: bool = False) -> bytes:
    """A packet whose payload tells its sequence number."""
    return build(payload_type, marker, seq, seq * 160, ssrc, bytes([seq & 0xFF]) * 160)


async def until(condition: Callable[[], bool], act: Callable[[], Awaitable[None]] | None = None) -> None:
    """Lets the loop run until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await (act() if act else asyncio.sleep(0.002))
