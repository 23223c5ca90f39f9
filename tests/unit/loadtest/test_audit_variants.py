"""The audit where packets are lost, digits are dialled, calls are held, and codecs differ."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mediaproxy.loadtest import audit as auditing
from mediaproxy.loadtest import digits, wire
from mediaproxy.loadtest.audit import Evidence, audit, check_dialled
from mediaproxy.loadtest.codecs import Codec
from mediaproxy.loadtest.ledger import spoken
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.plan import Record
from mediaproxy.loadtest.schedule import Speech, Stream
from mediaproxy.loadtest.toggles import Toggled

PACKETS = 200
ANSWERED_NS, BEGAN_NS = 500_000_000, 1_000_000_000
HELD, DIALLED = (80, 130), digits.code(40, "*1")


def evidence(directory: Path, codec: Codec, network: Network, record: Record = Record.ALL) -> Evidence:
    """A call of five seconds: its caller is held, its agent dials when toggled at random."""
    one = Speech(Stream(8, "127.0.0.1", 9), 0, PACKETS, pause=HELD)
    other = Speech(Stream(9, "127.0.0.1", 9), 0, PACKETS, digits=DIALLED if record is Record.RANDOM else ())
    duration = 5 * codec.rate
    start = (at(52, codec) + 40) if record is Record.RANDOM else 0
    interval = {"start_sample": start, "end_sample": duration}
    recording = {
        "id": "rec", "state": "finished", "result": "complete", "sample_rate": codec.rate,
        "duration_samples": duration, "recorded_samples": duration - start, "intervals": [interval],
    }  # fmt: skip
    row = {"state": "ended", "disposition": "answered", "ended_by": "caller", "duration_ms": 5_000}
    recorded_ms = (duration - start) * 1000 // codec.rate
    return Evidence(
        number=4, record=record, network=network, codec=codec, answered_ns=ANSWERED_NS, heard_ns=ANSWERED_NS,
        hung_up_ns=ANSWERED_NS + 5_000_000_000, speeches=(one, other), began_ns=(BEGAN_NS, BEGAN_NS),
        toggled=Toggled(), policy="on", row=row | {"recorded_ms": recorded_ms, "recording": recording},
        file=directory / "rec.wav",
    )  # fmt: skip


def at(index: int, codec: Codec) -> int:
    """Where the packet's arrival stands on the call clock."""
    return (BEGAN_NS - ANSWERED_NS + index * wire.PTIME_NS) * codec.rate // 1_000_000_000


def write(of: Evidence, **spoilt: int) -> None:
    """What a right proxy records of it; `zeroed` and `filled` spoil a packet of the carrier's channel."""
    codec, recording = of.codec, of.row["recording"] if of.row else {}
    frames = np.zeros((recording["duration_samples"], 2), dtype=np.int16)
    for leg, speech in enumerate(of.speeches):
        codes = wire.payloads(
            speech.stream.number, np.arange(PACKETS), wire.payload_table(codec.payload_type)
        )
        there = spoken(speech, of.network)
        track = codec.decode(codes, there).reshape(PACKETS, -1)
        if leg == 0 and "zeroed" in spoilt:
            track[np.flatnonzero(there)[spoilt["zeroed"]]] = 0
        if leg == 0 and "filled" in spoilt:
            track[np.flatnonzero(~there)[spoilt["filled"]]] = 77
        first = at(0, codec) - codec.samples
        frames[first : first + track.size, leg] = track.reshape(-1)
    frames[: recording["intervals"][0]["start_sample"]] = 0
    assert of.file is not None
    with av.open(str(of.file), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=codec.rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(frames.reshape(1, -1), format="s16", layout="stereo")
        frame.rate = codec.rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(autouse=True)
def no_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "verify", lambda paths: [])


LOSSY = Network(loss=0.1, jitter_ms=40, reorder=0.05, seed=3)
KINDS = [(codec, network) for codec in Codec for network in (Network(), LOSSY)]


@pytest.mark.parametrize(("codec", "network"), KINDS)
def test_what_was_sent_is_right_and_a_packet_more_or_less_is_not(
    tmp_path: Path, codec: Codec, network: Network
) -> None:
    right = evidence(tmp_path, codec, network)
    write(right)
    assert audit([right]).faults == []
    write(right, zeroed=20)
    assert "samples differ" in audit([right]).faults[0]
    write(right, filled=20)
    assert "beyond the speech" in audit([right]).faults[0]


def test_another_seed_of_the_network_is_noticed(tmp_path: Path) -> None:
    right = evidence(tmp_path, Codec.PCMU, LOSSY)
    write(right)
    assert audit([replace(right, network=replace(LOSSY, seed=4))]).faults


def test_what_a_code_opened_is_checked_from_where_the_row_says(tmp_path: Path) -> None:
    right = evidence(tmp_path, Codec.PCMU, Network(), Record.RANDOM)
    write(right)
    found = audit([right])
    assert (found.faults, found.expected, found.recordings) == ([], 1, 1)


def test_a_code_that_took_effect_elsewhere_or_not_at_all_is_told(tmp_path: Path) -> None:
    right = evidence(tmp_path, Codec.PCMU, Network(), Record.RANDOM)
    start = at(52, Codec.PCMU)
    assert check_dialled(right, [(start + 400, 40_000)], 40_000) == []
    assert "took effect at" in check_dialled(right, [(start + 500, 40_000)], 40_000)[0]
    assert "took effect at" in check_dialled(right, [(start - 500, 40_000)], 40_000)[0]
    assert check_dialled(right, [], 40_000) == ["1 codes were dialled, 0 took effect"]


def test_the_agents_track_must_be_silent_where_a_digit_was(tmp_path: Path) -> None:
    right = evidence(tmp_path, Codec.PCMU, Network(), Record.RANDOM)
    spoken_too = replace(right.speeches[1], digits=())
    write(replace(right, speeches=(right.speeches[0], spoken_too)))
    assert "agent's channel" in audit([right]).faults[0]


def test_a_wrong_row_is_told_though_the_file_is_right(tmp_path: Path) -> None:
    right = evidence(tmp_path, Codec.PCMU, Network())
    write(right)
    row: dict[str, Any] = dict(right.row or {})
    assert audit([replace(right, row=row | {"ended_by": "callee"})]).faults
    assert audit([replace(right, policy="off")]).faults
