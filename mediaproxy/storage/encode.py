"""A worker process: `python -m mediaproxy.storage.encode` does the jobs it reads (`storage.jobs`).

Of the lowest priority; it ends with whoever started it, or when nothing was asked of it for a while.
A copy names the hash of its master, so it is made sure first that this is the master's hash.
"""

import ctypes
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from mediaproxy.clock import unix_ms
from mediaproxy.errors import Malformed
from mediaproxy.recording import manifest
from mediaproxy.recording.wav import Identity
from mediaproxy.storage import disk, forms, jobs, masters, sparse
from mediaproxy.storage.flacs import NotExact
from mediaproxy.storage.forms import Source
from mediaproxy.storage.jobs import Answer, Exit, Inscription, Job, Progress

IDLE_S: Final = 20.0
LOWEST_PRIORITY: Final = 19
PR_SET_PDEATHSIG: Final = 1  # prctl(2)
PR_SET_DUMPABLE: Final = 4

_STDIN, _STDOUT = 0, 1
_READ_BYTES: Final = 1 << 16

Tell = Callable[[Progress], None]


def main() -> int:
    _withdraw()
    for line in _lines():
        _say(perform(jobs.decode(line), _say))
    return 0


def perform(job: Job, tell: Tell) -> Answer:
    """What became of the job."""
    try:
        return Answer(Exit.MADE, make(job, tell))
    except Malformed:
        return Answer(Exit.NOT_THE_MASTER)
    except NotExact:
        return Answer(Exit.NOT_EXACT)
    except OSError as error:  # also what FFmpeg has to say of files
        full = disk.reason_of(error) == disk.STORAGE_FULL
        return Answer(Exit.STORAGE_FULL if full else Exit.STORAGE_ERROR, words=error.strerror or "")


def make(job: Job, tell: Tell) -> str:
    """`target` appears whole and durable, or not at all; its SHA-256. `Malformed`: the source is not what
    it should be."""
    fd = disk.open_to_read(job.source)
    try:
        since = os.fstat(fd)
        pcm = masters.opened(fd)
        if job.sha256 is not None and sparse.sha256(fd) != job.sha256:
            raise Malformed("the master's SHA-256 is another one")
        source = Source(pcm, job.inscription or _told_by_manifest(job.source), job.sha256)
        with disk.drafted(job.target) as (draft, made):
            forms.WRITERS[job.form](made, draft, source, lambda done: tell(Progress(done, pcm.shape.frames)))
            _require_unchanged(job.source, fd, since)
            sha256 = sparse.sha256(made)
            os.fsync(made)
        return sha256
    finally:
        os.close(fd)


def _told_by_manifest(master: Path) -> Inscription:
    claims = manifest.decode(master.with_suffix(".json").read_bytes())
    answered_at_ms = unix_ms(claims.answered_at)
    identity = Identity(claims.recording_id, claims.call_id, answered_at_ms, claims.sample_rate)
    return Inscription(identity, claims.intervals)


def _require_unchanged(source: Path, fd: int, since: os.stat_result) -> None:
    """No copy appears of what was deleted or redacted meanwhile. Whoever does that removes drafts too,
    afterwards, so that nothing can come between this and the renaming."""
    now, there = os.fstat(fd), source.lstat()
    if (now.st_dev, now.st_ino) != (there.st_dev, there.st_ino) or now.st_mtime_ns != since.st_mtime_ns:
        raise Malformed("the master was changed")


def _lines() -> Iterator[bytes]:
    """What is asked of us, until nothing is for `IDLE_S` or nobody is there any more."""
    unread = b""
    while select.select([_STDIN], [], [], IDLE_S)[0] and (content := os.read(_STDIN, _READ_BYTES)):
        *lines, unread = (unread + content).split(b"\n")
        yield from lines


def _say(said: Progress | Answer) -> None:
    os.write(_STDOUT, jobs.encode_said(said))


def _withdraw() -> None:
    """Yield to live audio, leave no dump of anybody's speech, and stay no longer than the proxy.

    What wakes up to relay takes a core from a SCHED_IDLE process at once; from one that is only nice
    it may have to wait its turn.
    """
    os.nice(LOWEST_PRIORITY)
    with suppress(OSError):  # containers may forbid it
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
