"""A media plane on loopback with two parties and a stranger, for the suite that every plane passes.

Nothing here waits for time to pass: that a packet was *not* relayed is shown by one sent after it.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

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
from mediaproxy.media.plane import Capability, PlaneSettings
from mediaproxy.media.userspace import UserspacePlane
from mediaproxy.net import Endpoint, Family
from mediaproxy.observe import Metrics
from mediaproxy.recording.ring import RECORD, PacketRing
from mediaproxy.rtp.packet import build
from mediaproxy.service.events import EventStream
from mediaproxy.service.live import Settings
from mediaproxy.service.media import Outward
from mediaproxy.service.media_loop import LoopSettings
from mediaproxy.service.sounds import Sounds
from mediaproxy.service.workers import Workers
from tests.support.plane_worker import MODULE, InspectedRing, Inspector

PLANE_HOST = "127.0.0.20"
CALLER_HOST = "127.0.0.2"
CALLEE_HOST = "127.0.0.3"
STRANGER_HOST = "127.0.0.4"
PORTS = range(31_200, 31_400)
PATIENCE_S = 2.5
STALLED_S = 0.2
ROOM_BYTES = 1 << 20  # a worker relays while the test is still sending
BOTH_FAMILIES = {Family.IPV4: PLANE_HOST, Family.IPV6: "::1"}
CALL = CallId("call-1")
PCMU, PCMA = Codec("PCMU", 8000), Codec("PCMA", 8000)
AUDIO = {0: PCMU, 8: PCMA}
DIGITS = frozenset({101})

E = TypeVar("E", bound=PlaneEvent)
OnEvent = Callable[[PlaneEvent], None]


class InProcess:
    """The userspace plane on the test's own loop."""

    def __init__(self, settings: PlaneSettings, on_event: OnEvent, slots: int) -> None:
        self.ring = PacketRing(slots)
        self.pressure = 0
        self._plane = UserspacePlane(
            settings, on_event=on_event, ring=self.ring, on_pressure=self._on_pressure
        )

    async def open(self) -> None:
        pass

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._plane.capabilities

    def perform(self, operation: PlaneOperation) -> None:
        self._plane.perform(operation)

    def done(self) -> None:
        """What was asked for is."""

    def counters(self, call: CallId) -> tuple[LegCounters, LegCounters] | None:
        return self._plane.counters(call)

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))

    @contextmanager
    def standing_still(self, seconds: float) -> Iterator[None]:
        """The plane's loop stands still while this lasts, and that is at least so long."""
        yield
        time.sleep(seconds)

    async def close(self) -> None:
        self._plane.close()

    def _on_pressure(self) -> None:
        self.pressure += 1
        self.ring.take()
        self.ring.free()


class InWorker:
    """The same in a process of its own, asked by messages; an operation is waited for, as it is there."""

    def __init__(self, settings: PlaneSettings, on_event: OnEvent, slots: int) -> None:
        recording = Settings(8_000, keep_unrecorded=False, record_on_hold=True, confirmation_tone=True)
        metrics = Metrics()
        outward = Outward(
            on_plane_event=on_event,
            put_row=lambda row: None,
            indicate=lambda call, word: None,
            events=EventStream(run="run", now_ms=lambda: 0, find=lambda call: None),
            counts=metrics,
        )
        self._workers = Workers(
            [LoopSettings(settings, recording, slots)],
            Path("/nowhere"),
            Sounds({}),
            outward,
            lambda lost: None,
            lambda: None,
            MODULE,
        )
        self._inspector = Inspector(self._send)
        self.ring = InspectedRing(self._inspector)

    async def open(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
            await self._workers.start()

    @property
    def pressure(self) -> int:
        return int(self._inspector.ask("pressure"))

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset(self._inspector.ask("plane.capabilities"))

    def _send(self, message: object) -> None:
        self._workers.workers[0].send(message)

    def perform(self, operation: PlaneOperation) -> None:
        self._workers.perform(operation)

    def done(self) -> None:
        self._inspector.ask("nothing")

    def counters(self, call: CallId) -> tuple[LegCounters, LegCounters] | None:
        counters: tuple[LegCounters, LegCounters] | None = self._inspector.ask("plane.counters", call)
        return counters

    def descriptors(self) -> int:
        return int(self._inspector.ask("descriptors"))

    @contextmanager
    def standing_still(self, seconds: float) -> Iterator[None]:
        self._inspector.ask("stand_still", seconds + STALLED_S)
        begun = time.monotonic()
        yield
        assert time.monotonic() - begun < STALLED_S

    async def close(self) -> None:
        await self._workers.close()


class InPython(InProcess):
    """Without the compiled helper, which the others use where it was built."""

    def __init__(self, settings: PlaneSettings, on_event: OnEvent, slots: int) -> None:
        super().__init__(replace(settings, compiled=False), on_event, slots)


PLANES: dict[str, type[InProcess] | type[InWorker]] = {
    "userspace": InProcess,
    "python": InPython,
    "worker": InWorker,
}


class Party:
    """One UDP socket of a telephone."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM_BYTES)
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

    def __init__(self, plane: str, settings: PlaneSettings, slots: int) -> None:
        self.events: list[PlaneEvent] = []
        self._happened = asyncio.Event()
        self.plane = PLANES[plane](settings, self._on_event, slots)
        self.parties: list[Party] = []

    @property
    def ring(self) -> Any:
        return self.plane.ring

    def perform(self, *operations: PlaneOperation) -> None:
        for operation in operations:
            self.plane.perform(operation)
        self.plane.done()

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

    async def close(self) -> None:
        await self.plane.close()
        for party in self.parties:
            party.close()

    def _on_event(self, event: PlaneEvent) -> None:
        self.events.append(event)
        self._happened.set()


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
    bench = Bench(plane, PlaneSettings(hosts, hosts, ports, quarantine_s), slots)
    try:
        await bench.plane.open()
        yield bench
    finally:
        await bench.close()


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
