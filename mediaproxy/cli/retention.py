"""`mediaproxy retention`: what has been kept for long enough, and its removal by hand."""

import json
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress, SpinnerColumn, TextColumn

from mediaproxy import config as configuration
from mediaproxy.clock import NS_PER_MS
from mediaproxy.storage import Storage
from mediaproxy.storage.retention import Due, LeftAlone, due, expire

EXIT_FINDING = 1
GOES, GONE, LEFT = "goes", "removed", "left alone"


def apply_retention(config: Path, *, dry_run: bool, as_json: bool) -> int:
    """A line for each that goes, and for what is left alone; 1 when something was left alone."""
    settings = configuration.load(config).storage
    storage = Storage.attach(settings.directory)
    now_ms = time.time_ns() // NS_PER_MS
    counts = dict.fromkeys((GOES, GONE, LEFT), 0)
    freed = 0
    with _Looking() as looked:
        for found in due(storage.root, settings.limits, now_ms, looked.passing):
            fate, why = _settled(storage, found, dry_run=dry_run)
            counts[fate] += 1
            freed += found.audio_bytes if isinstance(found, Due) and fate != LEFT else 0
            looked.say(_json(found, fate, why) if as_json else _line(found, fate, why))
    if not as_json:
        what = f"{counts[GOES]} would go" if dry_run else f"{counts[GONE]} removed"
        typer.echo(f"{what}, {decimal(freed)} of audio; {counts[LEFT]} left alone")
    return EXIT_FINDING if counts[LEFT] else 0


def _settled(storage: Storage, found: Due | LeftAlone, *, dry_run: bool) -> tuple[str, str]:
    if isinstance(found, LeftAlone):
        return LEFT, found.why
    if dry_run:
        return GOES, found.why
    try:
        left = expire(storage, found)
    except OSError as error:
        left = error.strerror or "the disk refused"
    return (GONE, found.why) if left is None else (LEFT, left)


def _line(found: Due | LeftAlone, fate: str, why: str) -> str:
    if isinstance(found, LeftAlone):
        return f"{found.path}: {fate}: {why}"
    return f"{found.recording}: {fate}: of {found.answered_at}, {why}"


def _json(found: Due | LeftAlone, fate: str, why: str) -> str:
    fields: dict[str, object] = {"fate": fate, "why": why}
    if isinstance(found, LeftAlone):
        fields |= {"path": str(found.path)}
    else:
        fields |= {
            "recording_id": found.recording,
            "path": str(found.document),
            "answered_at": found.answered_at,
            "asked_days": found.asked_days,
            "kept_days": found.kept_days,
            "audio_bytes": found.audio_bytes,
        }
    return json.dumps(fields)


class _Looking:
    """How many manifests were looked at, on a terminal only."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.completed} recordings looked at"),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("looking", total=None)

    def __enter__(self) -> "_Looking":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def passing(self) -> None:
        self._progress.advance(self._task)

    def say(self, line: str) -> None:
        typer.echo(line)
