"""File systems of a test's own, made by root: small ones that fill up, ones that hang, read-only ones."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NEEDS_ROOT = "no file system can be mounted here (needs root)"
FILLER = "filler"
_CHUNK = bytes(1 << 16)


def _run(*command: str | Path) -> bool:
    return subprocess.run([str(part) for part in command], capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, size: str = "192m") -> Iterator[Path]:
    """A file system in memory."""
    folder.mkdir(exist_ok=True)
    if not _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip(NEEDS_ROOT)
    try:
        yield folder
    finally:
        _run("umount", "-l", folder)


def fill(folder: Path) -> None:
    """Leaves not one block free."""
    with contextlib.suppress(OSError), (folder / FILLER).open("wb", buffering=0) as file:
        while file.write(_CHUNK):
            pass


def free(folder: Path) -> None:
    (folder / FILLER).unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Whoever comes to `folder` by its path meanwhile may not write; what is open already is not touched."""
    if not _run("mount", "--bind", folder, folder):
        pytest.skip(NEEDS_ROOT)
    assert _run("mount", "-o", "remount,bind,ro", folder)
    try:
        yield
    finally:
        assert _run("mount", "-o", "remount,bind,rw", folder)


class FreezingDisk:
    """A real ext4 on a loop device. Frozen, every write to it hangs in the kernel until it is thawed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frozen = False

    def freeze(self) -> None:
        assert _run("fsfreeze", "-f", self.folder)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            assert _run("fsfreeze", "-u", self.folder)


@contextmanager
def freezing_disk(folder: Path, image: Path, size_mb: int) -> Iterator[FreezingDisk]:
    folder.mkdir(exist_ok=True)
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    if not (_run("mkfs.ext4", "-q", "-m", "0", image) and _run("mount", "-o", "loop", image, folder)):
        pytest.skip(NEEDS_ROOT)
    disk = FreezingDisk(folder)
    try:
        (folder / "lost+found").rmdir()
        yield disk
    finally:
        disk.thaw()
        _run("umount", "-l", folder)
        image.unlink()
