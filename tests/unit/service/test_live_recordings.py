"""Toggles from memory to disk: real recorder, ring and spool; time is handed in."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Tap, Tone
from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import RecordingId
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import Action, Refusal
from mediaproxy.service import journalling
from mediaproxy.service.recordings import Settled
from mediaproxy.storage import JournalResult, verify
from tests.support.live_world import (
    CALL,
    RECORDING,
    World,
    live_world,
    samples,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with live_world(tmp_path) as made:
        yield made


async def test_the_file_speaks_exactly_between_start_and_stop(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(50)
    started = await world.toggle(Action.START)
    world.speak(50)
    stopped = await world.toggle(Action.STOP)
    world.speak(50)
    row = await world.end()
    assert isinstance(started, Settled)
    assert isinstance(stopped, Settled)
    assert (started.durable, stopped.durable) == (True, True)
    assert [(i.start_sample, i.end_sample) for i in row.intervals] == [(8_000, 16_000)]
    assert (row.result, row.duration_samples, row.recorded_samples) == ("complete", 24_000, 8_000)
    pcm = samples(world, row)
    assert not pcm[:8_000].any()
    assert not pcm[16_000:].any()
    assert pcm[8_000:16_000].all()
    assert pcm[8_000, 0] != pcm[8_000, 1]
    assert [v.problems for v in verify([world.directory / (row.file or "")])] == [()]


async def test_payload_is_tapped_only_while_it_may_be_kept(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(5)
    await world.toggle(Action.START)
    world.speak(5)
    await world.toggle(Action.STOP)
    world.speak(20)
    assert world.taps == [Tap.HEADERS, Tap.PAYLOAD, Tap.HEADERS]


async def test_an_automatic_recording_opens_at_0_and_can_be_locked(world: World) -> None:
    world.answer(RecordingPolicy(Policy.AUTOMATIC, pausable=False))
    world.speak(10)
    assert await world.toggle(Action.STOP) is Refusal.LOCKED
    row = await world.end()
    assert [(i.start_sample, i.end_sample, i.started_by.means) for i in row.intervals] == [
        (0, 1_600, "policy")
    ]
    assert world.tones == [Tone.REFUSED]


async def test_a_recorder_that_never_opened_leaves_no_file(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(10)
    row = await world.end()
    assert (row.result, row.file, row.duration_samples) == ("none", None, 1_600)
    assert not list(world.directory.rglob("*.wav"))


async def test_what_the_relay_brings_in_the_midst_of_taking_is_recorded_as_ever(tmp_path: Path) -> None:
    worlds: list[World] = []
    turns, deepest = 0, 0

    def turn() -> None:
        """Packets came, and the ring finds itself filling up."""
        nonlocal turns, deepest
        turns += 1
        deepest = max(deepest, turns)
        for world in worlds:
            if world.now_ns < 50 * 20 * NS_PER_MS:
                world.arrive()
                world.live.relieve()
        turns -= 1

    async with live_world(tmp_path, relay=turn) as world:
        world.answer(RecordingPolicy(Policy.AUTOMATIC))
        worlds.append(world)
        world.speak(1)
        while world.now_ns < 50 * 20 * NS_PER_MS:
            await asyncio.sleep(0.001)
            world.live.tick(now_ns=world.now_ns)
        row = await world.end()
        assert (row.result, row.duration_samples) == ("complete", 8_000)
        assert samples(world, row)[:8_000].all()
        assert deepest == 1


async def test_repeating_a_command_changes_nothing(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(10)
    first = await world.toggle(Action.START)
    world.speak(10)
    second = await world.toggle(Action.START)
    assert isinstance(first, Settled)
    assert isinstance(second, Settled)
    assert (second.toggled.changed, second.toggled.effective_sample) == (
        False,
        first.toggled.effective_sample,
    )
    await world.end()


async def test_an_opening_that_is_not_durable_is_refused_and_leaves_no_sample(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journalling, "OPENING_WAIT_S", 0.02)
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(10)
    await asyncio.sleep(0.1)
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    with monkeypatch.context() as hung, capture_logs() as logged:  # a disk that does not answer
        hung.setattr(world.spool, "toggle", lambda recording, line: never)
        refused = await world.toggle(Action.START)
    assert [line["event"] for line in logged] == ["opening_not_durable"]
    world.speak(50)
    assert isinstance(refused, Settled)
    assert (refused.toggled.tentative, refused.durable) == (True, False)
    opened = await world.toggle(Action.START)
    world.speak(10)
    row = await world.end()
    assert isinstance(opened, Settled)
    assert opened.durable
    assert [i.start_sample for i in row.intervals] == [opened.toggled.effective_sample]
    assert not samples(world, row)[: opened.toggled.effective_sample].any()
    assert world.tones == [Tone.REFUSED, Tone.STARTED]
    assert world.alarms == {"opening_not_durable": 1}


async def seen(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.005)


async def test_an_automatic_recording_waits_for_the_disk_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journalling, "OPENING_WAIT_S", 0.02)
    away = world.storage.live.rename(world.storage.root / "away")
    world.answer(RecordingPolicy(Policy.AUTOMATIC))
    await seen(lambda: world.spool.failing is not None)
    world.speak(50)
    await seen(lambda: world.alarms == {"opening_not_durable": 1})
    shown = world.live.row(CALL, now_ns=world.now_ns)
    assert shown is not None
    assert (shown.state, shown.reasons) == ("failing", ("storage_error",))
    assert [event["type"] for event in told(world)] == ["recording.armed", "recording.failing"]
    away.rename(world.storage.live)
    await seen(lambda: world.spool.failing is None)
    world.speak(50)
    shown = world.live.row(CALL, now_ns=world.now_ns)
    assert shown is not None
    assert (shown.state, shown.reasons) == ("recording", ())
    row = await world.end()
    assert (row.result, row.recorded_samples, row.intervals[0].start_sample) == ("complete", 16_000, 0)
    names = [event["type"] for event in told(world)]
    assert names.index("recording.restored") < names.index("recording.completed")
    assert set(names[2:4]) == {"recording.restored", "recording.started"}


async def test_an_opening_shows_as_closed_until_it_is_durable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    written: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    with monkeypatch.context() as slow:
        slow.setattr(world.spool, "toggle", lambda recording, line: written)
        opening = asyncio.ensure_future(world.toggle(Action.START))
        await asyncio.sleep(0.01)
    pending = world.live.row(CALL, now_ns=world.now_ns)
    assert pending is not None
    assert (pending.state, pending.intervals, pending.recorded_samples) == ("inactive", (), 0)
    written.set_result(JournalResult(True))
    await opening
    shown = world.live.row(CALL, now_ns=world.now_ns)
    assert shown is not None
    assert (shown.state, len(shown.intervals)) == ("recording", 1)
    await world.end()


async def test_a_closed_gate_is_shown_as_it_is_while_the_disk_fails(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    await world.toggle(Action.START)
    world.speak(20)
    await world.toggle(Action.PAUSE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(world.spool), "trouble_of", lambda *_: "storage_full")
        patched.setattr(type(world.spool), "failing", "storage_full")
        world.speak(20)
        shown = world.live.row(CALL, now_ns=world.now_ns)
    assert shown is not None
    assert (shown.state, shown.reasons) == ("paused", ())
    assert "recording.failing" not in [event["type"] for event in told(world)]
    await world.end()


async def test_an_ended_call_shows_what_was_recorded_while_its_file_waits(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    await world.toggle(Action.START)
    world.speak(20)
    (world.storage.root / "1970").write_text("in the way")
    ending = asyncio.ensure_future(world.end())
    await seen(lambda: world.spool.failing is not None)
    shown = world.live.row(CALL, now_ns=world.now_ns)
    assert shown is not None
    assert (shown.state, shown.result, shown.recorded_samples) == ("finished", None, 3_200)
    (world.storage.root / "1970").unlink()
    assert (await ending).result == "complete"


async def test_a_closing_is_in_effect_whatever_the_disk_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journalling, "CLOSING_WAIT_S", 0.02)
    world.answer(RecordingPolicy(Policy.AUTOMATIC))
    world.speak(10)
    await asyncio.sleep(0.1)
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    with monkeypatch.context() as hung:
        hung.setattr(world.spool, "toggle", lambda recording, line: never)
        closed = await world.toggle(Action.STOP)
    assert isinstance(closed, Settled)
    assert (closed.toggled.state.value, closed.durable) == ("inactive", False)
    row = world.live.row(CALL, now_ns=world.now_ns)
    assert row is not None
    assert row.state == "inactive"
    assert world.alarms == {"closing_not_durable": 1}
    await world.end()


async def test_two_starts_at_once_open_one_interval(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(10)
    outcomes = await asyncio.gather(world.toggle(Action.START), world.toggle(Action.START))
    assert sorted(o.toggled.changed for o in outcomes if isinstance(o, Settled)) == [False, True]
    await world.end()


async def test_a_toggle_after_the_end_is_refused(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(5)
    await world.end()
    assert await world.toggle(Action.START) is Refusal.ENDED


def told(world: World) -> list[dict[str, Any]]:
    return [json.loads(event.text()) for event in world.events.read(1, 100) or []]


async def test_the_event_stream_tells_every_change_with_position_means_and_user(world: World) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    world.speak(50)
    await world.toggle(Action.START)
    await world.toggle(Action.START)  # changes nothing, is no event
    world.speak(50)
    await world.toggle(Action.PAUSE)
    await world.toggle(Action.RESUME, Actor("dtmf", "alice"))
    world.speak(50)
    await world.end()
    events = told(world)
    assert [event["type"].removeprefix("recording.") for event in events] == [
        *("armed", "started", "paused", "resumed", "stopped", "completed"),
    ]
    assert {event["recording_id"] for event in events} == {RECORDING}
    started, paused, resumed, stopped, completed = events[1:]
    assert (started["effective_sample"], started["effective_ms"]) == (8_000, 1_000)
    assert started["effective_at"] == "1970-01-01T00:00:03.000Z"
    assert (started["means"], started["user"], started["durable"]) == ("api", "alice", True)
    assert started["recording"]["state"] == "recording"
    assert (paused["effective_sample"], paused["recording"]["state"]) == (16_000, "paused")
    assert (resumed["means"], resumed["user"]) == ("dtmf", "alice")
    assert (stopped["means"], stopped["user"], stopped["effective_sample"]) == ("call_end", None, 24_000)
    assert completed["recording"]["result"] == completed["result"] == "complete"
    assert completed["call"]["state"] == "ended"


async def test_an_automatic_opening_is_told_and_one_that_never_opens_is_not(world: World) -> None:
    world.answer(RecordingPolicy(Policy.AUTOMATIC))
    world.speak(10)
    await world.end()
    events = told(world)
    assert [e["type"] for e in events] == [
        *("recording.armed", "recording.started", "recording.stopped", "recording.completed"),
    ]
    assert (events[1]["means"], events[1]["effective_sample"]) == ("policy", 0)


class SlowJournal:
    """The world's own journal, whose word that a line is durable comes when it is `let` go."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self._toggle = world.spool.toggle
        self.held: list[tuple[asyncio.Future[JournalResult], asyncio.Future[JournalResult]]] = []
        monkeypatch.setattr(world.spool, "toggle", self.toggle)

    def toggle(self, recording: RecordingId, line: Any) -> asyncio.Future[JournalResult]:
        told: asyncio.Future[JournalResult] = asyncio.get_running_loop().create_future()
        self.held.append((self._toggle(recording, line), told))
        return told

    async def let(self, number: int) -> None:
        written, told = self.held[number]
        told.set_result(await written)
        await asyncio.sleep(0.01)


async def test_toggles_faster_than_the_journal_lose_no_opening(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start, stop and a toggle while the start's line is on its way; the call ends before the last one's."""
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    journal = SlowJournal(world, monkeypatch)
    world.speak(50)
    start = asyncio.ensure_future(world.toggle(Action.START))
    await asyncio.sleep(0)
    world.speak(20)
    stop = asyncio.ensure_future(world.toggle(Action.STOP))
    await asyncio.sleep(0)
    world.speak(20)
    again = asyncio.ensure_future(world.toggle(Action.TOGGLE))
    await asyncio.sleep(0)
    assert not world.live.is_open(CALL)  # one opening at a time
    await journal.let(0)
    await journal.let(1)
    world.speak(20)
    ending = asyncio.ensure_future(world.end())
    await asyncio.sleep(0.05)
    await journal.let(2)
    row = await ending
    outcomes = await asyncio.gather(start, stop, again)
    assert [one.durable for one in outcomes if isinstance(one, Settled)] == [True] * 3
    assert [(i.start_sample, i.end_sample) for i in row.intervals] == [(8_000, 11_200), (14_400, 17_600)]
    pcm = samples(world, row)
    assert pcm[14_400:17_600].all()


async def test_a_stop_is_told_after_the_start_that_it_stops(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered at once, but who hears `started` last believes that it is on."""
    monkeypatch.setattr(journalling, "CLOSING_WAIT_S", 0.02)
    world.answer(RecordingPolicy(Policy.ON_DEMAND))
    journal = SlowJournal(world, monkeypatch)
    world.speak(5)
    start = asyncio.ensure_future(world.toggle(Action.START))
    await asyncio.sleep(0)
    world.speak(5)
    async with asyncio.timeout(0.5):
        stopped = await world.toggle(Action.STOP)
    assert isinstance(stopped, Settled)
    assert not stopped.durable
    await journal.let(0)
    await start
    await seen(lambda: len(world.tones) == 2)
    assert world.tones == [Tone.STARTED, Tone.STOPPED]
    assert [event["type"] for event in told(world)] == [
        *("recording.armed", "recording.started", "recording.stopped"),
    ]
    await journal.let(1)
    await world.end()


async def test_a_resumption_that_was_refused_does_not_give_a_pause_more_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answer(RecordingPolicy(Policy.ON_DEMAND, max_pause_s=1.0))
    await world.toggle(Action.START)
    world.speak(10)
    await world.toggle(Action.PAUSE)
    world.speak(40)
    refused = asyncio.get_running_loop().create_future()
    refused.set_result(JournalResult(False, "storage_full"))
    with monkeypatch.context() as full:
        full.setattr(world.spool, "toggle", lambda recording, line: refused)
        await world.toggle(Action.RESUME)
    world.speak(9)
    assert Tone.WARNING not in world.tones
    world.speak(1)
    assert Tone.WARNING in world.tones
    await world.toggle(Action.RESUME)
    world.speak(100)
    assert world.tones.count(Tone.WARNING) == 1
    await world.end()
