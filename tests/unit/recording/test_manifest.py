"""A manifest is canonical, complete and signed; any change of it is found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mediaproxy.errors import Malformed
from mediaproxy.recording import manifest
from mediaproxy.recording.manifest import (
    Actor,
    Interval,
    Manifest,
    Master,
    Participant,
    Redaction,
    StreamFacts,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "manifests"
SEED = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()

WORKED = Manifest(
    recording_id="0193b5e2-7c00-7000-8000-000000000001",
    call_id="0193b5e2-7c00-7000-8000-000000000002",
    sip_call_id="1@carrier.example",
    answered_at="2026-01-05T10:00:02.500Z",
    sample_rate=8000,
    duration_samples=80_000,
    intervals=(Interval(32_000, 48_000, Actor("api", "alice"), Actor("api", "alice")),),
    participants=(Participant("A", 1, "trunk", "carrier", "+15550199", 0, 80_000),),
    streams=(StreamFacts("A", 4_026_531_840, "PCMU", 500),),
    withheld=0,
    injected=0,
    result="complete",
    reasons=(),
    master=Master("0193b5e2-7c00-7000-8000-000000000001.wav", "00" * 32),
)

KEYS = {
    "version", "recording_id", "call_id", "sip_call_id", "answered_at", "sample_rate", "channels",
    "duration_samples", "recorded_samples", "intervals", "participants", "streams", "withheld", "injected",
    "result", "reasons", "master", "replaces", "key_id", "signature", "policy", "consent", "redactions",
    "keep_days",
}  # fmt: skip


def test_every_key_is_always_there() -> None:
    fields = json.loads(manifest.encode(WORKED))
    assert fields.keys() == KEYS
    assert fields["recorded_samples"] == 16_000
    assert fields["intervals"][0] == {
        "kind": "audio",
        "start_sample": 32_000,
        "end_sample": 48_000,
        "started_by": {"means": "api", "user": "alice"},
        "ended_by": {"means": "api", "user": "alice"},
    }
    assert set(fields["streams"][0]) == {
        "leg", "ssrc", "codec", "packets", "lost", "late", "duplicate", "reordered", "reanchors", "slips",
        "ppm",
    }  # fmt: skip


def test_the_form_is_canonical() -> None:
    text = manifest.encode(replace(WORKED, sip_call_id="é\u2028\x7f"))
    assert b" " not in text
    assert "é\u2028\x7f".encode() in text
    assert list(json.loads(text)) == sorted(KEYS)
    assert manifest.canonical(json.loads(text)) == text


def test_announcements_are_not_counted_as_recorded() -> None:
    spoken = Interval(0, 800, Actor("policy"), Actor("policy"), kind="announcement")
    assert replace(WORKED, intervals=(spoken, *WORKED.intervals)).recorded_samples == 16_000


def test_a_signed_manifest_holds_and_reads_back() -> None:
    signed = manifest.sign(WORKED, SEED)
    document = manifest.encode(signed)
    assert manifest.signature_holds(document, PUBLIC)
    assert manifest.decode(document) == signed
    assert signed.key_id == manifest.key_id(PUBLIC)


def test_spacing_and_order_do_not_matter_to_the_signature() -> None:
    fields = json.loads(manifest.encode(manifest.sign(WORKED, SEED)))
    pretty = json.dumps(dict(reversed(fields.items())), indent=2).encode()
    assert manifest.signature_holds(pretty, PUBLIC)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_change_of_any_key_breaks_the_signature(key: str) -> None:
    fields = json.loads(manifest.encode(manifest.sign(WORKED, SEED)))
    fields[key] = "00" * 64 if key == "signature" else [fields[key]]
    assert not manifest.signature_holds(json.dumps(fields).encode(), PUBLIC)


def test_another_key_does_not_fit() -> None:
    document = manifest.encode(manifest.sign(WORKED, SEED))
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    assert not manifest.signature_holds(document, other)
    assert not manifest.signature_holds(manifest.encode(WORKED), PUBLIC)


def test_a_peers_broken_text_can_be_signed() -> None:
    document = manifest.encode(manifest.sign(replace(WORKED, sip_call_id="\udcff"), SEED))
    assert manifest.signature_holds(document, PUBLIC)


@pytest.mark.parametrize("key", sorted(KEYS - {"signature", "key_id", "replaces", "policy"}))
def test_a_manifest_of_the_wrong_shape_is_malformed(key: str) -> None:
    whole = json.loads(manifest.encode(WORKED))
    optional = {"version", "channels", "policy", "consent", "redactions", "keep_days"}
    for wrong in [{**whole, key: {"strange": 1}}, {k: v for k, v in whole.items() if k != key}]:
        if key in wrong or key not in optional:
            with pytest.raises(Malformed):
                manifest.decode(json.dumps(wrong).encode())


STRANGE: tuple[dict[str, object], ...] = (
    {"sample_rate": 0}, {"sample_rate": 1 << 53}, {"duration_samples": 10**400}, {"keep_days": -1},
    {"withheld": 1.0}, {"injected": True}, {"key_id": [1]}, {"signature": {}}, {"replaces": 7},
    {"policy": []},
    {"participants": [{"leg": "A", "channel": 1, "kind": "x", "name": "", "number": "", "from_sample": "x"}]},
    {"streams": [{"leg": [[[]]], "ssrc": 1, "codec": "PCMU", "packets": 1}]},
    {"streams": [{"leg": "A", "ssrc": 1, "codec": "PCMU", "packets": 1, "ppm": "1"}]},
    {"answered_at": "yesterday"},
    {"redactions": [{"start_sample": 0, "end_sample": 1, "reason": "x", "by": {"means": 1}, "at": ""}]},
    *({"master": {"file": name, "sha256": "00"}} for name in (
        "", ".", "..", "/", "a/b.wav", "../a.wav", "a.wa\0v", "a.wav/", ".wav", "a.\ud800", "a", 1,
    )),
)  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE, ids=str)
def test_no_value_of_another_kind_gets_in(strange: dict[str, object]) -> None:
    fields = json.loads(manifest.encode(WORKED)) | strange
    with pytest.raises(Malformed, match="not one of ours"):
        manifest.decode(json.dumps(fields).encode())


@pytest.mark.parametrize("version", [0, 3, 1_000_000])
def test_a_version_that_we_do_not_know_is_refused_and_named(version: int) -> None:
    fields = json.loads(manifest.encode(WORKED)) | {"version": version, "from_the_future": 1}
    with pytest.raises(Malformed, match="a version that this mediaproxy does not know"):
        manifest.decode(json.dumps(fields).encode())


def test_a_manifest_of_the_first_version_can_be_read_and_holds() -> None:
    """As the first version wrote it; its signature is over these bytes."""
    document = (GOLDEN / "first-version.json").read_bytes()
    claims = manifest.decode(document)
    assert claims.version == 1
    assert (claims.redactions, claims.consent, claims.keep_days) == ((), "none", 0)
    assert manifest.signature_holds(document, PUBLIC)


def test_the_canonical_json_to_the_byte() -> None:
    """Whoever verifies elsewhere computes these very bytes."""
    redaction = Redaction(32_000, 33_600, "card number", Actor("api", "admin"), "2026-01-05T11:00:00.000Z")
    spoken = Interval(28_000, 32_000, Actor("policy"), Actor("policy"), kind="announcement")
    every_kind = replace(
        WORKED,
        intervals=(spoken, *WORKED.intervals),
        streams=(replace(WORKED.streams[0], slips=3, ppm=-100),),
        reasons=("ring_full",),
        result="degraded",
        withheld=9,
        injected=200,
        policy="on_demand",
        consent="required",
        keep_days=30,
        redactions=(redaction,),
        replaces="11" * 32,
        sip_call_id="é@carrier.example",
    )
    assert manifest.encode(manifest.sign(every_kind, SEED)) == (GOLDEN / "signed.json").read_bytes()
    assert manifest.decode((GOLDEN / "signed.json").read_bytes()) == manifest.sign(every_kind, SEED)


@pytest.mark.parametrize("document", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_is_malformed(document: bytes) -> None:
    with pytest.raises(Malformed):
        manifest.decode(document)
    with pytest.raises(Malformed):
        manifest.signature_holds(document, PUBLIC) or manifest.decode(document)
