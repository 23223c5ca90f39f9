"""`mediaproxy loadtest`: shows the run, the table, and writes what was asked for."""

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from mediaproxy.loadtest.outcome import Outcome
from mediaproxy.loadtest.plan import Broken, Plan, Tell
from mediaproxy.loadtest.report import summary, write_report
from mediaproxy.loadtest.run import run

T = TypeVar("T")

EXIT_FINDING = 1
_FAULTS_SHOWN = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def load(plan: Plan, *, json_file: Path | None, report: Path | None) -> int:
    """0 when nothing was lost and everything was recorded as it had to be, else 1 and what was found."""
    errors = Console(stderr=True)
    directory = Path(tempfile.mkdtemp(prefix="mediaproxy-loadtest-"))
    try:
        with Shown(errors) as shown:
            outcome = uvloop.run(_until_stopped(plan, directory, shown.tell))
    except Broken as error:
        errors.print(f"loadtest: {error}; its files are in {directory}", style="red", soft_wrap=True)
        return EXIT_FINDING
    except asyncio.CancelledError:
        shutil.rmtree(directory, ignore_errors=True)
        errors.print("interrupted")
        return EXIT_FINDING
    _show(outcome)
    if json_file is not None:
        json_file.write_text(json.dumps(outcome.as_json(), indent=2) + "\n", encoding="utf-8")
    if report is not None:
        errors.print(f"report: {write_report(outcome, report)}", soft_wrap=True)
    if not outcome.faults:
        shutil.rmtree(directory)
        return EXIT_FINDING if outcome.interrupted else 0
    errors.print(f"the proxy's files are in {directory}", soft_wrap=True)
    return EXIT_FINDING


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
    table = Table(show_header=False, title="loadtest", title_justify="left")
    for name, value in summary(outcome):
        table.add_row(name, value)
    console.print(table)
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


async def _until_stopped(plan: Plan, directory: Path, tell: Tell) -> Outcome:
    """The first signal ends the calls in order, a second one everything."""
    stop = asyncio.Event()
    working = asyncio.ensure_future(run(plan, directory, tell, stop))

    def interrupt() -> None:
        if stop.is_set():
            working.cancel()
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
