"""The JSON that goes out, key by key: every key is always there, absent is null.

Positions and counts are integers, `*_ms` = samples × 1000 // rate, times RFC 3339 UTC with ms.
"""

from base64 import b64encode

from typing_extensions import TypedDict

from mediaproxy.api.backend import PublicKey, Redacted, Toggled, Traced, WebhookState
from mediaproxy.calllog.encode import storable
from mediaproxy.calllog.outbox import WAITING, Delivery
from mediaproxy.calllog.rows import IntervalRow, LoggedCall, RecordingRow
from mediaproxy.calls.events import CallRecord, Participant
from mediaproxy.clock import rfc3339
from mediaproxy.recording.chain import Head
from mediaproxy.recording.manifest import Actor


class ActorJson(TypedDict):
    means: str
    user: str | None


class IntervalJson(TypedDict):
    kind: str
    start_sample: int
    end_sample: int | None
    start_ms: int
    end_ms: int | None
    started_by: ActorJson
    ended_by: ActorJson | None


class RecordingJson(TypedDict):
    id: str
    state: str
    result: str | None
    reasons: list[str]
    policy: str
    sample_rate: int
    duration_samples: int
    recorded_samples: int
    intervals: list[IntervalJson]
    deleted_at: str | None


class ParticipantJson(TypedDict):
    leg: str
    kind: str
    name: str
    number: str
    from_ms: int
    to_ms: int | None


CallJson = TypedDict(
    "CallJson",
    {
        "id": str,
        "sip_call_id": str,
        "direction": str,
        "from": str,
        "to": str,
        "from_uri": str,
        "to_uri": str,
        "from_name": str | None,
        "agent": str | None,
        "trunk": str | None,
        "state": str,
        "started_at": str,
        "answered_at": str | None,
        "ended_at": str | None,
        "duration_ms": int,
        "recorded_ms": int,
        "disposition": str | None,
        "sip_status": int | None,
        "ended_by": str | None,
        "participants": list[ParticipantJson],
        "metadata": dict[str, str],
        "recording": RecordingJson | None,
    },
)


class CallsJson(TypedDict):
    calls: list[CallJson]
    next_cursor: str | None


class ToggledJson(TypedDict):
    state: str
    changed: bool
    durable: bool
    effective_sample: int
    effective_ms: int
    sample_rate: int


class RedactedJson(TypedDict):
    recording_id: str
    start_sample: int
    end_sample: int
    start_ms: int
    end_ms: int
    sample_rate: int
    at: str
    manifest_sha256: str | None
    master_sha256: str | None
    replaces: str | None


class KeyJson(TypedDict):
    key_id: str
    algorithm: str
    public_key: str
    pem: str
    signs: bool


class KeysJson(TypedDict):
    keys: list[KeyJson]


class HeadJson(TypedDict):
    seq: int
    hash: str
    head: str


class MessageJson(TypedDict):
    leg: str
    at: str
    elapsed_us: int
    sent: bool
    transport: str
    local: str
    remote: str
    text: str


class TraceJson(TypedDict):
    messages: list[MessageJson]


class MeJson(TypedDict):
    name: str
    role: str
    agent: str | None


class DeliveryJson(TypedDict):
    id: str
    type: str
    call_id: str | None
    created_at: str
    state: str
    attempts: int
    tried_at: str | None
    next_at: str | None
    status: int | None
    error: str | None


class WebhookJson(TypedDict):
    name: str
    url: str
    events: list[str]
    waiting: int
    oldest_waiting_at: str | None
    deliveries: list[DeliveryJson]


class WebhooksJson(TypedDict):
    webhooks: list[WebhookJson]


class ReplayedJson(TypedDict):
    replayed: int


class ProblemJson(TypedDict):
    type: str
    title: str
    status: int
    detail: str


class StatusJson(TypedDict):
    status: str


def call_json(logged: LoggedCall, *, now_ms: int) -> CallJson:
    """`now_ms` (Unix) is what a live call without a recording has lasted until."""
    call, recording = logged.call, logged.recording
    return {
        "id": call.id,
        "sip_call_id": storable(call.sip_call_id),
        "direction": call.direction,
        "from": storable(call.from_user),
        "to": storable(call.to_user),
        "from_uri": storable(call.from_uri),
        "to_uri": storable(call.to_uri),
        "from_name": None if call.from_name is None else storable(call.from_name),
        "agent": call.agent,
        "trunk": call.trunk,
        "state": call.state,
        "started_at": rfc3339(call.started_at_ms),
        "answered_at": None if call.answered_at_ms is None else rfc3339(call.answered_at_ms),
        "ended_at": None if call.ended_at_ms is None else rfc3339(call.ended_at_ms),
        "duration_ms": _duration_ms(call, recording, now_ms),
        "recorded_ms": 0 if recording is None else _ms(recording.recorded_samples, recording.sample_rate),
        "disposition": call.disposition,
        "sip_status": call.sip_status,
        "ended_by": call.ended_by,
        "participants": [_participant_json(one) for one in call.participants],
        "metadata": {storable(key): storable(value) for key, value in call.metadata},
        "recording": None if recording is None else recording_json(recording),
    }


def recording_json(row: RecordingRow) -> RecordingJson:
    return {
        "id": row.id,
        "state": row.state,
        "result": row.result,
        "reasons": list(row.reasons),
        "policy": row.policy,
        "sample_rate": row.sample_rate,
        "duration_samples": row.duration_samples,
        "recorded_samples": row.recorded_samples,
        "intervals": [_interval_json(one, row.sample_rate) for one in row.intervals],
        "deleted_at": None if row.deleted_at_ms is None else rfc3339(row.deleted_at_ms),
    }


def toggled_json(toggled: Toggled) -> ToggledJson:
    return {
        "state": toggled.state,
        "changed": toggled.changed,
        "durable": toggled.durable,
        "effective_sample": toggled.effective_sample,
        "effective_ms": _ms(toggled.effective_sample, toggled.sample_rate),
        "sample_rate": toggled.sample_rate,
    }


def trace_json(traced: list[Traced]) -> TraceJson:
    return {"messages": [_message_json(one) for one in traced]}


def redacted_json(row: RecordingRow, done: Redacted) -> RedactedJson:
    start, end = done.redaction.start_sample, done.redaction.end_sample
    return {
        "recording_id": row.id,
        "start_sample": start,
        "end_sample": end,
        "start_ms": _ms(start, row.sample_rate),
        "end_ms": _ms(end, row.sample_rate),
        "sample_rate": row.sample_rate,
        "at": done.redaction.at,
        "manifest_sha256": done.manifest_sha256,
        "master_sha256": done.master_sha256,
        "replaces": done.replaces,
    }


def key_json(key: PublicKey) -> KeyJson:
    """`public_key` is the 32 raw bytes in Base64."""
    return {
        "key_id": key.key_id,
        "algorithm": "Ed25519",
        "public_key": b64encode(key.raw).decode(),
        "pem": key.pem,
        "signs": key.signs,
    }


def webhook_json(one: WebhookState) -> WebhookJson:
    oldest_ms = one.outlook.oldest_at_ms
    return {
        "name": one.name,
        "url": one.origin,
        "events": list(one.events),
        "waiting": one.outlook.waiting,
        "oldest_waiting_at": None if oldest_ms is None else rfc3339(oldest_ms),
        "deliveries": [_delivery_json(each) for each in one.deliveries],
    }


def _delivery_json(one: Delivery) -> DeliveryJson:
    return {
        "id": one.id,
        "type": one.type,
        "call_id": one.call_id,
        "created_at": rfc3339(one.created_at_ms),
        "state": one.state,
        "attempts": one.attempts,
        "tried_at": None if one.tried_at_ms is None else rfc3339(one.tried_at_ms),
        "next_at": rfc3339(one.next_at_ms) if one.state == WAITING else None,
        "status": one.status,
        "error": one.error,
    }


def head_json(head: Head) -> HeadJson:
    """`head` is what `mediaproxy verify --head` takes; before the first line `seq` is -1."""
    return {"seq": head.seq, "hash": head.hash, "head": str(head)}


def _duration_ms(call: CallRecord, recording: RecordingRow | None, now_ms: int) -> int:
    """The call clock's, where there is one; the log's times agree with it to the millisecond."""
    if call.answered_at_ms is None:
        return 0
    if recording is not None:
        return _ms(recording.duration_samples, recording.sample_rate)
    return max(0, (now_ms if call.ended_at_ms is None else call.ended_at_ms) - call.answered_at_ms)


def _ms(samples: int, rate: int) -> int:
    return samples * 1_000 // rate


def _interval_json(one: IntervalRow, rate: int) -> IntervalJson:
    return {
        "kind": one.kind,
        "start_sample": one.start_sample,
        "end_sample": one.end_sample,
        "start_ms": _ms(one.start_sample, rate),
        "end_ms": None if one.end_sample is None else _ms(one.end_sample, rate),
        "started_by": _actor_json(one.started_by),
        "ended_by": None if one.ended_by is None else _actor_json(one.ended_by),
    }


def _message_json(one: Traced) -> MessageJson:
    return {
        "leg": one.leg.name,
        "at": rfc3339(one.at_ms),
        "elapsed_us": one.elapsed_us,
        "sent": one.sent,
        "transport": one.transport,
        "local": one.local,
        "remote": one.remote,
        "text": storable(one.text),
    }


def _participant_json(one: Participant) -> ParticipantJson:
    return {
        "leg": one.leg.name,
        "kind": one.kind,
        "name": storable(one.name),
        "number": storable(one.number),
        "from_ms": one.from_ms,
        "to_ms": one.to_ms,
    }


def _actor_json(actor: Actor) -> ActorJson:
    return {"means": actor.means, "user": actor.user}
