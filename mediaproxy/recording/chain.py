"""The chain: what was ever published, redacted or removed, in an order that nobody can change unseen.

A line is the canonical JSON of an entry (see `manifest`). Each holds the SHA-256 of the line before
it, so that the last line's hash, the head, stands for all of them: whoever noted a head elsewhere
can tell later that nothing before it was changed or dropped. Each is signed on its own (Ed25519 over
the canonical JSON with `signature` null), so that a line is known to be ours.

    {"at":"2026-01-05T10:00:13.000Z","by":{"means":"call_end","user":null},"key_id":"…","kind":"published",
     "manifest":"<SHA-256 of the manifest's bytes>","previous":"<SHA-256 of the line before>","reason":null,
     "recording_id":"…","replaces":null,"seq":0,"signature":"…","version":1}
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mediaproxy.errors import Malformed
from mediaproxy.recording import manifest
from mediaproxy.recording.manifest import Actor

VERSION = 1

PUBLISHED: Final = "published"
ADOPTED: Final = "adopted"  # published before there was a chain
REDACTED: Final = "redacted"
DELETED: Final = "deleted"
EXPIRED: Final = "expired"  # its days of retention were over

ALWAYS_NOTED = 2  # from this version of manifests on there was a chain whenever one was written

BEGINNINGS = frozenset({PUBLISHED, ADOPTED})
TOMBSTONES = frozenset({DELETED, EXPIRED})
KINDS = BEGINNINGS | TOMBSTONES | {REDACTED}

NO_ENTRY = "a line of the chain is not one of ours"
UNKNOWN_VERSION = "a line of the chain has a version that this mediaproxy does not know"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be noted of a recording: `manifest` is the SHA-256 of its manifest (of the last one,
    when the recording goes), `replaces` that of the one before a redaction."""

    kind: str
    recording_id: str
    manifest: str
    by: Actor
    reason: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the chain. `at` is the wall time at which it was written."""

    seq: int
    previous: str
    kind: str
    recording_id: str
    manifest: str
    replaces: str | None
    at: str
    by: Actor
    reason: str | None
    key_id: str
    signature: str | None = None
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Head:
    """A place in the chain: the line `seq` and its hash. Before the first line: `NOTHING_YET`."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


NOTHING_YET = Head(-1, "0" * 64)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def published(recording_id: str, document: bytes, by: Actor) -> Draft:
    """The draft for a recording whose manifest holds these bytes."""
    return Draft(PUBLISHED, recording_id, sha256(document), by)


def entry(draft: Draft, after: Head, at: str, private_key: bytes) -> Entry:
    """The signed entry that follows `after`; `private_key` is the 32-byte Ed25519 seed."""
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    unsigned = Entry(
        seq=after.seq + 1,
        previous=after.hash,
        kind=draft.kind,
        recording_id=draft.recording_id,
        manifest=draft.manifest,
        replaces=draft.replaces,
        at=at,
        by=draft.by,
        reason=draft.reason,
        key_id=manifest.key_id(key.public_key().public_bytes_raw()),
    )
    return replace(unsigned, signature=key.sign(encode(unsigned)).hex())


def encode(entry: Entry) -> bytes:
    """The line, without its newline."""
    return manifest.canonical(asdict(entry))


def head_of(line: bytes) -> Head:
    """Where the chain stands after this line; `Malformed` when it is none of ours."""
    return Head(decode(line).seq, sha256(line))


def decode(line: bytes) -> Entry:
    """Read a line; `Malformed` unless it is, byte for byte, as `encode` writes it."""
    try:
        fields = json.loads(line)
        if isinstance(fields, dict) and fields.get("version") != VERSION:
            raise Malformed(UNKNOWN_VERSION)
        found = _built(fields)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Malformed(NO_ENTRY) from error
    if not _plausible(found) or encode(found) != line:
        raise Malformed(NO_ENTRY)
    return found


def signature_holds(entry: Entry, public_key: bytes) -> bool:
    try:
        raw = bytes.fromhex(entry.signature or "")
        signed = encode(replace(entry, signature=None))
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, signed)
    except (ValueError, InvalidSignature):
        return False
    return True


def _built(fields: Mapping[str, Any]) -> Entry:
    return Entry(**{**fields, "by": Actor(**fields["by"])})


def _plausible(entry: Entry) -> bool:
    texts = (entry.previous, entry.recording_id, entry.manifest, entry.at, entry.key_id, entry.signature)
    optional = (entry.by.user, entry.reason, entry.replaces)
    return (
        type(entry.seq) is int
        and 0 <= entry.seq <= manifest.MAX_NUMBER
        and all(isinstance(text, str) for text in (*texts, entry.kind, entry.by.means))
        and all(text is None or isinstance(text, str) for text in optional)
        and entry.kind in KINDS
        and isinstance(entry.replaces, str) == (entry.kind == REDACTED)
    )
