"""`mediaproxy retention`: what has been kept for long enough, and its removal by hand."""

import json
import time
from pathlib import Path

import typer
from rich.filesize import decimal
from rich.progress import SpinnerColumn, TextColumn

from mediaproxy import config as configuration
from mediaproxy.cli import terminal
from mediaproxy.clock import NS_PER_MS
from mediaproxy.storage import Storage
from mediaproxy.storage.retention import Due, LeftAlone, due, expire

EXIT_FINDING = 1
COLUMNS = (SpinnerColumn(), TextColumn("{task.completed} recordings looked at"))
GOES, GONE, LEFT = "goes", "removed", "left alone"


def apply_retention(config: Path, *, dry_run: bool, as_json: bool) -> int:
    """A line for each that goes, and for what is left alone; 1 when something was left alone."""
    settings = configuration.load(config).storage
    storage = Storage.attach(settings.directory)
    now_ms = time.time_ns() // NS_PER_MS
    counts = dict.fromkeys((GOES, GONE, LEFT), 0)
    freed = 0
    with terminal.progress(*COLUMNS) as shown:
        task = shown.add_task("looking", total=None)
        found = due(storage.root, settings.limits, now_ms, lambda: shown.advance(task))
        for each in found if dry_run else expire(storage, found):
            fate = LEFT if isinstance(each, LeftAlone) else GOES if dry_run else GONE
            counts[fate] += 1
            freed += 0 if isinstance(each, LeftAlone) else each.audio_bytes
            terminal.say(shown, _json(each, fate) if as_json else _line(each, fate))
    if not as_json:
        what = f"{counts[GOES]} would go" if dry_run else f"{counts[GONE]} removed"
        typer.echo(f"{what}, {decimal(freed)} of audio; {counts[LEFT]} left alone")
    return EXIT_FINDING if counts[LEFT] else 0


def _line(found: Due | LeftAlone, fate: str) -> str:
    if isinstance(found, LeftAlone):
        return f"{found.path}: {fate}: {found.why}"
    return f"{found.recording}: {fate}: of {found.answered_at}, {found.why}"


def _json(found: Due | LeftAlone, fate: str) -> str:
    fields: dict[str, object] = {"fate": fate, "why": found.why}
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
