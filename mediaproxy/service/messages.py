"""What the proxy and its media workers say to each other, besides plane operations and plane events, which
go as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mediaproxy.audio.sound import Sound
from mediaproxy.calllog.rows import LoggedCall, RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord, CallUpdated
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.manifest import Actor, Redaction
from mediaproxy.recording.states import Action, Refusal
from mediaproxy.service.media import EventValue, Settled
from mediaproxy.service.media_loop import LoopSettings
from mediaproxy.storage import SpoolStats

# To a worker.


@dataclass(frozen=True, slots=True)
class Begin:
    """The first message, answered by `Ready` or by the worker's end."""

    number: int
    directory: Path
    settings: LoopSettings


@dataclass(frozen=True, slots=True)
class AddSound:
    name: str
    sound: Sound


@dataclass(frozen=True, slots=True)
class Arm:
    answered: CallAnswered
    recording: RecordingId


@dataclass(frozen=True, slots=True)
class Hold:
    call: CallId
    held: bool


@dataclass(frozen=True, slots=True)
class Follow:
    updated: CallUpdated


@dataclass(frozen=True, slots=True)
class End:
    """Answered by `EndTold`."""

    call: CallRecord
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Toggle:
    """`waits`: for a `Certain` of the same ticket."""

    ticket: int
    call: CallId
    action: Action
    by: Actor
    at_ns: int
    waits: bool


@dataclass(frozen=True, slots=True)
class Certain:
    ticket: int
    certain: bool


@dataclass(frozen=True, slots=True)
class Redact:
    ticket: int
    call: CallId
    span: tuple[int, int]
    by: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class SettleOpening:
    ticket: int
    call: CallId


@dataclass(frozen=True, slots=True)
class Close:
    """Publish what has ended, then end."""


Demand = Toggle | Redact | SettleOpening  # each answered by a `Reply`

# From a worker.


@dataclass(frozen=True, slots=True)
class Ready:
    pass


Answer = Settled | Refusal | Redaction | None


@dataclass(frozen=True, slots=True)
class Reply:
    """`error`: it could not be done for the disk's sake; `failed`: for ours."""

    ticket: int
    value: Answer = None
    error: OSError | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """How a recording stands from now on."""

    call: CallId
    row: RecordingRow
    is_open: bool


@dataclass(frozen=True, slots=True)
class RowPut:
    row: RecordingRow


@dataclass(frozen=True, slots=True)
class Published:
    """An event for the stream."""

    type: str
    call: CallId | None
    recording: RecordingId | None
    logged: LoggedCall | None
    fields: dict[str, EventValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndTold:
    call: CallId


@dataclass(frozen=True, slots=True)
class Indicated:
    call: CallId
    word: str


@dataclass(frozen=True, slots=True)
class Alarmed:
    event: str


@dataclass(frozen=True, slots=True)
class Finished:
    result: str


@dataclass(frozen=True, slots=True)
class Alive:
    """Again and again, and at once when `failing` changes. `troubles`: see `LiveRecordings.troubles`."""

    failing: str | None
    stats: SpoolStats
    troubles: Mapping[RecordingId, str] = field(default_factory=dict)
