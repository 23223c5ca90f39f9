"""The parts of a run, one after the other; nothing else of ours runs while one measures."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from tests.bench import loaded, micro, micro_masters, micro_recorder, relay, signalling
from tests.bench.ours import WORKERS, Mediaproxy
from tests.bench.proxy import ProxyUnderTest
from tests.bench.results import Results
from tests.bench.rtpengine import Rtpengine


class Settings(Protocol):
    """What a run is asked for."""

    @property
    def calls(self) -> tuple[int, ...]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def rounds(self) -> int: ...
    @property
    def memory_calls(self) -> int: ...
    @property
    def toggle_calls(self) -> tuple[int, ...]: ...
    @property
    def parts(self) -> tuple[str, ...]: ...


Say = Callable[[str], None]
Part = Callable[[Settings, Results, Path, Say], Awaitable[None]]


async def run(settings: Settings, results: Results, directory: Path, console: Console) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for name in settings.parts:
            task = progress.add_task(name, total=None)
            say = partial(_describe, progress, task)
            await PARTS[name](settings, results, directory / name, say)
            progress.remove_task(task)


def _describe(progress: Progress, task: TaskID, text: str) -> None:
    progress.update(task, description=text)


async def _relay(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    """We and the peer in turn; with the fewest calls also without the compiled helper."""
    for calls in settings.calls:
        kinds: list[Callable[[Path], ProxyUnderTest]] = [Mediaproxy, Rtpengine]
        if calls == min(settings.calls):
            kinds.append(partial(Mediaproxy, compiled=False))
        await _take_turns(settings, calls, kinds, results, directory, say)


async def _take_turns(
    settings: Settings, calls: int, kinds: Sequence[Callable[[Path], ProxyUnderTest]],
    results: Results, directory: Path, say: Say,
) -> None:  # fmt: skip
    for number in range(settings.rounds):
        for place, kind in enumerate(kinds):
            at = directory / f"{calls}-{number}-{place}"
            proxy = kind(at / "proxy")
            say(f"round {number + 1} of {settings.rounds}: {calls} calls through {proxy.name}")
            results.rounds.append(await relay.run_round(proxy, at, calls, settings.seconds))


async def _memory(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    say(f"memory with {settings.memory_calls} recording calls")
    results.memory.append(await loaded.measure_memory(directory, settings.memory_calls))


async def _toggles(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    for calls in settings.toggle_calls:
        say(f"toggles by API while {calls} calls talk")
        results.toggles.append(await loaded.measure_toggles(directory / str(calls), calls))


async def _workers(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    """One process and several in turn, each with the same calls."""
    kinds = [Mediaproxy, partial(Mediaproxy, workers=WORKERS)]
    await _take_turns(settings, min(settings.calls), kinds, results, directory, say)
    calls = max(settings.toggle_calls)
    say(f"toggles by API while {calls} calls talk through {WORKERS} workers")
    results.toggles.append(await loaded.measure_toggles(directory / "toggles", calls, WORKERS))


async def _signalling(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    say("signalling: INVITEs through the core")
    results.signalling_us = await asyncio.to_thread(signalling.measure)


async def _recording(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    say(f"recording {micro_recorder.CALLS} calls, from ring to files")
    results.recording = await asyncio.to_thread(micro_recorder.measure_all)


async def _masters(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    say("an hour of speech as FLAC, and its proof")
    results.masters = await asyncio.to_thread(micro_masters.measure)


async def _micro(settings: Settings, results: Results, directory: Path, say: Say) -> None:
    say("single operations")
    results.micro += await asyncio.to_thread(micro.measure)


PARTS: dict[str, Part] = {
    "relay": _relay,
    "memory": _memory,
    "toggles": _toggles,
    "workers": _workers,
    "signalling": _signalling,
    "recording": _recording,
    "masters": _masters,
    "micro": _micro,
}
