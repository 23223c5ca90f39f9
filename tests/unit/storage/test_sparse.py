"""Holes are neither read nor filled; what is stored is found to the byte."""

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaproxy.storage import sparse

SIZE = 40 << 20
AT = 17 << 20


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """40 MiB of hole with three bytes in it."""
    made = os.open(tmp_path / "sparse", os.O_RDWR | os.O_CREAT)
    os.ftruncate(made, SIZE)
    os.pwrite(made, b"abc", AT)
    yield made
    os.close(made)


def test_only_what_is_stored_is_looked_at(fd: int) -> None:
    assert sum(end - start for start, end in sparse.extents(fd, 0, SIZE)) <= 1 << 20
    assert list(sparse.extents(fd, 0, AT - (1 << 20))) == []


def test_extents_keep_to_the_range(fd: int) -> None:
    assert list(sparse.extents(fd, AT + 1, AT + 2)) == [(AT + 1, AT + 2)]


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [(0, SIZE, AT), (AT + 1, SIZE, AT + 1), (AT + 3, SIZE, None), (0, AT, None), (0, AT + 1, AT)],
)
def test_the_first_byte_that_is_not_zero(fd: int, start: int, end: int, found: int | None) -> None:
    assert sparse.first_nonzero(fd, start, end) == found


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [(0, SIZE, AT + 3), (0, AT + 2, AT + 2), (AT + 3, SIZE, AT + 3), (5, AT, 5)],
)
def test_the_end_of_what_is_not_zero(fd: int, start: int, end: int, found: int) -> None:
    assert sparse.end_of_nonzero(fd, start, end) == found


def test_blanking_keeps_to_the_range_and_leaves_holes(fd: int) -> None:
    assert sparse.blank(fd, AT + 1, AT + 2) == 1
    assert os.pread(fd, 3, AT) == b"a\0c"
    assert sparse.blank(fd, 0, AT) == 0
    assert os.fstat(fd).st_blocks * 512 <= 1 << 20


def test_the_hash_is_that_of_the_whole_content(fd: int) -> None:
    content = bytes(AT) + b"abc" + bytes(SIZE - AT - 3)
    assert sparse.sha256(fd) == hashlib.sha256(content).hexdigest()


def test_a_file_system_without_holes_is_read_whole(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "lseek", refuse)
    assert list(sparse.extents(fd, 0, SIZE)) == [(0, SIZE)]
    assert sparse.first_nonzero(fd, AT - 5, SIZE) == AT


def test_what_a_failed_sync_left_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    with path.open("wb") as made:
        made.write(b"a" * 5_000)
        made.seek(3 << 20)
        made.write(b"b" * 3_000)
    content = path.read_bytes()
    fd = os.open(path, os.O_RDWR)
    written: set[int] = set()
    pwrite, fsync = os.pwrite, os.fsync

    def watched(fd: int, chunk: bytes, at: int) -> int:
        written.update(range(at, at + len(chunk)))
        return pwrite(fd, chunk, at)

    def failing(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pwrite", watched)
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="error"):
        sparse.sync(fd)
    assert written >= {*range(5_000), *range(3 << 20, (3 << 20) + 3_000)}
    written.clear()
    monkeypatch.setattr(os, "fsync", fsync)
    sparse.sync(fd)
    os.close(fd)
    assert not written
    assert path.read_bytes() == content
