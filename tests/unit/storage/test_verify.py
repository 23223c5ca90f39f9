"""Whatever was changed after publishing is found, and named in one line."""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from mediaproxy.recording import chain, manifest, wav
from mediaproxy.recording.journal import Ended
from mediaproxy.recording.manifest import Actor, Master
from mediaproxy.storage import Storage, judge, sparse, verify
from mediaproxy.storage.audio import identity
from mediaproxy.storage.publish import publish
from tests.support.published import publish_one
from tests.support.recordings import expected_frames, header_of, interval, recording_id


@pytest.fixture
def audio(storage: Storage) -> Path:
    """A published recording of 2,000 frames, recorded from 400 to 800 and from 1,000 to 1,200."""
    frames = expected_frames(2_000, [(400, 800), (1_000, 1_200)])
    head = wav.header(wav.constant_part(identity(header_of())), 0)
    storage.live_audio(recording_id(1)).write_bytes(head + frames.tobytes())
    storage.journal(recording_id(1)).write_bytes(b"")
    outcome = publish(storage, header_of(), Ended(2_000, (interval(400, 800), interval(1_000, 1_200))))
    assert outcome.audio is not None
    return outcome.audio


def problems(path: Path) -> str:
    (verdict,) = verify([path])
    assert verdict.ok == (not verdict.problems)
    assert "\n" not in str(verdict)
    return "; ".join(verdict.problems)


def poke(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def sign_anew(audio: Path, storage: Storage, **changes: object) -> None:
    """A manifest with other claims that is signed with the right key, over the file as it is now."""
    path = audio.with_suffix(".json")
    fields = json.loads(path.read_bytes()) | changes
    del fields["recorded_samples"]
    with audio.open("rb") as file:
        claims = manifest._built(fields)
        fields["master"] = {"file": claims.master.file, "sha256": sparse.sha256(file.fileno())}
    document = manifest.encode(manifest.sign(manifest._built(fields), storage.private_key))
    path.write_bytes(document)
    storage.chain.path.write_bytes(b"")
    storage.chain.append(chain.published(audio.stem, document, Actor("call_end")))


def test_what_we_published_is_good(audio: Path, storage: Storage) -> None:
    assert problems(audio) == ""
    assert problems(audio.with_suffix(".json")) == ""
    assert problems(storage.root) == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda path: poke(path, 400, b"!"),  # the header's text
        lambda path: poke(path, wav.data_end(500), b"\1\1"),
        lambda path: poke(path, wav.data_end(2_000) + 9, b"\1"),
    ],
)
def test_any_changed_byte_is_found(audio: Path, change: Callable[[Path], None]) -> None:
    change(audio)
    assert problems(audio) == "the audio's SHA-256 is another one"


@pytest.mark.parametrize("sample", [0, 399, 800, 999, 1_200, 1_999])
@pytest.mark.parametrize("byte", [0, 3])
def test_one_byte_outside_the_intervals_is_found(
    audio: Path, storage: Storage, sample: int, byte: int
) -> None:
    poke(audio, wav.data_end(sample) + byte, b"\1")
    sign_anew(audio, storage)
    assert problems(audio) == f"not silent outside the intervals, at sample {sample}"


def test_a_shortened_file_is_found(audio: Path) -> None:
    content = audio.read_bytes()
    audio.write_bytes(content[:-1])
    assert "the file's size is not what its header promises" in problems(audio)
    audio.write_bytes(content[:500])
    assert "the file is not a recording of ours" in problems(audio)
    audio.write_bytes(b"")
    assert "the file is not a recording of ours" in problems(audio)


def test_a_length_that_is_not_the_calls_is_found(audio: Path, storage: Storage) -> None:
    sign_anew(audio, storage, duration_samples=2_001)
    assert "the file has 2000 sample frames, the call had 2001" in problems(audio)


def test_another_rate_is_found(audio: Path, storage: Storage) -> None:
    sign_anew(audio, storage, sample_rate=16_000)
    assert problems(audio) == "the file's rate is 8000 Hz, the manifest's 16000"


def test_a_changed_manifest_is_found(audio: Path) -> None:
    path = audio.with_suffix(".json")
    path.write_bytes(path.read_bytes().replace(b'"alice"', b'"clair"'))
    assert problems(audio) == (
        "the manifest's signature does not hold; its manifest is not the one that the chain names in line 0"
    )


@pytest.mark.parametrize("spans", [[(400, 400)], [(400, 2_001)], [(1_000, 1_200), (400, 800)]])
def test_impossible_intervals_are_found(audio: Path, storage: Storage, spans: list[tuple[int, int]]) -> None:
    one = json.loads(audio.with_suffix(".json").read_bytes())["intervals"][0]
    listed = [one | {"start_sample": start, "end_sample": end} for start, end in spans]
    sign_anew(audio, storage, intervals=listed)
    assert "the intervals are empty, out of order or outside the call" in problems(audio)


def test_a_missing_or_foreign_key_is_found(audio: Path, storage: Storage) -> None:
    (public,) = (storage.root / "keys").glob("*.pub")
    other = storage.root / "keys" / "signing.pem"
    content = public.read_bytes()
    public.write_bytes(other.read_bytes())
    assert problems(audio) == "the public key that signed the manifest is not there"
    public.unlink()
    assert problems(audio) == "the public key that signed the manifest is not there"
    public.write_bytes(content)
    assert problems(audio) == ""


def test_another_key_under_the_same_name_is_found(audio: Path, storage: Storage, tmp_path: Path) -> None:
    (public,) = (storage.root / "keys").glob("*.pub")
    Storage.open(tmp_path / "other", min_free_bytes=0).close()
    (foreign,) = (tmp_path / "other" / "keys").glob("*.pub")
    public.write_bytes(foreign.read_bytes())
    assert problems(audio) == "the public key that signed the manifest is not there"


def test_missing_halves_are_found(audio: Path, storage: Storage) -> None:
    document = audio.with_suffix(".json").read_bytes()
    audio.with_suffix(".json").unlink()
    assert problems(storage.root) == "the manifest is missing"
    audio.with_suffix(".json").write_bytes(document)
    audio.unlink()
    assert problems(storage.root) == "the audio is missing"
    audio.with_suffix(".json").write_bytes(b"{}")
    assert problems(audio) == "the manifest is not one of ours"


def test_a_manifest_for_another_file_is_found(audio: Path) -> None:
    other = audio.with_name(f"{recording_id(2)}.wav")
    for path in (audio, audio.with_suffix(".json")):
        path.rename(other.with_suffix(path.suffix))
    assert problems(other) == (
        "the manifest is that of another file; nothing in the chain says that it was published"
    )


def test_what_is_no_recording_is_named(storage: Storage, tmp_path: Path) -> None:
    assert problems(tmp_path / "nothing") == "does not exist"
    assert problems(storage.root / ".lock") == "is no recording"
    assert list(verify([storage.root])) == []


def test_live_recordings_are_passed_over(storage: Storage) -> None:
    storage.live_audio(recording_id(3)).write_bytes(b"")
    assert list(verify([storage.root])) == []


def test_the_master_is_named_by_its_file(audio: Path) -> None:
    claims = manifest.decode(audio.with_suffix(".json").read_bytes())
    assert isinstance(claims.master, Master)
    assert claims.master.file == audio.name


@pytest.mark.parametrize("form", ["wav", "flac"])
@pytest.mark.parametrize(
    ("claimed", "sample"),
    [
        ([(0, 9), (70_000, 70_001), (131_072, 140_000)], 9),
        ([(0, 10), (131_072, 140_000)], 70_000),
        ([(0, 10), (70_000, 70_001), (131_073, 140_000)], 131_072),
        ([(0, 10), (70_000, 70_001), (131_072, 139_999)], 139_999),
        ([], 0),
    ],
)
def test_sound_is_found_wherever_there_should_be_none(
    storage: Storage, form: str, claimed: list[tuple[int, int]], sample: int
) -> None:
    """By itself, where hash, signature and chain were made to fit."""
    spans = [(0, 10), (70_000, 70_001), (131_072, 140_000)]
    audio = publish_one(storage, duration=200_000, spans=spans, form=form)
    assert problems(audio) == ""
    sign_anew(audio, storage, intervals=[asdict(interval(*span)) for span in claimed])
    assert problems(audio) == f"not silent outside the intervals, at sample {sample}"


class Pieces:
    """A master that is read in these pieces of whole frames: where each begins, and its samples."""

    fd = -1

    def __init__(self, *pieces: tuple[int, list[int]]) -> None:
        self._pieces = pieces
        self.shape = wav.Shape(8_000, 100)

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        for at, samples in self._pieces:
            yield at, b"".join(sample.to_bytes(4, "little") for sample in samples)


@pytest.mark.parametrize(
    ("spans", "sound"),
    [([(5, 11)], 10), ([(5, 10)], None), ([(10, 11)], 10), ([(11, 12)], None), ([(0, 1), (10, 20)], 10)],
)
def test_a_silent_stretch_that_ends_just_within_a_piece(
    spans: list[tuple[int, int]], sound: int | None
) -> None:
    assert judge._first_sound(Pieces((0, [0] * 10), (10, [1, 0])), spans) == sound


@pytest.mark.parametrize("lost", [-1, -2, -10])
def test_a_flac_without_its_last_frames_is_found(storage: Storage, lost: int) -> None:
    """Where nothing but the silence at the end is missing, and hash, signature and chain were made to fit."""
    audio = publish_one(storage, duration=50_000, spans=[(400, 800)], form="flac")
    frames = [found.start() for found in re.finditer(b"\xff\xf8", audio.read_bytes())]
    os.truncate(audio, frames[lost])
    sign_anew(audio, storage)
    assert problems(audio) == "the file is shorter than its header promises"


def test_a_flac_without_a_frame_or_with_one_more_is_found(storage: Storage) -> None:
    audio = publish_one(storage, duration=50_000, spans=[(400, 800)], form="flac")
    content = audio.read_bytes()
    *_, first, second, last = (found.start() for found in re.finditer(b"\xff\xf8", content))
    for changed in (content[:first] + content[second:], content + content[last:]):
        audio.write_bytes(changed)
        sign_anew(audio, storage)
        assert problems(audio) == "the FLAC stream is damaged"


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_any_rate_holds(storage: Storage, rate: int) -> None:
    audio = publish_one(storage, rate=rate)
    assert problems(audio) == ""


@pytest.mark.slow
def test_past_four_gigabytes(storage: Storage) -> None:
    """RF64, mostly holes: read without reading them."""
    duration = (1 << 30) + 5
    audio = publish_one(storage, duration=duration, spans=[(400, 800)])
    assert audio.stat().st_size > 1 << 32
    assert problems(audio) == ""
    with audio.open("rb") as file:
        assert file.read(4) == b"RF64"
    poke(audio, wav.data_end(duration - 1), b"\1")
    assert f"not silent outside the intervals, at sample {duration - 1}" in problems(audio)
