"""What commands show where somebody looks: a bar that is gone at the end, and lines that stand above it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.text import Text


@contextmanager
def progress(*columns: str | ProgressColumn) -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere: lines that go to a file or a pipe stay free of it."""
    console = Console(stderr=not sys.stdout.isatty())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield shown


def say(shown: Progress, line: str) -> None:
    """A line of the result, on standard output: above the bar where both stand on one terminal."""
    if shown.disable or shown.console.stderr:
        typer.echo(line)
    else:
        shown.console.print(Text(line), soft_wrap=True)
