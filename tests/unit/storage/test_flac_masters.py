"""Publishing as FLAC: in the documented order, from whatever step a crash left, and never at the price of
the recording."""

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediaproxy.recording import manifest, wav
from mediaproxy.recording.journal import Ended, Header
from mediaproxy.storage import Outcome, Storage, encoders, verify
from mediaproxy.storage import publish as publishing
from mediaproxy.storage.audio import identity
from mediaproxy.storage.disk import draft_of
from mediaproxy.storage.publish import conclude, publish
from mediaproxy.storage.publisher import Postponed, Publication, Publisher
from tests.support.published import PATIENCE_S
from tests.support.recordings import (
    ANSWERED_AT_MS,
    expected_frames,
    frames_in,
    header_of,
    interval,
    recording_id,
)

ID = recording_id(1)
SPANS = [(400, 800), (1_000, 1_200)]
ENDED = Ended(2_000, tuple(interval(*span) for span in SPANS))
HEADER = replace(header_of(), format="flac", keep_days=30)

pytestmark = pytest.mark.slow  # real workers


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine an encoder waits for its turn longer than a result may."""
    monkeypatch.setattr(publishing, "ENCODING_S", PATIENCE_S)


def lay(storage: Storage, header: Header = HEADER) -> None:
    head = wav.header(wav.constant_part(identity(header)), 2_000)
    storage.live_audio(header.recording_id).write_bytes(head + expected_frames(2_000, SPANS).tobytes())
    storage.journal(header.recording_id).write_bytes(b"")


def assert_published(storage: Storage, outcome: Outcome, suffix: str) -> None:
    assert outcome.audio is not None
    assert outcome.audio == storage.audio(ID, ANSWERED_AT_MS, suffix)
    assert hashlib.sha256(outcome.audio.read_bytes()).hexdigest() == outcome.sha256
    claims = manifest.decode(outcome.audio.with_suffix(".json").read_bytes())
    assert (claims.master.file, claims.master.sha256) == (outcome.audio.name, outcome.sha256)
    assert claims.keep_days == 30
    assert sorted(os.listdir(outcome.audio.parent)) == sorted([outcome.audio.name, f"{ID}.json"])
    assert os.listdir(storage.live) == []
    assert [str(each) for each in verify([storage.root])] == [f"{outcome.audio}: ok"]
    chain = storage.chain.path.read_bytes().splitlines()
    assert len([line for line in chain if ID.encode() in line]) == 1


def test_the_master_is_a_flac_and_nothing_else_is_left(storage: Storage) -> None:
    lay(storage)
    outcome = publish(storage, HEADER, ENDED)
    assert (outcome.result, outcome.remark) == ("complete", None)
    assert_published(storage, outcome, "flac")


def test_a_call_without_a_sample_too(storage: Storage) -> None:
    lay(storage)
    outcome = publish(storage, HEADER, Ended(0))
    assert outcome.duration_samples == 0
    assert_published(storage, outcome, "flac")


@pytest.mark.parametrize(
    "failure",
    [encoders.BROKEN, encoders.TOO_LONG, encoders.NO_TURN, encoders.NOT_EXACT, encoders.FULL],
)
def test_an_encoder_that_fails_costs_the_format_alone(
    storage: Storage, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise encoders.Failed(failure, "its last words")

    monkeypatch.setattr(storage.encoders, "run", fail)
    lay(storage)
    outcome = publish(storage, HEADER, ENDED)
    assert outcome.result == "complete"
    assert outcome.remark == f"published as WAV: {failure}: its last words"
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(2_000, SPANS)).all()
    assert_published(storage, outcome, "wav")


def test_who_waited_too_long_is_published_as_wav_at_once(storage: Storage) -> None:
    lay(storage)
    outcome = publish(storage, HEADER, ENDED, waited_s=publishing.ENCODING_S + 1)
    assert outcome.remark is not None
    assert_published(storage, outcome, "wav")


def test_a_stopping_proxy_leaves_it_to_the_next(storage: Storage) -> None:
    lay(storage)
    storage.encoders.stop()
    with pytest.raises(OSError):
        publish(storage, HEADER, ENDED)
    assert sorted(os.listdir(storage.live)) == [f"{ID}.journal", f"{ID}.wav"]


Meddle = Callable[[Storage], None]


def encoded(storage: Storage) -> None:
    (storage.live / f"{ID}.flac").write_bytes(b"not yet, or from another try")


def drafted(storage: Storage) -> None:
    draft_of(storage.live / f"{ID}.flac").write_bytes(b"half of it")


def described(storage: Storage) -> None:
    storage.make_day(ANSWERED_AT_MS)
    storage.manifest(ID, ANSWERED_AT_MS).write_bytes(b"{}")


@pytest.mark.parametrize("meddle", [encoded, drafted, described])
def test_what_an_earlier_try_left_is_made_anew(storage: Storage, meddle: Meddle) -> None:
    lay(storage)
    meddle(storage)
    assert_published(storage, publish(storage, HEADER, ENDED), "flac")


@pytest.mark.parametrize("left", [("wav", "journal"), ("journal",), ("wav", "flac", "journal")])
def test_a_crash_after_the_renaming_is_concluded(storage: Storage, left: tuple[str, ...]) -> None:
    lay(storage)
    first = publish(storage, HEADER, ENDED)
    for kind in left:
        (storage.live / f"{ID}.{kind}").write_bytes(b"")
    again = publish(storage, HEADER, ENDED)
    assert (again.result, again.sha256, again.intervals) == ("complete", first.sha256, first.intervals)
    assert_published(storage, again, "flac")


def forge(storage: Storage) -> None:
    storage.audio(ID, ANSWERED_AT_MS, "flac").write_bytes(b"fLaC of somebody else")


def unsign(storage: Storage) -> None:
    document = storage.manifest(ID, ANSWERED_AT_MS)
    document.write_bytes(document.read_bytes().replace(b'"result":"complete"', b'"result":"degraded"'))


def undescribe(storage: Storage) -> None:
    storage.manifest(ID, ANSWERED_AT_MS).unlink()


@pytest.mark.parametrize("meddle", [forge, unsign, undescribe])
def test_what_is_not_as_its_manifest_says_is_neither_believed_nor_touched(
    storage: Storage, meddle: Meddle
) -> None:
    lay(storage)
    publish(storage, HEADER, ENDED)
    meddle(storage)
    lay(storage)
    before = {path: path.read_bytes() for path in storage.root.rglob("*") if path.is_file()}
    assert conclude(storage, HEADER) is None
    with pytest.raises(FileExistsError):
        publish(storage, HEADER, ENDED)
    assert {path: path.read_bytes() for path in storage.root.rglob("*") if path.is_file()} == before


def test_a_publisher_never_holds_up_others_for_an_encoder(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While eight FLAC wait, a WAV is published by the very next call."""

    let_go = threading.Event()
    encode = storage.encoders.run

    def hanging(*arguments: object, **options: object) -> str:
        assert let_go.wait(20)
        return encode(*arguments, **options)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(storage.encoders, "run", hanging)
    reports: list[Outcome] = []
    all_there = threading.Semaphore(0)

    def report(outcome: Outcome) -> None:
        reports.append(outcome)
        all_there.release()

    postponed: list[Postponed] = []
    crashes: list[Exception] = []
    publisher = Publisher(storage, report, postponed.append, crashes.append)
    headers = [replace(header_of(n), format="flac" if n else "wav") for n in range(10)]
    for header in headers:
        lay(storage, header)
    publisher.perform([Publication(header, ENDED, keep=True) for header in reversed(headers)])
    assert [each.recording_id for each in reports] == [recording_id(0)]
    let_go.set()
    for _ in headers:
        assert all_there.acquire(timeout=PATIENCE_S)
    assert {each.recording_id for each in reports} == {header.recording_id for header in headers}
    assert (postponed, crashes) == ([], [])
    assert {each.audio.suffix for each in reports if each.audio} == {".wav", ".flac"}
