"""Between the values and the columns of the tables."""

import json
import re
from collections.abc import Mapping
from typing import Any

from mediaproxy.calllog.rows import AUDIO, IntervalRow, LoggedCall, RecordingRow
from mediaproxy.calls.events import CallRecord, Participant
from mediaproxy.calls.plane import LegId
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.manifest import Actor

Columns = dict[str, Any]

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

RECORDING_PREFIX = "recording_"  # of a recording's columns in a row that joins both tables


def call_columns(call: CallRecord) -> Columns:
    return {
        "id": call.id,
        "sip_call_id": storable(call.sip_call_id),
        "direction": call.direction,
        "from_user": storable(call.from_user),
        "to_user": storable(call.to_user),
        "from_uri": storable(call.from_uri),
        "to_uri": storable(call.to_uri),
        "from_name": None if call.from_name is None else storable(call.from_name),
        "agent": call.agent,
        "trunk": call.trunk,
        "state": call.state,
        "started_at_ms": call.started_at_ms,
        "answered_at_ms": call.answered_at_ms,
        "ended_at_ms": call.ended_at_ms,
        "disposition": call.disposition,
        "sip_status": call.sip_status,
        "ended_by": call.ended_by,
        "participants": json.dumps([_participant_json(one) for one in call.participants]),
        "metadata": json.dumps(dict(stored_metadata(call)), ensure_ascii=False),
    }


def agents_of(call: CallRecord) -> frozenset[str]:
    """Every agent that is, or ever was, on the call."""
    named = {one.name for one in call.participants if one.kind == "agent"}
    return frozenset(named if call.agent is None else named | {call.agent})


def stored_metadata(call: CallRecord) -> list[tuple[str, str]]:
    return [(storable(key), storable(value)) for key, value in call.metadata]


def recording_columns(row: RecordingRow) -> Columns:
    return {
        "id": row.id,
        "call_id": row.call,
        "state": row.state,
        "policy": row.policy,
        "sample_rate": row.sample_rate,
        "duration_samples": row.duration_samples,
        "recorded_samples": row.recorded_samples,
        "intervals": json.dumps([_interval_json(one) for one in row.intervals]),
        "result": row.result,
        "reasons": json.dumps(row.reasons),
        "file": row.file,
        "manifest": row.manifest,
        "sha256": row.sha256,
        "deleted_at_ms": row.deleted_at_ms,
    }


def logged_call(row: Mapping[str, Any]) -> LoggedCall:
    """A row of the joined tables, the recording's columns prefixed."""
    call = CallRecord(
        id=CallId(row["id"]),
        sip_call_id=row["sip_call_id"],
        direction=row["direction"],
        from_user=row["from_user"],
        to_user=row["to_user"],
        from_uri=row["from_uri"],
        to_uri=row["to_uri"],
        from_name=row["from_name"],
        agent=row["agent"],
        trunk=row["trunk"],
        state=row["state"],
        started_at_ms=row["started_at_ms"],
        answered_at_ms=row["answered_at_ms"],
        ended_at_ms=row["ended_at_ms"],
        disposition=row["disposition"],
        sip_status=row["sip_status"],
        ended_by=row["ended_by"],
        participants=tuple(_participant(one) for one in json.loads(row["participants"])),
        metadata=tuple(json.loads(row["metadata"]).items()),
    )
    return LoggedCall(call, None if row["recording_id"] is None else _recording(row))


def storable(text: str) -> str:
    """A peer's text as any database and any JSON reader takes it: no lone surrogate, no NUL."""
    return _UNSTORABLE.sub("\ufffd", text)


def _recording(row: Mapping[str, Any]) -> RecordingRow:
    return RecordingRow(
        id=RecordingId(row["recording_id"]),
        call=CallId(row["id"]),
        state=row["recording_state"],
        policy=row["recording_policy"],
        sample_rate=row["recording_sample_rate"],
        duration_samples=row["recording_duration_samples"],
        recorded_samples=row["recording_recorded_samples"],
        intervals=tuple(_interval(one) for one in json.loads(row["recording_intervals"])),
        result=row["recording_result"],
        reasons=tuple(json.loads(row["recording_reasons"])),
        file=row["recording_file"],
        manifest=row["recording_manifest"],
        sha256=row["recording_sha256"],
        deleted_at_ms=row["recording_deleted_at_ms"],
    )


def _participant_json(one: Participant) -> Columns:
    return {
        "leg": one.leg.name,
        "kind": one.kind,
        "name": one.name,
        "number": storable(one.number),
        "from_ms": one.from_ms,
        "to_ms": one.to_ms,
    }


def _participant(one: Mapping[str, Any]) -> Participant:
    return Participant(
        LegId[one["leg"]], one["kind"], one["name"], one["number"], one["from_ms"], one["to_ms"]
    )


def _interval_json(one: IntervalRow) -> Columns:
    return {
        "start_sample": one.start_sample,
        "end_sample": one.end_sample,
        "started_by": _actor_json(one.started_by),
        "ended_by": None if one.ended_by is None else _actor_json(one.ended_by),
        "kind": one.kind,
    }


def _interval(one: Mapping[str, Any]) -> IntervalRow:
    ended_by = one["ended_by"]
    return IntervalRow(
        one["start_sample"],
        one["end_sample"],
        _actor(one["started_by"]),
        None if ended_by is None else _actor(ended_by),
        one.get("kind", AUDIO),
    )


def _actor_json(actor: Actor) -> Columns:
    return {"means": actor.means, "user": actor.user}


def _actor(one: Mapping[str, Any]) -> Actor:
    return Actor(one["means"], one["user"])
