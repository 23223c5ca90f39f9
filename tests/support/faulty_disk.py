"""A real disk whose calls fail at a chosen moment: for the threads that write recordings, and no other."""

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

CALLS = (
    *("open", "write", "pwrite", "pwritev", "ftruncate", "fdatasync", "fsync", "rename", "replace"),
    *("link", "unlink", "mkdir", "close"),
)
WRITERS = frozenset({"audio", "journal", "publish"})


class FaultyDisk:
    """Counts the calls of the writers. From call `at` on, `times` of them fail with `number` (EMFILE: those
    alone that open a file), or all until `heal`."""

    def __init__(
        self, patch: pytest.MonkeyPatch, at: int, number: int = errno.EIO, times: int = 1 << 60
    ) -> None:
        self.log: list[str] = []
        self.failed: list[str] = []
        self._at, self._number, self._left = at, number, times
        self._lock = threading.Lock()
        for name in CALLS:
            patch.setattr(os, name, self._faulty(name, getattr(os, name)))

    def heal(self) -> None:
        with self._lock:
            self._left = 0

    def _faulty(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            thread = threading.current_thread().name
            fails = (thread in WRITERS and self._fails(name)) or (thread == "probe" and self._is_broken(name))
            if fails and name == "close":  # a disk that is away says here that it lost what was written
                real(*arguments)
            if fails:
                raise OSError(self._number, os.strerror(self._number))
            return real(*arguments, **named)

        return call

    def _fails(self, name: str) -> bool:
        with self._lock:
            self.log.append(name)
            if len(self.log) <= self._at or not self._is_broken(name):
                return False
            self._left -= 1
            self.failed.append(name)
            return True

    def _is_broken(self, name: str) -> bool:
        concerned = name == "open" or self._number != errno.EMFILE
        return concerned and self._left > 0 and len(self.log) > self._at
