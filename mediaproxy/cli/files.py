"""`mediaproxy verify`: recordings as files."""

from collections.abc import Sequence
from pathlib import Path

import typer

from mediaproxy.storage import verify

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
