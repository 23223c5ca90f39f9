"""Nothing is ever noted twice, lost or half; who adds from elsewhere at the same time takes turns."""

import hashlib
import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.recording import chain as entries
from mediaproxy.recording import manifest
from mediaproxy.recording.chain import Draft
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import Storage, disk
from mediaproxy.storage.chain import CHAIN_FILE, Chain
from tests.support.recordings import recording_id

SEED = bytes(range(32))
NOW_MS = 1_767_607_215_000


def note(n: int, kind: str = entries.PUBLISHED) -> Draft:
    return Draft(kind, recording_id(n), f"{n:064x}", Actor("call_end"))


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / CHAIN_FILE, SEED, now_ms=lambda: NOW_MS)


def lines(chain: Chain) -> list[bytes]:
    return chain.path.read_bytes().splitlines()


def assert_whole(chain: Chain, count: int) -> None:
    previous = "0" * 64
    assert len(lines(chain)) == count
    for seq, line in enumerate(lines(chain)):
        entry = entries.decode(line)
        assert (entry.seq, entry.previous) == (seq, previous)
        previous = hashlib.sha256(line).hexdigest()
    assert chain.head() == entries.Head(count - 1, previous)


def test_the_form_of_a_line(chain: Chain) -> None:
    chain.append(note(1))
    fields = json.loads(lines(chain)[0])
    signature = fields.pop("signature")
    assert fields == {
        "at": "2026-01-05T10:00:15.000Z",
        "by": {"means": "call_end", "user": None},
        "key_id": "56475aa75463474c",
        "kind": "published",
        "manifest": f"{1:064x}",
        "previous": "0" * 64,
        "reason": None,
        "recording_id": recording_id(1),
        "replaces": None,
        "seq": 0,
        "version": 1,
    }
    assert len(bytes.fromhex(signature)) == 64
    assert lines(chain)[0] == manifest.canonical(fields | {"signature": signature})


def test_each_line_holds_the_hash_of_the_one_before(chain: Chain) -> None:
    chain.append(note(1))
    chain.append(note(2), note(3))
    chain.append()
    assert_whole(chain, 3)


def test_many_at_once_cost_one_sync(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    chain.append(*(note(n) for n in range(500)))
    assert len(synced) == 1
    assert_whole(chain, 500)


@pytest.mark.parametrize("torn", [b"{", b'{"at":"2026', b"\0" * 100, b"x" * 5_000, b"x" * 200_000])
def test_what_a_crash_left_of_a_line_is_cut_off(chain: Chain, torn: bytes) -> None:
    chain.append(note(1))
    with chain.path.open("ab") as file:
        file.write(torn)
    assert chain.head().seq == 0
    chain.append(note(2))
    assert_whole(chain, 2)


def test_a_chain_that_was_cut_at_any_byte_goes_on(chain: Chain) -> None:
    chain.append(note(1), note(2))
    content = chain.path.read_bytes()
    for end in range(0, len(content), 37):
        chain.path.write_bytes(content[:end])
        whole = content[:end].count(b"\n")
        chain.append(note(3))
        assert_whole(chain, whole + 1)


def test_what_is_said_already_is_not_said_again(chain: Chain) -> None:
    chain.append(note(1), note(2))
    assert chain.append(note(1), note(3), once=True)[0].recording_id == recording_id(3)
    assert chain.append(note(2), once=True) == []
    assert_whole(chain, 3)


def test_another_manifest_of_the_same_recording_is_news(chain: Chain) -> None:
    chain.append(note(1))
    later = Draft(entries.REDACTED, recording_id(1), "f" * 64, Actor("api", "admin"), "asked", f"{1:064x}")
    assert len(chain.append(later, once=True)) == 1
    assert len(chain.append(later, once=True)) == 0
    assert_whole(chain, 2)


def test_that_a_recording_goes_is_news_though_its_manifest_is_the_same(chain: Chain) -> None:
    chain.append(note(1))
    assert len(chain.append(note(1, entries.DELETED), once=True)) == 1
    assert len(chain.append(note(1, entries.EXPIRED), once=True)) == 0
    assert_whole(chain, 2)


def test_a_full_disk_leaves_no_half_line(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.append(note(1))

    def full(fd: int, pieces: list[bytes], offset: int) -> None:
        os.pwrite(fd, pieces[0][:50], offset)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_at", full)
        with pytest.raises(OSError, match="No space"):
            chain.append(note(2))
    assert_whole(chain, 1)
    chain.append(note(2))
    assert_whole(chain, 2)


def test_a_last_line_that_is_not_ours_stops_nobody(chain: Chain) -> None:
    chain.append(note(1))
    with chain.path.open("ab") as file:
        file.write(b'{"hello":1}\n')
    (entry,) = chain.append(note(2))
    assert entry.seq == 2
    assert entry.previous == hashlib.sha256(b'{"hello":1}').hexdigest()


def test_a_chain_that_vanished_begins_anew(chain: Chain) -> None:
    chain.append(note(1))
    chain.path.unlink()
    chain.append(note(2))
    assert_whole(chain, 1)
    assert chain.path.stat().st_mode & 0o777 == 0o600


def _append_many(path: Path, first: int) -> None:
    chain = Chain(path, SEED)
    for n in range(first, first + 20):
        chain.append(note(n))


def test_processes_and_threads_take_turns(chain: Chain) -> None:
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=_append_many, args=(chain.path, 100 * n)) for n in (1, 2)]
    for other in others:
        other.start()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda n: _append_many(chain.path, 100 * n), (3, 4)))
    for other in others:
        other.join(10)
        assert other.exitcode == 0
    assert_whole(chain, 80)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": "0"}, {"kind": "burnt"}, {"replaces": "0" * 64}, {"version": 2}, {"by": None}, {"more": 1},
        {"signature": None},
    ],
)  # fmt: skip
def test_a_line_of_another_shape_is_none_of_ours(chain: Chain, change: dict[str, object]) -> None:
    chain.append(note(1))
    fields = json.loads(lines(chain)[0])
    with pytest.raises(entries.Malformed):
        entries.decode(manifest.canonical(fields | change))


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_line_is_malformed(line: bytes) -> None:
    with pytest.raises(entries.Malformed):
        entries.decode(line)


def test_a_line_is_canonical_or_none_of_ours(chain: Chain) -> None:
    chain.append(note(1))
    with pytest.raises(entries.Malformed):
        entries.decode(lines(chain)[0].replace(b'"seq":0', b'"seq": 0'))


def test_a_new_storage_has_an_empty_chain(storage: Storage) -> None:
    assert storage.chain.path.read_bytes() == b""
    assert storage.adopted == 0


def test_a_storage_of_before_is_taken_over_once(tmp_path: Path) -> None:
    root = tmp_path / "rec"
    Storage.open(root, min_free_bytes=0).close()
    (root / CHAIN_FILE).unlink()
    day = root / "2026" / "01" / "05"
    day.mkdir(parents=True)
    for n in (2, 1):
        (day / f"{recording_id(n)}.json").write_bytes(b"%d" % n)
    first = Storage.open(root, min_free_bytes=0)
    first.close()
    found = [entries.decode(line) for line in lines(first.chain)]
    assert [(each.kind, each.recording_id) for each in found] == [
        ("adopted", recording_id(1)),
        ("adopted", recording_id(2)),
    ]
    assert first.adopted == 2
    again = Storage.open(root, min_free_bytes=0)
    again.close()
    assert again.adopted == 0
    assert_whole(again.chain, 2)


NESTED: object = json.loads("[" * 500 + "]" * 500)


@pytest.mark.parametrize(
    "strange",
    [
        {"kind": []}, {"kind": {}}, {"by": {"means": NESTED}}, {"by": {"means": "api", "user": NESTED}},
        {"reason": {}}, {"seq": -1}, {"seq": 10**400}, {"at": 7}, {"recording_id": None}, {"replaces": []},
    ],
    ids=lambda strange: next(iter(strange)),
)  # fmt: skip
def test_a_strange_line_is_no_line_of_ours_and_holds_up_nobody(
    chain: Chain, strange: dict[str, object]
) -> None:
    chain.append(note(1))
    line = manifest.canonical(json.loads(lines(chain)[0]) | strange)
    with pytest.raises(Malformed, match="not one of ours"):
        entries.decode(line)
    with chain.path.open("ab") as file:
        file.write(line + b"\n")
    (entry,) = chain.append(note(2))
    assert (entry.seq, entry.previous) == (2, hashlib.sha256(line).hexdigest())


def test_who_adds_after_a_line_that_is_too_long_follows_it_all_the_same(chain: Chain) -> None:
    chain.append(note(1))
    with chain.path.open("ab") as file:
        file.write(b"x" * 200_000 + b"\n")
    (entry,) = chain.append(note(2))
    assert (entry.seq, entry.previous) == (2, hashlib.sha256(b"x" * 200_000).hexdigest())
