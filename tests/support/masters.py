"""Published masters made up for tests, and renditions decoded again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from mediaproxy.audio.voice import HIGH, LOW, speak
from mediaproxy.clock import rfc3339
from mediaproxy.recording import manifest, wav
from mediaproxy.recording.manifest import Interval, Manifest
from tests.support.recordings import RATE, Frames, header_of, interval


@dataclass(frozen=True)
class Master:
    path: Path
    sha256: str
    frames: Frames


@dataclass(frozen=True)
class Decoded:
    frames: Frames
    rate: int
    comment: str
    codec: str

    @property
    def seconds(self) -> float:
        return len(self.frames) / self.rate


def call_audio(seconds: float, left: Sequence[float] = (), right: Sequence[float] = ()) -> Frames:
    """Silence, but for a second of speech in a channel from each of these seconds on."""
    frames = np.zeros((round(seconds * RATE), 2), np.int16)
    for channel, speaker, starts in ((0, LOW, left), (1, HIGH, right)):
        said = speak(speaker, 1.0, seed=channel + 1)
        for start in starts:
            at = round(start * RATE)
            frames[at : at + RATE, channel] = said[: len(frames) - at]
    return frames


def identity_of(rate: int = RATE) -> wav.Identity:
    header = header_of()
    return wav.Identity(header.recording_id, header.call_id, header.answered_at_ms, rate)


def write_master(path: Path, frames: Frames, spans: Sequence[tuple[int, int]] | None = None) -> Master:
    """A WAV with its manifest (not signed) beside it; recorded from end to end, unless `spans` say when."""
    if spans is None:
        spans = [(0, len(frames))] if len(frames) else []
    intervals = tuple(interval(*span) for span in spans)
    tail = wav.tail(intervals)
    constant = wav.constant_part(identity_of())
    content = wav.header(constant, len(frames), len(tail)) + frames.astype("<i2").tobytes() + tail
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    claims = manifest_of(path.name, sha256, len(frames), intervals)
    path.with_suffix(".json").write_bytes(manifest.encode(claims))
    return Master(path, sha256, frames)


def manifest_of(name: str, sha256: str, frames: int, intervals: tuple[Interval, ...]) -> Manifest:
    header = header_of()
    return Manifest(
        recording_id=header.recording_id,
        call_id=header.call_id,
        sip_call_id=header.sip_call_id,
        answered_at=rfc3339(header.answered_at_ms),
        sample_rate=RATE,
        duration_samples=frames,
        intervals=intervals,
        participants=header.participants,
        streams=(),
        withheld=0,
        injected=0,
        result="complete",
        reasons=(),
        master=manifest.Master(name, sha256),
    )


def decode(path: Path) -> Decoded:
    """As any player would: encoder delay and padding cut as the file says."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=stream.rate)
        pieces = [
            piece.to_ndarray().reshape(-1, 2)
            for frame in [*container.decode(stream), None]
            for piece in resampler.resample(frame)
        ]
        comment = container.metadata.get("comment") or stream.metadata.get("comment", "")
        return Decoded(np.concatenate(pieces), stream.rate, comment, stream.codec_context.name)
