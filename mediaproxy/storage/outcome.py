"""What became of a recording, as values for the call log and the terminal."""

from dataclasses import dataclass
from pathlib import Path

from mediaproxy.ids import RecordingId
from mediaproxy.recording.journal import Header
from mediaproxy.recording.manifest import Interval

COMPLETE = "complete"
DEGRADED = "degraded"
RECOVERED = "recovered"
FAILED = "failed"
NONE = "none"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`result` none (there never was audio, there is no file), complete, degraded, recovered, or failed
    (not published: the live file stays for the next repair). `audio` and `sha256` name the master;
    `remark` is for the log, of what went otherwise than configured.
    """

    recording_id: RecordingId
    result: str
    reasons: tuple[str, ...]
    duration_samples: int
    intervals: tuple[Interval, ...] = ()
    audio: Path | None = None
    sha256: str | None = None
    remark: str | None = None

    @property
    def recorded_samples(self) -> int:
        return sum(i.end_sample - i.start_sample for i in self.intervals if i.kind == "audio")


@dataclass(frozen=True, slots=True)
class Repaired:
    """A recording that a crash left open is closed; the call ended at answer + `duration_samples`."""

    header: Header
    outcome: Outcome

    def __str__(self) -> str:
        outcome, rate = self.outcome, self.header.sample_rate
        recorded, duration = outcome.recorded_samples / rate, outcome.duration_samples / rate
        seconds = f"{recorded:.3f} s of {duration:.3f} s recorded"
        where = f" -> {outcome.audio}" if outcome.audio else ""
        return f"{outcome.recording_id}: {outcome.result}, {seconds}{where}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A live recording that cannot be repaired; its files are kept as they are. With `may_pass` it is the
    disk's fault, which may not last."""

    recording_id: str
    reason: str
    may_pass: bool = False

    def __str__(self) -> str:
        return f"{self.recording_id}: kept as it is: {self.reason}"
