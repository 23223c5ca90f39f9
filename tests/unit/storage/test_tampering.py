"""Whatever is changed, removed or moved in a storage is found; what was done by right is no alarm."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediaproxy.recording import chain, manifest, wav
from mediaproxy.recording.chain import EXPIRED, Draft, Head
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import Storage, Verification, changes
from mediaproxy.storage.redact import redact, remove
from tests.support.published import publish_one
from tests.support.recordings import recording_id

ADMIN = Actor("api", "admin")


@dataclass
class Store:
    """Five recordings: as published (1, 4, 5), redacted (2), and one that was deleted (3); a head noted
    when all this was done."""

    storage: Storage
    masters: dict[int, Path]
    before: dict[Path, bytes]  # of the redacted one, as it was published
    head: Head

    @property
    def chain(self) -> Path:
        return self.storage.chain.path

    def manifest(self, n: int) -> Path:
        return self.masters[n].with_suffix(".json")

    def found(self, noted: Head | None = None) -> str:
        """All that `verify` has to say against it."""
        verification = Verification([self.storage.root], noted=noted)
        listed = [(each.path.stem[-1], each.problems) for each in verification.verdicts()]
        listed += [("chain", each.problems) for each in verification.chains()]
        return "\n".join(f"{name}: {'; '.join(problems)}" for name, problems in listed if problems)


@pytest.fixture
def store(storage: Storage) -> Store:
    masters = {n: publish_one(storage, n) for n in range(1, 6)}
    before = {path: path.read_bytes() for path in (masters[2], masters[2].with_suffix(".json"))}
    redact(storage, recording_id(2), 500, 700, by=ADMIN, reason="card number")
    remove(storage, recording_id(3), by=ADMIN, reason="asked for by the caller")
    return Store(storage, masters, before, storage.chain.head())


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def vanish(store: Store, n: int) -> None:
    store.masters[n].unlink()
    store.manifest(n).unlink()


def put_back(store: Store, n: int) -> None:
    """A deleted recording, from a copy that someone kept."""
    shutil.copy(store.masters[1], store.masters[n])
    shutil.copy(store.manifest(1), store.manifest(n))


def rename(store: Store, n: int, to: int) -> None:
    for path in (store.masters[n], store.manifest(n)):
        path.rename(path.with_name(f"{recording_id(to)}{path.suffix}"))


def hide_a_removal(store: Store) -> None:
    """Another one's tombstone is made to look like its own."""
    vanish(store, 1)
    edit_line(store, 6, recording_id=recording_id(1))


def roll_back(store: Store) -> None:
    """Audio and manifest as they were before the redaction, to the byte."""
    for path, content in store.before.items():
        path.write_bytes(content)


def leave_a_redaction_begun(store: Store) -> None:
    root, old = store.storage.root, store.manifest(1)
    shutil.copy(old, changes.manifest_draft(root, recording_id(1)))
    note(store, "redacted", 1, "0" * 64, chain.sha256(old.read_bytes()))


def note(store: Store, kind: str, n: int, named: str, replaces: str | None = None) -> None:
    store.storage.chain.append(Draft(kind, recording_id(n), named, ADMIN, "x", replaces))


def lose_public_keys(store: Store) -> None:
    for path in (store.storage.root / "keys").glob("*.pub"):
        path.unlink()


def steal(store: Store) -> None:
    vanish(store, 1)
    rewrite_chain(store, 1, 2, 3, 4, 5, 6)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def lines(store: Store) -> list[bytes]:
    return store.chain.read_bytes().splitlines(keepends=True)


def write_lines(store: Store, *kept: bytes) -> None:
    store.chain.write_bytes(b"".join(kept))


def swap(first: Path, second: Path) -> None:
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def edit_line(store: Store, n: int, **changes: object) -> None:
    """As whoever has no key would."""
    listed = lines(store)
    listed[n] = manifest.canonical(json.loads(listed[n]) | changes) + b"\n"
    write_lines(store, *listed)


def rewrite_chain(store: Store, *kept: int) -> None:
    """As whoever has the key would: only these lines, numbered, linked and signed anew."""
    entries = [chain.decode(lines(store)[n].rstrip()) for n in kept]
    store.chain.write_bytes(b"")
    for each in entries:
        draft = Draft(each.kind, each.recording_id, each.manifest, each.by, each.reason, each.replaces)
        store.storage.chain.append(draft)


def forge_manifest(store: Store, n: int, **changes: object) -> None:
    """As whoever has no key would."""
    path = store.manifest(n)
    path.write_bytes(manifest.canonical(json.loads(path.read_bytes()) | changes))


def forge_signed(store: Store, n: int, **changes: object) -> None:
    """As whoever has the key would, but not the chain."""
    fields = json.loads(store.manifest(n).read_bytes()) | changes
    del fields["recorded_samples"]
    signed = manifest.sign(manifest._built(fields), store.storage.private_key)
    store.manifest(n).write_bytes(manifest.encode(signed))


HEAD_ONLY = "found by a noted head alone"

TAMPERED: dict[str, tuple[Callable[[Store], object], str]] = {
    "a byte of the header": (
        lambda s: flip(s.masters[1], 300),
        "1: the audio's SHA-256",
    ),
    "a byte of recorded audio": (
        lambda s: flip(s.masters[1], wav.data_end(500)),
        "1: the audio's SHA-256",
    ),
    "a byte of silence": (
        lambda s: flip(s.masters[1], wav.data_end(5)),
        "1: not silent outside the intervals, at sample 5",
    ),
    "a byte of a redaction": (
        lambda s: flip(s.masters[2], wav.data_end(699)),
        "2: not silent where it was redacted, at sample 699",
    ),
    "the last byte": (
        lambda s: flip(s.masters[1], -1),
        "1: the audio's SHA-256",
    ),
    "a byte more": (
        lambda s: append(s.masters[1], b"\0"),
        "1: the file's size",
    ),
    "audio removed": (
        lambda s: s.masters[1].unlink(),
        "1: the audio is missing",
    ),
    "manifest removed": (
        lambda s: s.manifest(1).unlink(),
        "1: the manifest is missing",
    ),
    "both removed": (
        lambda s: vanish(s, 1),
        "1: is gone, and nothing says why (published, line 0",
    ),
    "redacted one removed": (
        lambda s: vanish(s, 2),
        "2: is gone, and nothing says why (redacted, line 5",
    ),
    "two audio files swapped": (
        lambda s: swap(s.masters[1], s.masters[4]),
        "1: the audio's SHA-256",
    ),
    "two manifests swapped": (
        lambda s: swap(s.manifest(1), s.manifest(4)),
        "1: the manifest is that of another file",
    ),
    "two recordings swapped": (
        lambda s: (swap(s.masters[1], s.masters[4]), swap(s.manifest(1), s.manifest(4))),
        "1: the manifest is that of another file",
    ),
    "an interval": (
        lambda s: forge_manifest(s, 1, intervals=[], recorded_samples=0),
        "1: the manifest's signature does not hold",
    ),
    "a redaction taken out": (
        lambda s: forge_manifest(s, 2, redactions=[]),
        "2: the manifest's signature does not hold",
    ),
    "a manifest signed behind the chain": (
        lambda s: forge_signed(s, 1, withheld=7),
        "1: its manifest is not the one that the chain names in line 0",
    ),
    "the manifest of before a redaction": (
        lambda s: forge_signed(s, 2, redactions=[], replaces=None),
        "2: its manifest is not the one that the chain names in line 5",
    ),
    "a key id": (
        lambda s: forge_manifest(s, 1, key_id="0" * 16),
        "1: the public key that signed the manifest is not there",
    ),
    "a deleted recording put back": (
        lambda s: put_back(s, 3),
        "was deleted on",
    ),
    "another name": (
        lambda s: rename(s, 1, 6),
        "1: is gone, and nothing says why",
    ),
    "another name for what is there": (
        lambda s: rename(s, 1, 6),
        "6: the manifest is that of another file",
    ),
    "a second audio file": (
        lambda s: shutil.copy(s.masters[1], s.masters[1].with_suffix(".flac")),
        "1: another audio file lies beside it",
    ),
    "chain removed": (
        lambda s: s.chain.unlink(),
        "chain: the chain is missing",
    ),
    "chain emptied": (
        write_lines,
        "1: nothing in the chain says that it was published",
    ),
    "a byte of a line": (
        lambda s: flip(s.chain, 40),
        "chain: line 0",
    ),
    "a byte of the last line": (
        lambda s: flip(s.chain, -20),
        "chain: line 6",
    ),
    "first line dropped": (
        lambda s: write_lines(s, *lines(s)[1:]),
        "chain: line 0: it calls itself line 1; line 0: it does not follow the line before it; the head",
    ),
    "a line dropped": (
        lambda s: write_lines(s, *lines(s)[:3], *lines(s)[4:]),
        "chain: line 3: it calls itself line 4; line 3: it does not follow the line before it; the head",
    ),
    "a line twice": (
        lambda s: write_lines(s, *lines(s)[:1], *lines(s)),
        "chain: line 1: it calls itself line 0",
    ),
    "two lines swapped": (
        lambda s: write_lines(s, *lines(s)[:3], lines(s)[4], lines(s)[3], *lines(s)[5:]),
        "chain: line 3: it calls itself line 4",
    ),
    "last publishing cut off": (
        lambda s: write_lines(s, *lines(s)[:4]),
        "5: nothing in the chain says that it was published",
    ),
    "tombstone cut off": (
        lambda s: write_lines(s, *lines(s)[:6]),
        "3: is gone, and nothing says why (published, line 2",
    ),
    "redaction cut off": (
        lambda s: write_lines(s, *lines(s)[:5]),
        "2: its manifest is not the one that the chain names in line 1",
    ),
    "cut within a line": (
        lambda s: s.chain.write_bytes(s.chain.read_bytes()[:-9]),
        "3: is gone, and nothing says why",
    ),
    "a reason in the chain": (
        lambda s: edit_line(s, 6, reason="none"),
        "chain: line 6: its signature does not hold",
    ),
    "a time in the chain": (
        lambda s: edit_line(s, 0, at="2020-01-01T00:00:00.000Z"),
        "chain: line 0: its signature does not hold",
    ),
    "a tombstone moved": (
        hide_a_removal,
        "chain: line 6: its signature does not hold",
    ),
    "a line of nonsense": (
        lambda s: append(s.chain, b"hello\n"),
        "chain: line 7: a line of the chain is not one of ours",
    ),
    "a deletion twice": (
        lambda s: note(s, EXPIRED, 3, chain.decode(lines(s)[6].rstrip()).manifest),
        'chain: line 7: "expired" does not follow',
    ),
    "a redaction of nothing": (
        lambda s: note(s, "redacted", 9, "0" * 64, "1" * 64),
        'chain: line 7: "redacted" does not follow',
    ),
    "a redaction begun, not finished": (
        leave_a_redaction_begun,
        "1: a redaction was begun and not finished",
    ),
    "a hostile line": (
        lambda s: edit_line(s, 6, kind=[]),
        "chain: line 6: a line of the chain is not one of ours",
    ),
    "the chain's name for something endless": (
        lambda s: (s.chain.unlink(), os.mkfifo(s.chain)),
        "chain: the chain is missing",
    ),
    "audio that never comes": (
        lambda s: (s.masters[1].unlink(), os.mkfifo(s.masters[1])),
        "1: the audio cannot be read (it is no plain file)",
    ),
    "a manifest that never comes": (
        lambda s: (s.manifest(1).unlink(), os.mkfifo(s.manifest(1))),
        "1: the manifest cannot be read (it is no plain file)",
    ),
    "a manifest without end": (
        lambda s: (s.manifest(1).unlink(), s.manifest(1).symlink_to("/dev/zero")),
        "1: the manifest cannot be read (it is no plain file)",
    ),
    "a manifest of a gigabyte": (
        lambda s: os.truncate(s.manifest(1), 1 << 30),
        "1: the manifest cannot be read (File too large)",
    ),
    "a manifest of long ago put back": (
        roll_back,
        "2: its manifest is not the one that the chain names in line 5",
    ),
    "public keys removed": (
        lose_public_keys,
        "1: the public key that signed the manifest is not there",
    ),
    "a removal by who has the key": (steal, HEAD_ONLY),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_it_is_found(store: Store, name: str) -> None:
    tamper, told = TAMPERED[name]
    assert store.found(store.head) == ""
    tamper(store)
    if told is HEAD_ONLY:
        assert store.found() == ""
        told = f"chain: the head that was noted, {store.head}, is not in the chain"
    assert told in store.found(store.head)


@pytest.mark.parametrize("at", range(7))
@pytest.mark.parametrize("part", [0.0, 0.3, 0.7])
def test_any_byte_of_any_line_counts(store: Store, at: int, part: float) -> None:
    before = sum(map(len, lines(store)[:at]))
    flip(store.chain, before + int(len(lines(store)[at]) * part))
    assert f"line {at}" in store.found()


def test_every_shortening_of_the_chain_is_found_by_a_noted_head(store: Store) -> None:
    for kept in range(7):
        content = lines(store)
        write_lines(store, *content[:kept])
        assert "the head that was noted" in store.found(store.head)
        write_lines(store, *content)
    assert store.found(store.head) == ""


def test_what_is_done_by_right_is_no_alarm(store: Store) -> None:
    redact(store.storage, recording_id(1), 0, 2_000, by=ADMIN, reason="all of it")
    remove(store.storage, recording_id(2), by=Actor("policy"), reason="kept 30 days", kind=EXPIRED)
    publish_one(store.storage, 7)
    with store.chain.open("ab") as file:
        file.write(b'{"at":"a crash')
    assert store.found(store.head) == ""
    (verdict,) = Verification([store.storage.root]).chains()
    assert dict(verdict.counts) == {"published": 6, "adopted": 0, "redacted": 2, "deleted": 1, "expired": 1}


def test_a_new_key_leaves_what_the_former_one_signed(store: Store) -> None:
    store.storage.close()
    (store.storage.root / "keys" / "signing.pem").unlink()
    store.storage = Storage.open(store.storage.root, min_free_bytes=0)
    publish_one(store.storage, 8)
    redact(store.storage, recording_id(1), 0, 5, by=ADMIN, reason="asked")
    assert store.found(store.head) == ""
    assert len(Verification([store.storage.root]).chains()[0].key_ids) == 2
    store.storage.close()


def test_a_restart_hides_nothing(store: Store) -> None:
    store.masters[1].unlink()
    store.manifest(1).unlink()
    write_lines(store, *lines(store)[:6])
    store.storage.close()
    Storage.open(store.storage.root, min_free_bytes=0).close()
    assert "1: is gone" in store.found()
    assert "3: is gone" in store.found()


def test_a_chain_that_went_is_not_replaced_unseen(store: Store) -> None:
    """A start begins another, for the calls that come; what it finds lying there was noted elsewhere."""
    vanish(store, 1)
    store.chain.unlink()
    store.storage.close()
    Storage.open(store.storage.root, min_free_bytes=0).close()
    for n in (2, 4, 5):
        assert f"{n}: the chain that noted its publishing is gone" in store.found()


def test_one_recording_alone_is_held_against_the_chain(store: Store) -> None:
    assert [each.ok for each in Verification([store.masters[1]]).verdicts()] == [True]
    forge_signed(store, 1, withheld=7)
    (verdict,) = Verification([store.masters[1]]).verdicts()
    assert verdict.problems == ("its manifest is not the one that the chain names in line 0",)
    (verdict,) = Verification([store.masters[4].parent / f"{recording_id(4)}.json"]).verdicts()
    assert verdict.ok


def test_what_is_being_published_is_passed_over(store: Store) -> None:
    """Audio and manifest are there, the line in the chain is about to come."""
    write_lines(store, *lines(store)[:4])
    store.storage.journal(recording_id(5)).write_bytes(b"")
    assert "5:" not in store.found()


def test_what_was_published_is_never_passed_over(store: Store) -> None:
    store.storage.journal(recording_id(1)).write_bytes(b"")
    flip(store.masters[1], 300)
    assert "1: the audio's SHA-256" in store.found()
