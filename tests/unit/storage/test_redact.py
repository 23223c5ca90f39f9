"""What is redacted is gone for ever and everywhere, what goes is gone; a crash leaves neither half done."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediaproxy.errors import Misuse
from mediaproxy.recording import chain as entries
from mediaproxy.recording import manifest
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import Storage, Verification, changes, disk, sparse
from mediaproxy.storage.chain import Chain
from mediaproxy.storage.masters import open_master
from mediaproxy.storage.redact import Unchanged, finish, redact, remove
from tests.support.published import as_the_first_version_wrote_it, publish_one
from tests.support.recordings import Frames, expected_frames, frames_in, recording_id

ADMIN = Actor("api", "admin")
ID = recording_id(1)
SPANS = [(400, 800), (1_000, 1_200)]


def expected(*redacted: tuple[int, int]) -> Frames:
    frames = expected_frames(2_000, SPANS).copy()
    for start, end in redacted:
        frames[start:end] = 0
    return frames


def samples_of(audio: Path) -> Frames:
    """Whatever the format."""
    frames = np.zeros((2_000, 2), "<i2")
    with open_master(audio) as pcm:
        assert pcm.shape.frames == 2_000
        for at, piece in pcm.chunks(0, 2_000):
            samples = np.frombuffer(piece, "<i2").reshape(-1, 2)
            frames[at : at + len(samples)] = samples
    return frames


def assert_holds(storage: Storage) -> None:
    verification = Verification([storage.root])
    assert [str(each) for each in verification.verdicts() if not each.ok] == []
    (chain,) = verification.chains()
    assert chain.problems == ()


def kinds(storage: Storage) -> list[str]:
    return [entries.decode(line).kind for line in storage.chain.path.read_bytes().splitlines()]


def test_a_range_becomes_zero_and_nothing_else_changes(storage: Storage) -> None:
    audio = publish_one(storage)
    before = audio.read_bytes()
    done = redact(storage, ID, 700, 1_100, by=ADMIN, reason="card number")
    assert np.array_equal(frames_in(audio), expected((700, 1_100)))
    assert (audio.read_bytes()[:1024], len(audio.read_bytes())) == (before[:1024], len(before))
    assert done.manifest_sha256 == entries.sha256(audio.with_suffix(".json").read_bytes())
    assert_holds(storage)


def test_a_flac_is_encoded_anew_and_its_old_bytes_are_gone(storage: Storage) -> None:
    audio = publish_one(storage, form="flac")
    assert audio.suffix == ".flac"
    with audio.open("rb") as old:
        redact(storage, ID, 700, 1_100, by=ADMIN, reason="card number")
        assert not any(old.read())
    assert np.array_equal(samples_of(audio), expected((700, 1_100)))
    assert b"INTERVAL001=400-800" in audio.read_bytes()
    assert_holds(storage)
    redact(storage, ID, 0, 500, by=ADMIN, reason="more")
    assert np.array_equal(samples_of(audio), expected((700, 1_100), (0, 500)))
    assert_holds(storage)


def test_the_new_manifest_says_what_was_done_and_what_it_replaces(storage: Storage) -> None:
    audio = publish_one(storage)
    old = audio.with_suffix(".json").read_bytes()
    redact(storage, ID, 400, 500, by=ADMIN, reason="card number")
    fields = json.loads(audio.with_suffix(".json").read_bytes())
    at = fields["redactions"][0].pop("at")
    assert fields["redactions"] == [
        {
            "start_sample": 400,
            "end_sample": 500,
            "reason": "card number",
            "by": {"means": "api", "user": "admin"},
        }
    ]
    assert len(at) == len("2026-01-05T10:00:02.500Z")
    assert fields["replaces"] == entries.sha256(old)
    assert fields["intervals"] == json.loads(old)["intervals"]
    last = storage.chain.last(ID)
    assert last is not None
    assert (last.kind, last.replaces, last.reason, last.by) == (
        "redacted", fields["replaces"], "card number", ADMIN
    )  # fmt: skip


def test_redactions_add_up(storage: Storage) -> None:
    audio = publish_one(storage)
    for start, end in [(0, 2_000), (450, 460), (1_999, 2_000)]:
        redact(storage, ID, start, end, by=ADMIN, reason="all of it")
        assert_holds(storage)
    assert not frames_in(audio).any()
    assert len(manifest.decode(audio.with_suffix(".json").read_bytes()).redactions) == 3
    assert kinds(storage) == ["published", "redacted", "redacted", "redacted"]


def test_a_manifest_of_the_first_version_is_lifted(storage: Storage) -> None:
    audio = publish_one(storage)
    document = audio.with_suffix(".json")
    as_the_first_version_wrote_it(document, storage.private_key)
    storage.chain.path.unlink()
    storage._begin_chain()
    redact(storage, ID, 400, 500, by=ADMIN, reason="asked")
    assert manifest.decode(document.read_bytes()).version == manifest.VERSION
    assert kinds(storage) == ["adopted", "redacted"]
    assert_holds(storage)


def test_copies_go_with_what_they_were_made_of(storage: Storage) -> None:
    audio = publish_one(storage)
    other = storage.rendition(recording_id(2), "0" * 64, "opus")
    disk.make_directory(storage.renditions)
    copies = [storage.rendition(ID, sha * 64, form) for sha, form in [("0", "opus"), ("1", "waveform")]]
    for path in (*copies, other):
        path.write_bytes(b"a voice")
    redact(storage, ID, 400, 500, by=ADMIN, reason="asked")
    assert [path.exists() for path in (*copies, other)] == [False, False, True]
    copies[0].write_bytes(b"a voice")
    assert remove(storage, ID, by=ADMIN, reason="asked")
    assert not copies[0].exists()
    assert not audio.exists()


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (6, 5), (0, 2_001), (2_000, 2_001)])
def test_a_range_outside_the_recording_is_ours_to_refuse(storage: Storage, start: int, end: int) -> None:
    publish_one(storage)
    with pytest.raises(Misuse):
        redact(storage, ID, start, end, by=ADMIN, reason="asked")
    assert_holds(storage)


def test_what_was_forged_is_not_signed_anew(storage: Storage) -> None:
    audio = publish_one(storage)
    content = bytearray(audio.read_bytes())
    content[1024 + 500 * 4] ^= 1
    audio.write_bytes(content)
    with pytest.raises(Unchanged, match="SHA-256"):
        redact(storage, ID, 400, 500, by=ADMIN, reason="asked")
    assert audio.read_bytes() == content
    assert kinds(storage) == ["published"]


def test_what_was_signed_behind_the_chain_is_not_signed_anew(storage: Storage) -> None:
    audio = publish_one(storage)
    document = audio.with_suffix(".json")
    claims = replace(manifest.decode(document.read_bytes()), withheld=7)
    document.write_bytes(manifest.encode(manifest.sign(claims, storage.private_key)))
    with pytest.raises(Unchanged, match="not the one that the chain names"):
        redact(storage, ID, 400, 500, by=ADMIN, reason="asked")
    assert kinds(storage) == ["published"]


def test_what_the_chain_does_not_know_is_left_alone(storage: Storage) -> None:
    audio = publish_one(storage)
    storage.chain.path.write_bytes(b"")
    for change in (
        lambda: redact(storage, ID, 400, 500, by=ADMIN, reason="asked"),
        lambda: remove(storage, ID, by=ADMIN, reason="asked"),
    ):
        with pytest.raises(Unchanged, match="nothing in the chain"):
            change()
    assert np.array_equal(frames_in(audio), expected())


def test_what_is_not_published_to_the_end_is_left_alone(storage: Storage) -> None:
    publish_one(storage)
    storage.journal(ID).write_bytes(b"")
    with pytest.raises(Unchanged, match="not over yet"):
        redact(storage, ID, 400, 500, by=ADMIN, reason="asked")
    with pytest.raises(Unchanged, match="not over yet"):
        remove(storage, ID, by=ADMIN, reason="asked")


def test_a_removal_leaves_a_tombstone_and_nothing_else(storage: Storage) -> None:
    audio = publish_one(storage)
    publish_one(storage, 2)
    assert remove(storage, ID, by=ADMIN, reason="asked")
    assert not remove(storage, ID, by=ADMIN, reason="asked again")
    assert not any(ID in str(path) for path in storage.root.rglob("*"))
    assert kinds(storage) == ["published", "published", "deleted"]
    assert audio.parent.is_dir()
    assert_holds(storage)


def test_many_that_go_are_looked_up_at_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [recording_id(n) for n in range(1, 5)]
    for n in range(1, 5):
        publish_one(storage, n)
    known = storage.chain.lasts({*ids, recording_id(9)})
    assert set(known) == set(ids)
    redact(storage, ids[1], 0, 5, by=ADMIN, reason="meanwhile")
    assert remove(storage, ids[2], by=ADMIN, reason="meanwhile")
    looked: list[str] = []
    last = Chain.last
    monkeypatch.setattr(Chain, "last", lambda self, id: looked.append(id) or last(self, id))
    went = [remove(storage, id, by=ADMIN, reason="old", kind=entries.EXPIRED, known=known[id]) for id in ids]
    assert went == [True, True, False, True]
    assert looked == [ids[1], ids[2]]
    assert_holds(storage)


def test_a_command_beside_the_server_may_redact(storage: Storage) -> None:
    audio = publish_one(storage)
    beside = Storage.attach(storage.root)
    redact(beside, ID, 400, 500, by=Actor("cli", "root"), reason="asked")
    publish_one(storage, 2)
    assert np.array_equal(frames_in(audio), expected((400, 500)))
    assert kinds(storage) == ["published", "redacted", "published"]
    assert_holds(storage)


# A crash before or after any step that reaches the disk.


class Crash(BaseException):
    """Nothing of ours runs after it."""


STEPS: list[tuple[Any, str]] = [
    (disk, "write_new"),
    (disk, "write_at"),
    (disk, "sync_directory"),
    (Chain, "append"),
    (sparse, "blank"),
    (os, "fsync"),
    (os, "ftruncate"),
    (Path, "rename"),
    (Path, "unlink"),
]


@contextmanager
def crash_at(step: int, *, after: bool) -> Iterator[list[str]]:
    """The process dies before or after this many steps; yields the names of those taken."""
    taken: list[str] = []

    def dying(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            taken.append(name)
            dies = len(taken) == step + 1
            if dies and not after:
                raise Crash
            result = act(*arguments, **named)
            if dies:
                raise Crash
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in STEPS:
            patch.setattr(owner, name, dying(name, getattr(owner, name)))
        yield taken


def crashes(change: Callable[[Storage], object], tmp_path: Path, form: str) -> Iterator[tuple[Storage, Path]]:
    """A storage after each crash that `change` can have, restarted; the last one had none."""
    template = Storage.open(tmp_path / "template", min_free_bytes=0)
    audio = publish_one(template, form=form)
    disk.make_directory(template.renditions)
    template.rendition(ID, "0" * 64, "opus").write_bytes(b"a voice")
    template.close()
    for after in (False, True):
        for step in range(100):
            root = tmp_path / f"{after}-{step}"
            shutil.copytree(template.root, root)
            storage = Storage.open(root, min_free_bytes=0)
            with crash_at(step, after=after) as taken, suppress(Crash):
                change(storage)
            crashed = len(taken) > step
            list(finish(storage))
            yield storage, root / audio.relative_to(template.root)
            storage.close()
            if not crashed:
                assert len(taken) > 5
                break
        else:
            pytest.fail("it never came to an end")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_redaction_is_done_or_not_whenever_the_crash_comes(tmp_path: Path, form: str) -> None:
    outcomes = set()
    for storage, audio in crashes(
        lambda storage: redact(storage, ID, 700, 1_100, by=ADMIN, reason="asked"), tmp_path, form
    ):
        assert_holds(storage)
        done = kinds(storage) == ["published", "redacted"]
        outcomes.add(done)
        assert np.array_equal(samples_of(audio), expected((700, 1_100)) if done else expected())
        assert storage.rendition(ID, "0" * 64, "opus").exists() != done
        assert changes.begun(storage.root) == set()
    assert outcomes == {True, False}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_removal_is_done_or_not_whenever_the_crash_comes(tmp_path: Path, form: str) -> None:
    outcomes = set()
    for storage, audio in crashes(
        lambda storage: remove(storage, ID, by=ADMIN, reason="asked"), tmp_path, form
    ):
        assert_holds(storage)
        done = kinds(storage) == ["published", "deleted"]
        outcomes.add(done)
        assert audio.exists() == audio.with_suffix(".json").exists() == (not done)
        assert storage.rendition(ID, "0" * 64, "opus").exists() != done
        assert changes.begun(storage.root) == set()
    assert outcomes == {True, False}
