"""The carrier and the agent: two telephones with many lines, with our own SIP."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mediaproxy.loadtest.phone import PCMU, Changed, Invited, Over, Phone, Talking
from mediaproxy.loadtest.plan import Broken
from mediaproxy.loadtest.schedule import Stream
from mediaproxy.loadtest.subject import Addresses
from mediaproxy.net import Endpoint
from mediaproxy.sdp.audio import Direction
from mediaproxy.transport.sip_transport import SipTransport

PATIENCE_S = 15.0


@dataclass(slots=True)
class Line:
    """One call as its two parties know it; times are monotonic nanoseconds. The caller is its name.

    The proxy's answer, position 0, lies between `answered_ns` (the agent's 200) and `heard_ns`.
    """

    number: int
    caller: str
    caller_sends_to: Endpoint | None = None
    callee_sends_to: Endpoint | None = None
    invited_ns: int = 0
    answered_ns: int = 0
    heard_ns: int = 0  # the carrier got the answer
    hung_up_ns: int = 0
    taken: int = 0  # the agent's number for it
    status: int | None = None  # that of a refusal
    abandoned: bool = False  # nobody waits for its answer any more
    talking: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Queue[int] = field(default_factory=asyncio.Queue)  # how holding, resuming was answered

    @property
    def setup_ms(self) -> float:
        """From the carrier's INVITE to its 200."""
        return (self.heard_ns - self.invited_ns) / 1e6

    def streams(self) -> tuple[Stream, Stream]:
        assert self.caller_sends_to is not None
        assert self.callee_sends_to is not None
        first = 2 * self.number
        return Stream(first, *self.caller_sends_to), Stream(first + 1, *self.callee_sends_to)


class Unanswered(Broken):
    """A call did not come about; `status` says with what it was refused, None = not at all."""

    def __init__(self, said: str, status: int | None = None) -> None:
        super().__init__(said)
        self.status = status


class Parties:
    """`media` tells from where a stream of RTP (2 × call + leg) comes."""

    def __init__(
        self, addresses: Addresses, media: Callable[[int], tuple[str, int]], payload_type: int = PCMU
    ) -> None:
        self._addresses = addresses
        self._media = media
        self._carrier = Phone("carrier", random=os.urandom, payload_type=payload_type)
        self._agent = Phone("alice", random=os.urandom, payload_type=payload_type)
        self._run = int.from_bytes(os.urandom(4), "big") % 10_000  # tells callers of other runs apart
        self._at_carrier: SipTransport[Any] = SipTransport(self._carrier, self._carrier_hears)
        self._at_agent: SipTransport[Any] = SipTransport(self._agent, self._agent_hears)
        self._by_name: dict[str, Line] = {}
        self._placed: dict[int, Line] = {}  # by the carrier's numbers
        self._taken: dict[int, Line] = {}  # by the agent's
        self._calls: dict[int, int] = {}  # line to the carrier's number

    async def start(self) -> None:
        await self._at_carrier.start([("udp", self._addresses.carrier)])
        await self._at_agent.start([("udp", self._addresses.agent)])

    async def stop(self) -> None:
        await self._at_carrier.stop()
        await self._at_agent.stop()

    async def place(self, number: int, *, patience_s: float = PATIENCE_S) -> Line:
        """Call, and return when both talk; `Unanswered` when they never do."""
        line = Line(number, f"+1555{self._run:04}{number:07}")
        self._by_name[line.caller] = line
        flow = self._at_carrier.flow_to("udp", self._addresses.proxy)
        assert flow is not None
        line.invited_ns = time.monotonic_ns()
        call = self._carrier.invite(
            self._addresses.number,
            flow,
            media=Endpoint(*self._media(2 * number)),
            now_ns=line.invited_ns,
            caller=line.caller,
        )
        self._placed[call], self._calls[number] = line, call
        self._at_carrier.settle()
        try:
            async with asyncio.timeout(patience_s):
                await line.talking.wait()
        except TimeoutError:
            line.abandoned = True
            raise Unanswered(f"it was not answered within {patience_s:.0f} s") from None
        except BaseException:
            line.abandoned = True
            raise
        if line.status is not None:
            raise Unanswered(f"it was answered with {line.status}", line.status)
        if line.callee_sends_to is None:
            raise Broken("it was answered, but not by our agent")
        return line

    async def hold(self, line: Line) -> None:
        """The agent holds the call; returns when the carrier agreed."""
        await self._change(line, Direction.SENDONLY, "hold")

    async def resume(self, line: Line) -> None:
        await self._change(line, Direction.SENDRECV, "resumption")

    async def _change(self, line: Line, direction: Direction, what: str) -> None:
        self._agent.change(line.taken, direction, now_ns=time.monotonic_ns())
        self._at_agent.settle()
        try:
            async with asyncio.timeout(PATIENCE_S):
                status = await line.changed.get()
        except TimeoutError:
            raise Broken(f"its {what} was not answered within {PATIENCE_S:.0f} s") from None
        if status >= 300:
            raise Broken(f"its {what} was answered with {status}")

    async def hang_up(self, line: Line) -> None:
        """The carrier hangs up; returns when the agent has heard of it."""
        if not line.over.is_set():
            line.hung_up_ns = time.monotonic_ns()
            self._carrier.hang_up(self._calls[line.number], now_ns=line.hung_up_ns)
            self._at_carrier.settle()
        await _within(line.over, "its end did not reach the agent")

    def forget(self, line: Line) -> None:
        """The call is over, and nothing of it will be asked any more."""
        self._by_name.pop(line.caller, None)
        self._placed.pop(self._calls.pop(line.number, 0), None)
        self._taken.pop(line.taken, None)

    def _carrier_hears(self, output: object) -> None:
        match output:
            case Talking() if output.call in self._placed:
                line = self._placed[output.call]
                line.caller_sends_to = output.media
                line.heard_ns = time.monotonic_ns()
                line.talking.set()
                if line.abandoned:
                    self._carrier.hang_up(output.call, now_ns=line.heard_ns)
                    self._at_carrier.settle()
            case Over() if output.call in self._placed:
                line = self._placed[output.call]
                line.status = output.status
                line.talking.set()
                line.over.set()

    def _agent_hears(self, output: object) -> None:
        match output:
            case Invited():
                self._answer(output)
            case Talking():
                self._taken[output.call].callee_sends_to = output.media
            case Changed() if output.call in self._taken:
                self._taken[output.call].changed.put_nowait(output.status)
            case Over() if output.call in self._taken:
                self._taken[output.call].over.set()

    def _answer(self, invited: Invited) -> None:
        line = self._by_name.get(invited.caller)
        if line is None:
            return  # none of ours; it goes unanswered and is found missing
        self._taken[invited.call] = line
        line.taken = invited.call
        line.answered_ns = time.monotonic_ns()
        media = Endpoint(*self._media(2 * line.number + 1))
        self._agent.answer(invited.call, media=media, now_ns=line.answered_ns)
        self._at_agent.settle()


async def _within(event: asyncio.Event, otherwise: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await event.wait()
    except TimeoutError:
        raise Broken(f"{otherwise} within {PATIENCE_S:.0f} s") from None
