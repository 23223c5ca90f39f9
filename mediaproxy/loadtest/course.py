"""The calls of a load test: each is set up, talks, is toggled and ended; all of them come and go."""

import asyncio
import time
from dataclasses import dataclass, field

from mediaproxy.loadtest.api import Api
from mediaproxy.loadtest.bookkeeping import Bookkeeping
from mediaproxy.loadtest.flood import Flood
from mediaproxy.loadtest.log import Row, row_of
from mediaproxy.loadtest.parties import Line, Parties
from mediaproxy.loadtest.plan import Broken, Plan, Record, Tell
from mediaproxy.loadtest.schedule import Speech
from mediaproxy.loadtest.source import Source
from mediaproxy.loadtest.toggles import AT_ONCE, Toggled, dialled, script, toggle
from mediaproxy.loadtest.waiting import until

_TAIL_S = 0.3  # between the last packet and the BYE
_TRIES, _AGAIN_S = 8, 0.25  # until the log knows a call that was answered
_HELD_PACKETS = 75
_BEFORE_HOLD_S, _AFTER_HOLD_S = 0.2, 0.7  # from the pause's beginning, and to its end
_TALKED_S, _LOOK_S = 1.0, 0.1  # who has talked for so long may be flooded; how often another is sought
_MOST_FAILURES = 20  # one after the other, after which no more calls are placed


@dataclass(slots=True)
class Call:
    """One call that was set up. `began_ns` is known once its books are closed."""

    line: Line
    speeches: tuple[Speech, Speech]
    toggled: Toggled = field(default_factory=Toggled)
    began_ns: tuple[int, int] | None = None
    whole: bool = False  # it ended as it was meant to

    def closed(self, speeches: tuple[Speech, Speech], began_ns: tuple[int, int]) -> None:
        self.speeches, self.began_ns = speeches, began_ns


class Course:
    """`run` it; `stop` ends all calls early, in order. What went wrong is in `faults`."""

    def __init__(
        self, plan: Plan, api: Api, parties: Parties, source: Source, books: Bookkeeping,
        tell: Tell, stop: asyncio.Event,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._api = api
        self._parties = parties
        self._source = source
        self._books = books
        self._tell = tell
        self._stop = stop
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._begun = self._ended = self._failed = 0
        self._talking: dict[int, Call] = {}
        self.flood = Flood(plan.flood) if plan.flood else None
        self.setups_ms: list[float] = []
        self.toggles_ms: list[float] = []
        self.calls: list[Call] = []
        self.faults: list[str] = []

    @property
    def live(self) -> int:
        """How many calls are up, or about to be."""
        return self._begun - self._ended

    async def run(self) -> None:
        """Returns when all calls are over."""
        telling = asyncio.create_task(self._count_seconds())
        stopping = asyncio.create_task(self._silence())
        flooding = asyncio.create_task(self._flood_one())
        try:
            async with asyncio.TaskGroup() as group:
                await self._place_all(group)
            if self._stop.is_set():
                await stopping
        finally:
            for task in (telling, stopping, flooding):
                task.cancel()
            if self.flood is not None:
                await asyncio.to_thread(self.flood.stop)

    async def _place_all(self, group: asyncio.TaskGroup) -> None:
        began = time.monotonic()
        for number in range(self._plan.calls):
            if not await until(began + number / self._plan.cps, self._stop):
                return
            if self._failed >= _MOST_FAILURES:
                self.faults.append(
                    f"gave up after {number} of {self._plan.calls} calls: the last {self._failed} failed"
                )
                return
            self._begun += 1
            group.create_task(self._live(number))

    async def _live(self, number: int) -> None:
        try:
            await self._talk(await self._parties.place(number))
            self._failed = 0
        except (Broken, OSError, RuntimeError) as error:
            self._failed += 1
            self.faults.append(f"call {number}: {error}")
        finally:
            self._ended += 1
            self._tell("calls", self._ended, self._plan.calls)

    async def _talk(self, line: Line) -> None:
        if self._stop.is_set():
            await self._parties.hang_up(line)
            return
        call = self._begin(line)
        self.calls.append(call)
        self._talking[line.number] = call
        self.setups_ms.append(line.setup_ms)
        end_cycle = call.speeches[0].first + self._plan.packets + self._plan.network.cycles
        try:
            call.whole = await self._act(call)
            await until(self._source.cycle_ns(end_cycle) / 1e9 + _TAIL_S, self._stop)
            if self._stop.is_set():
                await asyncio.sleep(_TAIL_S)
            if line.over.is_set():
                raise Broken("it was ended before its time")
            await self._parties.hang_up(line)
        except BaseException:
            call.whole = False
            raise
        finally:
            del self._talking[line.number]
            self.toggles_ms += call.toggled.took_ms
            self._books.close(call.speeches, call.closed)
            self._parties.forget(line)

    def _begin(self, line: Line) -> Call:
        first = self._source.next_cycle()
        one, other = line.streams()
        plan, packets, pause = self._plan, self._plan.packets, (0, 0)
        digits: tuple[tuple[int, str], ...] = ()
        if plan.holds(line.number):
            pause = (packets // 2, packets // 2 + _HELD_PACKETS)
        if plan.dials(line.number):
            digits = dialled(plan.seed, line.number, packets, plan.toggle_every_s)
        call = Call(line, (Speech(one, first, packets, pause), Speech(other, first, packets, (0, 0), digits)))
        self._books.open(call.speeches)
        self._source.begin(call.speeches)
        return call

    async def _act(self, call: Call) -> bool:
        """What happens to the call while it talks. False: something else did, and is told; it talks on."""
        done = await asyncio.gather(self._toggle(call), self._hold(call), return_exceptions=True)
        failed = [error for error in done if error is not None]
        for error in failed:
            if not isinstance(error, Broken | OSError | RuntimeError):
                raise error
            self.faults.append(f"call {call.line.number}: {error}")
        return not failed

    async def _toggle(self, call: Call) -> None:
        if self._plan.record is not Record.RANDOM or self._plan.dials(call.line.number):
            return
        row = await self._row(call)
        began = self._source.cycle_ns(call.speeches[0].first) / 1e9
        plan = self._plan
        steps = script(plan.seed, call.line.number, plan.duration_s, plan.toggle_every_s)
        timed = [(began + at, action) for at, action in steps]
        await toggle(self._api, row["id"], timed, self._gate, self._stop, call.toggled)

    async def _row(self, call: Call) -> Row:
        """Few ask at once: a proxy that is slow must not be buried in questions."""
        for _ in range(_TRIES):
            async with self._asking:
                row = await row_of(self._api, call.line.caller)
            if row is not None:
                return row
            await asyncio.sleep(_AGAIN_S)
        raise Broken(f"{_TRIES * _AGAIN_S:.0f} s after its answer the API knows no such call")

    async def _hold(self, call: Call) -> None:
        """The agent holds the call while the carrier's party pauses, so that no word falls on an edge."""
        first, last = call.speeches[0].pause
        if first == last:
            return
        begin, end = (self._source.cycle_ns(call.speeches[0].first + at) / 1e9 for at in (first, last))
        if not await until(begin + _BEFORE_HOLD_S, self._stop):
            return
        await self._parties.hold(call.line)
        await until(end - _AFTER_HOLD_S, self._stop)
        await self._parties.resume(call.line)
        if time.monotonic() > end:
            raise Broken("its resumption took so long that the other party spoke before")

    async def _flood_one(self) -> None:
        """One call's port, until that call is over: then another's."""
        victim = None
        while self.flood is not None:
            if victim not in self._talking:
                settled_ns = time.monotonic_ns() - round(_TALKED_S * 1e9)
                settled = (call.line for call in self._talking.values() if call.line.heard_ns < settled_ns)
                if (line := next(settled, None)) is not None:
                    assert line.caller_sends_to is not None
                    self.flood.aim(line.caller_sends_to)
                    victim = line.number
            await asyncio.sleep(_LOOK_S)

    async def _silence(self) -> None:
        await self._stop.wait()
        self._books.shorten(await self._source.stop())

    async def _count_seconds(self) -> None:
        seconds = round(self._plan.seconds)
        for second in range(seconds + 1):
            self._tell("talking", second, seconds)
            await asyncio.sleep(1)
