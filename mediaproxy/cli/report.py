"""`mediaproxy report --day`: what was to be recorded on a day, what was, and what is missing and why."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mediaproxy import config as configuration
from mediaproxy.calllog.reader import Reader
from mediaproxy.calllog.rows import AUDIO, CallFilter, LoggedCall
from mediaproxy.clock import NS_PER_MS, rfc3339

EXIT_FINDING = 1
PAGE = 500
PUBLISHED_WITHIN_MS = 60_000  # later than that a recording that is not there has to be explained
OFF = "off"
RECORDED, NOT_ASKED_FOR, DELETED, LIVE = "recorded", "not asked for", "deleted", "not over yet"
MISSING, UNEXPLAINED = "missing", "missing, and nothing says why"
WHOLE = frozenset({"complete", "recovered", "degraded"})


@dataclass(slots=True)
class Report:
    """By policy: how many answered calls ended how; and every call of which audio is missing."""

    day: str
    calls: int = 0
    answered: int = 0
    recorded_ms: int = 0
    by_policy: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[tuple[str, str, str]] = field(default_factory=list)  # started at, call, what and why

    @property
    def unexplained(self) -> int:
        return sum(counts[UNEXPLAINED] for counts in self.by_policy.values())

    def as_json(self) -> dict[str, object]:
        return {
            "day": self.day,
            "calls": self.calls,
            "answered": self.answered,
            "recorded_ms": self.recorded_ms,
            "by_policy": {policy: dict(counts) for policy, counts in self.by_policy.items()},
            "unexplained": self.unexplained,
            "findings": [
                dict(zip(("started_at", "call", "what"), each, strict=True)) for each in self.findings
            ],
        }

    def add(self, logged: LoggedCall, now_ms: int) -> None:
        self.calls += 1
        call, recording = logged.call, logged.recording
        if call.answered_at_ms is None:
            return
        self.answered += 1
        if recording is not None:
            self.recorded_ms += recording.recorded_samples * 1000 // recording.sample_rate
        policy = OFF if recording is None else recording.policy
        outcome, why = judged(logged, now_ms)
        self.by_policy.setdefault(policy, Counter())[outcome] += 1
        if why:
            self.findings.append((rfc3339(call.started_at_ms), call.id, f"{outcome}: {why}"))


def judged(logged: LoggedCall, now_ms: int) -> tuple[str, str]:
    """What became of an answered call's recording; and what is to be said of it, if anything."""
    call, recording = logged.call, logged.recording
    if recording is None:
        return NOT_ASKED_FOR, ""
    if recording.deleted_at_ms is not None:
        return DELETED, ""
    asked = any(each.kind == AUDIO for each in recording.intervals)
    if recording.result == "none" and not asked:
        return NOT_ASKED_FOR, ""
    if recording.result in WHOLE:
        return RECORDED, ", ".join(recording.reasons) if recording.result != "complete" else ""
    if recording.result == "failed":
        return MISSING if recording.reasons else UNEXPLAINED, ", ".join(recording.reasons) or "it failed"
    over = call.ended_at_ms is not None and call.ended_at_ms + PUBLISHED_WITHIN_MS < now_ms
    if not over:
        return LIVE, ""
    after_s = (now_ms - (call.ended_at_ms or 0)) // 1000
    return UNEXPLAINED, f"result {recording.result or 'not known'} {after_s} s after its end"


def report(config: Path, day: str, *, as_json: bool) -> int:
    """0, or 1 when audio is missing and nothing says why."""
    url = configuration.load(config).database.url
    first = asked_day(day)
    found = asyncio.run(_read(url, first, time.time_ns() // NS_PER_MS))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show(found)
    return EXIT_FINDING if found.unexplained else 0


def asked_day(text: str) -> date:
    """`2026-01-31`, `today` or `yesterday`, in UTC as everything in the log."""
    today = datetime.now(UTC).date()
    if text in ("today", "yesterday"):
        return today - timedelta(days=text == "yesterday")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no day: 2026-01-31, today, yesterday", param_hint="--day"
        ) from None


async def _read(url: str, day: date, now_ms: int) -> Report:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    since_ms, until_ms = (round(each.timestamp() * 1000) for each in (begin, begin + timedelta(days=1)))
    found = Report(day.isoformat())
    reader = await Reader.open(url)
    try:
        wanted, after = CallFilter(since_ms=since_ms, until_ms=until_ms), None
        while True:
            page = await reader.calls(wanted, limit=PAGE, after=after)
            for logged in page.calls:
                found.add(logged, now_ms)
            if (after := page.next) is None:
                return found
    finally:
        await reader.close()


def _show(found: Report) -> None:
    console = Console()
    minutes = found.recorded_ms / 60_000
    console.print(
        f"{found.day}: {found.calls} calls, {found.answered} answered, {minutes:.1f} minutes recorded"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("policy")
    outcomes = (RECORDED, NOT_ASKED_FOR, DELETED, LIVE, MISSING, UNEXPLAINED)
    for outcome in outcomes:
        table.add_column(outcome, justify="right")
    for policy, counts in sorted(found.by_policy.items()):
        table.add_row(policy, *(str(counts[outcome]) for outcome in outcomes))
    console.print(table)
    _show_findings(console, found.findings)


def _show_findings(console: Console, findings: Iterable[tuple[str, str, str]]) -> None:
    for started, call, what in findings:
        console.print(Text(f"{started}  {call}  {what}"), soft_wrap=True)
