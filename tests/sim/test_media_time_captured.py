"""What real senders sent, with the times at which it was captured."""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from mediaproxy.audio.g711 import ALAW_TO_PCM
from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Finished, Recorder
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled
from tests.support.corpora import CORPORA, MISSING
from tests.support.oracle import MS, NS_PER_MS, NS_PER_SAMPLE, RATE
from tests.support.telephone_events import captured_rtp

FOLDER = CORPORA / "dtmf-pcap"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)
ALICE, END = Actor("api", "alice"), Actor("call_end")
CODECS = {8: Codec("PCMA", 8_000), 101: Codec("TELEPHONE-EVENT", 8_000)}
DIGITS = 101


class Captured(NamedTuple):
    at_ns: int
    payload_type: int
    ssrc: int
    seq: int
    timestamp: int
    payload: bytes


def captured(path: Path) -> list[Captured]:
    """A capture, its times from the first packet on."""
    packets = captured_rtp(path)
    found = []
    for micros, rtp in packets:
        _, second, seq, timestamp, ssrc = struct.unpack_from(">BBHII", rtp)
        at_ns = (micros - packets[0][0]) * 1_000
        found.append(Captured(at_ns, second & 0x7F, ssrc, seq, timestamp, rtp[12:]))
    return found


def recorded(
    packets: list[Captured], toggles: list[tuple[int, Action]], seconds: int
) -> tuple[Finished, NDArray[np.int16], list[int]]:
    """The carrier's leg plays a capture from a second after the answer on; toggles in ms."""
    recorder, ring = Recorder(), PacketRing(256)
    recorder.arm(Arm(1, 0, RecordingPolicy(Policy.ON_DEMAND)))
    recorder.describe(1, LegId.A, CODECS, frozenset({DIGITS}))
    tap, writes, edges = Tap.HEADERS, [], []
    waiting = [p._replace(at_ns=p.at_ns + 1_000 * NS_PER_MS) for p in packets]
    for now_ms in range(0, seconds * 1_000, 5):
        ring.begin_pass(now_ms * NS_PER_MS)
        while waiting and waiting[0].at_ns <= now_ms * NS_PER_MS:
            put(ring, waiting.pop(0), now_ms * NS_PER_MS, tap)
        ring.end_pass(emptied=True)
        while toggles and toggles[0][0] <= now_ms:
            toggled = recorder.toggle(1, toggles.pop(0)[1], ALICE, now_ms * NS_PER_MS)
            assert isinstance(toggled, Toggled)
            recorder.confirm(1, toggled.number)
            edges.append(toggled.effective_sample)
        writes += recorder.drain(ring) if now_ms % 40 == 0 else []
        for change in recorder.tap_changes(now_ms * NS_PER_MS):
            tap = change.tap
    writes += recorder.drain(ring)
    finished = recorder.finish(1, seconds * RATE * NS_PER_SAMPLE, END)
    assert finished is not None
    blocks = [w.frames or bytes((w.end - w.start) * 4) for w in [*writes, *finished.writes]]
    return finished, np.frombuffer(b"".join(blocks), "<i2").reshape(-1, 2)[:, 0], edges


def put(ring: PacketRing, packet: Captured, now_ns: int, tap: Tap) -> None:
    _, payload_type, ssrc, seq, timestamp, payload = packet
    if payload_type == DIGITS:
        ring.put_digit(1, 0, payload_type, ssrc, seq, timestamp, now_ns, int.from_bytes(payload[2:4], "big"))
    elif tap is Tap.PAYLOAD:
        ring.put(1, 0, payload_type, 0, ssrc, seq, timestamp, now_ns, payload)
    else:
        ring.put_header(1, 0, payload_type, 0, ssrc, seq, timestamp, now_ns, len(payload))


def test_captured_speech_stands_sample_by_sample_where_it_was_heard() -> None:
    """30 ms packets of A-law with the network's own jitter; recorded in two stretches."""
    packets = captured(FOLDER / "g711a.pcap")
    toggles = [(2_013, Action.START), (4_444, Action.STOP), (5_101, Action.START), (6_907, Action.STOP)]
    finished, track, (a, b, c, d) = recorded(packets, toggles, 10)
    spoken = np.concatenate([ALAW_TO_PCM[np.frombuffer(p.payload, np.uint8)] for p in packets])
    assert len(track) == finished.duration_samples == 80_000
    outside = np.ones(len(track), dtype=bool)
    outside[a:b] = outside[c:d] = False
    assert not track[outside].any()
    # A packet's last sample lies at its arrival if nothing delayed it.
    ends = np.cumsum([len(p.payload) for p in packets])
    arrivals = np.array([RATE + p.at_ns // NS_PER_SAMPLE for p in packets])
    offset = int((arrivals - ends).min())
    for start, end in ((a, b), (c, d)):
        lags = [
            lag for lag in range(offset - 5 * MS, offset + 10 * MS) if matches(track, spoken, start, end, lag)
        ]
        assert lags, "one constant offset"
    assert finished.streams[0].lost == finished.streams[0].late == finished.streams[0].reanchors == 0


def matches(track: NDArray[np.int16], spoken: NDArray[np.int16], start: int, end: int, lag: int) -> bool:
    """Whether all but the edges, which the gate judges thrice, is what was said, so much later."""
    first, last = start + 5 * MS, end - 5 * MS
    return bool((track[first:last] == spoken[first - lag : last - lag]).all())


@pytest.mark.parametrize("digit", ["0", "5", "9", "star", "pound"])
def test_a_captured_digit_is_silent_for_its_length(digit: str) -> None:
    speech = captured(FOLDER / "g711a.pcap")
    events = captured(FOLDER / f"dtmf_2833_{digit}.pcap")
    # The digit's own stream, in the midst of the speech; it is withheld.
    events = [p._replace(at_ns=p.at_ns + 3_000 * NS_PER_MS, ssrc=p.ssrc ^ 1) for p in events]
    packets = sorted([*speech, *events])
    finished, track, _ = recorded(packets, [(1_500, Action.START)], 9)
    length = max(int.from_bytes(p.payload[2:4], "big") for p in events)
    assert length > 50 * MS
    silent = np.flatnonzero(track[3 * RATE : 5 * RATE] == 0)
    longest = max(len(run) for run in np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1))
    assert longest >= length
    assert len(finished.streams) == 2
