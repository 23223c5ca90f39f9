"""Property 12: a published recording is held against its manifest, and the manifest against its key."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mediaproxy.errors import Malformed
from mediaproxy.recording import chain, manifest, wav
from mediaproxy.recording.manifest import Manifest
from mediaproxy.storage import disk, masters, sparse
from mediaproxy.storage.masters import Pcm
from mediaproxy.storage.publish import gaps
from mediaproxy.storage.store import MASTER_FORMATS


@dataclass(frozen=True, slots=True)
class Verdict:
    """One recording, named by its audio file; good when there are no problems.

    `claims` and `manifest_sha256` are those of its manifest, None when that cannot be read.
    """

    path: Path
    problems: tuple[str, ...] = ()
    claims: Manifest | None = field(default=None, compare=False)
    manifest_sha256: str | None = field(default=None, compare=False)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def recording_id(self) -> str:
        return self.path.stem

    def __str__(self) -> str:
        return f"{self.path}: {'; '.join(self.problems) or 'ok'}"


def ignore(_: int) -> None:
    """Nobody wants to know how far it is."""


def judge(document: Path, keys: Mapping[str, bytes], on_progress: Callable[[int], None] = ignore) -> Verdict:
    """Hold the recording with this manifest against it; `keys` are raw public keys by id.

    `on_progress` is told how many more bytes of audio were read.
    """
    try:
        content = disk.read_at_most(document, manifest.MAX_BYTES)
        claims = manifest.decode(content)
    except OSError as error:
        return Verdict(_audio(document), (_unreadable("manifest", error),))
    except Malformed as error:
        return Verdict(_audio(document), (error.reason,))
    problems = [*_signature_problems(content, claims, keys), *_claim_problems(document, claims)]
    audio = document.with_name(claims.master.file)
    if audio.stem == document.stem:
        problems += _found_problems(audio, claims, on_progress)
    return Verdict(_audio(document), tuple(problems), claims, chain.sha256(content))


def audio_files(document: Path) -> list[Path]:
    """The masters that lie beside a manifest; one, where nobody interfered."""
    beside = (document.with_suffix(f".{form}") for form in MASTER_FORMATS)
    return [path for path in beside if os.path.lexists(path)]


def _audio(document: Path) -> Path:
    return next(iter(audio_files(document)), document.with_suffix(".wav"))


def _unreadable(what: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"the {what} is missing"
    return f"the {what} cannot be read ({error.strerror})"


def _signature_problems(content: bytes, claims: Manifest, keys: Mapping[str, bytes]) -> Iterator[str]:
    public = keys.get(claims.key_id or "")
    if public is None:
        yield "the public key that signed the manifest is not there"
    elif not manifest.signature_holds(content, public):
        yield "the manifest's signature does not hold"


def _claim_problems(document: Path, claims: Manifest) -> Iterator[str]:
    if claims.recording_id != document.stem or Path(claims.master.file).stem != document.stem:
        yield "the manifest is that of another file"
    kinds = {kind: [i for i in claims.intervals if i.kind == kind] for kind in manifest.KINDS}
    if not all(_in_order(((i.start_sample, i.end_sample) for i in each), claims) for each in kinds.values()):
        yield "the intervals are empty, out of order or outside the call"
    if any(not 0 <= r.start_sample < r.end_sample <= claims.duration_samples for r in claims.redactions):
        yield "a redaction is empty or outside the call"
    if len(audio_files(document)) > 1:
        yield "another audio file lies beside it"


def _in_order(spans: Iterable[tuple[int, int]], claims: Manifest) -> bool:
    at = 0
    for start, end in spans:
        if not at <= start < end <= claims.duration_samples:
            return False
        at = end
    return True


def _found_problems(audio: Path, claims: Manifest, on_progress: Callable[[int], None]) -> list[str]:
    found: list[str] = []
    try:
        fd = disk.open_to_read(audio, follow=True)
    except OSError as error:
        return [_unreadable("audio", error)]
    try:
        found += _audio_problems(fd, claims)
        if sparse.sha256(fd, on_progress) != claims.master.sha256:
            found.append("the audio's SHA-256 is another one")
    except OSError as error:
        found.append(_unreadable("audio", error))
    finally:
        os.close(fd)
    return found


def _audio_problems(fd: int, claims: Manifest) -> Iterator[str]:
    try:
        pcm = masters.opened(fd)
        yield from _shape_problems(fd, pcm.shape, claims)
        sound = _first_sound(pcm, silent_spans(claims))
    except Malformed as error:
        yield error.reason
        return
    if sound is not None:
        redacted = any(each.start_sample <= sound < each.end_sample for each in claims.redactions)
        where = "where it was redacted" if redacted else "outside the intervals"
        yield f"not silent {where}, at sample {sound}"


def _shape_problems(fd: int, shape: wav.Shape, claims: Manifest) -> Iterator[str]:
    if shape.sample_rate != claims.sample_rate:
        yield f"the file's rate is {shape.sample_rate} Hz, the manifest's {claims.sample_rate}"
    if shape.frames != claims.duration_samples:
        yield f"the file has {shape.frames} sample frames, the call had {claims.duration_samples}"
    if shape.file_bytes and os.fstat(fd).st_size != shape.file_bytes:
        yield "the file's size is not what its header promises"


def silent_spans(claims: Manifest) -> list[tuple[int, int]]:
    """Where the manifest promises silence, in order and apart."""
    redacted = [(each.start_sample, each.end_sample) for each in claims.redactions]
    found: list[tuple[int, int]] = []
    for start, end in sorted([*gaps(claims.intervals, claims.duration_samples), *redacted]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _first_sound(pcm: Pcm, spans: list[tuple[int, int]]) -> int | None:
    """The first sample in any of these spans that is not zero. Decodes all of it, spans or not: a FLAC
    stream cannot be entered anywhere for nothing."""
    waiting = deque(spans)
    for at, samples in pcm.chunks(0, pcm.shape.frames):
        while waiting and waiting[0][1] <= at:
            waiting.popleft()
        sound = _sound_within(at, samples, waiting)
        if sound is not None:
            return sound
    return None


def _sound_within(at: int, samples: bytes, spans: Iterable[tuple[int, int]]) -> int | None:
    """As above, of these sample frames, the first of which is `at`; no span ends before it."""
    end = at + len(samples) // wav.FRAME_BYTES
    for first, last in spans:
        if first >= end:
            return None
        inside = samples[max(first - at, 0) * wav.FRAME_BYTES : (last - at) * wav.FRAME_BYTES]
        if not sparse.is_zero(inside):
            nonzero = len(inside) - len(inside.lstrip(b"\0"))
            return max(first, at) + nonzero // wav.FRAME_BYTES
    return None
