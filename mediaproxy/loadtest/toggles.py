"""Recording switched at random through the API, and what the log must therefore say."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from itertools import pairwise

from mediaproxy.loadtest.api import Api, Refused
from mediaproxy.loadtest.recordings import Span
from mediaproxy.loadtest.waiting import until

ACTIONS = ("start", "stop", "pause", "resume")
AT_ONCE = 4


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
