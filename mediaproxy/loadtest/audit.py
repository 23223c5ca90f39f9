"""Holds rows of the call log and recordings against what the parties did and said, call by call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import wire
from mediaproxy.loadtest.codecs import Codec
from mediaproxy.loadtest.ledger import spoken
from mediaproxy.loadtest.network import STEP_MS, Network
from mediaproxy.loadtest.plan import Record
from mediaproxy.loadtest.recordings import Said, Span, check_recording
from mediaproxy.loadtest.rows import check_row
from mediaproxy.loadtest.schedule import Speech
from mediaproxy.loadtest.toggles import Toggled, codes_of
from mediaproxy.storage import keys, verify
from mediaproxy.storage.judge import judge

_MS_NS = 1_000_000
MOST_FAULTS = 1_000  # that are told; a run of hours must not drown in them
_CODE_MS = 60  # how well we know when a digit reached the proxy


@dataclass(frozen=True, slots=True)
class Evidence:
    """One call: what its parties know (monotonic nanoseconds), what was asked of it, what it left.

    `speeches` are the legs' and `began_ns` when they began; `file` is None where none was published.
    """

    number: int
    record: Record
    network: Network
    codec: Codec
    answered_ns: int
    heard_ns: int
    hung_up_ns: int
    speeches: tuple[Speech, Speech]
    began_ns: tuple[int, int]
    toggled: Toggled
    policy: str  # by which the proxy records it
    row: Mapping[str, Any] | None
    file: Path | None

    @property
    def wants_file(self) -> bool:
        """Whether the call must have left a recording: it was open at some time."""
        if self.record is Record.RANDOM:
            return self.toggled.opened or any(opens for _, opens in self.codes)
        return self.record is Record.ALL

    @property
    def codes(self) -> list[tuple[int, bool]]:
        """What the agent dialled: the packet with which it takes effect, and whether it opens."""
        return codes_of(self.speeches[1].digits)


@dataclass(slots=True)
class Audit:
    """How many rows and recordings were found right, and what is wrong with the others."""

    calls: int = 0
    rows: int = 0
    recordings: int = 0
    expected: int = 0  # recordings
    faults: list[str] = field(default_factory=list)

    def add(self, other: "Audit") -> None:
        self.calls += other.calls
        self.rows += other.rows
        self.recordings += other.recordings
        self.expected += other.expected
        self.faults += other.faults[: max(MOST_FAULTS - len(self.faults), 0)]


def audit(evidence: Sequence[Evidence], *, chained: bool = True) -> Audit:
    """Every row, every recording, every sample. `chained`: also what the storage's chain says of them."""
    refused = _refused([each.file for each in evidence if each.file is not None], chained)
    found = Audit()
    for each in evidence:
        faults = _check_call(each, found, refused)
        found.faults += [f"call {each.number}: {fault}" for fault in faults]
    return found


def _check_call(evidence: Evidence, found: Audit, refused: Mapping[Path, str]) -> list[str]:
    """Counts what is right into `found`; gives the faults."""
    found.calls += 1
    found.expected += evidence.wants_file
    row = evidence.row
    if row is None:
        return ["no row in the call log"]
    recording = row["recording"]
    duration = recording["duration_samples"] if recording else 0
    spans, unexpected = _spans(evidence, recording, duration)
    took_ms = (evidence.hung_up_ns - evidence.answered_ns) / _MS_NS
    unsure_ms = max(evidence.heard_ns - evidence.answered_ns, 0) / _MS_NS
    faults = check_row(row, took_ms, evidence.policy, spans, evidence.codec.rate, unsure_ms)
    faults += unexpected
    found.rows += not faults
    faults += evidence.toggled.faults
    if recording and evidence.wants_file:
        fault = _check_file(evidence, duration, spans, refused)
        found.recordings += fault is None
        faults += [fault] if fault else []
    return faults


def _spans(
    evidence: Evidence, recording: Mapping[str, Any] | None, duration: int
) -> tuple[list[Span], list[str]]:
    """What must have been recorded, and what is wrong with it already.

    What the API toggled, its replies tell to the sample. What was dialled the row must tell, near to where.
    """
    if evidence.record is not Record.RANDOM:
        return [(0, duration)] if evidence.record is Record.ALL else [], []
    if not evidence.codes:
        return evidence.toggled.spans(duration), []
    intervals = recording["intervals"] if recording else []
    found = [(interval["start_sample"], interval["end_sample"]) for interval in intervals]
    return found, check_dialled(evidence, found, duration)


def check_dialled(evidence: Evidence, intervals: Sequence[Span], duration: int) -> list[str]:
    """Whether each code took effect when its last digit began."""
    rate = evidence.codec.rate
    edges = [edge for interval in intervals for edge in interval if edge != duration]
    if len(edges) != len(evidence.codes):
        return [f"{len(evidence.codes)} codes were dialled, {len(edges)} took effect"]
    early = max(evidence.heard_ns - evidence.answered_ns, 0) // _MS_NS
    began_ns = evidence.began_ns[1] - evidence.answered_ns
    wanted = [(began_ns + index * wire.PTIME_NS) * rate // 1_000_000_000 for index, _ in evidence.codes]
    return [
        f"a code was dialled at {at} and took effect at {edge}"
        for at, edge in zip(wanted, edges, strict=True)
        if not -early - _CODE_MS <= (edge - at) * 1000 / rate <= _CODE_MS
    ]


def _check_file(
    evidence: Evidence, duration: int, spans: Sequence[Span], refused: Mapping[Path, str]
) -> str | None:
    if evidence.file is None:
        return "the recording was not published"
    if evidence.file in refused:
        return refused[evidence.file]
    unsure_ms = max(evidence.heard_ns - evidence.answered_ns, 0) / _MS_NS
    jitter_ms = 0.0 if evidence.network.clean else evidence.network.jitter_ms + 2 * STEP_MS
    said = [
        Said(_samples(evidence, leg), (began_ns - evidence.answered_ns) / 1e9, unsure_ms, jitter_ms)
        for leg, began_ns in enumerate(evidence.began_ns)
    ]
    return check_recording(evidence.file, duration, said, spans, evidence.codec.rate)


def _samples(evidence: Evidence, leg: int) -> NDArray[np.int16]:
    """What a leg's channel must hold of its speech: zeros where nothing was sent."""
    speech = evidence.speeches[leg]
    index = np.arange(speech.packets, dtype=np.int64)
    codes = wire.payloads(speech.stream.number, index, _table(evidence.codec))
    return evidence.codec.decode(codes, spoken(speech, evidence.network))


@cache
def _table(codec: Codec) -> NDArray[np.uint8]:
    return wire.payload_table(codec.payload_type)


def _refused(files: Sequence[Path], chained: bool) -> dict[Path, str]:
    """Which files don't hold against their manifests."""
    if chained:
        return {verdict.path: str(verdict) for verdict in verify(files) if not verdict.ok}
    verdicts = (judge(file.with_suffix(".json"), keys.beside(file.parent)) for file in files)
    return {verdict.path: str(verdict) for verdict in verdicts if not verdict.ok}
