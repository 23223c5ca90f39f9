"""What a crash leaves behind is closed at the last known time, and never says too much."""

import json
import os
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.ids import RecordingId
from mediaproxy.recording import journal, wav
from mediaproxy.recording.journal import Annulled, Ended, Present, Record
from mediaproxy.recording.manifest import Actor, Participant
from mediaproxy.storage import Outcome, Refused, Repaired, Storage, published, repair, verify
from mediaproxy.storage.audio import identity
from mediaproxy.storage.publish import publish
from tests.support.counts import count
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
    promised: int | None = None,
    counted: int = 0,
) -> None:
    """A live recording as a crash left it: its header may lag behind what the file holds."""
    lines = [journal.encode(record, n) for n, record in enumerate(records)]
    storage.journal(ONE).write_bytes(b"".join(lines) + torn)
    if frames is not None:
        promised = len(frames) if promised is None else promised
        head = wav.header(wav.constant_part(identity(header_of())), promised, lines=counted)
        storage.live_audio(ONE).write_bytes(head + frames.tobytes())


def promise(storage: Storage, frames: int) -> None:
    with storage.live_audio(ONE).open("r+b") as file:
        file.write(wav.header(wav.constant_part(identity(header_of())), frames))


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


@pytest.mark.parametrize("torn", [b"{", b'{"k":"toggled"', journal.encode(STOP, 2)[:-1]])
def test_a_torn_journal_that_has_all_its_counted_lines_lacks_nothing(storage: Storage, torn: bytes) -> None:
    """The file never reaches beyond a toggle that is not durable: the torn one comes later."""
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]), torn=torn, counted=2)
    outcome = repaired(storage)
    check(outcome, expected_frames(2_000, [(400, 1_500)]))
    assert outcome.intervals == (interval(400, 2_000, RECOVERY),)
    assert outcome.reasons == ("interrupted", "journal_torn")


def test_no_cut_of_a_counted_journal_says_what_was_not_so(storage: Storage) -> None:
    """At any byte, also between two lines: then nothing looks torn, and only the count tells."""
    records = [header_of(), START, STOP, toggled(3, 1_200, "recording"), toggled(4, 1_600, "paused")]
    truth = expected_frames(2_000, [(400, 800), (1_200, 1_600)])
    whole = b"".join(journal.encode(record, n) for n, record in enumerate(records))
    for cut in range(len(whole)):
        lay(storage, [], truth, torn=whole[:cut], counted=5)
        before = [storage.journal(ONE).read_bytes(), storage.live_audio(ONE).read_bytes()]
        (found,) = repair(storage)
        assert isinstance(found, Refused), cut
        assert "lost" in found.reason or "no valid first line" in found.reason
        assert [storage.journal(ONE).read_bytes(), storage.live_audio(ONE).read_bytes()] == before
    lay(storage, [], truth, torn=whole, counted=5)
    check(repaired(storage), truth)


@pytest.mark.slow
def test_a_cut_of_the_audio_is_silent_from_there_on(storage: Storage) -> None:
    """Between samples, within one."""
    truth = expected_frames(60, [(10, 25), (35, 60)])
    toggles = [toggled(1, 10, "recording"), toggled(2, 25, "paused"), toggled(3, 35, "recording")]
    records = [header_of(), *toggles]
    lay(storage, records, truth, counted=4)
    whole = storage.live_audio(ONE).read_bytes()
    for cut in range(wav.HEADER_BYTES, len(whole) + 1, count(5, full=1)):
        lay(storage, records, None)
        storage.live_audio(ONE).write_bytes(whole[:cut])
        (found,) = repair(storage)
        assert isinstance(found, Repaired), cut
        outcome = found.outcome
        assert outcome.audio is not None
        held = wav.held_frames(cut)
        check(outcome, np.concatenate([truth[:held], np.zeros((outcome.duration_samples - held, 2), "<i2")]))
        outcome.audio.unlink()


def test_recorded_audio_cut_within_its_header_is_refused(storage: Storage) -> None:
    """As if it were missing: what was recorded is gone, and nothing may be published as if it were not."""
    truth = expected_frames(2_000, [(400, 800)])
    cuts = count([0, 3, 4, 20, 500, wav.HEADER_BYTES - 1], full=[*range(wav.HEADER_BYTES)])
    for cut in cuts:
        for records in ([header_of(), START], [header_of(), START, STOP]):
            lay(storage, records, truth)
            os.truncate(storage.live_audio(ONE), cut)
            assert refused(storage) == "its audio file ends within its header", cut
            for lived_ms in (2_001, 36_000_000):
                (found,) = repair(storage, {header_of().call_id: ANSWERED_AT_MS + lived_ms}.get)
                assert isinstance(found, Refused), (cut, lived_ms)
    lay(storage, [header_of()], truth)
    storage.live_audio(ONE).write_bytes(b"")
    assert repaired(storage).result == "none"


def test_an_opening_without_audio_in_a_torn_journal_recorded_nothing(storage: Storage) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, []), torn=b"{")
    assert repaired(storage).result == "none"


@pytest.mark.parametrize("span", [(0, 2_000), (399, 800), (400, 801), (1_999, 2_000)])
def test_sound_where_the_journal_has_no_recording_is_refused(storage: Storage, span: tuple[int, int]) -> None:
    """A part of the journal is gone, or it is not this file's: nobody can say what may be heard."""
    lay(storage, [header_of(), START, STOP], expected_frames(2_000, [span]))
    assert refused(storage) == "its audio file holds sound where its journal has no recording"


def test_no_sound_is_deleted_for_want_of_a_journal(storage: Storage) -> None:
    """The journal was cut between two lines, and its opening is gone."""
    lay(storage, [header_of()], expected_frames(2_000, [(400, 800)]))
    assert refused(storage) == "its audio file holds sound where its journal has no recording"


def test_what_the_header_does_not_promise_is_not_believed(storage: Storage) -> None:
    """Something was appended; or the crash came before the header was patched, a moment later."""
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 2_000)]), promised=1_700)
    with storage.live_audio(ONE).open("ab") as file:
        file.write(b"garbage." * 100)
    outcome = repaired(storage)
    check(outcome, expected_frames(1_700, [(400, 1_700)]))
    assert outcome.intervals == (interval(400, 1_700, RECOVERY),)


def test_the_call_lived_as_long_as_the_log_knows(storage: Storage) -> None:
    """The gate is not known to have been open until then: only the length is the log's."""
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 2_000)]))
    (found,) = repair(storage, {header_of().call_id: ANSWERED_AT_MS + 1_000}.get)
    assert isinstance(found, Repaired)
    check(
        found.outcome, np.concatenate([expected_frames(2_000, [(400, 2_000)]), np.zeros((6_000, 2), "<i2")])
    )
    assert found.outcome.intervals == (interval(400, 2_000, RECOVERY),)


@pytest.mark.parametrize("known_ms", [-5_000, 0, 100, 3_601_000, 10**12])
def test_a_log_that_cannot_be_right_changes_nothing(storage: Storage, known_ms: int) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 2_000)]))
    (found,) = repair(storage, {header_of().call_id: ANSWERED_AT_MS + known_ms}.get)
    assert isinstance(found, Repaired)
    check(found.outcome, expected_frames(2_000, [(400, 2_000)]))


@pytest.mark.parametrize("held", [0, 1, 399, 800, 1_999])
def test_a_cut_audio_file_is_silent_after_the_cut(storage: Storage, held: int) -> None:
    truth = expected_frames(2_000, [(400, 2_000)])
    lay(storage, [header_of(), START], truth[:held], promised=2_000)
    outcome = repaired(storage)
    check(outcome, np.concatenate([truth[:held], np.zeros((2_000 - held, 2), "<i2")]))
    assert outcome.intervals == (interval(400, 2_000, RECOVERY),)
    assert outcome.reasons == ("interrupted", "audio_missing")


def test_a_cut_audio_file_of_an_ended_call_says_so_too(storage: Storage) -> None:
    end = Ended(2_000, (interval(400, 800),))
    lay(storage, [header_of(), START, STOP, end], expected_frames(600, [(400, 600)]), promised=2_000)
    assert repaired(storage).reasons == ("audio_missing",)


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


@pytest.mark.parametrize("size", [0, 1, 3, 100, wav.HEADER_BYTES - 1, wav.HEADER_BYTES])
def test_a_cut_audio_header_is_written_anew(storage: Storage, size: int) -> None:
    """The power went before it was durable: soon after the answer, as the log knows."""
    lay(storage, [header_of(keep_unrecorded=True), START, STOP], expected_frames(0, []))
    path = storage.live_audio(ONE)
    path.write_bytes(path.read_bytes()[:size])
    (found,) = repair(storage, {header_of().call_id: ANSWERED_AT_MS + 100}.get)
    assert isinstance(found, Repaired), found
    check(found.outcome, expected_frames(800, []))


def test_a_header_that_a_power_cut_took_is_written_anew(storage: Storage) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]))
    with storage.live_audio(ONE).open("r+b") as file:
        file.write(bytes(wav.HEADER_BYTES))
    check(repaired(storage), expected_frames(2_000, [(400, 1_500)]))


@pytest.mark.parametrize("size", [1, 3, 100, wav.HEADER_BYTES, wav.HEADER_BYTES + 100])
def test_what_is_no_audio_of_ours_is_refused(storage: Storage, size: int) -> None:
    lay(storage, [header_of(), START, STOP], expected_frames(0, []))
    storage.live_audio(ONE).write_bytes(b"\xff" * size)
    assert refused(storage) == "its audio file is none of ours"


def test_the_audio_of_another_recording_is_refused(storage: Storage) -> None:
    lay(storage, [header_of(), START, STOP], expected_frames(2_000, [(400, 800)]))
    content = bytearray(storage.live_audio(ONE).read_bytes())
    content[: wav.HEADER_BYTES] = wav.header(wav.constant_part(identity(header_of(2))), 2_000)
    storage.live_audio(ONE).write_bytes(content)
    assert refused(storage) == "its audio file is that of another recording"


def test_audio_of_another_rate_is_refused(storage: Storage) -> None:
    lay(storage, [header_of(rate=16_000), START, STOP], expected_frames(2_000, [(400, 800)]))
    assert refused(storage) == "its audio file has another sample rate than its journal"


def test_never_opened_leaves_nothing(storage: Storage) -> None:
    lay(storage, [header_of()], expected_frames(2_000, []))
    outcome = repaired(storage)
    assert (outcome.result, outcome.duration_samples, outcome.audio) == ("none", 2_000, None)
    assert list(storage.live.iterdir()) == []


def test_never_opened_is_kept_where_it_shall_be(storage: Storage) -> None:
    lay(storage, [header_of(keep_unrecorded=True)], expected_frames(2_000, []))
    check(repaired(storage), expected_frames(2_000, []))


def test_every_cut_of_the_journal_gives_a_prefix_of_the_truth(storage: Storage) -> None:
    """Whatever is believed, what is heard afterwards was recorded with consent; or all stays as it is."""
    records = [header_of(), START, STOP, toggled(3, 1_200, "recording"), toggled(4, 1_600, "paused")]
    truth = expected_frames(2_000, [(400, 800), (1_200, 1_600)])
    whole = b"".join(journal.encode(record, n) for n, record in enumerate(records))
    for cut in range(0, len(whole) + 1, count(7, full=1)):
        lay(storage, [], truth, torn=whole[:cut])
        before = [storage.journal(ONE).read_bytes(), storage.live_audio(ONE).read_bytes()]
        (found,) = repair(storage)
        if isinstance(found, Refused):
            assert [storage.journal(ONE).read_bytes(), storage.live_audio(ONE).read_bytes()] == before
            continue
        assert found.outcome.audio is not None
        frames = frames_in(found.outcome.audio)
        assert len(frames) == 2_000
        assert ((frames == truth) | (frames == 0)).all()
        assert [v.ok for v in verify([found.outcome.audio])] == [True]
        found.outcome.audio.unlink()


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


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_cut_journal_of_what_has_its_place_already_is_kept(storage: Storage, form: str) -> None:
    """The chain may lack it yet: it is no call that had hardly begun."""
    header = replace(header_of(), format=form)
    lay(storage, [header, START, STOP], expected_frames(2_000, [(400, 800)]))
    kept = storage.journal(ONE).read_bytes()
    publish(storage, header, Ended(2_000, (interval(400, 800),)))
    for cut in (0, 1, 100, kept.index(b"\n")):
        storage.journal(ONE).write_bytes(kept[:cut])
        assert refused(storage) == "its journal has no valid first line, and its audio is published"
    storage.journal(ONE).write_bytes(kept)
    assert repaired(storage).result == "complete"


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


def line(n: int, **fields: object) -> bytes:
    """A whole line as some version might write it."""
    body = json.dumps({"k": "toggled", "n": n} | fields).encode()[:-1]
    return b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))


NEWER = "was written by a newer mediaproxy; repair it with that one"


@pytest.mark.parametrize("frames", [None, 0, 2_000])
def test_a_journal_of_a_later_version_is_left_alone(storage: Storage, frames: int | None) -> None:
    later = line(0, k="header", version=2, anything=1)
    lay(storage, [], None if frames is None else expected_frames(frames, []), torn=later)
    assert refused(storage) == f"line 1 of its journal {NEWER}"


@pytest.mark.parametrize(
    "later", [line(2, k="redacted", start=1), line(2, number=2, position=900, mood="gay"), line(2, number=2)]
)
def test_a_line_that_means_nothing_to_us_is_a_later_versions(storage: Storage, later: bytes) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 800)]), torn=later)
    assert refused(storage) == f"line 3 of its journal {NEWER}"


@pytest.mark.parametrize("by", [{"means": -1, "user": None}, {"means": "api", "user": ["alice"]}])
def test_a_later_versions_line_stops_nobody_elses_repair(storage: Storage, by: object) -> None:
    later = line(1, number=1, position=400, action="start", by=by, state="recording")
    lay(storage, [header_of()], expected_frames(2_000, [(400, 2_000)]), torn=later)
    for path in list(storage.live.iterdir()):  # of another recording, that comes after it
        path.with_name(path.name.replace(ONE, recording_id(2))).write_bytes(b"")
    found = repair(storage)
    assert [str(each) for each in found] == [f"{ONE}: kept as it is: line 2 of its journal {NEWER}"]
    assert [path.stem for path in storage.live.iterdir()] == [ONE, ONE]  # the other had hardly begun


def test_what_a_peer_said_in_no_known_encoding_is_kept_as_far_as_it_goes(storage: Storage) -> None:
    header = replace(header_of(), sip_call_id="caf\udce9@carrier.example")
    lay(storage, [header, START, STOP], expected_frames(2_000, [(400, 800)]))
    check(repaired(storage), expected_frames(2_000, [(400, 800)]))


def test_a_journal_that_is_damaged_in_the_middle_is_refused(storage: Storage) -> None:
    """The damaged line may have been a stop, and the gate shut for a long while after it."""
    lines = [journal.encode(r, n) for n, r in enumerate([START, STOP, toggled(3, 1_200, "recording")], 1)]
    torn = lines[0] + lines[1].replace(b"800", b"900") + lines[2]
    lay(storage, [header_of()], expected_frames(2_000, [(400, 800), (1_200, 2_000)]), torn=torn)
    reason = refused(storage)
    assert reason == "line 3 of its journal is damaged, so nothing says what may be heard"


def test_nothing_after_the_end_matters(storage: Storage) -> None:
    records = [header_of(), START, STOP, Ended(2_000, (interval(400, 800),))]
    lay(storage, records, expected_frames(2_000, [(400, 800)]), torn=b"garbage\n" + line(9))
    check(repaired(storage), expected_frames(2_000, [(400, 800)]))


@pytest.mark.parametrize("suffix", [".wav", ".journal"])
@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_what_is_no_file_is_refused_and_not_waited_for(storage: Storage, suffix: str, kind: str) -> None:
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 1_500)]))
    path = storage.live / f"{ONE}{suffix}"
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    assert refused(storage) == f"{path.name} is no plain file"


def test_who_took_the_call_over_stands_in_the_manifest(storage: Storage) -> None:
    carol = Participant("B", 2, "agent", "carol", "+1", 0, 700)
    olga = Participant("B", 2, "agent", "olga", "+1", 700)
    lay(
        storage,
        [header_of(), Present((carol,)), START, Present((carol, olga))],
        expected_frames(2_000, [(400, 1_500)]),
    )
    outcome = repaired(storage)
    assert outcome.audio is not None
    claims = json.loads(outcome.audio.with_suffix(".json").read_bytes())
    assert [(one["name"], one["from_sample"], one["to_sample"]) for one in claims["participants"]] == [
        ("carol", 0, 700),
        ("olga", 700, 2_000),
    ]


def test_an_annulled_opening_needs_no_audio_file(storage: Storage) -> None:
    """The crash came while the traces of a call that was never recorded were removed."""
    lay(storage, [header_of(), START, Annulled(1)], None)
    assert repaired(storage).result == "none"
    assert list(storage.live.iterdir()) == []


def test_an_end_is_taken_up_again_where_it_was_first_judged(storage: Storage) -> None:
    """Repair itself was cut off, when the file was already longer than the recording had been."""
    lay(storage, [header_of(), START], expected_frames(2_000, [(400, 2_000)]))
    storage.make_day(ANSWERED_AT_MS)
    document = storage.manifest(ONE, ANSWERED_AT_MS)
    document.mkdir()
    (found,) = repair(storage, {header_of().call_id: ANSWERED_AT_MS + 1_000}.get)
    assert isinstance(found, Refused)
    document.rmdir()
    outcome = repaired(storage)
    assert (outcome.duration_samples, outcome.recorded_samples) == (8_000, 1_600)
    assert (outcome.result, outcome.reasons) == ("recovered", ("interrupted",))


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
    promise(storage, 20_000_800)
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
    promise(storage, day)
    outcome = repaired(storage)
    assert (outcome.duration_samples, outcome.recorded_samples) == (day, 8_000)
    assert outcome.audio is not None
    assert outcome.audio.stat().st_blocks * 512 < 128 << 10
    assert [str(v) for v in verify([outcome.audio])] == [f"{outcome.audio}: ok"]


Damage = Callable[[bytes, bytes, random.Random], bytes | None]  # of a file, given another recording's
DAMAGES: list[Damage] = [
    lambda content, other, rng: content,
    lambda content, other, rng: content[: rng.randrange(len(content))],
    lambda content, other, rng: content + rng.randbytes(rng.choice((1, 4, 500, 5_000))),
    lambda content, other, rng: content + b"\0" * rng.choice((1, 4, 500, 5_000)),
    lambda content, other, rng: b"",
    lambda content, other, rng: None,
    lambda content, other, rng: other,
    lambda content, other, rng: rng.randbytes(len(content)),
    lambda content, other, rng: bytes(len(content)),
    lambda content, other, rng: content[: len(content) // 2] + other[len(content) // 2 :],
]


@pytest.mark.slow
@pytest.mark.parametrize("to_journal", range(len(DAMAGES)))
@pytest.mark.parametrize("to_audio", range(len(DAMAGES)))
def test_whatever_became_of_the_files(storage: Storage, to_journal: int, to_audio: int) -> None:
    """A true prefix, or a line that says why not and not a changed byte."""
    rng = random.Random(100 * to_journal + to_audio)
    records = [header_of(), START, STOP, toggled(3, 1_200, "recording")]
    truth = expected_frames(2_000, [(400, 800), (1_200, 2_000)])
    lay(storage, records, truth, counted=4)
    journal_file, audio_file = storage.journal(ONE), storage.live_audio(ONE)
    others = wav.header(wav.constant_part(identity(header_of(2))), 2_000) + speech(0, 2_000, 2).tobytes()
    lines = b"".join(journal.encode(each, n) for n, each in enumerate([header_of(2), START]))
    for path, damage, other in ((journal_file, to_journal, lines), (audio_file, to_audio, others)):
        content = DAMAGES[damage](path.read_bytes(), other, rng)
        path.unlink() if content is None else path.write_bytes(content)
    before = {path: path.read_bytes() for path in storage.live.iterdir()}
    for found in repair(storage):
        if isinstance(found, Refused):
            assert {path: path.read_bytes() for path in storage.live.iterdir()} == before
            assert "\n" not in str(found)
            continue
        assert found.outcome.audio is not None
        frames = frames_in(found.outcome.audio)
        assert len(frames) <= 2_000
        assert ((frames == truth[: len(frames)]) | (frames == 0)).all()
        assert [verdict.ok for verdict in verify([found.outcome.audio])] == [True]
        for one in found.outcome.intervals:
            assert (one.start_sample, one.end_sample) in {(400, 800), (1_200, 2_000)}
