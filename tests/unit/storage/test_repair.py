"""What a crash leaves behind is closed at the last known time, and never says too much."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.ids import RecordingId
from mediaproxy.recording import journal, wav
from mediaproxy.recording.journal import Annulled, Ended, Record
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import Outcome, Refused, Repaired, Storage, published, repair, verify
from mediaproxy.storage.audio import identity
from mediaproxy.storage.publish import publish
from tests.support.recordings import (
    ALICE,
    ANSWERED_AT_MS,
    Frames,
    expected_frames,
    frames_in,
    header_of,
    interval,
    recording_id,
    speech,
    toggled,
)

ONE = recording_id(1)
RECOVERY = Actor("recovery")
START = toggled(1, 400, "recording")
STOP = toggled(2, 800, "inactive")


def lay(
    storage: Storage,
    records: Sequence[Record],
    frames: Frames | None,
    *,
    torn: bytes = b"",
    promised: int = 0,
) -> None:
    """A live recording as a crash left it: its header may lag behind what the file holds."""
    lines = [journal.encode(record, n) for n, record in enumerate(records)]
    storage.journal(ONE).write_bytes(b"".join(lines) + torn)
    if frames is not None:
        head = wav.header(wav.constant_part(identity(header_of())), promised)
        storage.live_audio(ONE).write_bytes(head + frames.tobytes())


def repaired(storage: Storage) -> Outcome:
    (found,) = repair(storage)
    assert isinstance(found, Repaired), found
    assert str(found).startswith(f"{ONE}: {found.outcome.result}, ")
    assert repair(storage) == []
    return found.outcome


def refused(storage: Storage) -> str:
    """It is refused, twice, and not a byte changes."""
    before = {path: path.read_bytes() for path in storage.root.rglob("*") if path.is_file()}
    (found,) = repair(storage)
    assert isinstance(found, Refused), found
    assert repair(storage) == [found]
    assert {path: path.read_bytes() for path in storage.root.rglob("*") if path.is_file()} == before
    assert "\n" not in str(found)
    return found.reason


def check(outcome: Outcome, frames: Frames) -> None:
    assert outcome.result == "recovered"
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == frames).all()
    assert outcome.duration_samples == len(frames)
    assert [str(v) for v in verify([outcome.audio])] == [f"{outcome.audio}: ok"]


def test_a_closed_recording_is_published_as_it_is(storage: Storage) -> None:
    lay(storage, [header_of(), START, STOP], expected_frames(2_000, [(400, 800)]))
    outcome = repaired(storage)
    check(outcome, expected_frames(2_000, [(400, 800)]))
    assert outcome.intervals == (interval(400, 800),)
    assert outcome.reasons == ("interrupted",)


def test_an_open_interval_ends_with_the_file(storage: Storage) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]))
    outcome = repaired(storage)
    check(outcome, expected_frames(2_000, [(400, 1_500)]))
    assert outcome.intervals == (interval(400, 2_000, RECOVERY),)


@pytest.mark.parametrize("torn", [b"{", b'{"k":"toggled"', journal.encode(STOP, 2)[:-1], b"\0" * 64])
def test_a_torn_journal_ends_it_after_the_last_audio(storage: Storage, torn: bytes) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]), torn=torn)
    outcome = repaired(storage)
    check(outcome, expected_frames(2_000, [(400, 1_500)]))
    assert outcome.intervals == (interval(400, 1_500, RECOVERY),)
    assert outcome.reasons == ("interrupted", "journal_torn")


def test_an_opening_without_audio_in_a_torn_journal_recorded_nothing(storage: Storage) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, []), torn=b"{")
    assert repaired(storage).result == "none"


def test_audio_outside_the_intervals_is_blanked(storage: Storage) -> None:
    lay(storage, [header_of(), START, STOP], expected_frames(2_000, [(0, 2_000)]))
    check(repaired(storage), expected_frames(2_000, [(400, 800)]))


def test_an_annulled_openings_audio_is_blanked(storage: Storage) -> None:
    records = [header_of(), START, Annulled(1), toggled(2, 1_000, "recording")]
    lay(storage, records, expected_frames(2_000, [(0, 2_000)]))
    check(repaired(storage), expected_frames(2_000, [(1_000, 2_000)]))


@pytest.mark.parametrize("held", [0, 1, 800, 1_999, 2_000, 2_001, 5_000])
def test_a_journalled_end_decides_the_length(storage: Storage, held: int) -> None:
    end = Ended(2_000, (interval(400, 800),), reasons=("tap_overrun",))
    lay(storage, [header_of(), START, STOP, end], expected_frames(held, [(400, 800)] if held >= 800 else []))
    outcome = repaired(storage)
    check(outcome, expected_frames(2_000, [(400, 800)] if held >= 800 else []))
    assert outcome.reasons == ("tap_overrun",)


def test_the_call_lived_at_least_to_its_last_toggle(storage: Storage) -> None:
    lay(storage, [header_of(), START, STOP], expected_frames(600, [(400, 600)]))
    check(repaired(storage), np.concatenate([expected_frames(600, [(400, 600)]), np.zeros((200, 2), "<i2")]))


@pytest.mark.parametrize("odd", [1, 2, 3])
def test_half_a_sample_frame_at_the_end_is_dropped(storage: Storage, odd: int) -> None:
    lay(storage, [header_of(), START], expected_frames(1_000, [(400, 1_000)]))
    with storage.live_audio(ONE).open("ab") as file:
        file.write(b"\7" * odd)
    check(repaired(storage), expected_frames(1_000, [(400, 1_000)]))


@pytest.mark.parametrize("size", [0, 100, wav.HEADER_BYTES])
def test_a_damaged_audio_header_is_written_anew(storage: Storage, size: int) -> None:
    lay(storage, [header_of(keep_unrecorded=True), START, STOP], expected_frames(0, []))
    storage.live_audio(ONE).write_bytes(b"\xff" * size)
    check(repaired(storage), expected_frames(800, []))


def test_never_opened_leaves_nothing(storage: Storage) -> None:
    lay(storage, [header_of()], expected_frames(2_000, []))
    outcome = repaired(storage)
    assert (outcome.result, outcome.duration_samples, outcome.audio) == ("none", 2_000, None)
    assert list(storage.live.iterdir()) == []


def test_never_opened_is_kept_where_it_shall_be(storage: Storage) -> None:
    lay(storage, [header_of(keep_unrecorded=True)], expected_frames(2_000, []))
    check(repaired(storage), expected_frames(2_000, []))


def test_every_cut_of_the_journal_gives_a_prefix_of_the_truth(storage: Storage) -> None:
    """Whatever is believed, what is heard afterwards was recorded with consent."""
    records = [header_of(), START, STOP, toggled(3, 1_200, "recording"), toggled(4, 1_600, "paused")]
    truth = expected_frames(2_000, [(400, 800), (1_200, 1_600)])
    whole = b"".join(journal.encode(record, n) for n, record in enumerate(records))
    header_bytes = len(journal.encode(records[0], 0))
    for cut in range(header_bytes, len(whole) + 1, 7):
        lay(storage, [], truth, torn=whole[:cut])
        outcome = repaired(storage)
        if outcome.audio is None:
            assert cut < header_bytes + len(journal.encode(START, 1))
            continue
        frames = frames_in(outcome.audio)
        assert len(frames) == 2_000
        assert ((frames == truth) | (frames == 0)).all()
        assert [v.ok for v in verify([outcome.audio])] == [True]
        outcome.audio.unlink()


@pytest.mark.parametrize("content", [b"", b"{", b'{"k":"header","n":0'])
def test_a_recording_that_was_hardly_begun_vanishes(storage: Storage, content: bytes) -> None:
    for frames in (None, expected_frames(0, [])):
        lay(storage, [], frames, torn=content)
        assert repair(storage) == []
        assert list(storage.live.iterdir()) == []


def test_a_crash_between_renaming_and_removal(storage: Storage) -> None:
    records = [header_of(), START, STOP, Ended(2_000, (interval(400, 800),))]
    lay(storage, records, expected_frames(2_000, [(400, 800)]))
    kept = storage.journal(ONE).read_bytes()
    outcome = publish(storage, header_of(), Ended(2_000, (interval(400, 800),)))
    storage.journal(ONE).write_bytes(kept)
    assert repaired(storage) == outcome
    assert outcome.result == "complete"


def test_a_crash_after_publishing_leaves_the_outcome_in_the_manifest(storage: Storage) -> None:
    assert published(storage, ONE, ANSWERED_AT_MS) is None
    lay(storage, [header_of(), START, STOP], expected_frames(2_000, [(400, 800)]))
    outcome = publish(storage, header_of(), Ended(2_000, (interval(400, 800),)))
    assert repair(storage) == []
    assert published(storage, ONE, ANSWERED_AT_MS) == outcome


@pytest.mark.parametrize("step", ["trimmed", "tail", "manifest"])
def test_a_crash_within_publishing(storage: Storage, step: str) -> None:
    """The surplus of each step is taken away or replaced by the next repair."""
    end = Ended(2_000, (interval(400, 800),))
    lay(storage, [header_of(), START, STOP, end], expected_frames(2_000, [(400, 800)]), promised=2_000)
    if step != "trimmed":
        with storage.live_audio(ONE).open("ab") as file:
            file.write(wav.tail(end.intervals))
    if step == "manifest":
        storage.make_day(ANSWERED_AT_MS)
        storage.manifest(ONE, ANSWERED_AT_MS).write_bytes(b"half")
        (storage.live / f"{ONE}.wav.tmp").write_bytes(b"draft")
    check(repaired(storage), expected_frames(2_000, [(400, 800)]))
    assert list(storage.live.iterdir()) == []


def test_without_its_journal_a_file_is_kept(storage: Storage) -> None:
    lay(storage, [header_of()], expected_frames(2_000, [(0, 2_000)]))
    storage.journal(ONE).unlink()
    assert refused(storage) == "its journal is missing, so nothing says what may be heard"


def test_without_a_valid_first_line_a_file_is_kept(storage: Storage) -> None:
    lay(storage, [], expected_frames(2_000, [(0, 2_000)]), torn=b"{}")
    assert "no valid first line" in refused(storage)


def test_without_its_audio_a_journal_is_kept(storage: Storage) -> None:
    lay(storage, [header_of(), START], None)
    assert refused(storage) == "its audio file is missing"


def test_the_journal_of_another_recording_is_refused(storage: Storage) -> None:
    lay(storage, [header_of(2), START], expected_frames(2_000, []))
    assert refused(storage) == "its journal is that of another recording"


def test_nothing_that_is_published_is_overwritten(storage: Storage) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]))
    storage.make_day(ANSWERED_AT_MS)
    storage.audio(ONE, ANSWERED_AT_MS).write_bytes(b"mine")
    assert refused(storage) == "a published recording of the same name exists"


def test_a_published_file_without_manifest_is_kept(storage: Storage) -> None:
    lay(storage, [header_of(), START], None)
    storage.make_day(ANSWERED_AT_MS)
    storage.audio(ONE, ANSWERED_AT_MS).write_bytes(b"mine")
    assert refused(storage) == "its published audio has no valid manifest"


def test_strange_names_are_left_alone(storage: Storage) -> None:
    (storage.live / "notes.wav").write_bytes(b"")
    (storage.live / "README").write_bytes(b"")
    assert refused(storage) == "its name is none of ours"


def test_a_link_is_not_followed(storage: Storage, tmp_path: Path) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]))
    outside = tmp_path / "outside.wav"
    storage.live_audio(ONE).rename(outside)
    storage.live_audio(ONE).symlink_to(outside)
    before = outside.read_bytes()
    (found,) = repair(storage)
    assert isinstance(found, Refused)
    assert outside.read_bytes() == before


def test_one_bad_recording_does_not_keep_the_others(storage: Storage) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]))
    storage.live_audio(RecordingId(recording_id(2))).write_bytes(b"x" * 2_000)
    assert [type(each) for each in repair(storage)] == [Repaired, Refused]


def test_the_manifest_says_recovered(storage: Storage) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 2_000)]))
    outcome = repaired(storage)
    assert outcome.audio is not None
    fields = json.loads(outcome.audio.with_suffix(".json").read_bytes())
    assert (fields["result"], fields["reasons"]) == ("recovered", ["interrupted"])
    assert fields["intervals"][0]["ended_by"] == {"means": "recovery", "user": None}
    assert fields["intervals"][0]["started_by"] == {"means": ALICE.means, "user": ALICE.user}
    assert [each["to_sample"] for each in fields["participants"]] == [2_000, 2_000]


def test_a_big_sparse_recording_is_repaired_without_filling_it(storage: Storage) -> None:
    lay(storage, [header_of(), toggled(1, 20_000_000, "recording")], expected_frames(0, []))
    with storage.live_audio(ONE).open("r+b") as file:
        file.seek(wav.data_end(20_000_000))
        file.write(speech(20_000_000, 20_000_800).tobytes())
    outcome = repaired(storage)
    assert outcome.duration_samples == 20_000_800
    assert outcome.audio is not None
    assert outcome.audio.stat().st_blocks * 512 < 64 << 10


@pytest.mark.slow
def test_a_call_of_a_whole_day_keeps_its_length(storage: Storage) -> None:
    """Seven hundred million sample frames of which a second is stored."""
    day = 24 * 3600 * 8_000
    lay(storage, [header_of(), toggled(1, day - 8_000, "recording")], expected_frames(0, []))
    with storage.live_audio(ONE).open("r+b") as file:
        file.seek(wav.data_end(day - 8_000))
        file.write(speech(day - 8_000, day).tobytes())
    outcome = repaired(storage)
    assert (outcome.duration_samples, outcome.recorded_samples) == (day, 8_000)
    assert outcome.audio is not None
    assert outcome.audio.stat().st_blocks * 512 < 128 << 10
    assert [str(v) for v in verify([outcome.audio])] == [f"{outcome.audio}: ok"]
