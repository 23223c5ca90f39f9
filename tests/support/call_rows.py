"""Rows as a proxy would log them, with plain values; tests replace what they are about."""

from typing import Any

from mediaproxy.calllog.rows import IntervalRow, RecordingRow
from mediaproxy.calls.events import CallRecord, Participant
from mediaproxy.calls.plane import LegId
from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.recording.manifest import Actor

START_MS = 1_767_607_200_000  # 2026-01-05T10:00:00.000Z


def call_id(number: int) -> CallId:
    return CallId(uuid7(START_MS + number, number.to_bytes(10, "big")))


def recording_id(number: int) -> RecordingId:
    return RecordingId(uuid7(START_MS + number, b"rec" + number.to_bytes(7, "big")))


def call_row(number: int = 1, **changes: Any) -> CallRecord:
    """A carrier's call to alice that has just come in."""
    known: dict[str, Any] = {
        "id": call_id(number),
        "sip_call_id": f"{number}@127.0.0.2",
        "direction": "inbound",
        "from_user": "carrier",
        "to_user": "+15550100",
        "from_uri": "sip:carrier@127.0.0.2",
        "to_uri": "sip:+15550100@127.0.0.1",
        "from_name": None,
        "agent": "alice",
        "trunk": "carrier",
        "state": "trying",
        "started_at_ms": START_MS + number,
    }
    return CallRecord(**known | changes)


def ended_call(number: int = 1, **changes: Any) -> CallRecord:
    """The worked call of the contract: answered after 2.5 s, 10 s long."""
    started = START_MS + number
    known: dict[str, Any] = {
        "state": "ended",
        "answered_at_ms": started + 2_500,
        "ended_at_ms": started + 12_500,
        "disposition": "answered",
        "sip_status": 200,
        "ended_by": "caller",
        "participants": (
            Participant(LegId.A, "trunk", "carrier", "carrier", 0, 10_000),
            Participant(LegId.B, "agent", "alice", "+15550100", 0, 10_000),
        ),
    }
    return call_row(number, **known | changes)


def recording_row(number: int = 1, **changes: Any) -> RecordingRow:
    """Recorded from 4.000 to 6.000 s by alice, published."""
    alice = Actor("api", "alice")
    known: dict[str, Any] = {
        "id": recording_id(number),
        "call": call_id(number),
        "state": "finished",
        "policy": "on_demand",
        "sample_rate": 8_000,
        "duration_samples": 80_000,
        "recorded_samples": 16_000,
        "intervals": (IntervalRow(32_000, 48_000, alice, alice),),
        "result": "complete",
        "file": f"2026/01/05/{recording_id(number)}.wav",
        "manifest": f"2026/01/05/{recording_id(number)}.json",
        "sha256": "ab" * 32,
    }
    return RecordingRow(**known | changes)
