"""Where something is: in every byte of a folder's files, and of a running process.

The memory of a server that forbids core dumps (PR_SET_DUMPABLE 0) may be read by root alone, or by whoever
has CAP_SYS_PTRACE. What lies in the kernel, such as socket buffers, is not the process's and not searched.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mediaproxy.prove.needles import Needle
from mediaproxy.prove.plan import Unproven

CHUNK_BYTES = 4 << 20
OVERLAP_BYTES = 4_096  # more than the longest needle
PAGE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Hit:
    """`form` was found `count` times in `place`, first at byte `at`."""

    place: str
    form: str
    at: int
    count: int

    def __str__(self) -> str:
        return f"{self.form} in {self.place}, at byte {self.at:#x}, {self.count} ×"


@dataclass(slots=True)
class Searched:
    """What was searched, and what was found."""

    places: int = 0
    size: int = 0
    hits: list[Hit] = field(default_factory=list)

    def add(self, other: "Searched") -> None:
        self.places += other.places
        self.size += other.size
        self.hits += other.hits


def search_files(folder: Path, needles: Iterable[Needle]) -> Searched:
    """Every regular file below `folder`; one that goes meanwhile was renamed or holds nothing any more."""
    wanted, searched = list(needles), Searched()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        with suppress(FileNotFoundError), path.open("rb") as file:
            searched.add(_search(str(path.relative_to(folder)), _chunks(file), wanted))
    return searched


def search_memory(pid: int, needles: Iterable[Needle]) -> Searched:
    """The process and its children, all that they could have written to. Raises `Unproven`."""
    wanted, searched = list(needles), Searched()
    for each in [pid, *_descendants(pid)]:
        with suppress(FileNotFoundError, ProcessLookupError):  # a child that has ended
            searched.add(_search_process(each, wanted))
    if not searched.size:
        raise Unproven(f"the memory of process {pid} is gone")
    return searched


def holds(content: bytes, needle: Needle) -> bool:
    return next(_occurrences(needle, content), None) is not None


def _search_process(pid: int, needles: list[Needle]) -> Searched:
    searched = Searched(places=1)
    try:
        regions = list(_regions(pid))
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)  # noqa: SIM115 - closed below
    except PermissionError as error:
        raise Unproven(
            f"the memory of process {pid} may not be read: {error.strerror}; run as root, or leave it out"
        ) from error
    with memory:
        for start, end, name in regions:
            found = _search(f"memory {pid} {name}", _region_chunks(memory, start, end), needles, base=start)
            searched.size += found.size
            searched.hits += found.hits
    return searched


def _regions(pid: int) -> Iterator[tuple[int, int, str]]:
    """What is readable, but for files that are mapped as they are and the kernel's own pages."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, flags, _, _, inode, *name = line.split(maxsplit=5)
        path = name[0] if name else "anonymous"
        if "r" not in flags or path in ("[vvar]", "[vdso]", "[vsyscall]", "[vvar_vclock]"):
            continue
        if inode != "0" and "w" not in flags:
            continue
        start, _, end = span.partition("-")
        yield int(start, 16), int(end, 16), path


def _region_chunks(memory: BinaryIO, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    at = start
    while at < end:
        try:
            memory.seek(at)
            chunk = memory.read(min(CHUNK_BYTES, end - at))
        except (OSError, ValueError, OverflowError):  # it was unmapped meanwhile
            return
        if not chunk:
            return
        yield at, chunk
        if at + len(chunk) >= end:
            return
        at += max(len(chunk) - OVERLAP_BYTES, 1)


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    at = 0
    while chunk := file.read(CHUNK_BYTES):
        yield at, chunk
        if len(chunk) < CHUNK_BYTES:
            return
        at += len(chunk) - OVERLAP_BYTES
        file.seek(at)


def _search(
    place: str, chunks: Iterable[tuple[int, bytes]], needles: list[Needle], *, base: int = 0
) -> Searched:
    """What the overlap of two chunks holds is found twice; it is there all the same."""
    searched, counts, first = Searched(places=1), Counter[str](), dict[str, int]()
    for at, chunk in chunks:
        searched.size = at - base + len(chunk)
        for start, stretch in _stretches(chunk):
            for needle in needles:
                for found in _occurrences(needle, stretch):
                    counts[needle.form] += 1
                    first.setdefault(needle.form, at + start + found)
    searched.hits = [Hit(place, form, first[form], count) for form, count in counts.items()]
    return searched


def _stretches(chunk: bytes) -> Iterator[tuple[int, bytes]]:
    """The chunk without its pages of zeros, of which most memory and all silence consists: no needle
    reaches into one."""
    whole = len(chunk) // PAGE_BYTES * PAGE_BYTES
    used = np.frombuffer(chunk[:whole], dtype=np.uint64).reshape(-1, PAGE_BYTES // 8).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], used, [whole < len(chunk)], [0]))))
    for first, last in edges.reshape(-1, 2).tolist():
        yield first * PAGE_BYTES, chunk[first * PAGE_BYTES : last * PAGE_BYTES]


def _occurrences(needle: Needle, chunk: bytes) -> Iterator[int]:
    if not isinstance(needle.pattern, bytes):
        yield from (match.start() for match in needle.pattern.finditer(chunk))
        return
    at = chunk.find(needle.pattern)
    while at >= 0:
        yield at
        at = chunk.find(needle.pattern, at + 1)


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_descendants(child)]
    return found
