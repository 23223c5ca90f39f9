"""`mediaproxy loadtest`: shows the run, the table, and writes what was asked for."""

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from mediaproxy.loadtest import png
from mediaproxy.loadtest.limit import Limit, find_limit
from mediaproxy.loadtest.outcome import Outcome
from mediaproxy.loadtest.plan import Broken, Plan, Tell
from mediaproxy.loadtest.report import (
    limit_json,
    limit_summary,
    summary,
    write_limit_report,
    write_report,
)
from mediaproxy.loadtest.run import run
from mediaproxy.loadtest.target import Whereabouts

T = TypeVar("T")

EXIT_FINDING = 1
_FAULTS_SHOWN = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written where, and of which command."""

    json_file: Path | None = None
    report: Path | None = None
    command: str = "mediaproxy loadtest"


def load(plan: Plan, at: Whereabouts | None, wanted: Wanted) -> int:
    """0 when nothing was lost and everything was recorded as it had to be, else 1 and what was found."""
    errors = Console(stderr=True)

    async def work(directory: Path, tell: Tell, stop: asyncio.Event) -> Outcome:
        return replace(await run(plan, directory, tell, stop, at), command=wanted.command)

    outcome, directory = _carry_out(work, errors)
    if outcome is None:
        return EXIT_FINDING
    _show(outcome)
    _write_json(wanted, outcome.as_json())
    if wanted.report is not None:
        _tell_report(write_report(outcome, wanted.report), errors)
    if outcome.faults:
        errors.print(f"the proxy's files are in {directory}", soft_wrap=True)
        return EXIT_FINDING
    shutil.rmtree(directory)
    return EXIT_FINDING if outcome.interrupted else 0


def search(plan: Plan, at: Whereabouts | None, wanted: Wanted) -> int:
    """0 when at least the fewest calls that were tried held, else 1."""
    errors = Console(stderr=True)

    async def work(directory: Path, tell: Tell, stop: asyncio.Event) -> Limit:
        async def attempt(level: Plan) -> Outcome:
            def tell_level(what: str, done: int, total: int) -> None:
                tell(f"{level.calls} calls: {what}", done, total)

            place = directory / f"{level.calls}"
            place.mkdir()
            outcome = await run(level, place, tell_level, stop, at)
            shutil.rmtree(place, ignore_errors=True)
            errors.print(f"{level.calls} calls: {'held' if outcome.good else 'broke'}", soft_wrap=True)
            return replace(outcome, command=wanted.command)

        return await find_limit(plan, attempt)

    limit, directory = _carry_out(work, errors)
    if limit is None:
        return EXIT_FINDING
    shutil.rmtree(directory, ignore_errors=True)
    _show_table("loadtest --find-limit", limit_summary(limit))
    _write_json(wanted, limit_json(limit))
    if wanted.report is not None:
        _tell_report(write_limit_report(limit, wanted.command, wanted.report), errors)
    return 0 if limit.calls and not limit.interrupted else EXIT_FINDING


def _carry_out(
    work: Callable[[Path, Tell, asyncio.Event], Coroutine[Any, Any, T]], errors: Console
) -> tuple[T | None, Path]:
    """What came of it, in a directory of its own; None, and said why, when nothing did."""
    directory = Path(tempfile.mkdtemp(prefix="mediaproxy-loadtest-"))
    try:
        with Shown(errors) as shown:
            return uvloop.run(
                _until_stopped(lambda stop: work(directory, shown.tell, stop), errors)
            ), directory
    except Broken as error:
        left = any(directory.rglob("serve.log"))
        files = f"; its files are in {directory}" if left else ""
        if not left:
            shutil.rmtree(directory, ignore_errors=True)
        errors.print(f"loadtest: {error}{files}", style="red", soft_wrap=True, markup=False)
    except asyncio.CancelledError:
        shutil.rmtree(directory, ignore_errors=True)
        errors.print("interrupted")
    return None, directory


class Shown:
    """A bar for each step, on a terminal only."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Shown":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done)


def _show(outcome: Outcome) -> None:
    console = Console()
    _show_table("loadtest", summary(outcome))
    for fault in outcome.faults[:_FAULTS_SHOWN]:
        console.print(f"✗ {fault}", style="red", markup=False, soft_wrap=True)
    if len(outcome.faults) > _FAULTS_SHOWN:
        console.print(f"… and {len(outcome.faults) - _FAULTS_SHOWN} more")
    if outcome.interrupted:
        console.print(
            f"interrupted: {outcome.calls} of {outcome.plan.calls} calls were placed", style="yellow"
        )
    if outcome.good:
        console.print("good: nothing lost, every row and every sample as it must be", style="green")


def _show_table(title: str, rows: list[tuple[str, str]]) -> None:
    table = Table(show_header=False, title=title, title_justify="left")
    for name, value in rows:
        table.add_row(name, value)
    Console().print(table)


def _write_json(wanted: Wanted, figures: dict[str, Any]) -> None:
    if wanted.json_file is not None:
        wanted.json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _tell_report(file: Path, errors: Console) -> None:
    errors.print(f"report: {file}", soft_wrap=True)
    if not png.available():
        errors.print(png.MISSING, soft_wrap=True, markup=False)


async def _until_stopped(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]], errors: Console) -> T:
    """The first signal ends the calls in order, a second one everything."""
    stop = asyncio.Event()
    working = asyncio.ensure_future(work(stop))

    def interrupt() -> None:
        if stop.is_set():
            working.cancel()
        else:
            errors.print("ending the calls; once more breaks off", style="yellow")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupt)
    return await working


async def until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """Signals end it in order, so that no child outlives us."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    return await task
