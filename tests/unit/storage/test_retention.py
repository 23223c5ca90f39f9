"""What was kept long enough goes, by the chain's word, and nothing else does."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mediaproxy.recording import chain, manifest
from mediaproxy.recording.keeping import MS_PER_DAY, Limits
from mediaproxy.storage import Storage, Verification
from mediaproxy.storage.retention import Due, LeftAlone, due, expire
from tests.support.published import publish_one
from tests.support.recordings import ANSWERED_AT_MS, recording_id


def after(days: float) -> int:
    return ANSWERED_AT_MS + round(days * MS_PER_DAY)


def found(storage: Storage, limits: Limits, days: float) -> list[Due | LeftAlone]:
    return list(due(storage.root, limits, after(days)))


def keys(found: list[Due | LeftAlone]) -> list[str]:
    return [each.recording for each in found if isinstance(each, Due)]


def kinds(storage: Storage) -> list[str]:
    return [chain.decode(line).kind for line in storage.chain.path.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("asked", "limits", "days", "goes"),
    [
        (0, Limits(), 40_000, False),
        (1, Limits(), 1.0, True),
        (1, Limits(), 0.999999, False),
        (30, Limits(), 29.9999, False),
        (30, Limits(), 30.0001, True),
        (3, Limits(min_days=7), 5, False),
        (3, Limits(min_days=7), 7, True),
        (0, Limits(max_days=90), 89, False),
        (0, Limits(max_days=90), 90, True),
        (400, Limits(max_days=90), 91, True),
    ],
)
def test_it_goes_when_its_days_are_over(
    storage: Storage, asked: int, limits: Limits, days: float, goes: bool
) -> None:
    publish_one(storage, keep_days=asked)
    assert keys(found(storage, limits, days)) == ([recording_id(1)] if goes else [])


def test_what_goes_is_gone_everywhere_and_the_chain_says_why(storage: Storage) -> None:
    audio = publish_one(storage, keep_days=30)
    other = publish_one(storage, 2)
    copy = storage.rendition(recording_id(1), "ab" * 32, "opus")
    copy.parent.mkdir()
    copy.touch()
    (one,) = found(storage, Limits(), 31)
    assert isinstance(one, Due)
    assert (one.kept_days, one.asked_days, one.audio_bytes) == (30, 30, audio.stat().st_size)
    assert list(expire(storage, [one])) == [one]
    assert not audio.exists()
    assert not audio.with_suffix(".json").exists()
    assert not copy.exists()
    assert other.exists()
    assert kinds(storage) == ["published", "published", "expired"]
    last = storage.chain.last(recording_id(1))
    assert last is not None
    assert (last.reason, last.by.means) == ("kept 30 days", "policy")
    verification = Verification([storage.root])
    assert [each.ok for each in verification.verdicts()] == [True]
    assert [each.problems for each in verification.chains()] == [()]
    assert found(storage, Limits(), 31) == []


def test_a_reason_names_the_limits_that_applied(storage: Storage) -> None:
    publish_one(storage, keep_days=400)
    publish_one(storage, 2)
    why = [each.why for each in found(storage, Limits(max_days=90), 91)]
    assert why == [
        "kept 90 days by the storage's limits, not 400 days",
        "kept 90 days by the storage's limits, not for ever",
    ]


def test_folders_of_which_nothing_is_left_go_too(storage: Storage) -> None:
    first = publish_one(storage, keep_days=1)
    publish_one(storage, 2, keep_days=1)
    one, two = found(storage, Limits(), 2)
    list(expire(storage, [one]))
    assert first.parent.is_dir()
    list(expire(storage, [two]))
    assert not (storage.root / "2026").exists()
    assert storage.root.is_dir()


Meddle = Callable[[Path], object]


@pytest.mark.parametrize(
    "meddle",
    [
        lambda audio: audio.with_suffix(".json").unlink(),
        lambda audio: audio.with_suffix(".json").write_bytes(b"{}"),
        lambda audio: audio.with_suffix(".json").write_bytes(b"\xff"),
        lambda audio: audio.with_suffix(".json").write_bytes(
            audio.with_suffix(".json").read_bytes().replace(b"2026-01-05T", b"20x6-01-05T")
        ),
    ],
)
def test_without_a_readable_manifest_it_is_left_alone_and_named(storage: Storage, meddle: Meddle) -> None:
    audio = publish_one(storage, keep_days=1)
    meddle(audio)
    (one,) = found(storage, Limits(max_days=1), 1_000)
    assert isinstance(one, LeftAlone)
    assert one.path.stem == recording_id(1)
    assert audio.exists()


def test_a_forged_manifest_does_not_make_it_go(storage: Storage) -> None:
    """Whoever can write there can delete, too; but not so that the chain calls it lawful."""
    audio = publish_one(storage)
    document = audio.with_suffix(".json")
    document.write_bytes(document.read_bytes().replace(b'"keep_days":0', b'"keep_days":1'))
    (one,) = found(storage, Limits(), 2)
    assert isinstance(one, LeftAlone)
    assert "not as we signed it" in one.why
    assert audio.exists()


def test_other_files_and_folders_are_none_of_ours(storage: Storage) -> None:
    publish_one(storage)
    for name in ("2026/02/31", "2026/01/05/notes", "20x6/01/05", "keep"):
        (storage.root / name).mkdir(parents=True)
    (storage.root / "2026/01/05/readme.json").write_text("{}")
    (storage.root / f"2026/02/31/{recording_id(9)}.json").write_text("{}")
    assert keys(found(storage, Limits(max_days=1), 1_000)) == [recording_id(1)]
    assert len(found(storage, Limits(max_days=1), 1_000)) == 1


def test_recent_days_are_not_even_looked_at(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_one(storage, keep_days=1)
    looked: list[bytes] = []
    decode = manifest.decode
    monkeypatch.setattr(manifest, "decode", lambda content: looked.append(content) or decode(content))
    passed: list[int] = []
    list(due(storage.root, Limits(min_days=30), after(29), lambda: passed.append(1)))
    assert (looked, passed) == ([], [])
    list(due(storage.root, Limits(min_days=30), after(31), lambda: passed.append(1)))
    assert (len(looked), passed) == (1, [1])


def test_one_that_is_gone_already_is_no_failure(storage: Storage) -> None:
    publish_one(storage, keep_days=1)
    due_now = found(storage, Limits(), 2)
    assert list(expire(storage, due_now)) == list(expire(storage, due_now)) == due_now
    assert kinds(storage) == ["published", "expired"]


def test_what_the_disk_refuses_is_left_to_the_next_run(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = publish_one(storage, keep_days=1)
    publish_one(storage, 2, keep_days=1)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(storage.chain, "append", refuse)
        left = list(expire(storage, found(storage, Limits(), 2)))
    assert [(each.why, type(each)) for each in left] == [("Read-only file system", LeftAlone)] * 2
    assert audio.exists()
    assert len(keys(list(expire(storage, found(storage, Limits(), 2))))) == 2
    assert not audio.exists()


def test_the_chain_is_read_once_for_many(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(1, 6):
        publish_one(storage, n, keep_days=1)
    looked: list[set[str]] = []
    lasts = storage.chain.lasts
    monkeypatch.setattr(storage.chain, "lasts", lambda wanted: looked.append(wanted) or lasts(wanted))
    assert len(list(expire(storage, found(storage, Limits(), 2)))) == 5
    assert [len(wanted) for wanted in looked] == [5]
