"""Reading and blanking files that are mostly holes: a closed stretch costs no reading."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


def extents(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of `[start, end)` that may hold something but zeros, in order."""
    at = start
    while at < end:
        try:
            first = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here to the end of the file
                return
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            yield at, end  # a file system that does not know its holes
            return
        if first >= end:
            return
        at = min(os.lseek(fd, first, os.SEEK_HOLE), end)
        yield first, at


def chunks(fd: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """What is stored in the extents of `[start, end)`, with its offset."""
    for first, last in extents(fd, start, end):
        at = first
        while at < last and (chunk := os.pread(fd, min(_CHUNK, last - at), at)):
            yield at, chunk
            at += len(chunk)


def first_nonzero(fd: int, start: int, end: int) -> int | None:
    """The offset of the first byte in `[start, end)` that is not zero."""
    for at, chunk in chunks(fd, start, end):
        if not is_zero(chunk):
            return at + len(chunk) - len(chunk.lstrip(b"\0"))
    return None


def end_of_nonzero(fd: int, start: int, end: int) -> int:
    """The offset after the last byte in `[start, end)` that is not zero; `start` when all are."""
    last = start
    for at, chunk in chunks(fd, start, end):
        if not is_zero(chunk):
            last = at + len(chunk.rstrip(b"\0"))
    return last


def blank(fd: int, start: int, end: int) -> int:
    """Make every byte of `[start, end)` zero; returns how many stored bytes had to be overwritten."""
    blanked = 0
    for at, chunk in chunks(fd, start, end):
        if not is_zero(chunk):
            os.pwrite(fd, bytes(len(chunk)), at)
            blanked += len(chunk)
    return blanked


def sync(fd: int) -> None:
    """Make the file durable, or raise `OSError`.

    Linux tells of pages that it could not write once, and takes them for clean from then on: the next
    fsync would succeed without them. So after a failure all of the file is written again, for that one.
    """
    try:
        os.fsync(fd)
    except OSError:
        for at, chunk in chunks(fd, 0, os.fstat(fd).st_size):
            os.pwrite(fd, chunk, at)
        raise


def sha256(
    fd: int, on_progress: Callable[[int], None] = lambda _: None, *, zeroed: tuple[int, int] = (0, 0)
) -> str:
    """The SHA-256 of the whole file, in hex. Holes are hashed without being read.

    `on_progress` is told how many more bytes were hashed. What lies in `zeroed`, `[start, end)`, counts
    as zero, whatever it is.
    """
    digest = hashlib.sha256()
    size = os.fstat(fd).st_size
    at = 0
    for offset, chunk in chunks(fd, 0, size):
        _hash_zeros(digest, offset - at)
        digest.update(_blanked(chunk, zeroed[0] - offset, zeroed[1] - offset))
        on_progress(offset + len(chunk) - at)
        at = offset + len(chunk)
    _hash_zeros(digest, size - at)
    on_progress(size - at)
    return digest.hexdigest()


def _blanked(chunk: bytes, start: int, end: int) -> bytes:
    start, end = max(start, 0), min(end, len(chunk))
    return chunk[:start] + bytes(end - start) + chunk[end:] if start < end else chunk


def _hash_zeros(digest: "hashlib._Hash", count: int) -> None:
    for _ in range(count // _CHUNK):
        digest.update(_ZEROS)
    digest.update(_ZEROS[: count % _CHUNK])


def is_zero(chunk: bytes) -> bool:
    return chunk == _ZEROS[: len(chunk)]
