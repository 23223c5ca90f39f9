"""One live recording with real recorder, ring and spool; time is handed in, the plane is a list."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mediaproxy.calllog.rows import RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord, Participant
from mediaproxy.calls.model import RecordingPolicy
from mediaproxy.calls.plane import Codec, Describe, LegId, PlayTone, Released, SetTap, Tap, Tone
from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.observe import Metrics
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Recorder
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Refusal
from mediaproxy.service.events import EventStream
from mediaproxy.service.live import Settings
from mediaproxy.service.media import Outward, Settled
from mediaproxy.service.recordings import LiveRecordings
from mediaproxy.service.sounds import Sounds
from mediaproxy.storage import Spool, Storage

MS = 1_000_000
RATE = 8_000
ALICE = Actor("api", "alice")
CALL = CallId(uuid7(1, bytes(10)))
RECORDING = RecordingId(uuid7(2, bytes(10)))
RECORD = CallRecord(
    id=CALL,
    sip_call_id="x",
    direction="inbound",
    from_user="carrier",
    to_user="+15550100",
    from_uri="sip:carrier@127.0.0.2",
    to_uri="sip:+15550100@127.0.0.1",
    from_name=None,
    agent="alice",
    trunk="carrier",
    state="answered",
    started_at_ms=1_000,
    answered_at_ms=2_000,
    participants=(
        Participant(LegId.A, "trunk", "carrier", "carrier", 0, None),
        Participant(LegId.B, "agent", "alice", "+15550100", 0, None),
    ),
)


def silent_events() -> EventStream:
    return EventStream(run="run", now_ms=lambda: 5_000, find=lambda call: None)


@dataclass
class World:
    """One live recording whose clock starts at 0 ns."""

    directory: Path
    storage: Storage
    spool: Spool
    live: LiveRecordings
    ring: PacketRing
    operations: list[Any] = field(default_factory=list)
    rows: list[RecordingRow] = field(default_factory=list)
    now_ns: int = 0
    metrics: Metrics = field(default_factory=Metrics)
    events: EventStream = field(default_factory=silent_events)

    @property
    def alarms(self) -> dict[str, float]:
        [family] = [each for each in self.metrics.registry.collect() if each.name == "mediaproxy_alarms"]
        return {s.labels["event"]: s.value for s in family.samples if s.name.endswith("_total")}

    def answer(self, policy: RecordingPolicy) -> None:
        for leg in LegId:
            self.live.describe(Describe(CALL, leg, {0: Codec("PCMU", 8_000)}))
        answered = CallAnswered(RECORD, 0, 7, policy, LegId.B, LegId.A)
        self.live.arm(answered, RECORDING, now_ns=0)

    def speak(self, packets: int) -> None:
        """Both legs speak for so many times 20 ms, each packet as it arrives."""
        for _ in range(packets):
            self.arrive()
            self.live.tick(now_ns=self.now_ns)

    def arrive(self) -> None:
        """The next 20 ms of both legs are relayed and tapped."""
        self.now_ns += 20 * MS
        n = self.now_ns // (20 * MS)
        self.ring.begin_pass(self.now_ns)
        for leg in LegId:
            payload = np.full(160, 0x20 + leg, dtype=np.uint8).tobytes()
            self.ring.put(7, leg, 0, 0, 100 + leg, n, n * 160, self.now_ns, payload)
        self.ring.end_pass(emptied=True)

    async def toggle(self, action: Action, by: Actor = ALICE) -> Settled | Refusal:
        return await self.live.toggle(CALL, action, by, at_ns=self.now_ns, now_ns=lambda: self.now_ns)

    async def end(self) -> RecordingRow:
        self.live.ended(replace(RECORD, state="ended"), ended_ns=self.now_ns)
        self.live.released(Released(CALL))
        await self.live.close()
        return self.rows[-1]

    @property
    def taps(self) -> list[Tap]:
        return [op.tap for op in self.operations if isinstance(op, SetTap) and op.leg is LegId.A]

    @property
    def tones(self) -> list[Tone]:
        return [op.tone for op in self.operations if isinstance(op, PlayTone)]


async def _tick_for_ever(world: World) -> None:
    """As the loop of a process does, also while it closes."""
    while True:
        await asyncio.sleep(0.01)
        world.live.tick(now_ns=world.now_ns)


@asynccontextmanager
async def live_world(
    tmp_path: Path,
    sounds: Sounds | None = None,
    show: Callable[[CallId, RecordingRow, bool], None] | None = None,
    relay: Callable[[], None] = lambda: None,
) -> AsyncIterator[World]:
    storage = Storage.open(tmp_path / "rec", min_free_bytes=0)
    crashes: list[Exception] = []
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=crashes.append)
    ring = PacketRing(slots=256)
    operations: list[Any] = []
    rows: list[RecordingRow] = []
    metrics, events = Metrics(), silent_events()
    live = LiveRecordings(
        recorder=Recorder(),
        ring=ring,
        storage=storage,
        spool=spool,
        perform=operations.append,
        relay=relay,
        settings=Settings(RATE, keep_unrecorded=False, record_on_hold=True, confirmation_tone=True),
        sounds=sounds or Sounds({}),
        outward=Outward(
            on_plane_event=lambda event: None,
            put_row=rows.append,
            indicate=lambda call, word: None,
            events=events,
            counts=metrics,
            show=show,
        ),
    )
    world = World(
        tmp_path / "rec", storage, spool, live, ring, operations, rows, metrics=metrics, events=events
    )
    ticking = asyncio.create_task(_tick_for_ever(world))
    yield world
    ticking.cancel()
    await spool.close()
    storage.close()
    assert not crashes


def samples(world: World, row: RecordingRow) -> np.ndarray:
    assert row.file is not None
    content = (world.directory / row.file).read_bytes()
    start = content.index(b"data") + 8
    return np.frombuffer(content[start : start + row.duration_samples * 4], dtype="<i2").reshape(-1, 2)
