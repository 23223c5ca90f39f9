"""The journal of a live recording: what must survive a crash, a line per fact.

A line is one JSON object whose last key is the CRC-32 of all that stands before it, so that a line
is either whole or not there. `n` counts the lines from 0: a line that is missing in the middle ends
what can be believed. The heartbeat is not a line: what the live file's header promises is the call clock.

Three things can follow what is believed. Bytes without a whole line: the crash came amid a write.
Whole lines: the file was damaged in the middle, which no crash does. A whole line in its place that
means nothing to us: a newer version wrote it, and knows better what may be heard.

    {"k":"header","n":0,…,"crc":"9ae0daaf"}
    {"k":"toggled","n":1,"number":1,"position":32000,"action":"start",…,"crc":"…"}
"""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.manifest import KINDS as INTERVAL_KINDS
from mediaproxy.recording.manifest import Actor, Interval, Participant, StreamFacts, intervals_from
from mediaproxy.recording.shapes import has_its_shape

VERSION = 1
MAX_POSITION = 1 << 48  # a thousand years; what lies beyond was never a call
MAX_UNIX_MS = 253_402_300_800_000  # the year 10000, which no calendar of ours has
MAX_RATE = 1_000_000
FORMATS = ("wav", "flac")
# The states that make an interval, and its kind: in the first alone the gate is open, in the other an
# announcement is played that must be heard before it opens.
ANNOUNCING = "announcing"
KINDS = {"recording": "audio", ANNOUNCING: "announcement"}

_CRC_BYTES = len(',"crc":"00000000"}')


@dataclass(frozen=True, slots=True)
class Header:
    """All that is needed to write the manifest without us. `answered_at_ms` is Unix time.

    `format` is the master's, "wav" or "flac"; `keep_days` how long it is kept, 0 = for ever.
    """

    recording_id: RecordingId
    call_id: CallId
    sip_call_id: str
    answered_at_ms: int
    sample_rate: int
    policy: str
    pausable: bool = True
    keep_unrecorded: bool = False
    participants: tuple[Participant, ...] = ()
    version: int = VERSION
    format: str = "wav"
    keep_days: int = 0
    consent: str = "none"  # or "required": nobody is heard before the announcement was


@dataclass(frozen=True, slots=True)
class Toggled:
    """A change of state at `position`; `number` is unique in its recording. `state` is the new one, or
    "announcing" while what is to be recorded waits for its announcement."""

    number: int
    position: int
    action: str
    by: Actor
    state: str

    @property
    def kind(self) -> str | None:
        """Of the interval that begins here, if one does."""
        return KINDS.get(self.state)

    @property
    def opens(self) -> bool:
        return self.kind is not None


@dataclass(frozen=True, slots=True)
class Annulled:
    """The opening `number` was refused after all (503): it counts as if it had never been."""

    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The call's end and what the recorder knows then; `reasons` make a degraded recording."""

    duration_samples: int
    intervals: tuple[Interval, ...] = ()
    streams: tuple[StreamFacts, ...] = ()
    withheld: int = 0
    injected: int = 0
    reasons: tuple[str, ...] = ()
    participants: tuple[Participant, ...] | None = None  # None: as in the header, to the end


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody else is on the call: all participants so far, as of now."""

    participants: tuple[Participant, ...]


Record = Header | Toggled | Annulled | Present | Ended


@dataclass(frozen=True, slots=True)
class JournalState:
    """The longest valid prefix of a journal. `garbage_bytes` after it may have been a toggle.

    `damaged`: whole lines are among them. `newer`: they begin with a whole line that is not understood.
    """

    header: Header | None
    toggles: tuple[Toggled, ...]
    ended: Ended | None
    lines: int
    valid_bytes: int
    garbage_bytes: int
    damaged: bool = False
    newer: bool = False
    participants: tuple[Participant, ...] | None = None  # None: as in the header

    @property
    def opened(self) -> bool:
        return any(toggle.opens for toggle in self.toggles)

    @property
    def last_position(self) -> int:
        """Positions are known to have been reached up to here."""
        return max((toggle.position for toggle in self.toggles), default=0)

    @property
    def open_since(self) -> Toggled | None:
        """The opening whose interval the journal leaves open."""
        since: Toggled | None = None
        for toggle in self.toggles:
            since = (since or toggle) if toggle.opens else None
        return since

    def intervals(self, end: int, ended_by: Actor) -> tuple[Interval, ...]:
        """The non-empty intervals; one that is still open ends at `end`, and none goes beyond it."""
        found: list[Interval] = []
        since: Toggled | None = None
        closing = Toggled(-1, end, "stop", ended_by, "finished")
        for toggle in (*self.toggles, closing):
            if since is not None and since.kind == toggle.kind:
                continue
            if since is not None and since.kind is not None:
                stop = min(toggle.position, end)
                if stop > since.position:
                    found.append(Interval(since.position, stop, since.by, toggle.by, since.kind))
            since = toggle if toggle.opens else None
        return tuple(found)


def encode(record: Record, n: int) -> bytes:
    """Line `n` of a journal, with its newline."""
    fields = {"k": _KINDS[type(record)], "n": n} | asdict(record)
    body = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    return b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def replay(content: bytes) -> JournalState:
    """Believe the longest prefix of whole, consecutive lines; whatever bytes follow, none is believed."""
    records: list[Record] = []
    valid = 0
    newer = False
    while (end := content.find(b"\n", valid)) >= 0:
        fields = _fields(content[valid:end])
        if fields is None or fields.pop("n", None) != len(records):
            break
        record = _record(fields)
        if record is None or isinstance(record, Header) != (not records):
            newer = True
            break
        records.append(record)
        valid = end + 1
    return _state(records, content, valid, newer=newer)


def _state(records: list[Record], content: bytes, valid: int, *, newer: bool) -> JournalState:
    header = records[0] if records and isinstance(records[0], Header) else None
    annulled = {record.number for record in records if isinstance(record, Annulled)}
    toggles = (record for record in records if isinstance(record, Toggled))
    ended = next((record for record in records if isinstance(record, Ended)), None)
    present = [record.participants for record in records if isinstance(record, Present)]
    return JournalState(
        header=header,
        toggles=tuple(toggle for toggle in toggles if toggle.number not in annulled),
        ended=ended,
        lines=len(records),
        valid_bytes=valid,
        garbage_bytes=len(content) - valid,
        damaged=not newer and any(_fields(line) for line in content[valid:].split(b"\n")[:-1]),
        newer=newer,
        participants=present[-1] if present else None,
    )


def _fields(line: bytes) -> dict[str, Any] | None:
    """What a whole line says."""
    body, crc = line[:-_CRC_BYTES], line[-_CRC_BYTES:]
    if crc != b',"crc":"%08x"}' % zlib.crc32(body):
        return None
    try:
        fields = json.loads(body + b"}")
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _record(fields: dict[str, Any]) -> Record | None:
    try:
        record = _READERS[fields.pop("k")](fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if has_its_shape(record) else None


def _header(fields: dict[str, Any]) -> Header:
    _require(fields["version"] == VERSION)
    header = Header(**(fields | {"participants": _participants(fields["participants"])}))
    _require(0 <= header.answered_at_ms < MAX_UNIX_MS and 0 < header.sample_rate <= MAX_RATE)
    _require(header.format in FORMATS and header.call_id.isascii())
    return header


def _toggled(fields: dict[str, Any]) -> Toggled:
    toggled = Toggled(**(fields | {"by": Actor(**fields["by"])}))
    _require(_is_position(toggled.position))
    return toggled


def _annulled(fields: dict[str, Any]) -> Annulled:
    return Annulled(**fields)


def _present(fields: dict[str, Any]) -> Present:
    return Present(_participants(fields["participants"]))


def _ended(fields: dict[str, Any]) -> Ended:
    participants = fields["participants"]
    lists = {
        "intervals": intervals_from(fields["intervals"]),
        "streams": tuple(StreamFacts(**each) for each in fields["streams"]),
        "reasons": tuple(fields["reasons"]),
        "participants": None if participants is None else _participants(participants),
    }
    ended = Ended(**(fields | lists))
    edges = (at for each in ended.intervals for at in (each.start_sample, each.end_sample))
    _require(all(map(_is_position, (ended.duration_samples, *edges))))
    _require(all(each.kind in INTERVAL_KINDS for each in ended.intervals))
    return ended


def _participants(values: list[Mapping[str, Any]]) -> tuple[Participant, ...]:
    return tuple(Participant(**each) for each in values)


def _is_position(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_POSITION


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError


_KINDS: dict[type, str] = {
    Header: "header",
    Toggled: "toggled",
    Annulled: "annulled",
    Present: "present",
    Ended: "ended",
}
_READERS: dict[str, Callable[[dict[str, Any]], Record]] = {
    "header": _header,
    "toggled": _toggled,
    "annulled": _annulled,
    "present": _present,
    "ended": _ended,
}
