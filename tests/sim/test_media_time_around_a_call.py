"""What comes before the answer, from a hold, and after the last packet."""

import numpy as np
import pytest

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Recorder
from mediaproxy.recording.ring import PacketRing
from tests.support.oracle import MS, NS_PER_MS, RATE

PTIME_MS = 20
ANSWERED_MS = 2_000
LEVELS = {"before": 0x10, "after": 0x20}


def recorded(seconds: int, *, silent_from: int = 1 << 30, holds: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A leg that speaks from two seconds before the answer on, recorded from its answer; times in ms after
    it. From hold to hold the description says that nobody is to hear it."""
    recorder, ring = Recorder(), PacketRing(1_024)
    opened = recorder.arm(Arm(1, ANSWERED_MS * NS_PER_MS, RecordingPolicy(Policy.AUTOMATIC)))
    assert opened is not None
    recorder.confirm(1, opened.number)
    recorder.describe(1, LegId.A, {0: Codec("PCMU", 8_000)})
    writes = []
    for number in range((ANSWERED_MS + seconds * 1_000) // PTIME_MS):
        now_ms = (number + 1) * PTIME_MS - ANSWERED_MS
        if now_ms in holds and now_ms > 0:
            writes += recorder.drain(ring)
            recorder.describe(1, LegId.A, {0: Codec("PCMU", 8_000)}, heard=now_ms == holds[1])
        now_ns = (now_ms + ANSWERED_MS) * NS_PER_MS
        ring.begin_pass(now_ns)
        if now_ms <= silent_from:
            code = LEVELS["before" if now_ms <= 0 else "after"]
            ring.put(1, 0, 0, 0, 9, number & 0xFFFF, number * 160, now_ns, bytes([code]) * 160)
        ring.end_pass(emptied=True)
        writes += recorder.drain(ring)
    finished = recorder.finish(1, (ANSWERED_MS + seconds * 1_000) * NS_PER_MS, Actor("call_end"))
    assert finished is not None
    blocks = [w.frames or bytes((w.end - w.start) * 4) for w in [*writes, *finished.writes]]
    track = np.frombuffer(b"".join(blocks), "<i2").reshape(-1, 2)[:, 0]
    assert len(track) == seconds * RATE
    return track


def test_early_media_stays_out() -> None:
    track = recorded(2)
    assert track.all()
    assert len(set(track.tolist())) == 1, "not a sample that arrived before the answer, and no hole"


def test_rtp_that_stops_without_a_bye_leaves_silence_to_the_end() -> None:
    track = recorded(5, silent_from=2_000)
    assert track[: 2_000 * MS].all()
    assert not track[2_000 * MS :].any()


@pytest.mark.parametrize("seconds", [1, 3])
def test_a_leg_that_nobody_hears_is_silent_and_its_hold_is_exact(seconds: int) -> None:
    end = 2_000 + seconds * 1_000
    track = recorded(8, holds=(2_000, end))
    silent = np.flatnonzero(track == 0)
    assert abs(silent[0] - 2_000 * MS) <= PTIME_MS * MS
    assert abs(silent[-1] + 1 - end * MS) <= PTIME_MS * MS
    assert len(silent) == silent[-1] - silent[0] + 1
