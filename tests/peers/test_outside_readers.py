"""Every kind of file, in every state that it is ever in, read by programs that are not ours."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.recording import journal, wav
from mediaproxy.recording.journal import Record
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import Repaired, Spool, Storage, repair
from mediaproxy.storage.audio import identity
from mediaproxy.storage.encode import make
from mediaproxy.storage.jobs import Job
from mediaproxy.storage.redact import redact
from mediaproxy.storage.store import PublishedFile
from tests.support import readers
from tests.support.published import publish_one
from tests.support.recordings import (
    ANSWERED_AT_MS,
    Frames,
    expected_frames,
    header_of,
    recording_id,
    speech,
    toggled,
)
from tests.support.spooling import written

ID = recording_id(1)
DURATION = 24_000
SPANS = ((4_000, 8_000), (10_000, 12_000))
TRUTH = expected_frames(DURATION, SPANS)
REDACTED = (7_000, 11_000)
MAGIC = {
    "riff": b"RIFF", "cut riff": b"RIFF", "rf64": b"RF64", "flac": b"fLaC", "opus": b"OpusHead",
    "mp3": b"ID3",
}  # fmt: skip
SMALL = 5_000  # bytes: where RF64 begins, here

pytestmark = pytest.mark.skipif(bool(readers.missing()), reason=f"needs {', '.join(readers.missing())}")


@dataclass(frozen=True)
class File:
    path: Path
    kind: str  # of `readers.READERS`
    frames: Frames | None  # what must be heard; None: it loses something


Make = Callable[[Storage], File]


def kind_of(form: str) -> str:
    """`rf64` is a WAV that is too long to be RIFF."""
    return {"wav": "riff", "mono": "riff"}.get(form, form)


def published(form: str) -> Make:
    def made(storage: Storage) -> File:
        written_as = "flac" if form == "flac" else "wav"
        path = publish_one(storage, duration=DURATION, spans=SPANS, form=written_as)
        return File(path, kind_of(form), TRUTH)

    return made


def nothing_said(form: str) -> Make:
    def made(storage: Storage) -> File:
        path = publish_one(storage, duration=DURATION, spans=(), form="flac" if form == "flac" else "wav")
        return File(path, kind_of(form), np.zeros_like(TRUTH))

    return made


def redacted(form: str) -> Make:
    def made(storage: Storage) -> File:
        file = published(form)(storage)
        redact(storage, ID, *REDACTED, by=Actor("api", "admin"), reason="a card number")
        heard = TRUTH.copy()
        heard[slice(*REDACTED)] = 0
        return replace(file, frames=heard)

    return made


def killed(form: str) -> Make:
    """As it lies after `kill -9`: the header promises less than there is."""

    def made(storage: Storage) -> File:
        leave(storage, "wav")
        kind = "rf64" if form == "rf64" else "cut riff"
        return File(storage.live_audio(ID), kind, TRUTH[:11_000])

    return made


def repaired(form: str) -> Make:
    def made(storage: Storage) -> File:
        leave(storage, "flac" if form == "flac" else "wav")
        (done,) = repair(storage)
        assert isinstance(done, Repaired)
        assert done.outcome.audio is not None
        heard = TRUTH[: done.outcome.duration_samples]
        return File(done.outcome.audio, kind_of(form), heard)

    return made


def leave(storage: Storage, form: str) -> None:
    """What a proxy that was killed in the second interval leaves."""
    header = replace(header_of(), format=form)
    records: list[Record] = [header, toggled(1, 4_000, "recording"), toggled(2, 8_000, "paused")]
    records.append(toggled(3, 10_000, "recording"))
    lines = (journal.encode(record, n) for n, record in enumerate(records))
    storage.journal(ID).write_bytes(b"".join(lines))
    with storage.live_audio(ID).open("wb") as file:
        file.write(wav.header(wav.constant_part(identity(header)), 11_000))
        for start, end in ((4_000, 8_000), (10_000, 11_400)):
            file.seek(wav.data_end(start))
            file.write(speech(start, end).tobytes())


def copy(form: str, master: str) -> Make:
    """A rendition."""

    def made(storage: Storage) -> File:
        path = publish_one(storage, duration=DURATION, spans=SPANS, form=master)
        found = storage.find(ID, ANSWERED_AT_MS)
        assert isinstance(found, PublishedFile)
        target = storage.root / f"copy.{'wav' if form == 'mono' else form}"
        make(Job(form, path, target, found.sha256), lambda _: None)
        heard = {"mono": TRUTH.astype(np.int32).sum(axis=1).clip(-32_768, 32_767).astype("<i2")}
        exact = TRUTH if form in ("wav", "flac") else heard.get(form)
        return File(target, kind_of(form), exact)

    return made


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    opened = Storage.open(tmp_path / "rec", min_free_bytes=0)
    yield opened
    opened.close()


KINDS: Sequence[str] = ("wav", "rf64", "flac")
STATES = {
    **{f"published {form}": published(form) for form in KINDS},
    **{f"never recorded, {form}": nothing_said(form) for form in KINDS},
    **{f"repaired {form}": repaired(form) for form in KINDS},
    **{f"redacted {form}": redacted(form) for form in KINDS},
    **{f"killed {form}": killed(form) for form in ("wav", "rf64")},
    **{
        f"{form} of a {master}": copy(form, master)
        for form in ("wav", "flac", "mono", "opus", "mp3")
        for master in ("wav", "flac")
    },
}


@pytest.mark.parametrize("state", STATES)
def test_everybody_reads_it(state: str, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    if "rf64" in state:
        monkeypatch.setattr(wav, "_RIFF_ENDS", SMALL)
    check(STATES[state](storage))


def check(file: File) -> None:
    assert MAGIC[file.kind] in file.path.read_bytes()[:36]
    for reader in readers.READERS[file.kind]:
        frames = reader(file.path)
        assert file.frames is None or frames in (None, len(file.frames)), reader
    if file.frames is not None:
        assert readers.samples(file.path) == file.frames.tobytes()


@pytest.mark.parametrize("kind", ["riff", "rf64"])
async def test_everybody_reads_it_while_the_call_lives(
    kind: str, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "rf64":
        monkeypatch.setattr(wav, "_RIFF_ENDS", SMALL)
    crashes: list[Exception] = []
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=crashes.append)
    now_ns = 1 << 60
    try:
        await spool.create(header_of())
        assert (await spool.toggle(ID, toggled(1, 4_000, "recording"))).durable
        for at in range(4_000, 8_000, 1_000):
            spool.write(ID, at, speech(at, at + 1_000).tobytes())
            now_ns += 10_000_000_000
            spool.flush(now_ns)
            await written(spool)
            await asyncio.to_thread(check, File(storage.live_audio(ID), kind, TRUTH[: at + 1_000]))
    finally:
        await spool.close()
    assert crashes == []


def test_who_recorded_when_is_seen_in_a_wav(storage: Storage) -> None:
    path = publish_one(storage, duration=DURATION, spans=SPANS)
    who = "recorded by alice (api) until alice (api)"
    assert readers.labels(path) == [(4_000, who), (10_000, who)]
    tags = readers.probe(path)["format"]["tags"]  # type: ignore[index]  # an object
    assert tags["comment"] == f"Recording {ID} of call {header_of().call_id}"
    assert (tags["date"], tags["creation_time"]) == ("2026-01-05", "10:00:02")
    assert tags["time_reference"] == str((10 * 3_600 + 2) * 8_000 + 4_000)  # and half a second
    assert tags["originator_reference"] == ID.replace("-", "")
    assert tags["coding_history"].strip() == "A=PCM,F=8000,W=16,M=stereo,T=mediaproxy"


def test_who_recorded_when_is_seen_in_a_flac(storage: Storage) -> None:
    path = publish_one(storage, duration=DURATION, spans=SPANS, form="flac")
    who = "recorded by alice (api) until alice (api)"
    assert readers.chapters(path) == [
        (0.0, 0.5, "not recorded"), (0.5, 1.0, who), (1.0, 1.25, "not recorded"), (1.25, 1.5, who),
        (1.5, 3.0, "not recorded"),
    ]  # fmt: skip
    tags = readers.probe(path)["format"]["tags"]  # type: ignore[index]  # an object
    assert tags["RECORDING_ID"] == ID
    assert tags["INTERVAL002"] == f"10000-12000 {who}"
    assert tags["DATE"] == "2026-01-05T10:00:02.500Z"


@pytest.mark.parametrize("damage", ["shortened", "a bit of the audio"])
def test_the_readers_notice_what_is_wrong(storage: Storage, damage: str) -> None:
    """A test of the test: `flac -t` is what stands between us and a broken encoder."""
    path = publish_one(storage, duration=DURATION, spans=SPANS, form="flac")
    content = bytearray(path.read_bytes())
    content[-2_000] ^= 1
    path.write_bytes(content[:-100] if damage == "shortened" else content)
    with pytest.raises(AssertionError):
        check(File(path, "flac", TRUTH))
