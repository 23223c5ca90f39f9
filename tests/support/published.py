"""Published recordings on a real storage, as the server leaves them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mediaproxy.recording import manifest, wav
from mediaproxy.recording.journal import Ended
from mediaproxy.storage import Storage
from mediaproxy.storage.audio import identity
from mediaproxy.storage.publish import publish
from tests.support.recordings import RATE, header_of, interval, recording_id, speech

PATIENCE_S = 50.0  # the encoder runs when nobody else wants the machine; here no result is due in time


def publish_one(
    storage: Storage,
    n: int = 1,
    *,
    duration: int = 2_000,
    spans: Sequence[tuple[int, int]] = ((400, 800), (1_000, 1_200)),
    form: str = "wav",
    rate: int = RATE,
    keep_days: int = 0,
) -> Path:
    """A recording whose every sample in `spans` says where it belongs; returns its master."""
    header = replace(header_of(n, rate=rate), format=form, keep_days=keep_days)
    with storage.live_audio(recording_id(n)).open("wb") as file:
        file.write(wav.header(wav.constant_part(identity(header)), duration))
        for start, end in spans:
            file.seek(wav.data_end(start))
            file.write(speech(start, end, n).tobytes())
        file.truncate(wav.data_end(duration))
    storage.journal(recording_id(n)).write_bytes(b"")
    ended = Ended(duration, tuple(interval(*span) for span in spans))
    outcome = publish(storage, header, ended, waited_s=-PATIENCE_S)
    assert outcome.audio is not None
    return outcome.audio


def as_the_first_version_wrote_it(document: Path, private_key: bytes) -> None:
    """The manifest as it was when there was no chain yet."""
    fields = json.loads(document.read_bytes()) | {"version": 1}
    for later in ("recorded_samples", "policy", "consent", "redactions", "keep_days"):
        del fields[later]
    document.write_bytes(manifest.encode(manifest.sign(manifest._built(fields), private_key)))
