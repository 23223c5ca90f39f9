"""The few things that we do to a disk, each done whole or reported as an `OSError`.

Every file is 0600, every directory 0700, no link is followed.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

STORAGE_FULL = "storage_full"
STORAGE_ERROR = "storage_error"
STORAGE_HUNG = "storage_hung"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PASSING = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
    errno.ETIMEDOUT, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EREMOTEIO,
}  # fmt: skip
_MAX_PIECES = os.sysconf("SC_IOV_MAX")


def reason_of(error: OSError) -> str:
    """The fixed word for what a disk did to us."""
    return STORAGE_FULL if error.errno in _FULL else STORAGE_ERROR


def may_pass(error: OSError) -> bool:
    """Whether the disk may take the same another time."""
    return error.errno in _PASSING


def make_directory(path: Path) -> None:
    """The directory is there, is ours, and is no link; its parent must exist."""
    try:
        path.mkdir(DIRECTORY_MODE)
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    else:
        sync_directory(path.parent)


def create(path: Path) -> int:
    """A new file for reading and writing; it must not be there yet."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)


def open_to_read(path: Path, *, follow: bool = False) -> int:
    """A plain file, and nothing whose reading waits or never ends; links are followed for outsiders alone."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    fd = os.open(path, flags)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "it is no plain file", str(path))


def read_at_most(path: Path, most_bytes: int) -> bytes:
    """All of a file that somebody else may have put there; links are followed."""
    fd = open_to_read(path, follow=True)
    with os.fdopen(fd, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return content


def open_existing(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)


def close(fd: int) -> None:
    """The descriptor is gone, whatever the disk says to it. For files that are synced elsewhere: what it
    could not keep, it says there again."""
    with suppress(OSError):
        os.close(fd)


def write_at(fd: int, pieces: Sequence[bytes | memoryview], offset: int) -> None:
    """Write consecutive pieces from `offset` on, all of them; a short write goes on where it stopped."""
    for first in range(0, len(pieces), _MAX_PIECES):
        block = pieces[first : first + _MAX_PIECES]
        size = sum(map(len, block))
        written = os.pwritev(fd, block, offset)
        if written < size:
            _write_rest(fd, b"".join(block), offset, written)
        offset += size


def write_one(fd: int, piece: bytes | bytearray | memoryview, offset: int) -> None:
    """`write_at` of one piece, for those who do it thousands of times a second."""
    written = os.pwrite(fd, piece, offset)
    if written < len(piece):
        _write_rest(fd, piece, offset, written)


def _write_rest(fd: int, content: bytes | bytearray | memoryview, offset: int, written: int) -> None:
    while written < len(content):
        step = os.pwrite(fd, memoryview(content)[written:], offset + written)
        if step == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        written += step


def draft_of(path: Path) -> Path:
    """Where a file grows before it has its name."""
    return path.with_name(path.name + ".tmp")


@contextmanager
def drafted(path: Path) -> Iterator[tuple[Path, int]]:
    """A draft and its descriptor. It gets its name when all went well, in the place of what had it, and is
    removed when not. Nothing is synced."""
    draft = draft_of(path)
    draft.unlink(missing_ok=True)
    try:
        fd = create(draft)
        try:
            yield draft, fd
        finally:
            os.close(fd)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_new(path: Path, content: bytes) -> None:
    """The file appears whole and durable, or not at all; one of that name is replaced."""
    with drafted(path) as (_, fd):
        write_at(fd, [content], 0)
        os.fsync(fd)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def free_bytes(path: Path | int) -> int:
    """What an unprivileged writer may still use."""
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize
