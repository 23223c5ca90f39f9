"""What the spool keeps of its recordings and of lines on their way, and what it says of itself."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from mediaproxy.ids import RecordingId
from mediaproxy.recording.journal import Ended, Record
from mediaproxy.storage.live import LiveRecording
from mediaproxy.storage.outcome import Outcome

_FSYNCS_KEPT = 1024


@dataclass(frozen=True, slots=True)
class JournalResult:
    """Whether a line is durable; if not, the fixed word for why."""

    durable: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SpoolStats:
    live: int
    backlog_bytes: int
    max_backlog_bytes: int
    lost_samples: int
    standing: int  # recordings whose audio cannot reach the disk
    postponed: int  # recordings that could not be published yet
    published: int
    failed: int
    fsync_p99_ms: float  # of the last thousand journal writes

    @classmethod
    def of_all(cls, stats: Iterable["SpoolStats"]) -> "SpoolStats":
        """Of several spools of one storage."""
        each = list(stats)
        total = {one.name: sum(getattr(stat, one.name) for stat in each) for one in fields(cls)}
        return cls(**total | {"fsync_p99_ms": max((stat.fsync_p99_ms for stat in each), default=0.0)})


@dataclass(slots=True)
class Entry:
    live: LiveRecording
    number: int  # of it alone
    promised: int = 0  # by the file's header
    lines: int = 0  # of its journal, durable
    dirty: bool = False  # has audio that came since the last flush
    ended: Ended | None = None
    outcome: asyncio.Future[Outcome] | None = None
    closing: bool = False  # its last flush is on the way
    lost_line: str | None = None  # why its journal will never be whole
    stands: str | None = None  # why its audio cannot be written now
    unjournalled: str | None = None  # why lines of it wait for the disk

    @property
    def kept(self) -> bool:
        return self.live.header.keep_unrecorded or bool(self.ended and self.ended.intervals)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A line on its way, and who waits for it."""

    recording: RecordingId
    record: Record
    result: asyncio.Future[JournalResult]
    patient: bool  # who waits does so until the line is durable


@dataclass(slots=True)
class Counters:
    backlog_bytes: int = 0
    lost_samples: int = 0
    published: int = 0
    failed: int = 0
    fsync_s: deque[float] = field(default_factory=lambda: deque(maxlen=_FSYNCS_KEPT))
