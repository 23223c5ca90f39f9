"""One call of a proof: the marker is spoken while recording is off, another signal while it is on.

Nobody knows to the sample when a toggle takes effect before it did. So both parties say silence from
before a toggle is asked for until after it was answered; after a closing for longer than a late packet
may still be believed.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mediaproxy.loadtest.api import Api
from mediaproxy.prove.parties import Line, Party
from mediaproxy.prove.plan import Unproven

BEFORE_S = 0.15
AFTER_STOP_S = 0.5
ANNOUNCEMENT_S = 2.0
UNHEARD_S = 0.5  # of it, in which the marker is said: the rest is for a machine that is busy
OPENED_S = 10.0
CODE_S = 3.0
POLL_S = 0.05
SHORTEST_S, LONGEST_S = 0.4, 1.6
SILENCE = b"\xff" * 160
OPEN = "recording"
OPENS = ("start", "resume")
CLOSES = ("stop", "pause")
CODES = {"start": "*1", "resume": "*5", "stop": "*2", "pause": "*4"}


@dataclass(frozen=True, slots=True)
class Script:
    """What is said when, and what is dialled: all of it must be found, or must not be."""

    marker: bytes  # while off
    voice: bytes  # while on
    number: str


@dataclass(slots=True)
class Told:
    """What a conversation did."""

    toggles: int = 0
    codes: int = 0
    digits: int = 0
    marked_s: float = 0.0
    recorded_s: float = 0.0


@dataclass(slots=True)
class Conversation:
    """`ident` is the API's name of the call; `chance` decides what comes next."""

    ident: str
    carrier: Line
    agent: Line
    phone: Party  # the agent's
    api: Api
    script: Script
    chance: random.Random
    told: Told = field(default_factory=Told)
    announced: bool = False

    async def hold(self, until: float) -> None:
        """Until that time of the loop; recording is off when it returns, and silence is said."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await self._say(self.script.marker)
            self.told.marked_s += await self._let_pass()
            await self._toggle(self.chance.choice(OPENS))
            await self._say(self.script.voice)
            self.told.recorded_s += await self._let_pass()
            await self._toggle(self.chance.choice(CLOSES))

    async def _let_pass(self) -> float:
        """A while, in which a number may be dialled."""
        seconds = self.chance.uniform(SHORTEST_S, LONGEST_S)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        match self.chance.randrange(3):
            case 0:
                await self._dial_in_rtp(self.script.number)
            case 1:
                await self._dial_by_info(self.script.number)
        await asyncio.sleep(max(0.0, until - loop.time()))
        return seconds

    async def _dial_in_rtp(self, digits: str) -> None:
        self.agent.stream.dial(digits)
        self.told.digits += len(digits)
        while self.agent.stream.dialling:  # noqa: ASYNC110 - the stream announces no idleness
            await asyncio.sleep(POLL_S)

    async def _dial_by_info(self, digits: str) -> None:
        for digit in digits:
            self.phone.inform(self.agent, digit)
            self.told.digits += 1
            await asyncio.sleep(POLL_S)

    async def _toggle(self, action: str) -> None:
        opens = action in OPENS
        async with self._silence(opening=opens):
            if self.chance.random() < 0.5:
                state = (await self.api.post(f"/v1/calls/{self.ident}/recording/{action}"))["state"]
            else:
                state = await self._dial_code(CODES[action], opens=opens)
            if (state == OPEN) is not opens:
                raise Unproven(f"a toggle left a recording {state}")
            self.told.toggles += 1
            if opens and not self.announced:
                await self._hear_announcement()

    async def _hear_announcement(self) -> None:
        """It sounds since a moment ago; nobody is recorded before its end."""
        self.announced = True
        await self._say(self.script.marker)
        await asyncio.sleep(UNHEARD_S)
        self.told.marked_s += UNHEARD_S
        await self._say(SILENCE)
        loop = asyncio.get_running_loop()
        until = loop.time() + OPENED_S
        while not (await self.api.get(f"/v1/calls/{self.ident}"))["recorded_ms"]:
            if loop.time() > until:
                raise Unproven("an announcement was not heard in time")
            await asyncio.sleep(POLL_S)

    async def _dial_code(self, code: str, *, opens: bool) -> str:
        """The code in RTP, until it has taken effect."""
        self.told.codes += 1
        self.agent.stream.dial(code)
        loop = asyncio.get_running_loop()
        until = loop.time() + CODE_S
        while True:
            await asyncio.sleep(POLL_S)
            state: str = (await self.api.get(f"/v1/calls/{self.ident}/recording"))["state"]
            if (state == OPEN) is opens or loop.time() > until:
                return state

    @asynccontextmanager
    async def _silence(self, *, opening: bool) -> AsyncIterator[None]:
        await self._say(SILENCE)
        await asyncio.sleep(BEFORE_S)
        yield
        await asyncio.sleep(0.0 if opening else AFTER_STOP_S)

    async def _say(self, ulaw: bytes) -> None:
        for line in (self.carrier, self.agent):
            line.stream.say(ulaw)
