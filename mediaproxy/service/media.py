"""What relays and records, as everything else of the proxy sees it: one loop of this process, or workers.

Signalling, API and log ask and are told through these seams; they cannot tell who is behind them.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from mediaproxy.audio.sound import Sound
from mediaproxy.calllog.rows import LoggedCall, RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord, CallUpdated
from mediaproxy.calls.plane import PlaneEvent, PlaneOperation
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.manifest import Actor, Redaction
from mediaproxy.recording.states import Action, Refusal, Toggled
from mediaproxy.storage import SpoolStats

EventValue = str | int | float | bool | None | list[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """A toggle's outcome, and whether its journal line is on the disk."""

    toggled: Toggled
    durable: bool
    sample_rate: int
    withdrawn: bool = False  # the opening was a code that became another one


class FollowedCalls(Protocol):
    """What recordings are told of their calls."""

    def arm(self, answered: CallAnswered, recording: RecordingId) -> None:
        """A call was answered and its policy is not off."""

    def hold(self, call: CallId, *, held: bool) -> None: ...

    def follow(self, updated: CallUpdated) -> None: ...

    def ended(self, call: CallRecord, *, ended_ns: int, told: Callable[[], None]) -> None:
        """The call clock stops here. `told` is called when whoever listens knows what became of the gate."""


class StandingRecordings(Protocol):
    """How live recordings stand; answered at once."""

    def armed(self, call: CallId) -> bool: ...

    def is_open(self, call: CallId) -> bool: ...

    def closed_by_carriers(self, call: CallId) -> bool: ...

    def row(self, call: CallId, *, now_ns: int) -> RecordingRow | None: ...


class CommandedRecordings(Protocol):
    """What may be demanded of live recordings."""

    async def toggle(
        self,
        call: CallId,
        action: Action,
        by: Actor,
        *,
        at_ns: int,
        certain: asyncio.Future[bool] | None = None,
    ) -> Settled | Refusal: ...

    async def redact(
        self, call: CallId, span: tuple[int, int], by: Actor, reason: str
    ) -> Redaction | None: ...

    async def opening_settled(self, call: CallId) -> None: ...


class Recordings(FollowedCalls, StandingRecordings, CommandedRecordings, Protocol):
    """All live recordings, wherever they are made; see `LiveRecordings`."""


class Media(Protocol):
    """Relays and records. `failing` is the fixed word for what is wrong with the disk, or None; `takes_calls`
    says whether a new one would find anybody."""

    @property
    def recordings(self) -> Recordings: ...

    @property
    def failing(self) -> str | None: ...

    @property
    def takes_calls(self) -> bool: ...

    def stats(self) -> SpoolStats: ...

    def perform(self, operation: PlaneOperation) -> None:
        """As `media.plane.Plane` does; what comes after `close` is absorbed."""

    def add_sounds(self, loaded: Mapping[str, Sound]) -> None: ...

    def tick(self, now_ns: int) -> None:
        """Every few tens of milliseconds."""

    async def close(self) -> None:
        """Once no call lives: until what ended is published; then give everything back. Idempotent."""


class Events(Protocol):
    """Who is told of events: see `EventStream.publish`."""

    def publish(
        self,
        type: str,
        call: CallId | None,
        recording: RecordingId | None = None,
        *,
        logged: LoggedCall | None = None,
        **fields: EventValue,
    ) -> None: ...


class Counts(Protocol):
    """Who counts: see `Metrics`."""

    def alarm(self, event: str) -> None: ...

    def recording_finished(self, result: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Outward:
    """Who hears what a media loop has to say; each is called on its loop, and waits for nothing.

    `show` is told how a recording stands, and whether its gate is open, after every change; in one process
    whoever wants to know asks.
    """

    on_plane_event: Callable[[PlaneEvent], None]
    put_row: Callable[[RecordingRow], None]
    indicate: Callable[[CallId, str], None]
    events: Events
    counts: Counts
    show: Callable[[CallId, RecordingRow, bool], None] | None = None
