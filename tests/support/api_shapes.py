"""The contract's JSON objects, written down by hand: which keys, and what each may hold."""

import re
from collections.abc import Callable

Check = Callable[[object], bool]

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def text(value: object) -> bool:
    return isinstance(value, str)


def whole(value: object) -> bool:
    return type(value) is int


def boolean(value: object) -> bool:
    return isinstance(value, bool)


def uuid(value: object) -> bool:
    return isinstance(value, str) and UUID7.fullmatch(value) is not None


def time(value: object) -> bool:
    return isinstance(value, str) and TIME.fullmatch(value) is not None


def one_of(*allowed: object) -> Check:
    return lambda value: value in allowed


def null_or(check: Check) -> Check:
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(one) for one in value)


def texts(value: object) -> bool:
    return isinstance(value, dict) and all(text(one) for one in value.values())


def shape(keys: dict[str, Check]) -> Check:
    """An object with exactly these keys; says which one is wrong."""

    def check(value: object) -> bool:
        assert isinstance(value, dict), value
        assert set(value) == set(keys), set(value) ^ set(keys)
        for key, expected in keys.items():
            assert expected(value[key]), (key, value[key])
        return True

    return check


MEANS = ("api", "dashboard", "dtmf", "sip", "ng", "policy", "call_end", "recovery", "limit")

ACTOR = shape({"means": one_of(*MEANS), "user": null_or(text)})

INTERVAL = shape(
    {
        "kind": one_of("audio", "announcement"),
        "start_sample": whole,
        "end_sample": null_or(whole),
        "start_ms": whole,
        "end_ms": null_or(whole),
        "started_by": ACTOR,
        "ended_by": null_or(ACTOR),
    }
)

RECORDING = shape(
    {
        "id": uuid,
        "state": one_of("inactive", "recording", "paused", "finished"),
        "result": one_of(None, "none", "complete", "degraded", "recovered", "failed"),
        "reasons": list_of(text),
        "policy": one_of("on_demand", "automatic"),
        "sample_rate": whole,
        "duration_samples": whole,
        "recorded_samples": whole,
        "intervals": list_of(INTERVAL),
        "deleted_at": null_or(time),
    }
)

PARTICIPANT = shape(
    {
        "leg": one_of("A", "B"),
        "kind": one_of("trunk", "agent"),
        "name": text,
        "number": text,
        "from_ms": whole,
        "to_ms": null_or(whole),
    }
)

DISPOSITIONS = (
    "answered", "busy", "no_answer", "cancelled", "rejected", "unavailable", "no_route", "failed",
    "media_timeout", "interrupted",
)  # fmt: skip

CALL = shape(
    {
        "id": uuid,
        "sip_call_id": text,
        "direction": one_of("inbound", "outbound", "internal"),
        "from": text,
        "to": text,
        "from_uri": text,
        "to_uri": text,
        "from_name": null_or(text),
        "agent": null_or(text),
        "trunk": null_or(text),
        "state": one_of("trying", "ringing", "answered", "ended"),
        "started_at": time,
        "answered_at": null_or(time),
        "ended_at": null_or(time),
        "duration_ms": whole,
        "recorded_ms": whole,
        "disposition": one_of(None, *DISPOSITIONS),
        "sip_status": null_or(whole),
        "ended_by": one_of(None, "caller", "callee", "us"),
        "participants": list_of(PARTICIPANT),
        "metadata": texts,
        "recording": null_or(RECORDING),
    }
)

CALLS = shape({"calls": list_of(CALL), "next_cursor": null_or(text)})

TOGGLED = shape(
    {
        "state": one_of("inactive", "recording", "paused"),
        "changed": boolean,
        "durable": boolean,
        "effective_sample": whole,
        "effective_ms": whole,
        "sample_rate": whole,
    }
)

PROBLEM = shape({"type": text, "title": text, "status": whole, "detail": text})
