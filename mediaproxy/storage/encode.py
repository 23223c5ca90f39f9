"""The worker that makes one rendition: `python -m mediaproxy.storage.encode MASTER TARGET SHA256 FORMAT`.

A process of its own, of the lowest priority, that ends with whoever started it. It names the master's
hash in the rendition, so it makes sure first that this is the master's hash. How it ended is told by its
exit code (`encoders.Exit`).
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av import AudioFrame, AudioStream

from mediaproxy.errors import Malformed
from mediaproxy.recording import wav
from mediaproxy.storage import disk, sparse
from mediaproxy.storage.encoders import Exit, draft_of

CHUNK_FRAMES: Final = 65_536
LOWEST_PRIORITY: Final = 19
PR_SET_PDEATHSIG: Final = 1  # prctl(2)
PR_SET_DUMPABLE: Final = 4


@dataclass(frozen=True, slots=True)
class Coding:
    container: str
    encoder: str
    bits_per_s: int
    options: Mapping[str, str]


# Chosen so that nothing of one channel is heard in the other, and silence is decoded as zeros: no joint
# stereo, and of Opus the coder that keeps channels apart at this rate.
CODINGS: Final = {
    "opus": Coding("ogg", "libopus", 48_000, {"application": "audio"}),
    "mp3": Coding("mp3", "libmp3lame", 64_000, {"joint_stereo": "0"}),
}


def main(arguments: list[str]) -> int:
    master, target, sha256, form = arguments
    _withdraw()
    try:
        make(Path(master), Path(target), sha256, CODINGS[form])
    except Malformed:
        return Exit.NOT_THE_MASTER
    except OSError as error:  # also what FFmpeg has to say of files
        full = disk.reason_of(error) == disk.STORAGE_FULL
        print(error.strerror, file=sys.stderr)  # noqa: T201 - the parent logs it
        return Exit.STORAGE_FULL if full else Exit.STORAGE_ERROR
    return Exit.MADE


def make(master: Path, target: Path, sha256: str, coding: Coding) -> None:
    """`target` appears whole and durable, or not at all. `Malformed`: `master` is not what it should be."""
    fd = os.open(master, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        shape = wav.parse(os.pread(fd, wav.HEADER_BYTES, 0))
        if sparse.sha256(fd) != sha256:
            raise Malformed("the master's SHA-256 is another one")
        with _draft(target) as draft:
            _encode(_frames(fd, shape), shape.sample_rate, draft, sha256, coding)
    finally:
        os.close(fd)


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A file that gets its name when all went well, and is removed when not."""
    draft = draft_of(target)
    draft.unlink(missing_ok=True)
    fd = disk.create(draft)
    try:
        yield draft
        os.fsync(fd)
        draft.rename(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _frames(fd: int, shape: wav.Shape) -> Iterator[AudioFrame]:
    for start in range(0, shape.frames, CHUNK_FRAMES):
        count = min(CHUNK_FRAMES, shape.frames - start)
        pcm = np.frombuffer(os.pread(fd, count * wav.FRAME_BYTES, wav.data_end(start)), np.int16)
        frame = AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.time_base, frame.pts = (
            shape.sample_rate,
            Fraction(1, shape.sample_rate),
            start,
        )
        yield frame


def _encode(frames: Iterator[AudioFrame], rate: int, draft: Path, sha256: str, coding: Coding) -> None:
    """Bit for bit the same for the same master, as long as FFmpeg is the same."""
    with av.open(str(draft), "w", format=coding.container, options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = f"master sha256 {sha256}"
        stream = container.add_stream(
            coding.encoder, rate=rate, layout="stereo", options=dict(coding.options)
        )
        assert isinstance(stream, AudioStream)
        stream.bit_rate = coding.bits_per_s
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


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
    sys.exit(main(sys.argv[1:]))
