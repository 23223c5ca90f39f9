"""The course of a load test: set up, talk, hang up, check. Bounded in calls and in time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from mediaproxy.loadtest import cpu
from mediaproxy.loadtest.audit import Audit, Evidence, audit
from mediaproxy.loadtest.outcome import Delays, Memory, Outcome, count_packets, packet_faults
from mediaproxy.loadtest.parties import Line, Parties
from mediaproxy.loadtest.plan import Broken, Plan, Record, Tell
from mediaproxy.loadtest.schedule import RAMP
from mediaproxy.loadtest.subject import Subject
from mediaproxy.loadtest.toggles import Toggled, toggle_all
from mediaproxy.loadtest.traffic import PACKETS_PER_S, Books, Traffic

T = TypeVar("T")
A = TypeVar("A")

_MEMORY_EVERY_S = 0.25
_PUBLISHED_S = 30.0
_POLL_S = 0.25
_PAGE = 500  # the most rows that the API gives at once
_RAMP_S = RAMP / PACKETS_PER_S


async def run(plan: Plan, directory: Path, tell: Tell) -> Outcome:
    """Load a proxy that lives in `directory`. `Broken` when that could not be carried through."""
    subject = Subject(directory, plan.record)
    traffic = Traffic(directory / "traffic")
    parties = Parties(subject.addresses, traffic.party)
    try:
        tell("starting the proxy", 0, 1)
        await subject.start()
        await parties.start()
        tell("starting the proxy", 1, 1)
        return await _load(plan, subject, traffic, parties, tell)
    except (Broken, OSError) as error:
        subject.check_alive()  # otherwise that is the reason
        raise Broken(str(error)) from error
    finally:
        traffic.close()
        await parties.stop()
        await asyncio.to_thread(subject.stop)


async def _load(plan: Plan, subject: Subject, traffic: Traffic, parties: Parties, tell: Tell) -> Outcome:
    memory: list[Memory] = []
    async with _watched(subject, memory):
        lines = await _paced("placing calls", parties.place, range(plan.calls), plan.cps, tell)
        streams = [stream for line in lines for stream in line.streams()]
        start_ns = await traffic.start(streams, plan.duration_s)
        before = cpu.read(subject.pid)
        toggled, books = await _talk(plan, subject, traffic, lines, start_ns, tell)
        usage = cpu.between(before, cpu.read(subject.pid))
        await _paced("hanging up", parties.hang_up, lines, plan.cps, tell)
        rows = await _rows(subject, lines, tell)
    subject.check_alive()
    evidence = Evidence(plan.record, subject.recordings, lines, rows, toggled, traffic.packets, books)
    found = await asyncio.to_thread(audit, evidence, tell)
    return _outcome(plan, books, found, usage, memory, toggled, start_ns)


def _outcome(
    plan: Plan, books: Books, found: Audit, usage: cpu.Usage, memory: list[Memory],
    toggled: dict[int, Toggled], start_ns: int,
) -> Outcome:  # fmt: skip
    packets = count_packets(books)
    return Outcome(
        plan=plan,
        packets=packets,
        delays=Delays.of(books, start_ns),
        cpu_us_per_packet=usage.tree_s * 1e6 / max(packets["arrived"], 1),
        memory=memory,
        toggles_ms=[ms for of_call in toggled.values() for ms in of_call.took_ms],
        rows=found.rows,
        recordings=found.recordings,
        recordings_expected=found.expected,
        generator_late_ms=books.late_ms,
        faults=packet_faults(books) + found.faults,
    )


async def _paced(
    what: str, act: Callable[[A], Awaitable[T]], each: Sequence[A], per_s: float, tell: Tell
) -> list[T]:
    """Begin one after the other, `per_s` a second, and wait for all; the first failure ends it."""
    began = time.monotonic()
    done = 0

    async def one(place: int, of: A) -> T:
        nonlocal done
        await asyncio.sleep(max(0.0, began + place / per_s - time.monotonic()))
        result = await act(of)
        done += 1
        tell(what, done, len(each))
        return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(place, of)) for place, of in enumerate(each)]
    except* Broken as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _talk(
    plan: Plan, subject: Subject, traffic: Traffic, lines: Sequence[Line], start_ns: int, tell: Tell
) -> tuple[dict[int, Toggled], Books]:
    seconds = plan.duration_s + _RAMP_S
    telling = asyncio.create_task(_count_seconds(seconds, tell))
    try:
        async with asyncio.TaskGroup() as group:
            finishing = group.create_task(traffic.finish())
            toggling = group.create_task(_toggle(plan, subject, lines, start_ns, seconds))
    except* (Broken, OSError, RuntimeError) as failures:
        raise Broken(str(failures.exceptions[0])) from failures
    finally:
        telling.cancel()
    return toggling.result(), finishing.result()


async def _toggle(
    plan: Plan, subject: Subject, lines: Sequence[Line], start_ns: int, seconds: float
) -> dict[int, Toggled]:
    if plan.record is not Record.RANDOM:
        return {}
    live = await subject.api.get(f"/v1/calls?state=answered&limit={_PAGE}")
    idents = {call["from"]: call["id"] for call in live["calls"]}
    missing = [line.number for line in lines if line.caller not in idents]
    if missing:
        raise Broken(f"the API knows no live call {missing[0]} ({len(missing)} missing)")
    by_call = {line.number: idents[line.caller] for line in lines}
    return await toggle_all(subject.api, by_call, seed=plan.seed, seconds=seconds, began=start_ns / 1e9)


async def _rows(subject: Subject, lines: Sequence[Line], tell: Tell) -> dict[str, dict[str, Any]]:
    """The log's rows by caller, once every recording is published or that took too long."""
    until = time.monotonic() + _PUBLISHED_S
    while True:
        listed = await subject.api.get(f"/v1/calls?limit={_PAGE}")
        rows = {row["from"]: row for row in listed["calls"]}
        settled = sum(_settled(rows.get(line.caller)) for line in lines)
        tell("waiting for the recordings", settled, len(lines))
        if settled == len(lines) or time.monotonic() > until:
            return rows
        await asyncio.sleep(_POLL_S)


def _settled(row: dict[str, Any] | None) -> bool:
    if row is None or row["state"] != "ended":
        return False
    return row["recording"] is None or row["recording"]["result"] is not None


@asynccontextmanager
async def _watched(subject: Subject, memory: list[Memory]) -> AsyncIterator[None]:
    """Note the proxy's memory meanwhile."""

    async def watch() -> None:
        while True:
            memory.append(Memory(time.monotonic_ns(), cpu.resident_bytes(subject.pid)))
            await asyncio.sleep(_MEMORY_EVERY_S)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _count_seconds(seconds: float, tell: Tell) -> None:
    for second in range(round(seconds) + 1):
        tell("talking", second, round(seconds))
        await asyncio.sleep(1)
