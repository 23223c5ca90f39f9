"""Worker processes that encode (`storage.encode`), started and awaited on threads.

Not started by the event loop: uvloop forks, and copying the page tables of a proxy of 500 MB holds up
live audio for 50 ms. `subprocess` starts by vfork, which copies nothing. A worker that is done waits a
while for the next job, because it takes longer to start than to encode a call of some minutes.
"""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import BoundedSemaphore, Event
from typing import Final

from mediaproxy.storage import disk, jobs
from mediaproxy.storage.jobs import Answer, Exit, Job, Progress

BUSY: Final = "too many renditions are being made; ask again later"
CLOSED: Final = "the proxy is stopping; ask again later"
TOO_LONG: Final = "the encoder took too long and was stopped"
NO_TURN: Final = "the encoders had too much else to do"
FULL: Final = "the storage is full"
DISK: Final = "the storage cannot be read or written"
NOT_THE_MASTER: Final = "the file is not the one that was published: its SHA-256 is another one"
NOT_EXACT: Final = "the encoder changed the audio"
BROKEN: Final = "the encoder failed"

MAX_WORKERS: Final = 2

_MODULE: Final = "mediaproxy.storage.encode"
_ENDING_S: Final = 5.0
_READ_BYTES: Final = 1 << 16
_LONGEST_LINE: Final = 1 << 20

_REASONS: Final[Mapping[int, str]] = {
    Exit.STORAGE_FULL: FULL,
    Exit.STORAGE_ERROR: DISK,
    Exit.NOT_THE_MASTER: NOT_THE_MASTER,
    Exit.NOT_EXACT: NOT_EXACT,
}

OnProgress = Callable[[Progress], None]


class Failed(Exception):
    """Nothing was made. `reason` is one of the sentences above; `last_words` are for the log."""

    def __init__(self, reason: str, last_words: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.last_words = last_words


class _Died(Exception):
    """The worker is no more."""


class Encoders:
    """`run` blocks its thread; `stop` may be called from any other. `workers` run at a time at most."""

    def __init__(self, workers: int = MAX_WORKERS) -> None:
        self._turns = BoundedSemaphore(workers)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._stopped = Event()

    def run(self, job: Job, *, timeout_s: float, on_progress: OnProgress | None = None) -> str:
        """The target's SHA-256, when it stands; raises `Failed`. No draft of it is left either way.

        `timeout_s` includes the wait for a free worker.
        """
        deadline = time.monotonic() + timeout_s
        if not self._turns.acquire(timeout=timeout_s if timeout_s > 0 else 0):
            raise Failed(NO_TURN)
        try:
            answer = self._perform(job, deadline, on_progress)
        finally:
            self._turns.release()
            with suppress(OSError):  # the next start tries again
                disk.draft_of(job.target).unlink(missing_ok=True)
        if answer.exit != Exit.MADE:
            raise Failed(_REASONS.get(answer.exit, BROKEN), answer.words)
        return answer.sha256

    def stop(self) -> None:
        """End what runs, and start nothing any more. Idempotent."""
        self._stopped.set()
        for worker in tuple(self._all):
            worker.kill()
        while self._idle:
            self._end(self._idle.pop())

    def _perform(self, job: Job, deadline: float, on_progress: OnProgress | None) -> Answer:
        """One that waited may have grown tired of it just now: then another does it."""
        if self._idle and (waiting := self._take_idle()):
            with suppress(_Died):
                return self._performed_by(waiting, job, deadline, on_progress)
        worker = self._start()
        try:
            return self._performed_by(worker, job, deadline, on_progress)
        except _Died as died:
            if self._stopped.is_set():
                raise Failed(CLOSED) from died
            raise Failed(BROKEN, worker.last_words()) from died

    def _performed_by(
        self, worker: "_Worker", job: Job, deadline: float, on_progress: OnProgress | None
    ) -> Answer:
        """Only one that answered is kept."""
        answer = None
        try:
            answer = worker.perform(job, deadline, on_progress)
            return answer
        finally:
            if answer is not None and not self._stopped.is_set():
                self._idle.append(worker)
            else:
                self._end(worker)

    def _take_idle(self) -> "_Worker | None":
        with suppress(IndexError):  # another thread was faster
            return self._idle.pop()
        return None

    def _start(self) -> "_Worker":
        if self._stopped.is_set():
            raise Failed(CLOSED)
        try:
            worker = _Worker()
        except OSError as error:  # no process, no memory
            raise Failed(BROKEN, error.strerror or "") from error
        self._all.add(worker)
        if self._stopped.is_set():
            worker.kill()
        return worker

    def _end(self, worker: "_Worker") -> None:
        self._all.discard(worker)
        worker.end()


class _Worker:
    """One process. `perform` and `end` are for the thread that has it, `kill` for any."""

    def __init__(self) -> None:
        """`-P`: the folder we were started in holds no modules of ours."""
        self._process = subprocess.Popen(  # noqa: S603 - our own words, and no shell
            (sys.executable, "-P", "-m", _MODULE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=_environment(),
        )
        self._unread = b""
        self._words: list[str] = []

    def perform(self, job: Job, deadline: float, on_progress: OnProgress | None) -> Answer:
        """Raises `Failed` when it takes too long, `_Died` when it ends without an answer."""
        self._words.clear()
        self._send(jobs.encode(job))
        while True:
            said = self._next(deadline)
            if isinstance(said, Answer):
                return said
            if isinstance(said, Progress) and on_progress is not None:
                on_progress(said)

    def last_words(self) -> str:
        return self._words[-1] if self._words else f"exit {self._process.returncode}"

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """Idempotent. One in the grip of a hung disk ends when that lets go."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            while line:
                line = line[self._process.stdin.write(line) or 0 :]
        except OSError as error:
            raise _Died from error

    def _next(self, deadline: float) -> Progress | Answer | None:
        while b"\n" not in self._unread:
            self._unread = self._unread[-_LONGEST_LINE:] + self._read(deadline)
        line, _, self._unread = self._unread.partition(b"\n")
        said = jobs.decode_said(line)
        if said is None:
            self._words.append(line.decode("utf-8", "replace").strip())
        return said

    def _read(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        with selectors.PollSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            if not waiting.select(max(deadline - time.monotonic(), 0)):
                raise Failed(TOO_LONG)
        content = self._process.stdout.read(_READ_BYTES)
        if not content:
            raise _Died
        return content


def _environment() -> dict[str, str]:
    """Ours, less the configuration: a worker needs no password."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MEDIAPROXY_")}
