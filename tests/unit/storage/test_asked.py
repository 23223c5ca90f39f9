"""What was to go from a live recording is never published, whoever publishes it and whatever fails."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.recording import journal, manifest, wav
from mediaproxy.recording.journal import Ended
from mediaproxy.recording.manifest import Actor, Redaction
from mediaproxy.storage import Repaired, Storage, Verification, repair
from mediaproxy.storage.asked import ask, asked
from mediaproxy.storage.audio import identity
from mediaproxy.storage.masters import open_master
from mediaproxy.storage.publish import discard, publish
from tests.support.recordings import (
    expected_frames,
    frames_in,
    header_of,
    interval,
    recording_id,
    speech,
    toggled,
)

ID = recording_id(1)
ADMIN = Actor("api", "admin")


def redaction(start: int, end: int) -> Redaction:
    return Redaction(start, end, "forgot to stop", ADMIN, "2026-01-05T10:00:05.000Z")


@pytest.fixture
def live(storage: Storage) -> Path:
    """A live recording of 2,000 frames so far, all of them recorded."""
    path = storage.live_audio(ID)
    path.write_bytes(wav.header(wav.constant_part(identity(header_of())), 2_000) + speech(0, 2_000).tobytes())
    storage.journal(ID).write_bytes(b"")
    return path


def assert_published(storage: Storage, audio: Path, *redacted: tuple[int, int], frames: int = 2_000) -> None:
    expected = expected_frames(frames, [(0, frames)]).copy()
    for start, end in redacted:
        expected[start:end] = 0
    with open_master(audio) as pcm:
        found = b"".join(piece for _, piece in pcm.chunks(0, frames))
    assert np.array_equal(np.frombuffer(found, "<i2").reshape(-1, 2), expected)
    claims = manifest.decode(audio.with_suffix(".json").read_bytes())
    assert [(each.start_sample, each.end_sample) for each in claims.redactions] == list(redacted)
    assert [str(each) for each in Verification([storage.root]).verdicts() if not each.ok] == []
    assert list(storage.live.iterdir()) == []


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_it_is_published_without_what_was_to_go(storage: Storage, live: Path, form: str) -> None:
    ask(storage, ID, redaction(500, 700))
    ask(storage, ID, redaction(1_900, 2_000))
    outcome = publish(storage, replace(header_of(), format=form), Ended(2_000, (interval(0, 2_000),)))
    assert (outcome.result, outcome.reasons) == ("complete", ())
    assert outcome.audio is not None
    assert_published(storage, outcome.audio, (500, 700), (1_900, 2_000))


def test_the_live_file_is_blanked_at_once(storage: Storage, live: Path) -> None:
    ask(storage, ID, redaction(500, 700))
    expected = speech(0, 2_000).copy()
    expected[500:700] = 0
    assert np.array_equal(frames_in(live), expected)
    assert live.with_suffix(".redactions").stat().st_mode & 0o777 == 0o600


def test_what_reaches_the_file_later_goes_too(storage: Storage, live: Path) -> None:
    ask(storage, ID, redaction(500, 700))
    with live.open("r+b") as file:
        file.seek(wav.data_end(0))
        file.write(speech(0, 2_000).tobytes())
    outcome = publish(storage, header_of(), Ended(2_000, (interval(0, 2_000),)))
    assert outcome.audio is not None
    assert_published(storage, outcome.audio, (500, 700))


def test_a_call_that_was_shorter_than_thought(storage: Storage, live: Path) -> None:
    """A crash takes the last second: what was asked for beyond it is cut, or nothing."""
    for span in [(1_500, 1_900), (1_800, 2_000)]:
        ask(storage, ID, redaction(*span))
    outcome = publish(storage, header_of(), Ended(1_600, (interval(0, 1_600),)))
    assert outcome.audio is not None
    assert_published(storage, outcome.audio, (1_500, 1_600), frames=1_600)


def test_a_crash_in_between(storage: Storage, live: Path) -> None:
    ask(storage, ID, redaction(500, 700))
    known = (header_of(), toggled(1, 0, "recording"), Ended(2_000, (interval(0, 2_000),)))
    storage.journal(ID).write_bytes(b"".join(journal.encode(line, n) for n, line in enumerate(known)))
    (repaired,) = repair(storage)
    assert isinstance(repaired, Repaired)
    assert repaired.outcome.audio is not None
    assert_published(storage, repaired.outcome.audio, (500, 700))


def test_what_cannot_be_understood_stays_unpublished(storage: Storage, live: Path) -> None:
    ask(storage, ID, redaction(500, 700))
    live.with_suffix(".redactions").write_bytes(b'{"redactions":[{}]}')
    with pytest.raises(OSError, match="Bad message"):
        publish(storage, header_of(), Ended(2_000, (interval(0, 2_000),)))
    assert live.exists()
    assert storage.journal(ID).exists()


def test_a_recording_that_never_was_leaves_nothing(storage: Storage, live: Path) -> None:
    ask(storage, ID, redaction(500, 700))
    discard(storage, header_of(), 2_000)
    assert asked(storage, ID) == ()
    assert list(storage.live.iterdir()) == []
