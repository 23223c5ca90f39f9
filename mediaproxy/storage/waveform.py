"""The outline of a recording: least and greatest sample per stretch and channel, for whoever draws it."""

import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mediaproxy.ids import RecordingId
from mediaproxy.recording.manifest import CHANNELS
from mediaproxy.storage import disk
from mediaproxy.storage.masters import Pcm, open_master
from mediaproxy.storage.store import Storage

MAX_BUCKETS: Final = 4_000
BUCKETS_PER_S: Final = 100  # of a short recording
FORM: Final = "waveform"

Bounds = NDArray[np.int16]


def waveform(storage: Storage, recording: RecordingId, master: Path, sha256: str) -> Path:
    """The outline as a JSON file, made first when it is not there. `Malformed` or `OSError` when the
    master cannot be read. Kept beside the renditions, by the master's hash, and may be deleted like them."""
    target = storage.rendition(recording, sha256, FORM)
    if not target.is_file():
        disk.make_directory(storage.renditions)
        with open_master(master) as pcm:
            content = json.dumps(outline(recording, pcm), separators=(",", ":")).encode()
        disk.write_new(target, content)
    return target


def outline(recording: RecordingId, pcm: Pcm) -> dict[str, object]:
    """Keys as in the API. A hole costs nothing."""
    rate, frames = pcm.shape.sample_rate, pcm.shape.frames
    width = max(rate // BUCKETS_PER_S, -(-frames // MAX_BUCKETS))
    least, most = _bounds(pcm, width)
    return {
        "recording_id": recording,
        "sample_rate": rate,
        "duration_samples": frames,
        "samples_per_bucket": width,
        "channels": [
            {"min": least[:, channel].tolist(), "max": most[:, channel].tolist()}
            for channel in range(CHANNELS)
        ],
    }


def _bounds(pcm: Pcm, width: int) -> tuple[Bounds, Bounds]:
    """What `pcm` leaves out is zero, and counts as such."""
    frames = pcm.shape.frames
    count = -(-frames // width)
    limits = np.iinfo(np.int16)
    least = np.full((count, CHANNELS), limits.max, np.int16)
    most = np.full((count, CHANNELS), limits.min, np.int16)
    missing = np.full(count, width, np.int64)
    missing[-1:] = frames - (count - 1) * width
    for at, piece in pcm.chunks(0, frames):
        samples = np.frombuffer(piece, "<i2").reshape(-1, CHANNELS)
        first = at // width
        cuts = np.arange(first * width, at + len(samples), width) - at
        cuts[0] = 0
        inside = slice(first, first + len(cuts))
        least[inside] = np.minimum(least[inside], np.minimum.reduceat(samples, cuts))
        most[inside] = np.maximum(most[inside], np.maximum.reduceat(samples, cuts))
        missing[inside] -= np.diff(cuts, append=len(samples))
    holes = missing > 0
    least[holes], most[holes] = np.minimum(least[holes], 0), np.maximum(most[holes], 0)
    return least, most
