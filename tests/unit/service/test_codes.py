"""Codes that may become others, that are told twice, and that the carrier dials: on real recordings."""

import asyncio
from dataclasses import dataclass, replace

import numpy as np
import pytest

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import LegId, Tone
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import Action
from mediaproxy.service.codes import Code, DialledCodes
from mediaproxy.service.control import Control
from tests.support.live_world import CALL, MS, RECORD, World, samples
from tests.unit.service.test_live_recordings import told, world

__all__ = ["world"]

CARRIER, AGENT = LegId.A, LegId.B
START, STOP, TOGGLE, PAUSE, RESUME = Action.START, Action.STOP, Action.TOGGLE, Action.PAUSE, Action.RESUME


@dataclass
class Keys:
    """Dials codes into a world; each demand is awaited in the background as the wiring does."""

    world: World
    codes: DialledCodes
    tasks: list[asyncio.Task[object]]

    async def dial(
        self,
        action: Action,
        *,
        certain: bool = True,
        in_rtp: bool = True,
        leg: LegId = AGENT,
        ago: int = 0,
    ) -> None:
        code = Code(CALL, leg, action, self.world.now_ns - ago * MS, certain, in_rtp)
        if (demand := self.codes.receive(code)) is not None:
            self.tasks.append(asyncio.ensure_future(demand))
        await asyncio.sleep(0.03)

    async def spans(self) -> list[tuple[int, int | None]]:
        self.codes.ended(CALL)
        row = await self.world.end()
        await asyncio.gather(*self.tasks)
        return [(one.start_sample, one.end_sample) for one in row.intervals]


@pytest.fixture
def keys(world: World) -> Keys:
    control = Control(lambda call: RECORD, world.live, world.metrics)
    return Keys(world, DialledCodes(lambda call: RECORD, world.live, control), [])


def answer(keys: Keys, **changes: object) -> None:
    policy = RecordingPolicy(Policy.ON_DEMAND)
    keys.world.answer(replace(policy, **changes))  # type: ignore[arg-type]  # any field, by name
    keys.world.speak(50)


async def test_a_shorter_code_counts_as_of_its_own_last_digit(keys: Keys) -> None:
    answer(keys)
    await keys.dial(START, certain=False)
    keys.world.speak(100)  # the inter-digit time passes
    assert keys.world.tones == []
    await keys.dial(START, ago=2_000)
    keys.world.speak(50)
    assert keys.world.tones == [Tone.STARTED]
    assert await keys.spans() == [(8_000, 32_000)]
    pcm = samples(keys.world, keys.world.rows[-1])
    assert not pcm[:8_000].any()
    assert np.count_nonzero(pcm[8_000:32_000, 0]) == 24_000


async def test_a_longer_code_takes_the_shorter_ones_opening_back(keys: Keys) -> None:
    answer(keys)
    await keys.dial(START, certain=False)
    keys.world.speak(20)
    await keys.dial(STOP)
    keys.world.speak(20)
    assert keys.world.live.is_open(CALL) is False
    assert keys.world.tones == []
    assert await keys.spans() == []
    assert keys.world.alarms == {}
    assert [e["type"] for e in told(keys.world)] == ["recording.armed", "recording.completed"]


async def test_a_shorter_code_closes_at_once_and_for_certain(keys: Keys) -> None:
    answer(keys)
    await keys.dial(START)
    keys.world.speak(50)
    await keys.dial(STOP, certain=False)
    assert keys.world.live.is_open(CALL) is False
    keys.world.speak(100)
    await keys.dial(STOP, ago=2_000)
    assert keys.world.tones == [Tone.STARTED, Tone.STOPPED]
    assert await keys.spans() == [(8_000, 16_000)]


@pytest.mark.parametrize(
    ("longer", "spans"), [(TOGGLE, [(8_000, 16_000)]), (START, [(8_000, 16_000), (19_200, 24_000)])]
)
async def test_the_longer_code_means_what_it_meant_before_the_shorter_closed(
    keys: Keys, longer: Action, spans: list[tuple[int, int]]
) -> None:
    answer(keys)
    await keys.dial(START)
    keys.world.speak(50)
    await keys.dial(STOP, certain=False)
    keys.world.speak(20)
    await keys.dial(longer)
    keys.world.speak(30)
    assert await keys.spans() == spans


async def test_of_three_codes_the_longest_means_what_it_meant_before_the_first(keys: Keys) -> None:
    answer(keys)
    await keys.dial(START, certain=False)
    await keys.dial(STOP, certain=False)
    keys.world.speak(10)
    await keys.dial(TOGGLE)
    keys.world.speak(40)
    assert await keys.spans() == [(9_600, 16_000)]


async def test_a_call_that_ends_while_a_code_is_undecided_is_recorded_from_there(keys: Keys) -> None:
    answer(keys)
    await keys.dial(START, certain=False)
    keys.world.speak(50)
    assert await keys.spans() == [(8_000, 16_000)]


async def test_a_click_settles_a_code_that_is_undecided(keys: Keys) -> None:
    answer(keys)
    await keys.dial(START, certain=False)
    keys.world.speak(10)
    async with asyncio.timeout(0.5):
        await keys.world.toggle(START)
    await keys.dial(STOP)
    assert await keys.spans() == [(8_000, 9_600)]


async def test_a_click_that_stops_an_undecided_opening_leaves_it_closed(keys: Keys) -> None:
    answer(keys)
    await keys.dial(START, certain=False)
    keys.world.speak(10)
    await keys.world.toggle(STOP)
    keys.world.speak(10)
    await keys.dial(PAUSE)  # the longer code: its opening is taken back too
    assert await keys.spans() == []


async def test_a_code_told_by_info_and_then_in_rtp_counts_once(keys: Keys) -> None:
    answer(keys)
    await keys.dial(TOGGLE, in_rtp=False)
    keys.world.speak(5)
    await keys.dial(TOGGLE, in_rtp=True)
    assert keys.world.live.is_open(CALL)
    keys.world.speak(5)
    await keys.dial(TOGGLE, in_rtp=True)  # dialled again, told again
    assert not keys.world.live.is_open(CALL)


async def test_the_same_code_two_seconds_later_is_another_one(keys: Keys) -> None:
    answer(keys)
    await keys.dial(TOGGLE, in_rtp=False)
    keys.world.speak(100)
    await keys.dial(TOGGLE, in_rtp=True)
    assert not keys.world.live.is_open(CALL)


@pytest.mark.parametrize("action", [START, RESUME, TOGGLE])
async def test_the_carrier_never_opens(keys: Keys, action: Action) -> None:
    answer(keys, carrier_closes=True)
    await keys.dial(action, leg=CARRIER)
    assert await keys.spans() == []


@pytest.mark.parametrize("action", [STOP, PAUSE, TOGGLE])
@pytest.mark.parametrize("closes", [True, False])
async def test_the_carrier_closes_where_the_policy_says_so(keys: Keys, action: Action, closes: bool) -> None:
    answer(keys, carrier_closes=closes)
    await keys.dial(START)
    keys.world.speak(50)
    await keys.dial(action, leg=CARRIER)
    assert keys.world.live.is_open(CALL) is not closes
    if closes:
        await keys.dial(TOGGLE, leg=CARRIER)
        assert keys.world.live.is_open(CALL) is False
        row = await keys.world.end()
        assert row.intervals[0].ended_by == Actor("dtmf", "carrier")


async def test_codes_and_clicks_in_turn(keys: Keys) -> None:
    answer(keys)
    for n in range(6):
        if n % 2:
            await keys.world.toggle(STOP if n % 4 == 1 else PAUSE)
        else:
            await keys.dial(TOGGLE)
        keys.world.speak(5)
    assert await keys.spans() == [(8_000, 8_800), (9_600, 10_400), (11_200, 12_000)]


@pytest.mark.parametrize("resumes", [False, True])
async def test_a_pause_beyond_its_limit_is_warned_of_and_resumed_only_where_wanted(
    keys: Keys, resumes: bool
) -> None:
    answer(keys, max_pause_s=1.0, resume_after_max_pause=resumes)
    await keys.dial(START)
    keys.world.speak(10)
    await keys.dial(PAUSE)
    keys.world.speak(49)
    assert Tone.WARNING not in keys.world.tones
    keys.world.speak(1)
    await asyncio.sleep(0.03)
    assert keys.world.tones.count(Tone.WARNING) == 1
    keys.world.speak(20)
    assert await keys.spans() == [(8_000, 9_600), *([(17_600, 20_800)] if resumes else [])]
    exceeded = next(e for e in told(keys.world) if e["type"] == "recording.pause_exceeded")
    assert (exceeded["max_pause_s"], exceeded["resumes"]) == (1.0, resumes)
    resumed = [e for e in told(keys.world) if e["type"] == "recording.resumed"]
    assert [(e["means"], e["user"]) for e in resumed] == [("limit", None)] * resumes
