"""Measures the proxy against its demands and against rtpengine, and writes a report.

Run it by `scripts/bench`. Exit code: 0 every demand met, 1 one missed, 2 it could not run.
"""

import argparse
import asyncio
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from mediaproxy.loadtest import launch
from tests.bench import bars, parts, report, rtpengine
from tests.bench.about import ROOT, about
from tests.bench.results import Results

_PLAIN_WIDTH = 160  # of what goes to a file or a log


@dataclass(frozen=True, slots=True)
class Settings:
    calls: tuple[int, ...]
    seconds: float
    rounds: int
    nice: int  # of the generator and of both proxies alike, so that other work disturbs them less
    memory_calls: int
    toggle_calls: tuple[int, ...]
    parts: tuple[str, ...]


def main(words: Sequence[str]) -> int:
    given = _parser().parse_args(words)
    settings = _settings(given)
    console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)
    if "relay" in settings.parts and rtpengine.version() is None:
        console.print("rtpengine, the peer to compare with, is missing: apt-get install rtpengine-daemon")
        return 2
    results = Results(about("scripts/bench " + " ".join(words)), asdict(settings))
    workplace = given.out / "work"
    complete = _measure(settings, results, workplace, console)
    results.bars = bars.judge(results)
    report.show(results, console)
    for path in report.write(results, given.out):
        console.print(f"written: {path}")
    if not complete:
        return 2
    return 0 if all(bar.passed for bar in results.bars) else 1


def _measure(settings: Settings, results: Results, workplace: Path, console: Console) -> bool:
    """False when something could not run; what was measured until then stands."""
    try:
        asyncio.run(parts.run(settings, results, workplace, console))
    except RuntimeError as error:
        console.print(f"it could not run: {error}; logs and recordings are left in {workplace}", markup=False)
        return False
    shutil.rmtree(workplace, ignore_errors=True)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 4 s instead of three of 15 s")
    parser.add_argument(
        "--calls", type=int, action="append",
        help="concurrent calls of the relay benchmark; repeatable (default: 200 and 500)",
    )  # fmt: skip
    parser.add_argument(
        "--only", action="append", choices=sorted(parts.PARTS), help="run this part alone; repeatable"
    )
    started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "var" / "bench" / started, help="where the report goes"
    )
    return parser


def _settings(given: argparse.Namespace) -> Settings:
    return Settings(
        calls=tuple(given.calls or ((200,) if given.quick else (200, 500))),
        seconds=4 if given.quick else 15,
        rounds=1 if given.quick else 3,
        nice=launch.NICE if launch.favoured() else 0,
        memory_calls=500,
        toggle_calls=(200,) if given.quick else (200, 500),
        parts=tuple(given.only or parts.PARTS),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
