"""Property 12: a published recording is held against its manifest, and the manifest against its key."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mediaproxy.errors import Malformed
from mediaproxy.recording import manifest, wav
from mediaproxy.recording.manifest import Manifest
from mediaproxy.storage import keys, sparse
from mediaproxy.storage.publish import gaps
from mediaproxy.storage.store import is_id


@dataclass(frozen=True, slots=True)
class Verdict:
    """One recording, named by its audio file; good when there are no problems."""

    path: Path
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        return f"{self.path}: {'; '.join(self.problems) or 'ok'}"


def verify(paths: Iterable[Path]) -> Iterator[Verdict]:
    """A verdict for every recording named: by its audio, its manifest, or a directory above it.

    Live recordings are passed over; they have no manifest yet.
    """
    for path in paths:
        if path.is_dir():
            yield from (_verdict(each) for each in _recordings(path))
        elif path.suffix in {".wav", ".json"}:
            yield _verdict(path.with_suffix(".wav"))
        else:
            yield Verdict(path, ("is no recording",) if path.exists() else ("does not exist",))


def _recordings(directory: Path) -> list[Path]:
    found = {path.with_suffix(".wav") for kind in ("wav", "json") for path in directory.rglob(f"*.{kind}")}
    return sorted(path for path in found if is_id(path.stem) and path.parent.name != "live")


def _verdict(audio: Path) -> Verdict:
    try:
        document = audio.with_suffix(".json").read_bytes()
        claims = manifest.decode(document)
    except OSError:
        return Verdict(audio, ("the manifest cannot be read",))
    except Malformed as error:
        return Verdict(audio, (error.reason,))
    problems = [*_signature_problems(audio, document, claims), *_claim_problems(audio, claims)]
    try:
        problems += _audio_problems(audio, claims)
    except OSError:
        problems.append("the audio cannot be read")
    return Verdict(audio, tuple(problems))


def _signature_problems(audio: Path, document: bytes, claims: Manifest) -> Iterator[str]:
    public = keys.find_public(audio, claims.key_id) if claims.key_id else None
    if public is None:
        yield "the public key that signed the manifest is not there"
    elif manifest.key_id(public) != claims.key_id:
        yield "the public key is not the one that the manifest names"
    elif not manifest.signature_holds(document, public):
        yield "the manifest's signature does not hold"


def _claim_problems(audio: Path, claims: Manifest) -> Iterator[str]:
    if claims.master.file != audio.name:
        yield "the manifest is that of another file"
    at = 0
    for interval in claims.intervals:
        if not at <= interval.start_sample < interval.end_sample <= claims.duration_samples:
            yield "the intervals are empty, out of order or outside the call"
            return
        at = interval.end_sample


def _audio_problems(audio: Path, claims: Manifest) -> Iterator[str]:
    fd = os.open(audio, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from _length_problems(fd, claims)
        for start, end in gaps(claims.intervals, claims.duration_samples):
            at = sparse.first_nonzero(fd, wav.data_end(start), wav.data_end(end))
            if at is not None:
                yield f"not silent outside the intervals, at sample {wav.held_frames(at)}"
                break
        if sparse.sha256(fd) != claims.master.sha256:
            yield "the audio's SHA-256 is another one"
    finally:
        os.close(fd)


def _length_problems(fd: int, claims: Manifest) -> Iterator[str]:
    try:
        shape = wav.parse(os.pread(fd, wav.HEADER_BYTES, 0))
    except Malformed as error:
        yield error.reason
        return
    if shape.sample_rate != claims.sample_rate:
        yield f"the file's rate is {shape.sample_rate} Hz, the manifest's {claims.sample_rate}"
    if shape.frames != claims.duration_samples:
        yield f"the file has {shape.frames} sample frames, the call had {claims.duration_samples}"
    if os.fstat(fd).st_size != shape.file_bytes:
        yield "the file's size is not what its header promises"
