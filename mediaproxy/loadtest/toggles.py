"""Recording switched at random through the API, and what the log must therefore say."""

import asyncio
import random
import time
import urllib.error
from dataclasses import dataclass, field
from itertools import pairwise

from mediaproxy.loadtest.api import Api
from mediaproxy.loadtest.recordings import Span

ACTIONS = ("start", "stop", "pause", "resume")
_EVERY_S = 1.5  # on average, of each call
_AT_ONCE = 4


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


def script(seed: int, call: int, seconds: float) -> list[tuple[float, str]]:
    """When to do what to `call`: the same for the same seed."""
    chance = random.Random(f"{seed}:{call}")
    count = chance.randint(1, max(1, round(2 * seconds / _EVERY_S) - 1))
    times = sorted(chance.uniform(0, seconds) for _ in range(count))
    return [(at, chance.choice(ACTIONS)) for at in times]


async def toggle(
    api: Api, ident: str, steps: list[tuple[float, str]], began: float, gate: asyncio.Semaphore
) -> Toggled:
    """Follow the script of one call; `began` is the monotonic second that its times count from."""
    done = Toggled()
    for at, action in steps:
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        async with gate:
            asked = time.monotonic()
            try:
                reply = await api.post(f"/v1/calls/{ident}/recording/{action}")
            except OSError as error:  # HTTPError among them
                status = error.code if isinstance(error, urllib.error.HTTPError) else type(error).__name__
                done.faults.append(f"{action} was answered with {status}")
                continue
            done.took_ms.append((time.monotonic() - asked) * 1000)
            done.replies.append(Reply(reply["state"], reply["changed"], reply["effective_sample"]))
    return done


async def toggle_all(
    api: Api, idents: dict[int, str], *, seed: int, seconds: float, began: float
) -> dict[int, Toggled]:
    """Every call by its own script; `idents` are the API's names of the calls."""
    gate = asyncio.Semaphore(_AT_ONCE)
    steps = [(ident, script(seed, call, seconds)) for call, ident in idents.items()]
    done = await asyncio.gather(*(toggle(api, ident, script_, began, gate) for ident, script_ in steps))
    return dict(zip(idents, done, strict=True))
