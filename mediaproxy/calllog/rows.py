"""What the log holds about a call, as values; and how one asks for it."""

from dataclasses import dataclass
from typing import NamedTuple

from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.metadata import Metadata
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.manifest import Actor

AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """`[start_sample, end_sample)` on the call clock; an open interval has neither end nor its actor.

    `kind` is "audio" or "announcement": what the parties said, or what we did.
    """

    start_sample: int
    end_sample: int | None
    started_by: Actor
    ended_by: Actor | None
    kind: str = AUDIO


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """A recording as the log has it.

    state `inactive|recording|paused|finished`; result is None until the audio can be downloaded, then
    `none|complete|degraded|recovered|failed`; policy `on_demand|automatic`. `duration_samples` is the
    call's, `file` and `manifest` are paths below the storage directory (None: nothing published, or
    deleted since).
    """

    id: RecordingId
    call: CallId
    state: str
    policy: str
    sample_rate: int
    duration_samples: int = 0
    recorded_samples: int = 0
    intervals: tuple[IntervalRow, ...] = ()
    result: str | None = None
    reasons: tuple[str, ...] = ()
    file: str | None = None
    manifest: str | None = None
    sha256: str | None = None
    deleted_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call with its recording (None: the policy was off, or it was never answered)."""

    call: CallRecord
    recording: RecordingRow | None = None


@dataclass(frozen=True, slots=True)
class InterruptedCall:
    """A row that a crash left live, or whose recording was never published.

    `last_known_ms` is the latest wall time (Unix ms) at which the log knows the call to have lived;
    the recording's file may know better.
    """

    logged: LoggedCall
    last_known_ms: int


class Cursor(NamedTuple):
    """Where a page ended: the next one holds what is older."""

    started_at_ms: int
    id: str


@dataclass(frozen=True, slots=True)
class CallFilter:
    """All that is given must hold, exactly. `state` may be `live` (any but ended).

    Every name in `agents` must have been on the call; `since_ms <= started_at < until_ms`.
    """

    state: str | None = None
    agents: frozenset[str] = frozenset()
    from_user: str | None = None
    to_user: str | None = None
    sip_call_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    metadata: Metadata = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next` is None on the last page."""

    calls: tuple[LoggedCall, ...]
    next: Cursor | None = None
