"""Redactions of recordings that are still live: `<directory>/live/<recording id>.redactions`.

The live file is blanked at once, where the range is in it already, and once more when it is published,
by whoever does that: so what was to go is never published, a crash in between or not.
"""

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path

from mediaproxy.ids import RecordingId
from mediaproxy.recording import manifest, wav
from mediaproxy.recording.manifest import Redaction
from mediaproxy.storage import disk, sparse
from mediaproxy.storage.changes import changing
from mediaproxy.storage.store import Storage


def ask(storage: Storage, recording: RecordingId, redaction: Redaction) -> None:
    """Durable when this returns. `OSError`: it is not known to be."""
    with changing(storage.root):
        listed = [asdict(each) for each in (*asked(storage, recording), redaction)]
        disk.write_new(_path(storage, recording), manifest.canonical({"redactions": listed}))
        disk.sync_directory(storage.live)
    live = storage.live_audio(recording)
    if live.exists():  # an empty journal has no audio yet
        _blank(live, redaction)


def asked(storage: Storage, recording: RecordingId) -> tuple[Redaction, ...]:
    """In the order in which they were asked for. `OSError` too when what is there cannot be understood."""
    path = _path(storage, recording)
    try:
        listed = json.loads(path.read_bytes())["redactions"]
        return manifest.redactions_from(listed)
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG), str(path)) from error


def forget(storage: Storage, recording: RecordingId) -> None:
    _path(storage, recording).unlink(missing_ok=True)


def _path(storage: Storage, recording: RecordingId) -> Path:
    return storage.live_audio(recording).with_suffix(".redactions")


def _blank(live: Path, redaction: Redaction) -> None:
    fd = disk.open_existing(live)
    try:
        sparse.blank(fd, wav.data_end(redaction.start_sample), wav.data_end(redaction.end_sample))
    finally:
        os.close(fd)
