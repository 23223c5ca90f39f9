"""All that belongs to one media loop: the relay, the ring, the recorder, the spool, the live recordings.

It knows nothing of SIP, API or database: values come in, and go out through `Outward`. So it may run in
the process that has those, called directly, or in a worker of its own (`service.worker`).
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from mediaproxy.audio.sound import Sound
from mediaproxy.calls.plane import AnnouncementEvent, Describe, PlaneEvent, PlaneOperation, Released
from mediaproxy.media.plane import PlaneSettings
from mediaproxy.media.userspace import UserspacePlane
from mediaproxy.recording.recorder import Recorder
from mediaproxy.recording.ring import PacketRing
from mediaproxy.service.live import Settings
from mediaproxy.service.media import Outward
from mediaproxy.service.recordings import LiveRecordings
from mediaproxy.service.sounds import Sounds
from mediaproxy.storage import Spool, SpoolStats, Storage

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What the configuration says to a media loop."""

    plane: PlaneSettings
    recording: Settings
    max_backlog_bytes: int


class MediaLoop:
    """Implements `service.media.Media`. To be built inside the loop that it relays on."""

    def __init__(self, settings: LoopSettings, storage: Storage, sounds: Sounds, outward: Outward) -> None:
        self._outward = outward
        self._sounds = sounds
        self._closed = False
        ring = PacketRing(now_ns=time.monotonic_ns())
        self._spool = Spool(
            storage,
            asyncio.get_running_loop(),
            on_crash=_thread_crashed,
            max_backlog_bytes=settings.max_backlog_bytes,
        )
        self._plane = UserspacePlane(
            settings.plane, on_event=self._on_plane_event, ring=ring, on_pressure=self._on_pressure
        )
        self.recordings = LiveRecordings(
            recorder=Recorder(compiled=settings.plane.compiled),
            ring=ring,
            storage=storage,
            spool=self._spool,
            perform=self._plane.perform,
            relay=self._plane.turn,
            settings=settings.recording,
            sounds=sounds,
            outward=outward,
        )

    def __len__(self) -> int:
        """The calls that have ports."""
        return len(self._plane)

    @property
    def failing(self) -> str | None:
        return self._spool.failing

    @property
    def takes_calls(self) -> bool:
        return not self._closed

    def stats(self) -> SpoolStats:
        return self._spool.stats()

    def perform(self, operation: PlaneOperation) -> None:
        if self._closed:
            return
        if isinstance(operation, Describe):
            self.recordings.describe(operation)
        self._plane.perform(operation)

    def add_sounds(self, loaded: Mapping[str, Sound]) -> None:
        self._sounds.add(loaded)

    def tick(self, now_ns: int) -> None:
        if not self._closed:
            self.recordings.tick(now_ns=now_ns)

    async def close(self) -> None:
        if self._closed:
            return
        await asyncio.sleep(0)  # the plane's last events come by the loop
        await self.recordings.close()
        self._closed = True
        self._plane.close()
        await self._spool.close()

    def _on_plane_event(self, event: PlaneEvent) -> None:
        """What concerns recordings alone goes no further."""
        if isinstance(event, AnnouncementEvent):
            return self.recordings.receive_announcement(event, now_ns=time.monotonic_ns())
        if isinstance(event, Released):
            self.recordings.released(event)
        self._outward.on_plane_event(event)
        return None

    def _on_pressure(self) -> None:
        self.recordings.relieve()


def _thread_crashed(error: Exception) -> None:
    log.error("storage_thread_crashed", exc_info=error)
