"""Holds the call log and the recordings against what the parties did and said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaproxy.loadtest import wire
from mediaproxy.loadtest.parties import Line
from mediaproxy.loadtest.plan import Record, Tell
from mediaproxy.loadtest.recordings import Span, check_recording
from mediaproxy.loadtest.rows import check_row
from mediaproxy.loadtest.toggles import Toggled
from mediaproxy.loadtest.traffic import Books
from mediaproxy.storage import verify

_POLICY_OFF = "off"


@dataclass(slots=True)
class Audit:
    """How many rows and recordings were found right, and what is wrong with the others."""

    rows: int = 0
    recordings: int = 0
    expected: int = 0  # recordings
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run leaves: `rows` by caller, recordings below `directory`, toggles by call."""

    record: Record
    directory: Path
    lines: Sequence[Line]
    rows: Mapping[str, dict[str, Any]]
    toggled: Mapping[int, Toggled]
    packets: int  # of each stream
    books: Books


def audit(evidence: Evidence, tell: Tell) -> Audit:
    """Every row, every recording, every sample."""
    found = Audit()
    table = wire.payload_table()
    for done, line in enumerate(evidence.lines):
        tell("checking the recordings", done, len(evidence.lines))
        faults = _check_call(evidence, line, found, table)
        found.faults += [f"call {line.number}: {fault}" for fault in faults]
    tell("checking the recordings", len(evidence.lines), len(evidence.lines))
    return found


def _check_call(evidence: Evidence, line: Line, found: Audit, table: Any) -> list[str]:
    """Counts what is right into `found`; gives the faults."""
    spans_wanted = wants_file(evidence, line)
    found.expected += spans_wanted
    row = evidence.rows.get(line.caller)
    if row is None:
        return ["no row in the call log"]
    recording = row["recording"]
    spans = _spans(evidence, line, recording["duration_samples"] if recording else 0)
    policy = _POLICY_OFF if evidence.record is Record.NONE else "on"
    faults = check_row(row, (line.hung_up_ns - line.answered_ns) / 1e6, policy, spans)
    found.rows += not faults
    toggled = evidence.toggled.get(line.number)
    faults += toggled.faults if toggled else []
    if recording and spans_wanted:
        fault = _check_file(evidence, line, recording, spans, table)
        found.recordings += fault is None
        faults += [fault] if fault else []
    return faults


def wants_file(evidence: Evidence, line: Line) -> bool:
    """Whether the call must have left a recording: it was open at some time."""
    if evidence.record is Record.RANDOM:
        return line.number in evidence.toggled and evidence.toggled[line.number].opened
    return evidence.record is Record.ALL


def _spans(evidence: Evidence, line: Line, duration: int) -> list[Span]:
    if evidence.record is Record.RANDOM:
        return evidence.toggled[line.number].spans(duration) if line.number in evidence.toggled else []
    return [(0, duration)] if evidence.record is Record.ALL else []


def _check_file(
    evidence: Evidence, line: Line, recording: dict[str, Any], spans: Sequence[Span], table: Any
) -> str | None:
    path = next(evidence.directory.glob(f"[0-9]*/*/*/{recording['id']}.wav"), None)
    if path is None:
        return "the recording was not published"
    refused = [str(verdict) for verdict in verify([path]) if not verdict.ok]
    if refused:
        return refused[0]
    first = 2 * line.number
    starts_ns = evidence.books.sent_ns[first : first + 2, 0] - line.answered_ns
    duration = recording["duration_samples"]
    return check_recording(path, duration, line.number, evidence.packets, starts_ns, table, spans)
