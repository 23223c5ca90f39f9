"""The order, the bounds and the memory of the event stream."""

import asyncio
import json
from typing import Any

import pytest

from mediaproxy.calllog.rows import IntervalRow, LoggedCall
from mediaproxy.ids import CallId
from mediaproxy.recording.manifest import Actor
from mediaproxy.service import events as module
from mediaproxy.service.events import EventStream
from tests.support.api_shapes import CALL, RECORDING
from tests.support.call_rows import START_MS, call_id, call_row, ended_call, recording_id, recording_row

LIVE = LoggedCall(call_row(state="answered"), recording_row(state="recording", result=None))


def stream(*live: LoggedCall) -> EventStream:
    known = {logged.call.id: logged for logged in live}
    return EventStream(run="a-run", now_ms=lambda: START_MS, find=known.get)


def bodies(events: EventStream, seq: int = 1) -> list[dict[str, Any]]:
    return [json.loads(event.text()) for event in events.read(seq, 10_000) or []]


def test_a_body_has_the_objects_of_the_api_and_the_fields_given() -> None:
    events = stream(LIVE)
    events.publish("recording.failing", call_id(1), recording_id(1), reason="storage_full")
    [body] = bodies(events)
    assert (body["id"], body["seq"], body["type"]) == ("a-run-1", 1, "recording.failing")
    assert body["time"] == "2026-01-05T10:00:00.000Z"
    assert (body["call_id"], body["recording_id"]) == (call_id(1), recording_id(1))
    assert CALL(body["call"])
    assert RECORDING(body["recording"])
    assert body["reason"] == "storage_full"


def test_an_ended_call_is_as_it_was_told_of_last() -> None:
    events = stream()
    events.publish("recording.completed", call_id(1), logged=LoggedCall(ended_call(), recording_row()))
    events.publish("recording.deleted", call_id(1), recording_id(1))
    events.publish("recording.deleted", call_id(2), recording_id(2))
    assert [event.call and event.call.id for event in events.read(2, 9) or []] == [call_id(1), None]
    assert bodies(events)[2]["call"] is None


def test_what_is_remembered_of_ended_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENDED", 2)
    events = stream()
    for number in (1, 2, 3):
        events.publish("call.ended", call_id(number), logged=LoggedCall(ended_call(number)))
    for number in (1, 2, 3):
        events.publish("recording.deleted", call_id(number))
    assert [body["call"] and body["call"]["id"] for body in bodies(events)[3:]] == [
        None,
        call_id(2),
        call_id(3),
    ]


def test_positions() -> None:
    events = stream(LIVE)
    assert events.position(None) == 1
    for _ in range(3):
        events.publish("call.ringing", call_id(1))
    assert [events.position(since) for since in (None, "a-run-0", "a-run-2", "a-run-3")] == [4, 1, 3, 4]


@pytest.mark.parametrize(
    "since", ["", "x", "-", "a-run-4", "a-run--1", "a-run-1e0", "a-run-²", "b-1", "1", f"a-run-{'9' * 5_000}"]
)
def test_positions_that_never_were(since: str) -> None:
    events = stream(LIVE)
    for _ in range(3):
        events.publish("call.ringing", call_id(1))
    assert events.position(since) is None


def test_the_history_is_bounded_by_count_and_old_positions_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 5)
    events = stream(LIVE)
    for _ in range(12):
        events.publish("call.ringing", call_id(1))
    assert (events.oldest, events.latest) == (8, 12)
    assert events.read(7, 9) is None
    assert [event.seq for event in events.read(8, 9) or []] == [8, 9, 10, 11, 12]
    assert [event.seq for event in events.read(8, 2) or []] == [8, 9]
    assert events.read(13, 9) == []
    assert (events.position("a-run-6"), events.position("a-run-7")) == (None, 8)
    gap = json.loads(events.missed())
    assert (gap["type"], gap["id"]) == ("events.missed", "a-run-7")


def test_the_history_is_bounded_by_what_its_events_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WEIGHT", 100)
    alice = Actor("api", "alice")
    row = recording_row(intervals=tuple(IntervalRow(n, n + 1, alice, alice) for n in range(30)))
    events = stream(LoggedCall(call_row(state="answered"), row))
    for _ in range(50):
        events.publish("recording.started", call_id(1))
    assert len(events.read(events.oldest, 99) or []) == 3


async def test_a_reader_waits_for_what_has_not_happened() -> None:
    events = stream(LIVE)
    waiting = asyncio.create_task(events.wait(2))
    for _ in range(2):
        await asyncio.sleep(0)
        assert not waiting.done()
        events.publish("call.ringing", CallId(call_id(1)))
    async with asyncio.timeout(1):
        await waiting
    await events.wait(1)
