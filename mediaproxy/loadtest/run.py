"""The course of a load test: start what is needed, let the calls come and go, audit, tell."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from mediaproxy.errors import MediaproxyError
from mediaproxy.loadtest.bookkeeping import Bookkeeping
from mediaproxy.loadtest.checking import Checking, chain_faults
from mediaproxy.loadtest.course import Course
from mediaproxy.loadtest.delays import Delays
from mediaproxy.loadtest.flatness import growth
from mediaproxy.loadtest.ledger import Ledger
from mediaproxy.loadtest.outcome import Outcome, Sample, bound_faults, packet_faults
from mediaproxy.loadtest.parties import Parties
from mediaproxy.loadtest.plan import Broken, Plan, Record, Tell
from mediaproxy.loadtest.preflight import examine
from mediaproxy.loadtest.source import Source
from mediaproxy.loadtest.subject import Subject
from mediaproxy.loadtest.target import Proxy, Target, Whereabouts
from mediaproxy.loadtest.watch import watched

_LOOK_S = 0.5
_LOOKS = 3600  # in a long run less often
_STEPS = 600  # delay is told for so many parts of the time
_LONGER_S = 60.0  # than planned, at most


async def run(
    plan: Plan,
    directory: Path,
    tell: Tell,
    stop: asyncio.Event | None = None,
    at: Whereabouts | None = None,
) -> Outcome:
    """Load the proxy that is `at`, or one that lives in `directory`, until `stop`.

    `Broken` when that could not be carried through.
    """
    proxy: Proxy = (
        Subject(directory, plan.record, workers=plan.workers, sample_rate=plan.codec.rate)
        if at is None
        else Target(at, directory)
    )
    source = None
    parties = None
    try:
        addresses = proxy.addresses
        source = Source(directory / "traffic", (addresses.carrier.host, addresses.agent.host))
        parties = Parties(addresses, source.party, plan.codec.payload_type)
        tell("starting", 0, 1)
        await proxy.start()
        await parties.start()
        policy = "off" if plan.record is Record.NONE else "on"
        if isinstance(proxy, Target):
            policy = await examine(plan, proxy, parties)
        await source.start(plan.network, plan.codec.payload_type)
        tell("starting", 1, 1)
        return await _load(plan, proxy, policy, source, parties, tell, stop or asyncio.Event())
    except (MediaproxyError, OSError, RuntimeError) as error:
        proxy.check_alive()  # otherwise that is the reason
        raise Broken(str(error)) from error
    finally:
        proxy.api.close()
        if source is not None:
            source.close()
        if parties is not None:
            await parties.stop()
        await asyncio.to_thread(proxy.stop)


async def _load(
    plan: Plan, proxy: Proxy, policy: str, source: Source, parties: Parties, tell: Tell, stop: asyncio.Event
) -> Outcome:
    delays = Delays(max(0.1, plan.seconds / _STEPS), plan.seconds + _LONGER_S)
    ledger = Ledger(source.start_ns, plan.network, delays)
    books = Bookkeeping(source, ledger)
    course = Course(plan, proxy.api, parties, source, books, tell, stop)
    checking = Checking(plan, proxy, policy, tell)
    samples: list[Sample] = []
    looks_s = max(_LOOK_S, plan.seconds / _LOOKS)
    async with (
        _meanwhile(books.keep()),
        watched(proxy.pid, looks_s, lambda: course.live, lambda: ledger.counts.arrived, samples),
    ):
        await _run_checked(course, checking) if plan.soak else await course.run()
    figures = await source.end()
    await books.finish()
    broke_off = await _check(checking, course, proxy)
    found = checking.found
    faults = broke_off + packet_faults(ledger.counts, figures) + course.faults + found.faults
    faults += bound_faults(plan.bounds, delays, course.setups_ms, course.toggles_ms)
    if plan.soak:
        faults += growth(samples) + await asyncio.to_thread(chain_faults, proxy.recordings)
    return Outcome(
        plan=plan,
        start_ns=source.start_ns,
        counts=ledger.counts,
        figures=figures,
        delays=delays,
        lost_by_step=ledger.lost_by_step,
        samples=samples,
        setups_ms=course.setups_ms,
        toggles_ms=course.toggles_ms,
        audit=found,
        faults=faults,
        unmeasured=proxy.unmeasured,
        interrupted=stop.is_set(),
        flooded=0 if course.flood is None else course.flood.sent,
    )


async def _check(checking: Checking, course: Course, proxy: Proxy) -> list[str]:
    """What can be checked; a proxy that is gone by then is a finding, and the report tells the rest."""
    whole = [call for call in course.calls if call.whole]
    told = [call for call in whole if call.began_ns is not None]
    try:
        proxy.check_alive()
        await checking.check(told)
        proxy.check_alive()
    except Broken as error:
        return [str(error)]
    except OSError as error:
        return [f"the call log could not be read: {error}"]
    untold = len(whole) - len(told)
    return [f"of {untold} calls the generator does not say what it sent: not checked"] if untold else []


async def _run_checked(course: Course, checking: Checking) -> None:
    """Check what is over while the rest goes on."""
    over = asyncio.Event()
    beside = asyncio.create_task(checking.check_beside(course.calls, over))
    try:
        await course.run()
        over.set()
        await beside
    finally:
        beside.cancel()


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do this beside; when it fails, so does the whole."""
    task = asyncio.ensure_future(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
