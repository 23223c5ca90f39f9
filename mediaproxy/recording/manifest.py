"""The manifest: what a published recording claims about itself, signed.

Canonical JSON is RFC 8785's: keys sorted, no spaces, UTF-8; only strings, integers, lists, objects
and null occur. The signature is Ed25519 (RFC 8032) over the canonical JSON with `signature` null.

Every key is always written. A manifest of an older version lacks keys that came later: they read as
their defaults. One of a version that we do not know is refused, never guessed at.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mediaproxy.clock import unix_ms
from mediaproxy.errors import Malformed

VERSION = 2
KNOWN_VERSIONS = (1, 2)  # 2 has policy, consent, keep_days and redactions
CHANNELS = 2
KEY_ID_DIGITS = 16
KINDS = ("audio", "announcement")
MAX_NUMBER = (1 << 53) - 1  # beyond it not every reader counts exactly (RFC 8785)
MAX_BYTES = 64 << 20  # of a manifest: a day that was toggled every second needs a third of it

_FILE_NAME = re.compile(r"[0-9A-Za-z_-]+\.[0-9a-z]+")  # so that no path leads anywhere else

NO_MANIFEST = "the manifest is not one of ours"
UNKNOWN_VERSION = "the manifest has a version that this mediaproxy does not know"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who moved the gate: `means` is `api|dashboard|dtmf|sip|ng|policy|call_end|recovery|limit`; or who
    redacted or removed: `cli` too.

    `user` is the token's name, the agent for dtmf and sip, None for policy, call_end and recovery.
    """

    means: str
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """`[start_sample, end_sample)`, never empty. `kind` is "audio" or "announcement"."""

    start_sample: int
    end_sample: int
    started_by: Actor
    ended_by: Actor
    kind: str = "audio"


@dataclass(frozen=True, slots=True)
class Participant:
    """Who was on a channel and when; `leg` is "A" or "B", `channel` 1 or 2, `to_sample` None while there."""

    leg: str
    channel: int
    kind: str
    name: str
    number: str
    from_sample: int = 0
    to_sample: int | None = None


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What became of one (leg, SSRC). `ppm` is None where no drift was measured."""

    leg: str
    ssrc: int
    codec: str
    packets: int
    lost: int = 0
    late: int = 0
    duplicate: int = 0
    reordered: int = 0
    reanchors: int = 0
    slips: int = 0
    ppm: int | None = None


@dataclass(frozen=True, slots=True)
class Redaction:
    """`[start_sample, end_sample)` was made zero in both channels, `at` a wall time (RFC 3339)."""

    start_sample: int
    end_sample: int
    reason: str
    by: Actor
    at: str


@dataclass(frozen=True, slots=True)
class Master:
    """The file beside the manifest and the SHA-256 of all its bytes, in hex."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One published recording. `result` is "complete", "degraded" or "recovered".

    `consent` is "none" or "required" (then nobody is heard before the announcement was), `replaces`
    the SHA-256 of the manifest before a redaction. A redaction leaves the intervals: they tell who
    recorded when.
    """

    recording_id: str
    call_id: str
    sip_call_id: str
    answered_at: str
    sample_rate: int
    duration_samples: int
    intervals: tuple[Interval, ...]
    participants: tuple[Participant, ...]
    streams: tuple[StreamFacts, ...]
    withheld: int
    injected: int
    result: str
    reasons: tuple[str, ...]
    master: Master
    replaces: str | None = None
    key_id: str | None = None
    signature: str | None = None
    version: int = VERSION
    channels: int = CHANNELS
    policy: str | None = None  # "on_demand" or "automatic"
    consent: str = "none"
    redactions: tuple[Redaction, ...] = ()
    keep_days: int = 0  # after the answer it goes; 0 = never

    @property
    def recorded_samples(self) -> int:
        return sum(i.end_sample - i.start_sample for i in self.intervals if i.kind == "audio")


def key_id(public_key: bytes) -> str:
    """The name of a public key (32 raw bytes): the first hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:KEY_ID_DIGITS]


def encode(manifest: Manifest) -> bytes:
    """Canonical JSON. A lone surrogate (a peer's bytes that were no UTF-8) becomes `?`."""
    fields = asdict(manifest) | {"recorded_samples": manifest.recorded_samples}
    return canonical(fields)


def canonical(value: Mapping[str, object]) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace")


def sign(manifest: Manifest, private_key: bytes) -> Manifest:
    """The manifest with key id and signature; `private_key` is the 32-byte Ed25519 seed."""
    key = Ed25519PrivateKey.from_private_bytes(private_key)
    named = replace(manifest, key_id=key_id(key.public_key().public_bytes_raw()), signature=None)
    return replace(named, signature=key.sign(encode(named)).hex())


def signature_holds(document: bytes, public_key: bytes) -> bool:
    """Whether the manifest as it lies (any spacing) was signed with this key. `Malformed` when it is none."""
    fields = _object(document)
    signature = fields.get("signature")
    if not isinstance(signature, str):
        return False
    try:
        raw = bytes.fromhex(signature)
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, canonical(fields | {"signature": None}))
    except (ValueError, InvalidSignature):
        return False
    return True


def decode(document: bytes) -> Manifest:
    """Read a manifest of a known version; `Malformed` when a key is missing, strange or of the wrong type."""
    fields = _object(document)
    version = fields.get("version")
    if type(version) is int and version not in KNOWN_VERSIONS:
        raise Malformed(UNKNOWN_VERSION)
    recorded = fields.pop("recorded_samples", None)
    try:
        manifest = _built(fields)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise Malformed(NO_MANIFEST) from error
    if not _plausible(manifest) or recorded != manifest.recorded_samples:
        raise Malformed(NO_MANIFEST)
    return manifest


def _object(document: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise Malformed(NO_MANIFEST) from error
    if not isinstance(fields, dict):
        raise Malformed(NO_MANIFEST)
    return fields


def _built(fields: dict[str, Any]) -> Manifest:
    lists: dict[str, Any] = {
        "intervals": intervals_from(fields["intervals"]),
        "participants": tuple(Participant(**each) for each in fields["participants"]),
        "streams": tuple(StreamFacts(**each) for each in fields["streams"]),
        "reasons": tuple(_list(fields["reasons"])),
        "redactions": redactions_from(fields.get("redactions", [])),
        "master": Master(**fields["master"]),
    }
    return Manifest(**(fields | lists))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def intervals_from(values: Sequence[Mapping[str, Any]]) -> tuple[Interval, ...]:
    return tuple(
        Interval(**{**each, "started_by": Actor(**each["started_by"]), "ended_by": Actor(**each["ended_by"])})
        for each in values
    )


def redactions_from(values: Sequence[Mapping[str, Any]]) -> tuple[Redaction, ...]:
    return tuple(Redaction(**{**each, "by": Actor(**each["by"])}) for each in values)


def _plausible(manifest: Manifest) -> bool:
    """Every value is of its kind, so that nobody who reads a manifest needs to ask again."""
    return (
        all(type(each) is int and 0 <= each <= MAX_NUMBER for each in _counts(manifest))
        and all(isinstance(each, str) for each in _texts(manifest))
        and all(each is None or isinstance(each, str) for each in _optional_texts(manifest))
        and all(each.ppm is None or type(each.ppm) is int for each in manifest.streams)
        and all(each.kind in KINDS for each in manifest.intervals)
        and manifest.sample_rate > 0
        and _is_a_time(manifest.answered_at)
        and _FILE_NAME.fullmatch(manifest.master.file) is not None
    )


def _counts(manifest: Manifest) -> Iterator[object]:
    yield from (manifest.version, manifest.channels, manifest.sample_rate, manifest.duration_samples)
    yield from (manifest.withheld, manifest.injected, manifest.keep_days)
    spans: tuple[Interval | Redaction, ...] = (*manifest.intervals, *manifest.redactions)
    for span in spans:
        yield from (span.start_sample, span.end_sample)
    for one in manifest.participants:
        yield from (one.channel, one.from_sample, one.from_sample if one.to_sample is None else one.to_sample)
    for stream in manifest.streams:
        yield from (stream.ssrc, stream.packets, stream.lost, stream.late, stream.duplicate)
        yield from (stream.reordered, stream.reanchors, stream.slips)


def _texts(manifest: Manifest) -> Iterator[object]:
    yield from (manifest.recording_id, manifest.call_id, manifest.sip_call_id, manifest.answered_at)
    yield from (manifest.result, *manifest.reasons, manifest.consent)
    yield from (manifest.master.file, manifest.master.sha256)
    for interval in manifest.intervals:
        yield from (interval.kind, interval.started_by.means, interval.ended_by.means)
    for each in manifest.redactions:
        yield from (each.reason, each.by.means, each.at)
    for one in manifest.participants:
        yield from (one.leg, one.kind, one.name, one.number)
    for stream in manifest.streams:
        yield from (stream.leg, stream.codec)


def _optional_texts(manifest: Manifest) -> Iterator[object]:
    yield from (manifest.replaces, manifest.key_id, manifest.signature, manifest.policy)
    for interval in manifest.intervals:
        yield from (interval.started_by.user, interval.ended_by.user)
    for each in manifest.redactions:
        yield each.by.user


def _is_a_time(text: str) -> bool:
    try:
        return unix_ms(text) >= 0
    except (ValueError, OverflowError, OSError):  # a year that no clock here knows
        return False
