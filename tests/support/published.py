"""Published recordings on a real storage, as the server leaves them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mediaproxy.recording import wav
from mediaproxy.recording.journal import Ended
from mediaproxy.storage import Storage
from mediaproxy.storage.audio import identity
from mediaproxy.storage.publish import publish
from tests.support.recordings import expected_frames, header_of, interval, recording_id


def publish_one(
    storage: Storage,
    n: int = 1,
    *,
    duration: int = 2_000,
    spans: Sequence[tuple[int, int]] = ((400, 800), (1_000, 1_200)),
    form: str = "wav",
    keep_days: int = 0,
) -> Path:
    """A recording whose every sample in `spans` says where it belongs; returns its master."""
    header = replace(header_of(n), format=form, keep_days=keep_days)
    head = wav.header(wav.constant_part(identity(header)), duration)
    storage.live_audio(recording_id(n)).write_bytes(head + expected_frames(duration, spans, n).tobytes())
    storage.journal(recording_id(n)).write_bytes(b"")
    outcome = publish(storage, header, Ended(duration, tuple(interval(*span) for span in spans)))
    assert outcome.audio is not None
    return outcome.audio
