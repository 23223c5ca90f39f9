"""The outline says of every stretch what its samples say."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.storage import Storage
from mediaproxy.storage.masters import open_master
from mediaproxy.storage.waveform import MAX_BUCKETS, outline, waveform
from tests.support.published import publish_one
from tests.support.recordings import Frames, frames_in, recording_id

ID = recording_id(1)


def slowly(frames: Frames, width: int) -> list[dict[str, list[int]]]:
    pieces = [frames[at : at + width] for at in range(0, len(frames), width)]
    return [
        {"min": [int(p[:, c].min()) for p in pieces], "max": [int(p[:, c].max()) for p in pieces]}
        for c in (0, 1)
    ]


@pytest.mark.parametrize(
    ("duration", "spans"),
    [
        (2_000, [(400, 800), (1_000, 1_200)]),
        (1, [(0, 1)]),
        (79, []),
        (80, [(0, 80)]),
        (81, [(80, 81)]),
        (700_001, [(3, 140_000), (140_001, 700_001)]),
        (0, []),
    ],
)
def test_it_says_what_the_samples_say(
    storage: Storage, duration: int, spans: Sequence[tuple[int, int]]
) -> None:
    audio = publish_one(storage, duration=duration, spans=spans)
    with open_master(audio) as pcm:
        found = outline(ID, pcm)
    width = max(80, -(-duration // MAX_BUCKETS))
    assert found["samples_per_bucket"] == width
    assert (found["sample_rate"], found["duration_samples"]) == (8_000, duration)
    assert found["channels"] == slowly(frames_in(audio), width)


def test_a_hole_in_the_file_is_silence(storage: Storage, tmp_path: Path) -> None:
    audio = publish_one(storage, duration=2_000_000, spans=[(1_000_000, 1_000_100)])
    dense = tmp_path / "dense.wav"
    dense.write_bytes(audio.read_bytes())
    assert audio.stat().st_blocks < dense.stat().st_blocks
    with open_master(dense) as whole, open_master(audio) as holed:
        assert outline(ID, whole) == outline(ID, holed)


def test_it_is_kept_by_the_masters_hash(storage: Storage) -> None:
    audio = publish_one(storage)
    kept = waveform(storage, ID, audio, "0" * 64)
    assert kept.name == f"{ID}-{'0' * 64}.waveform"
    assert json.loads(kept.read_bytes())["recording_id"] == ID
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(b"as before")
    assert waveform(storage, ID, audio, "0" * 64).read_bytes() == b"as before"
    assert waveform(storage, ID, audio, "1" * 64).read_bytes() != b"as before"
    assert np.any(frames_in(audio))
