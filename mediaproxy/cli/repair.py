"""`mediaproxy repair`: the spool of a storage directory, by hand and one recording after the other."""

import json
from pathlib import Path

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from mediaproxy.cli import terminal
from mediaproxy.errors import Unavailable
from mediaproxy.storage import Refused, Repaired, Storage, pending, repair_one

EXIT_FINDING = 1
EXIT_USAGE = 2
COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())


def repair_directory(directory: Path, *, as_json: bool) -> int:
    """A line a recording that a crash left; 1 when one could not be repaired, 2 when none could be tried."""
    if not (directory / "live").is_dir():
        typer.echo(f"{directory}: not a storage directory (it has no live/)", err=True)
        return EXIT_USAGE
    try:
        storage = Storage.open(directory, min_free_bytes=0)
    except Unavailable as error:
        in_use = isinstance(error.__cause__, BlockingIOError)
        hint = "; a server repairs by itself when it starts" if in_use else ""
        typer.echo(f"mediaproxy: {error}{hint}", err=True)
        return EXIT_USAGE
    try:
        return _repair_all(storage, as_json=as_json)
    finally:
        storage.close()


def _repair_all(storage: Storage, *, as_json: bool) -> int:
    found = refused = 0
    names = pending(storage)
    with terminal.progress(*COLUMNS) as shown:
        for name in shown.track(names, description="repairing"):
            result = repair_one(storage, name)
            if result is not None:
                found += 1
                refused += isinstance(result, Refused)
                terminal.say(shown, json.dumps(_fields(result)) if as_json else str(result))
    if not found and not as_json:
        typer.echo("nothing to repair")
    return EXIT_FINDING if refused else 0


def _fields(result: Repaired | Refused) -> dict[str, object]:
    if isinstance(result, Refused):
        return {"recording_id": result.recording_id, "result": "refused", "reasons": [result.reason]}
    outcome, header = result.outcome, result.header
    return {
        "recording_id": outcome.recording_id,
        "call_id": header.call_id,
        "result": outcome.result,
        "reasons": list(outcome.reasons),
        "sample_rate": header.sample_rate,
        "duration_samples": outcome.duration_samples,
        "recorded_samples": outcome.recorded_samples,
        "file": None if outcome.audio is None else str(outcome.audio),
    }
