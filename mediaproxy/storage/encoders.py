"""Worker processes that make renditions (`storage.encode`), started and awaited on threads.

Not started by the event loop: uvloop forks, and copying the page tables of a proxy of 500 MB holds up
live audio for 50 ms. `subprocess` starts by vfork, which copies nothing.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Final

BUSY: Final = "too many renditions are being made; ask again later"
CLOSED: Final = "the proxy is stopping; ask again later"
TOO_LONG: Final = "the encoder took too long and was stopped"
FULL: Final = "the storage is full"
DISK: Final = "the storage cannot be read or written"
NOT_THE_MASTER: Final = "the file is not the one that was published: its SHA-256 is another one"
BROKEN: Final = "the encoder failed"

_MODULE: Final = "mediaproxy.storage.encode"
_ENDING_S: Final = 5.0


class Exit(IntEnum):
    """What a worker says at its end; anything else is a crash."""

    MADE = 0
    STORAGE_FULL = 3
    STORAGE_ERROR = 4
    NOT_THE_MASTER = 5


_REASONS: Final[Mapping[int, str]] = {
    Exit.STORAGE_FULL: FULL,
    Exit.STORAGE_ERROR: DISK,
    Exit.NOT_THE_MASTER: NOT_THE_MASTER,
}


class Failed(Exception):
    """Nothing was made. `reason` is one of the sentences above; `last_words` are for the log."""

    def __init__(self, reason: str, last_words: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.last_words = last_words


class Encoders:
    """`run` blocks its thread; `stop` may be called from any other."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, master: Path, target: Path, sha256: str, form: str, *, timeout_s: float) -> None:
        """Returns when `target` stands; raises `Failed`. No draft of it is left either way."""
        try:
            worker = self._start(str(master), str(target), sha256, form)
            try:
                self._await(worker, timeout_s)
            finally:
                self._running.discard(worker)
                _end(worker)
        finally:
            with suppress(OSError):  # the next start tries again
                draft_of(target).unlink(missing_ok=True)

    def stop(self) -> None:
        """End what runs, and start nothing any more. Idempotent."""
        self._stopped = True
        for worker in tuple(self._running):
            worker.kill()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`-P`: the folder we were started in holds no modules of ours."""
        try:
            worker = subprocess.Popen(  # noqa: S603 - our own words, and no shell
                (sys.executable, "-P", "-m", _MODULE, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_environment(),
            )
        except OSError as error:  # no process, no memory
            raise Failed(BROKEN, error.strerror or "") from error
        self._running.add(worker)
        if self._stopped:
            worker.kill()
        return worker

    def _await(self, worker: subprocess.Popen[bytes], timeout_s: float) -> None:
        try:
            _, words = worker.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise Failed(TOO_LONG) from None
        if self._stopped:
            raise Failed(CLOSED)
        if worker.returncode != Exit.MADE:
            last = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
            reason = _REASONS.get(worker.returncode, BROKEN)
            raise Failed(reason, last or f"exit {worker.returncode}")


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    with suppress(subprocess.TimeoutExpired):  # in the grip of a hung disk: it ends when that lets go
        worker.wait(_ENDING_S)
    if worker.stderr is not None:
        worker.stderr.close()


def _environment() -> dict[str, str]:
    """Ours, less the configuration: a worker needs no password."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MEDIAPROXY_")}


def draft_of(target: Path) -> Path:
    """Where a rendition grows before it has its name."""
    return target.with_name(target.name + ".tmp")
