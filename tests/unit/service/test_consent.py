"""Consent: nobody is in the file before the announcement was heard in full, whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediaproxy.audio.sound import RATES_HZ, Sound
from mediaproxy.calls.model import Addressed, Announcement, Policy, RecordingPolicy
from mediaproxy.calls.plane import (
    AnnouncementHindered,
    AnnouncementPlayed,
    AnnouncementSpoken,
    Hindrance,
    LegId,
    PlayAnnouncement,
    StopAnnouncement,
    Tap,
    Tone,
)
from mediaproxy.recording import journal
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import Action
from mediaproxy.service.recordings import Settled
from mediaproxy.service.sounds import Sounds
from mediaproxy.storage import JournalResult, verify
from tests.support.live_world import CALL, RECORDING, World, live_world, samples

A, B = LegId.A, LegId.B
HELLO, REMINDER = "/hello.wav", "/reminder.wav"
LENGTH = 800  # ticks: 100 ms


def sound(name: str, level: int, ticks: int = LENGTH) -> Sound:
    return Sound(name, {rate: np.full(ticks * rate // 8_000, level, np.int16) for rate in RATES_HZ})


def required(
    to: Addressed = Addressed.BOTH, policy: Policy = Policy.ON_DEMAND, **more: Any
) -> RecordingPolicy:
    announcement = Announcement(HELLO, to, REMINDER, 5.0)
    return RecordingPolicy(policy, consent_required=True, announcement=announcement, **more)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    sounds = Sounds({HELLO: sound(HELLO, 7_000), REMINDER: sound(REMINDER, 3_000)})
    async with live_world(tmp_path, sounds) as made:
        yield made


def asked(world: World) -> list[PlayAnnouncement]:
    return [op for op in world.operations if isinstance(op, PlayAnnouncement)]


def stops(world: World) -> int:
    return sum(isinstance(op, StopAnnouncement) for op in world.operations)


def hear(world: World, leg: LegId, *, packets: int = 5, done: bool = True, number: int | None = None) -> None:
    """The plane plays to `leg`, 20 ms a packet, while both parties speak."""
    number = asked(world)[-1].number if number is None else number
    for n in range(packets):
        spoken = AnnouncementSpoken(CALL, leg, number, n * 160, 160, world.now_ns)
        world.live.receive_announcement(spoken, now_ns=world.now_ns)
        world.speak(1)
    if done:
        played = AnnouncementPlayed(CALL, leg, number, world.now_ns)
        world.live.receive_announcement(played, now_ns=world.now_ns)


def intervals(row: Any) -> list[tuple[str, int, int | None]]:
    return [(one.kind, one.start_sample, one.end_sample) for one in row.intervals]


async def test_the_parties_are_silent_until_everyone_heard_all_of_it(world: World) -> None:
    world.answer(required())
    world.speak(50)
    started = await world.toggle(Action.START)
    assert isinstance(started, Settled)
    assert (started.toggled.state.value, started.toggled.effective_sample) == ("recording", 8_000)
    assert {(op.leg, op.sound.name) for op in asked(world)} == {(A, HELLO), (B, HELLO)}
    assert world.taps == [Tap.HEADERS]
    hear(world, B)
    assert world.taps == [Tap.HEADERS]  # only one of them heard it
    live = world.live.row(CALL, now_ns=world.now_ns)
    assert live is not None
    assert (live.state, live.recorded_samples, intervals(live)) == (
        "recording",
        0,
        [("announcement", 8_000, None)],
    )
    hear(world, A)
    assert world.taps == [Tap.HEADERS, Tap.PAYLOAD]
    world.speak(50)
    await world.toggle(Action.STOP)
    row = await world.end()
    heard = 8_000 + 2 * LENGTH
    assert intervals(row) == [("announcement", 8_000, heard), ("audio", heard, heard + 8_000)]
    assert (row.result, row.recorded_samples) == ("complete", 8_000)
    pcm = samples(world, row)
    # What the agent (B) heard of us stands on the carrier's channel, and the other way round.
    assert (pcm[8_000 : 8_000 + LENGTH, 0] == 7_000).all()
    assert not pcm[8_000 : 8_000 + LENGTH, 1].any()
    assert (pcm[8_000 + LENGTH : heard, 1] == 7_000).all()
    assert not pcm[8_000 + LENGTH : heard, 0].any()
    assert not pcm[:8_000].any()
    assert pcm[heard : heard + 8_000].all()
    assert [v.problems for v in verify([world.directory / (row.file or "")])] == [()]
    manifest = (world.directory / (row.manifest or "")).read_text()
    assert '"consent":"required"' in manifest
    assert '"kind":"announcement"' in manifest


async def test_an_automatic_recording_begins_with_the_announcement(world: World) -> None:
    world.answer(required(policy=Policy.AUTOMATIC))
    world.speak(5)
    hear(world, A)
    hear(world, B)
    world.speak(20)
    row = await world.end()
    heard = 800 + 2 * LENGTH
    assert intervals(row) == [("announcement", 0, heard), ("audio", heard, heard + 3_200)]
    assert row.intervals[1].started_by.means == "policy"


@pytest.mark.parametrize(("to", "leg"), [(Addressed.CARRIER, A), (Addressed.AGENT, B)])
async def test_only_who_is_addressed_is_waited_for(world: World, to: Addressed, leg: LegId) -> None:
    world.answer(required(to))
    await world.toggle(Action.START)
    assert [op.leg for op in asked(world)] == [leg]
    hear(world, leg)
    world.speak(5)
    assert [kind for kind, *_ in intervals(await world.end())] == ["announcement", "audio"]


async def test_a_party_that_cannot_hear_keeps_it_closed(world: World) -> None:
    world.answer(required())
    await world.toggle(Action.START)
    number = asked(world)[-1].number
    world.live.receive_announcement(
        AnnouncementHindered(CALL, A, number, Hindrance.NOT_LISTENING), now_ns=world.now_ns
    )
    hear(world, B)
    world.speak(200)
    row = await world.end()
    assert intervals(row) == [("announcement", 0, row.duration_samples)]
    assert row.recorded_samples == 0
    pcm = samples(world, row)
    assert (pcm[:LENGTH, 0] == 7_000).all()
    assert not pcm[LENGTH:, 0].any()
    assert not pcm[:, 1].any()
    assert Tap.PAYLOAD not in world.taps


@pytest.mark.parametrize("action", [Action.STOP, Action.PAUSE])
async def test_a_closing_meanwhile_ends_the_announcement(world: World, action: Action) -> None:
    world.answer(required())
    world.speak(10)
    await world.toggle(Action.START)
    hear(world, A, packets=2, done=False)
    stopped = await world.toggle(action)
    assert isinstance(stopped, Settled)
    assert stopped.toggled.effective_sample == 1_600 + 320
    assert stops(world) >= 2
    hear(world, A)  # what was on its way
    hear(world, B)
    world.speak(20)
    assert Tap.PAYLOAD not in world.taps
    # It was not heard in full, so the next start begins it anew.
    first = asked(world)[-1].number
    await world.toggle(Action.START)
    assert asked(world)[-1].number > first
    row = await world.end()
    assert [kind for kind, *_ in intervals(row)] == ["announcement"]
    pcm = samples(world, row)
    assert (pcm[1_600 : 1_600 + 320, 1] == 7_000).all()
    assert not pcm[1_600 + 320 :].any()


async def test_once_a_call_is_enough(world: World) -> None:
    world.answer(required())
    await world.toggle(Action.START)
    hear(world, A)
    hear(world, B)
    world.speak(10)
    await world.toggle(Action.PAUSE)
    world.speak(60)
    before = len(asked(world))
    resumed = await world.toggle(Action.RESUME)
    assert isinstance(resumed, Settled)
    world.speak(10)
    assert len(asked(world)) == before
    row = await world.end()
    assert [kind for kind, *_ in intervals(row)] == ["announcement", "audio", "audio"]
    assert row.recorded_samples == 3_200


async def test_the_announcement_waits_for_its_journal_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answer(required())
    world.speak(5)
    refused = world.spool._loop.create_future()
    refused.set_result(JournalResult(False, "storage_full"))
    monkeypatch.setattr(world.spool, "toggle", lambda *_, **__: refused)
    outcome = await world.toggle(Action.START)
    assert isinstance(outcome, Settled)
    assert not outcome.durable
    assert asked(world) == []
    row = await world.end()
    assert (row.result, row.intervals) == ("none", ())


async def test_an_opening_that_cannot_be_journalled_after_it_stays_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.answer(required())
    await world.toggle(Action.START)
    world.speak(5)
    hear(world, A)
    refused = world.spool._loop.create_future()
    refused.set_result(JournalResult(False, "storage_full"))
    toggle = world.spool.toggle
    monkeypatch.setattr(world.spool, "toggle", lambda *_, **__: refused)
    hear(world, B)
    await world.live.opening_settled(CALL)
    monkeypatch.setattr(world.spool, "toggle", toggle)
    world.speak(20)
    assert world.taps[-1] is Tap.HEADERS or world.taps.count(Tap.PAYLOAD) <= 1
    row = await world.end()
    assert [kind for kind, *_ in intervals(row)] == ["announcement"]
    assert world.alarms["opening_not_durable"] == 1
    assert world.tones == [Tone.REFUSED]
    # Whoever was told that it had been started is told that it is off.
    stopped = next(each for each in told(world) if each["type"] == "recording.stopped")
    assert (stopped["state"], stopped["effective_sample"]) == ("inactive", 800 + 800 + 800)
    assert (stopped["recording"]["state"], stopped["durable"]) == ("inactive", False)


async def test_who_heard_it_is_recorded_at_the_next_start_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opening behind the announcement could not be journalled."""
    world.answer(required())
    await world.toggle(Action.START)
    hear(world, A)
    refused = world.spool._loop.create_future()
    refused.set_result(JournalResult(False, "storage_full"))
    with monkeypatch.context() as full:
        full.setattr(world.spool, "toggle", lambda *_, **__: refused)
        hear(world, B)
        await world.live.opening_settled(CALL)
    await world.toggle(Action.START)
    world.speak(5)
    assert world.taps[-1] is Tap.PAYLOAD
    assert len(asked(world)) == 2
    assert [kind for kind, *_ in intervals(await world.end())] == ["announcement", "audio"]


async def test_the_journal_never_says_that_audio_is_on_before_it_is(world: World) -> None:
    """What a crash meanwhile would find."""
    world.answer(required())
    world.speak(5)
    await world.toggle(Action.START)
    hear(world, A)
    lines = (world.directory / "live" / f"{RECORDING}.journal").read_bytes()
    state = journal.replay(lines)
    assert state.header is not None
    assert state.header.consent == "required"
    assert [(i.kind, i.start_sample) for i in state.intervals(8_000, Actor("recovery"))] == [
        ("announcement", 800)
    ]
    hear(world, B)
    await world.live.opening_settled(CALL)
    state = journal.replay((world.directory / "live" / f"{RECORDING}.journal").read_bytes())
    assert [(i.kind, i.start_sample, i.end_sample) for i in state.intervals(8_000, Actor("recovery"))] == [
        ("announcement", 800, 2_400),
        ("audio", 2_400, 8_000),
    ]
    await world.end()


async def test_the_agent_is_told_when_it_is_on_not_when_it_was_asked_for(world: World) -> None:
    world.answer(required())
    await world.toggle(Action.START)
    assert world.tones == []
    hear(world, A)
    hear(world, B)
    await world.live.opening_settled(CALL)
    await seen(lambda: world.tones == [Tone.STARTED])
    types = [each["type"] for each in told(world)]
    assert types[-2:] == ["recording.started", "recording.announced"]
    await world.end()


async def seen(condition: Any) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0)


def told(world: World) -> list[dict[str, Any]]:
    return [json.loads(each.text()) for each in world.events.read(1, 100)]


async def test_without_consent_it_is_played_while_the_recording_goes_on(world: World) -> None:
    policy = replace(required(), consent_required=False)
    world.answer(policy)
    world.speak(5)
    await world.toggle(Action.START)
    assert world.taps == [Tap.HEADERS, Tap.PAYLOAD]
    hear(world, A)
    hear(world, B)
    world.speak(10)
    row = await world.end()
    assert intervals(row) == [("audio", 800, row.duration_samples)]
    assert not (samples(world, row) == 7_000).any()


async def test_reminders_come_while_it_is_recorded_and_only_then(world: World) -> None:
    world.answer(required())
    await world.toggle(Action.START)
    world.speak(300)  # 6 s of waiting: nothing is recorded, so nobody is reminded
    assert {op.sound.name for op in asked(world)} == {HELLO}
    hear(world, A)
    hear(world, B)
    await world.live.opening_settled(CALL)
    world.speak(520)
    reminders = [op for op in asked(world) if op.sound.name == REMINDER]
    assert [op.leg for op in reminders] == [A, B, A, B]
    hear(world, A)  # a reminder is in no file
    await world.toggle(Action.PAUSE)
    world.speak(300)
    assert len([op for op in asked(world) if op.sound.name == REMINDER]) == 4
    row = await world.end()
    assert not (samples(world, row) == 3_000).any()


async def test_who_heard_it_is_reminded_though_another_party_does_not_listen_yet(world: World) -> None:
    """One is on hold all the time: its announcement waits, the other one's reminders do not."""
    world.answer(replace(required(), consent_required=False))
    await world.toggle(Action.START)
    number = {op.leg: op.number for op in asked(world)}
    world.live.receive_announcement(
        AnnouncementHindered(CALL, A, number[A], Hindrance.NOT_LISTENING), now_ns=world.now_ns
    )
    hear(world, B, number=number[B])
    world.speak(520)
    reminders = [op for op in asked(world) if op.sound.name == REMINDER]
    assert [op.leg for op in reminders] == [B, B]
    hear(world, A, number=number[A])  # it was not taken from them
    world.speak(260)
    reminders = [op for op in asked(world) if op.sound.name == REMINDER]
    assert [op.leg for op in reminders] == [B, B, A, B]
    await world.end()


async def test_an_announcement_that_is_not_there_opens_nothing(tmp_path: Path) -> None:
    async with live_world(tmp_path) as world:
        world.answer(required())
        await world.toggle(Action.START)
        world.speak(50)
        assert Tap.PAYLOAD not in world.taps
        assert (await world.end()).recorded_samples == 0
