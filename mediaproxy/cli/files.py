"""`mediaproxy verify` and `mediaproxy repair`: recordings as files."""

from collections.abc import Sequence
from pathlib import Path

import typer

from mediaproxy.storage import Refused, Storage, repair, verify

EXIT_FINDING = 1


def verify_paths(paths: Sequence[Path]) -> int:
    """A line a recording; 1 when any does not hold or nothing was there to verify."""
    count = failed = 0
    for verdict in verify(paths):
        count += 1
        failed += not verdict.ok
        typer.echo(str(verdict))
    if not count:
        typer.echo("no recordings there", err=True)
    return EXIT_FINDING if failed or not count else 0


def repair_directory(directory: Path) -> int:
    """A line a recording that a crash left; 1 when one could not be repaired."""
    if not (directory / "live").is_dir():
        typer.echo(f"{directory}: not a storage directory (it has no live/)", err=True)
        return EXIT_FINDING
    storage = Storage.open(directory)
    try:
        outcomes = repair(storage)
    finally:
        storage.close()
    for outcome in outcomes:
        typer.echo(str(outcome))
    if not outcomes:
        typer.echo("nothing to repair")
    return EXIT_FINDING if any(isinstance(outcome, Refused) for outcome in outcomes) else 0
