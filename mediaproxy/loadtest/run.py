"""The course of a load test: start what is needed, let the calls come and go, audit, tell."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mediaproxy.loadtest.audit import Audit, Evidence, audit
from mediaproxy.loadtest.auditors import auditors, batches
from mediaproxy.loadtest.bookkeeping import Bookkeeping
from mediaproxy.loadtest.course import Call, Course, toggles_ms
from mediaproxy.loadtest.delays import Delays
from mediaproxy.loadtest.ledger import Ledger
from mediaproxy.loadtest.log import settled_rows
from mediaproxy.loadtest.outcome import Outcome, Sample, packet_faults
from mediaproxy.loadtest.parties import Parties
from mediaproxy.loadtest.plan import Broken, Plan, Tell
from mediaproxy.loadtest.source import Source
from mediaproxy.loadtest.subject import Subject
from mediaproxy.loadtest.watch import watched

_LOOK_S = 0.5
_PUBLISHED_S = 30.0
_STEPS = 600  # delay is told for so many parts of the time
_LONGER_S = 60.0  # than planned, at most
_BATCH = 50  # calls that an auditor takes at once


async def run(plan: Plan, directory: Path, tell: Tell, stop: asyncio.Event | None = None) -> Outcome:
    """Load a proxy that lives in `directory`, until `stop`. `Broken` when that could not be done."""
    subject = Subject(directory, plan.record, workers=plan.workers, sample_rate=plan.codec.rate)
    source = Source(directory / "traffic")
    parties = Parties(subject.addresses, source.party, plan.codec.payload_type)
    try:
        tell("starting the proxy", 0, 1)
        await subject.start()
        await parties.start()
        await source.start(plan.network, plan.codec.payload_type)
        tell("starting the proxy", 1, 1)
        return await _load(plan, subject, source, parties, tell, stop or asyncio.Event())
    except (Broken, OSError, RuntimeError) as error:
        subject.check_alive()  # otherwise that is the reason
        raise Broken(str(error)) from error
    finally:
        subject.api.close()
        source.close()
        await parties.stop()
        await asyncio.to_thread(subject.stop)


async def _load(
    plan: Plan, subject: Subject, source: Source, parties: Parties, tell: Tell, stop: asyncio.Event
) -> Outcome:
    delays = Delays(max(0.1, plan.seconds / _STEPS), plan.seconds + _LONGER_S)
    ledger = Ledger(source.start_ns, plan.network, delays)
    books = Bookkeeping(source, ledger)
    course = Course(plan, subject.api, parties, source, books, tell, stop)
    samples: list[Sample] = []
    keeping = asyncio.create_task(books.keep())
    try:
        async with watched(subject.pid, _LOOK_S, lambda: course.live, lambda: ledger.counts.arrived, samples):
            await course.run()
        callers = [call.line.caller for call in course.calls]
        rows = await settled_rows(
            subject.api, callers, _PUBLISHED_S,
            lambda done: tell("waiting for the recordings", done, len(callers)),
        )  # fmt: skip
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
    subject.check_alive()
    figures = await source.end()
    await books.finish()
    found = await _audit(plan, course.calls, rows, subject.recordings, tell)
    return Outcome(
        plan=plan,
        start_ns=source.start_ns,
        counts=ledger.counts,
        figures=figures,
        delays=delays,
        lost_by_step=ledger.lost_by_step,
        samples=samples,
        setups_ms=[call.line.setup_ms for call in course.calls],
        toggles_ms=toggles_ms(course.calls),
        audit=found,
        faults=packet_faults(ledger.counts, figures) + course.faults + found.faults,
        interrupted=stop.is_set(),
    )


async def _audit(
    plan: Plan, calls: Sequence[Call], rows: Mapping[str, dict[str, Any]], recordings: Path, tell: Tell
) -> Audit:
    """Of all calls that ended as they were meant to; the others are faults already."""
    whole = [call for call in calls if call.whole]
    found = Audit()
    loop = asyncio.get_running_loop()
    with auditors(os.cpu_count() or 1) as pool:
        checking = []
        for batch in batches(whole, _BATCH):
            evidence = [evidence_of(plan, call, rows.get(call.line.caller), recordings) for call in batch]
            checking.append(loop.run_in_executor(pool, audit, evidence))
        for done in asyncio.as_completed(checking):
            found.add(await done)
            tell("checking the recordings", found.calls, len(whole))
    return found


def evidence_of(plan: Plan, call: Call, row: dict[str, Any] | None, recordings: Path) -> Evidence:
    """What an auditor needs to know of a call whose books are closed."""
    assert call.began_ns is not None
    line = call.line
    return Evidence(
        number=line.number,
        record=plan.record,
        network=plan.network,
        codec=plan.codec,
        answered_ns=line.answered_ns,
        heard_ns=line.heard_ns,
        hung_up_ns=line.hung_up_ns,
        speeches=call.speeches,
        began_ns=call.began_ns,
        toggled=call.toggled,
        row=row,
        file=_published(row, recordings),
    )


def _published(row: dict[str, Any] | None, recordings: Path) -> Path | None:
    if row is None or row["recording"] is None:
        return None
    return next(recordings.glob(f"[0-9]*/*/*/{row['recording']['id']}.wav"), None)
