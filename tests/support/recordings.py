"""Recordings made up for tests: ids, headers, audio from which a position can be read back."""

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.recording.journal import Header, Toggled
from mediaproxy.recording.manifest import Actor, Interval, Participant

ANSWERED_AT_MS = 1_767_607_202_500  # 2026-01-05T10:00:02.500Z
RATE = 8000
ALICE = Actor("api", "alice")
CALL_END = Actor("call_end")

Frames = NDArray[np.int16]


def recording_id(n: int) -> RecordingId:
    return RecordingId(uuid7(ANSWERED_AT_MS, n.to_bytes(10, "big")))


def header_of(n: int = 1, *, keep_unrecorded: bool = False, rate: int = RATE) -> Header:
    return Header(
        recording_id=recording_id(n),
        call_id=CallId(uuid7(ANSWERED_AT_MS, (n + 1_000_000).to_bytes(10, "big"))),
        sip_call_id=f"{n}@carrier.example",
        answered_at_ms=ANSWERED_AT_MS,
        sample_rate=rate,
        policy="on_demand",
        keep_unrecorded=keep_unrecorded,
        participants=(
            Participant("A", 1, "trunk", "carrier", "+15550199"),
            Participant("B", 2, "agent", "alice", "+15550100"),
        ),
    )


def toggled(number: int, position: int, state: str) -> Toggled:
    return Toggled(number, position, "start" if state == "recording" else "stop", ALICE, state)


def interval(start: int, end: int, ended_by: Actor = ALICE) -> Interval:
    return Interval(start, end, ALICE, ended_by)


def speech(start: int, end: int, n: int = 1) -> Frames:
    """Sample frames, none of them zero, that say where they belong and in which recording."""
    position = np.arange(start, end, dtype=np.int64)
    first = (position * 7919 + n * 101) % 30_000 + 1
    return np.stack([first, -first], axis=1).astype("<i2")


def frames_in(path: Path) -> Frames:
    """All sample frames, read by the standard library."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        content = file.readframes(file.getnframes())
    return np.frombuffer(content, "<i2").reshape(-1, 2)


def expected_frames(duration: int, spans: Sequence[tuple[int, int]], n: int = 1) -> Frames:
    frames = np.zeros((duration, 2), "<i2")
    for start, end in spans:
        frames[start:end] = speech(start, end, n)
    return frames
