"""A finished call's row, file and manifest held against each other and against what was said."""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise

from tests.support.proxy import Json, ProxyProcess, run_command
from tests.support.rtp_oracle import PTIME_SAMPLES, RATE_HZ, Pcm, Span, check_zero_outside
from tests.support.rtp_phone import RtpPhone

CALL_KEYS = {
    "id", "sip_call_id", "direction", "from", "to", "from_uri", "to_uri", "from_name", "agent", "trunk",
    "state", "started_at", "answered_at", "ended_at", "duration_ms", "recorded_ms", "disposition",
    "sip_status", "ended_by", "participants", "metadata",
    "recording",
}  # fmt: skip
RECORDING_KEYS = {
    "id", "state", "result", "reasons", "policy", "sample_rate", "duration_samples", "recorded_samples",
    "intervals",
}  # fmt: skip
INTERVAL_KEYS = {"kind", "start_sample", "end_sample", "start_ms", "end_ms", "started_by", "ended_by"}
TOGGLE_KEYS = {"state", "changed", "durable", "effective_sample", "effective_ms", "sample_rate"}


def ms(samples: int, rate: int = RATE_HZ) -> int:
    return samples * 1000 // rate


def spans_in(row: Json) -> list[Span]:
    """The audio intervals of a finished recording, in order, apart and inside the call."""
    recording = row["recording"]
    audio = [i for i in recording["intervals"] if i["kind"] == "audio"]
    spans = [(i["start_sample"], i["end_sample"]) for i in audio]
    for start, end in spans:
        assert 0 <= start < end <= recording["duration_samples"], recording
    assert all(a[1] <= b[0] for a, b in pairwise(spans)), spans
    return spans


def check_row(row: Json, rate: int = RATE_HZ) -> list[Span]:
    """A finished row agrees with itself and has every key of the contract. Gives its spans."""
    assert row.keys() >= CALL_KEYS, CALL_KEYS - row.keys()
    recording = row["recording"]
    assert recording.keys() >= RECORDING_KEYS, RECORDING_KEYS - recording.keys()
    spans = spans_in(row)
    for interval in recording["intervals"]:
        assert interval.keys() >= INTERVAL_KEYS, INTERVAL_KEYS - interval.keys()
        assert interval["start_ms"] == ms(interval["start_sample"], rate)
        assert interval["end_ms"] == ms(interval["end_sample"], rate)
    assert recording["state"] == "finished"
    assert recording["sample_rate"] == rate
    assert recording["recorded_samples"] == sum(end - start for start, end in spans)
    assert row["duration_ms"] == ms(recording["duration_samples"], rate)
    assert row["recorded_ms"] == ms(recording["recorded_samples"], rate)
    return spans


def check_manifest(server: ProxyProcess, row: Json) -> Json:
    """The manifest beside the file says what the row says, and hashes the file that is there."""
    wav = server.published(row["recording"]["id"])
    manifest: Json = json.loads(wav.with_suffix(".json").read_text())
    recording = row["recording"]
    assert manifest["recording_id"] == recording["id"]
    assert manifest["call_id"] == row["id"]
    assert manifest["sip_call_id"] == row["sip_call_id"]
    assert (manifest["sample_rate"], manifest["channels"]) == (recording["sample_rate"], 2)
    for key in ("duration_samples", "recorded_samples", "result"):
        assert manifest[key] == recording[key], key
    listed = [(i["start_sample"], i["end_sample"]) for i in manifest["intervals"] if i["kind"] == "audio"]
    assert listed == spans_in(row)
    assert manifest["master"]["file"] == wav.name
    assert manifest["master"]["sha256"] == hashlib.sha256(wav.read_bytes()).hexdigest()
    return manifest


def check_verified(server: ProxyProcess, row: Json) -> None:
    """`mediaproxy verify` agrees, in one line for the file."""
    wav = server.published(row["recording"]["id"])
    found = run_command("verify", str(wav))
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.count(f"{wav}: ") == 1, found.stdout


def check_finished(server: ProxyProcess, row: Json, result: str = "complete") -> tuple[list[Span], Pcm, Pcm]:
    """Everything that holds for every published recording; spans, channel 1 and channel 2."""
    spans = check_row(row)
    assert row["recording"]["result"] == result, row["recording"]
    one, two = server.tracks(row)
    for track in (one, two):
        check_zero_outside(track, spans)
    check_manifest(server, row)
    return spans, one, two


def true_offset(media: RtpPhone, answered_ns: int) -> float:
    """Where the speaker's sample 0 belongs: the least transit from the answer, in samples."""
    audio = [k for k in media.sent if k.packet.payload_type == media.law.payload_type]
    first = audio[0].packet.timestamp
    return min(
        (kept.at_ns - answered_ns) * RATE_HZ / 1e9
        - ((kept.packet.timestamp - first) & 0xFFFFFFFF)
        - PTIME_SAMPLES
        for kept in audio
    )


def check_on_the_clock(
    offsets: Sequence[int], media: RtpPhone, answered_ns: int, tolerance_ms: float = 30
) -> None:
    """Audio lies where it was spoken: what arrives at t after the answer ends at position t."""
    want = true_offset(media, answered_ns)
    for offset in offsets:
        off_by_ms = (offset - want) * 1000 / RATE_HZ
        assert abs(off_by_ms) <= tolerance_ms, f"{off_by_ms:.1f} ms off the call clock: {offset}, {want:.0f}"
