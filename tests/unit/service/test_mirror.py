"""What the proxy knows of a worker's recordings without asking is what the worker itself would say."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mediaproxy.calllog.rows import IntervalRow, RecordingRow
from mediaproxy.calls.events import CallAnswered, CallUpdated
from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import LegId
from mediaproxy.errors import Misuse
from mediaproxy.ids import CallId
from mediaproxy.recording.states import Action, Refusal, State, Toggled
from mediaproxy.service import messages
from mediaproxy.service.media import Settled
from mediaproxy.service.mirror import CALL_END, MirroredRecordings
from tests.support.live_world import ALICE, CALL, MS, RECORD, RECORDING, live_world

POLICY = RecordingPolicy(Policy.ON_DEMAND, pausable=True)
ANSWERED = CallAnswered(RECORD, 1_000 * MS, 7, POLICY, LegId.B, LegId.A)
ROW = RecordingRow(RECORDING, CALL, "inactive", "on_demand", 8_000)
OPEN = replace(ROW, state="recording", intervals=(IntervalRow(800, None, ALICE, None),))


@dataclass
class Post:
    sent: list[Any] = field(default_factory=list)
    alive: bool = True

    def send(self, message: object) -> None:
        self.sent.append(message)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def mirror(post: Post) -> MirroredRecordings:
    mirrored = MirroredRecordings({CALL: post}.get)
    mirrored.arm(ANSWERED, RECORDING)
    return mirrored


def at(seconds: float) -> int:
    """So long after the answer."""
    return round((1 + seconds) * 1e9)


def test_a_recording_is_armed_at_once_and_shown_when_its_worker_told(
    mirror: MirroredRecordings, post: Post
) -> None:
    assert post.sent == [messages.Arm(ANSWERED, RECORDING)]
    assert mirror.armed(CALL)
    assert mirror.row(CALL, now_ns=at(1)) is None
    mirror.receive(messages.Shown(CALL, ROW, False))
    shown = mirror.row(CALL, now_ns=at(1.5))
    assert shown == replace(ROW, duration_samples=12_000)
    assert not mirror.armed(CallId("other"))


def test_what_is_open_grows_with_the_clock(mirror: MirroredRecordings) -> None:
    mirror.receive(messages.Shown(CALL, OPEN, True))
    shown = mirror.row(CALL, now_ns=at(2))
    assert shown is not None
    assert (shown.duration_samples, shown.recorded_samples) == (16_000, 15_200)
    assert mirror.is_open(CALL)


def test_what_is_open_and_cannot_reach_the_disk_is_failing(mirror: MirroredRecordings, post: Post) -> None:
    mirror.receive(messages.Shown(CALL, OPEN, True))
    mirror.troubled(post, {RECORDING: "storage_full"})
    shown = mirror.row(CALL, now_ns=at(2))
    assert shown is not None
    assert (shown.state, shown.reasons, shown.recorded_samples) == ("failing", ("storage_full",), 15_200)
    mirror.troubled(Post(), {})
    assert mirror.row(CALL, now_ns=at(2)) == shown
    mirror.troubled(post, {})
    assert (restored := mirror.row(CALL, now_ns=at(2)))
    assert restored.state == "recording"


def test_at_the_end_of_its_call_it_is_finished_before_the_worker_says_so(
    mirror: MirroredRecordings, post: Post
) -> None:
    mirror.receive(messages.Shown(CALL, OPEN, True))
    told: list[int] = []
    ended = replace(RECORD, state="ended")
    mirror.ended(ended, ended_ns=at(1), told=lambda: told.append(1))
    shown = mirror.row(CALL, now_ns=at(5))
    assert shown is not None
    assert (shown.state, shown.duration_samples, shown.recorded_samples) == ("finished", 8_000, 7_200)
    assert shown.intervals == (IntervalRow(800, 8_000, ALICE, CALL_END),)
    assert (mirror.is_open(CALL), told) == (False, [])
    assert post.sent[-1] == messages.End(ended, at(1))
    mirror.receive(messages.EndTold(CALL))
    mirror.receive(messages.EndTold(CALL))
    assert told == [1]
    mirror.receive(messages.RowPut(replace(shown, result="complete")))
    assert not mirror.armed(CALL)


async def test_a_toggle_is_asked_of_the_worker_and_answered_by_it(
    mirror: MirroredRecordings, post: Post
) -> None:
    certain: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    asked = asyncio.ensure_future(mirror.toggle(CALL, Action.START, ALICE, at_ns=at(1), certain=certain))
    await asyncio.sleep(0)
    toggle = post.sent[-1]
    assert toggle == messages.Toggle(toggle.ticket, CALL, Action.START, ALICE, at(1), waits=True)
    certain.set_result(True)
    await asyncio.sleep(0)
    assert post.sent[-1] == messages.Certain(toggle.ticket, True)
    settled = Settled(Toggled(Action.START, ALICE, State.RECORDING, True, 8_000, 1), True, 8_000)
    mirror.receive(messages.Reply(toggle.ticket, settled))
    assert await asked == settled


async def test_what_a_worker_could_not_do_is_told_as_it_would_be_here(
    mirror: MirroredRecordings, post: Post
) -> None:
    for reply, error in (({"error": OSError(28, "full")}, OSError), ({"failed": True}, Misuse)):
        asked = asyncio.ensure_future(mirror.redact(CALL, (0, 8), ALICE, "why"))
        await asyncio.sleep(0)
        mirror.receive(messages.Reply(post.sent[-1].ticket, **reply))
        with pytest.raises(error):
            await asked


async def test_nobody_waits_for_a_worker_that_is_gone(mirror: MirroredRecordings, post: Post) -> None:
    mirror.receive(messages.Shown(CALL, OPEN, True))
    toggled = asyncio.ensure_future(mirror.toggle(CALL, Action.STOP, ALICE, at_ns=at(1)))
    redacted = asyncio.ensure_future(mirror.redact(CALL, (0, 8), ALICE, "why"))
    settled = asyncio.ensure_future(mirror.opening_settled(CALL))
    await asyncio.sleep(0)
    post.alive = False
    told: list[int] = []
    mirror.ended(replace(RECORD, state="ended"), ended_ns=at(2), told=lambda: told.append(1))
    [lost] = mirror.lose(post)
    assert (await toggled, await redacted, await settled, told) == (Refusal.ENDED, None, None, [1])
    assert lost.recording == RECORDING
    assert lost.logged.call.state == "ended"
    assert lost.logged.recording is not None
    assert lost.logged.recording.intervals[-1].end_sample == 16_000
    assert mirror.row(CALL, now_ns=at(3)) is None
    assert await mirror.toggle(CALL, Action.STOP, ALICE, at_ns=at(3)) is Refusal.ENDED


SCRIPT = [
    Action.START, Action.PAUSE, Action.PAUSE, Action.RESUME, Action.STOP, Action.START, Action.TOGGLE,
]  # fmt: skip


@pytest.mark.slow
async def test_after_every_change_the_mirror_says_what_the_recordings_say(tmp_path: Path) -> None:
    """One recording, asked itself and by what it tells."""
    shown: list[messages.Shown] = []
    async with live_world(tmp_path, show=lambda *told: shown.append(messages.Shown(*told))) as world:
        mirror = MirroredRecordings({CALL: Post()}.get)
        mirror.arm(replace(ANSWERED, answered_ns=0), RECORDING)
        world.answer(POLICY)

        def agree() -> None:
            for message in shown:
                mirror.receive(message)
            shown.clear()
            row = mirror.row(CALL, now_ns=world.now_ns)
            assert row == world.live.row(CALL, now_ns=world.now_ns)
            assert mirror.is_open(CALL) == world.live.is_open(CALL)

        agree()
        for action in SCRIPT:
            world.speak(7)
            agree()
            toggling = asyncio.ensure_future(world.toggle(action))
            await asyncio.sleep(0)
            agree()
            await toggling
            agree()
            world.speak(3)
            agree()
        ended = replace(RECORD, state="ended")
        world.live.ended(ended, ended_ns=world.now_ns)
        mirror.ended(ended, ended_ns=world.now_ns, told=lambda: None)
        before = mirror.row(CALL, now_ns=world.now_ns)
        agree()
        assert before == mirror.row(CALL, now_ns=world.now_ns)
        await world.end()


def test_what_changes_of_a_call_goes_to_its_worker(mirror: MirroredRecordings, post: Post) -> None:
    updated = CallUpdated(replace(RECORD, agent="olga"), at(1), barred=True)
    mirror.follow(updated)
    mirror.follow(replace(updated, call=replace(RECORD, id=CallId("other"))))
    assert post.sent[1:] == [messages.Follow(updated)]
    (lost,) = mirror.lose(post)
    assert lost.logged.call.agent == "olga"
