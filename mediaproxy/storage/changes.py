"""Whoever changes what was published does it alone: the server, a command beside it, or nobody.

What is about to happen lies in `<directory>/changes` until it is done, so that a crash in between can be
made good: `<recording id>.manifest`, the next manifest of a redaction (and `.audio`, where the next audio
is a file of its own), or `<recording id>.going`, the day of a recording that goes. Whether it is to be done
or to be forgotten, the chain says: it is the one step that cannot be half done.
Publishing needs no turn here: it touches nothing that was published before.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mediaproxy.storage import disk

DIRECTORY: Final = "changes"
LOCK_FILE: Final = ".lock"


def manifest_draft(root: Path, recording: str) -> Path:
    return root / DIRECTORY / f"{recording}.manifest"


def audio_draft(root: Path, recording: str) -> Path:
    return root / DIRECTORY / f"{recording}.audio"


def going(root: Path, recording: str) -> Path:
    return root / DIRECTORY / f"{recording}.going"


def begun(root: Path) -> set[str]:
    """The recordings of which a change was begun and not finished, once nobody is at it."""
    try:
        names = os.listdir(root / DIRECTORY)
    except FileNotFoundError:
        return set()
    return {name.partition(".")[0] for name in names if not name.startswith(".")}


@contextmanager
def changing(root: Path) -> Iterator[None]:
    """Wait for the turn to change published recordings of this storage directory."""
    disk.make_directory(root / DIRECTORY)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(root / DIRECTORY / LOCK_FILE, flags, disk.FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def unchanging(root: Path) -> Iterator[None]:
    """Nobody changes a published recording meanwhile; where nobody ever did there is no lock to wait for."""
    try:
        fd = disk.open_to_read(root / DIRECTORY / LOCK_FILE)
    except OSError:
        yield
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)
