"""Recording switched at random through the API, and what the log must therefore say."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mediaproxy.loadtest import digits
from mediaproxy.loadtest.api import Api, Refused
from mediaproxy.loadtest.recordings import Span
from mediaproxy.loadtest.waiting import until

ACTIONS = ("start", "stop", "pause", "resume")
AT_ONCE = 4
START, STOP = "*1", "*2"
_PACKETS_PER_S = 50
_FIRST = 25  # packets before somebody dials
_SPACING = 100  # at least between two codes, and before the end


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API said to a toggle."""

    state: str
    changed: bool
    sample: int


@dataclass(slots=True)
class Toggled:
    """What was asked of one call and answered; the faults are toggles that were refused."""

    replies: list[Reply] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def opened(self) -> bool:
        return any(reply.changed and reply.state == "recording" for reply in self.replies)

    def spans(self, duration: int) -> list[Span]:
        """The intervals that the replies promise, of a call that is `duration` samples long."""
        changes = [(reply.sample, reply.state == "recording") for reply in self.replies if reply.changed]
        both = pairwise([*changes, (duration, False)])
        return [(start, end) for (start, opens), (end, _) in both if opens and start < end]


def script(seed: int, call: int, seconds: float, every_s: float) -> list[tuple[float, str]]:
    """When to do what to `call`, about every `every_s`: the same for the same seed."""
    chance = random.Random(f"{seed}:{call}")
    count = chance.randint(1, max(1, round(2 * seconds / every_s) - 1))
    times = sorted(chance.uniform(0, seconds) for _ in range(count))
    return [(at, chance.choice(ACTIONS)) for at in times]


def dialled(seed: int, call: int, packets: int, every_s: float) -> tuple[tuple[int, str], ...]:
    """What `call`'s agent dials, start and stop in turn: digits by packet. The same for the same seed."""
    chance = random.Random(f"{seed}:{call}:dialled")
    every = max(round(every_s * _PACKETS_PER_S), _SPACING)
    found: tuple[tuple[int, str], ...] = ()
    at, opens = chance.randrange(_FIRST, max(min(_FIRST + every, packets - _SPACING), _FIRST + 1)), True
    while at < packets - _SPACING:
        found += digits.code(at, START if opens else STOP)
        at += chance.randrange(_SPACING, 2 * every)
        opens = not opens
    return found


def codes_of(dialled: Sequence[tuple[int, str]]) -> list[tuple[int, bool]]:
    """The packet with which each code takes effect, its last digit's first; and whether it opens."""
    return [(index, digit == START[-1]) for index, digit in dialled if digit != START[0]]


async def toggle(
    api: Api, ident: str, steps: list[tuple[float, str]], gate: asyncio.Semaphore, stop: asyncio.Event,
    done: Toggled,
) -> None:  # fmt: skip
    """Follow the script of one call, whose times are monotonic seconds, until `stop`."""
    for at, action in steps:
        if not await until(at, stop):
            return
        async with gate:
            asked = time.monotonic()
            try:
                reply = await api.post(f"/v1/calls/{ident}/recording/{action}")
            except OSError as error:
                said = error.status if isinstance(error, Refused) else type(error).__name__
                done.faults.append(f"{action} was answered with {said}")
                continue
            done.took_ms.append((time.monotonic() - asked) * 1000)
            done.replies.append(Reply(reply["state"], reply["changed"], reply["effective_sample"]))
