"""Who is on a call may change, and who may not be recorded closes its gate by being there."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediaproxy.calls.events import CallAnswered, CallRecord, CallUpdated, Participant
from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import LegId
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import Action, Refusal
from mediaproxy.service.media import Settled
from mediaproxy.storage import verify
from tests.support.live_world import CALL, RECORD, RECORDING, World, live_world, samples

CARRIER, ALICE = RECORD.participants


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with live_world(tmp_path) as made:
        yield made


def with_olga(from_ms: int) -> CallRecord:
    olga = Participant(LegId.B, "agent", "olga", ALICE.number, from_ms, None)
    return replace(RECORD, agent="olga", participants=(CARRIER, replace(ALICE, to_ms=from_ms), olga))


async def update(world: World, record: CallRecord, *, barred: bool) -> None:
    world.live.follow(CallUpdated(record, world.now_ns, barred))
    await asyncio.sleep(0)  # the stop is a demand like any other


@pytest.mark.parametrize("policy", [RecordingPolicy(), RecordingPolicy(Policy.AUTOMATIC, pausable=False)])
async def test_the_gate_closes_where_she_came(world: World, policy: RecordingPolicy) -> None:
    """Also where nobody else may stop."""
    world.answer(policy)
    await world.toggle(Action.START)
    world.speak(50)
    await update(world, with_olga(1_000), barred=True)
    world.speak(50)
    for action in (Action.START, Action.RESUME, Action.TOGGLE):
        assert await world.toggle(action) is Refusal.NOT_ENABLED
    row = await world.end()
    (interval,) = row.intervals
    assert (interval.start_sample, interval.end_sample, interval.ended_by) == (0, 8_000, Actor("policy"))
    assert not samples(world, row)[8_000:].any()
    assert [v.problems for v in verify([world.directory / (row.file or "")])] == [()]


async def test_a_pause_ends_too_and_what_was_closed_opens_by_command_alone(world: World) -> None:
    world.answer(RecordingPolicy())
    await world.toggle(Action.START)
    world.speak(10)
    await world.toggle(Action.PAUSE)
    await update(world, with_olga(200), barred=True)
    assert world.live.row(CALL, now_ns=world.now_ns).state == "inactive"  # type: ignore[union-attr]  # it lives
    world.speak(10)
    await update(world, RECORD, barred=False)
    world.speak(10)
    assert not world.live.is_open(CALL)
    assert isinstance(await world.toggle(Action.START), Settled)
    world.speak(10)
    row = await world.end()
    assert [(one.start_sample, one.end_sample) for one in row.intervals] == [(0, 1_600), (4_800, 6_400)]


async def test_an_automatic_recording_does_not_open_for_her(world: World) -> None:
    world.live.arm(
        CallAnswered(RECORD, 0, 7, RecordingPolicy(Policy.AUTOMATIC), LegId.B, LegId.A, barred=True),
        RECORDING,
        now_ns=0,
    )
    world.speak(10)
    assert await world.toggle(Action.START) is Refusal.NOT_ENABLED
    row = await world.end()
    assert (row.intervals, row.result) == ((), "none")


async def test_the_manifest_says_who_was_there_from_which_sample_to_which(world: World) -> None:
    world.answer(RecordingPolicy())
    await world.toggle(Action.START)
    world.speak(50)
    await update(world, with_olga(1_000), barred=False)
    world.speak(50)
    row = await world.end()
    manifest = json.loads((world.directory / (row.manifest or "")).read_bytes())
    stays = [
        (one["leg"], one["channel"], one["name"], one["from_sample"], one["to_sample"])
        for one in manifest["participants"]
    ]
    assert stays == [
        ("A", 1, "carrier", 0, 16_000),
        ("B", 2, "alice", 0, 8_000),
        ("B", 2, "olga", 8_000, 16_000),
    ]


async def test_what_changed_is_told_with_what_comes_after_it(world: World) -> None:
    world.answer(RecordingPolicy())
    await update(world, with_olga(0), barred=False)
    await world.toggle(Action.START)
    (told,) = [event for event in world.events.read(1, 10) or () if event.type == "recording.started"]
    assert told.call is not None
    assert told.call.agent == "olga"
