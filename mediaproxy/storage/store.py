"""The storage directory: where what lies, who may use it, the key that signs.

<directory>/live/<recording id>.wav, .journal        while the call lives
<directory>/YYYY/MM/DD/<recording id>.wav or .flac, .json   published, by the day of the answer (UTC)
<directory>/renditions/<id>-<master's SHA-256>.opus, .mp3   made when asked for; may be deleted
<directory>/keys/signing.pem, <key id>.pub           Ed25519, PEM
<directory>/chain.jsonl                              every publishing, redaction and removal, signed
<directory>/changes/                                 redactions and removals under way
<directory>/.lock                                    one process at a time
"""

import errno
import fcntl
import os
import pwd
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mediaproxy.errors import Malformed, Misuse, Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.recording import manifest
from mediaproxy.storage import disk, keys
from mediaproxy.storage.chain import CHAIN_FILE, Chain, adoptions
from mediaproxy.storage.encoders import Encoders

MIN_FREE_BYTES = 64 << 20
MASTER_FORMATS = ("wav", "flac")
PROBE = ".probe"

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PROBE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class PublishedFile:
    audio: Path
    manifest: Path
    sha256: str


class Storage:
    """The only one to name files: every name is made of an id of ours, so none can leave the directory."""

    def __init__(self, root: Path, *, lock: int | None, private_key: bytes, min_free_bytes: int) -> None:
        self.root = root
        self.live = root / "live"
        self.renditions = root / "renditions"
        self.private_key = private_key
        self.chain = Chain(root / CHAIN_FILE, private_key)
        self.encoders = Encoders()
        self.adopted = 0  # how many recordings the chain began with, when this start began it
        self.min_free_bytes = min_free_bytes
        self.probe = root / "live" / PROBE
        self._lock: int | None = lock
        self.left_behind: int | None = None  # the lock's descriptor, once it is to be kept

    @classmethod
    def open(cls, directory: Path, *, min_free_bytes: int = MIN_FREE_BYTES) -> "Storage":
        """Take the directory for this process; `Unavailable` says in one line why not, and the remedy."""
        root = directory.absolute()
        try:
            root.mkdir(disk.DIRECTORY_MODE, parents=True, exist_ok=True)
            disk.make_directory(root / "live")
            lock = _take_lock(root)
            _remove_drafts(root / "renditions")
        except OSError as error:
            raise _unusable(root, error) from error
        try:
            _require_space(root, min_free_bytes)
            _probe(root / "live")
            private_key = keys.load_or_make(root / "keys")
        except OSError as error:
            os.close(lock)
            raise _unusable(root, error) from error
        except Unavailable:
            os.close(lock)
            raise
        storage = cls(root, lock=lock, private_key=private_key, min_free_bytes=min_free_bytes)
        storage._begin_chain()
        return storage

    @classmethod
    def attach(cls, directory: Path) -> "Storage":
        """Beside the process that has it: to change or remove what was published, and nothing else. By the
        same user alone, who could read a manifest that another one had written?"""
        root = directory.absolute()
        _require_owner(root)
        if not (root / CHAIN_FILE).is_file():
            raise Unavailable(f"{root}: no storage directory that a server has used (it has no {CHAIN_FILE})")
        try:
            private_key = keys.load_or_make(root / "keys")
        except OSError as error:
            raise _unusable(root, error) from error
        return cls(root, lock=None, private_key=private_key, min_free_bytes=0)

    @classmethod
    def join(cls, directory: Path, place: int, *, min_free_bytes: int = MIN_FREE_BYTES) -> "Storage":
        """For a worker of the process that has it, whose recordings are those that it begins itself;
        `place` tells it from other workers."""
        storage = cls.attach(directory)
        storage.min_free_bytes = min_free_bytes
        storage.probe = storage.live / f"{PROBE}.{place}"
        return storage

    def close(self) -> None:
        """Let another process have the directory. Idempotent."""
        self.encoders.stop()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def keep(self) -> None:
        """A thread of ours is left behind in the disk, and may write yet when that comes back: `close` lets
        nobody have the directory before this process has gone altogether."""
        self.left_behind, self._lock = self._lock, None

    def _begin_chain(self) -> None:
        """A storage of before there was a chain: what lies in it is taken over as it is."""
        try:
            drafts = list(adoptions(self.root)) if not self.chain.path.exists() else []
            self.adopted = len(drafts) if self.chain.begin(drafts) else 0
            self.chain.append()  # nothing; but whether it can be written is known now
        except OSError as error:
            self.close()
            raise _chain_unusable(self.chain.path, error) from error

    def live_audio(self, recording: RecordingId) -> Path:
        return self.live / f"{_checked(recording)}.wav"

    def journal(self, recording: RecordingId) -> Path:
        return self.live / f"{_checked(recording)}.journal"

    def audio(self, recording: RecordingId, answered_at_ms: int, form: str = "wav") -> Path:
        """Where the master of that format belongs, "wav" or "flac"."""
        if form not in MASTER_FORMATS:
            raise Misuse("a master is WAV or FLAC")
        return self._day(answered_at_ms) / f"{_checked(recording)}.{form}"

    def published_audio(self, recording: RecordingId, answered_at_ms: int) -> Path | None:
        """The master that lies there, whatever its format."""
        there = (self.audio(recording, answered_at_ms, form) for form in MASTER_FORMATS)
        return next((path for path in there if path.exists()), None)

    def manifest(self, recording: RecordingId, answered_at_ms: int) -> Path:
        return self._day(answered_at_ms) / f"{_checked(recording)}.json"

    def rendition(self, recording: RecordingId, sha256: str, form: str) -> Path:
        """Of the master of that hash; `form` is a suffix of ours."""
        if not (_SHA256.fullmatch(sha256) and form.isalnum()):
            raise Misuse("a rendition is named by a SHA-256 in hex and a format")
        return self.renditions / f"{_checked(recording)}-{sha256}.{form}"

    def make_day(self, answered_at_ms: int) -> Path:
        """The directory of that day, made when it is not there."""
        day = self._day(answered_at_ms)
        for directory in (day.parents[1], day.parents[0], day):
            disk.make_directory(directory)
        return day

    def find(self, recording: RecordingId, answered_at_ms: int) -> PublishedFile | None:
        """The published recording, or None while (or when) there is none."""
        document = self.manifest(recording, answered_at_ms)
        try:
            master = manifest.decode(document.read_bytes()).master
        except (OSError, Malformed):
            return None
        audio = self.published_audio(recording, answered_at_ms)
        if audio is None or audio.name != master.file:
            return None
        return PublishedFile(audio, document, master.sha256)

    def locate(self, recording: RecordingId) -> Path | None:
        """A published recording's manifest, whatever its day. Looks through all days."""
        return next(self.root.glob(f"[0-9]*/[0-9]*/[0-9]*/{_checked(recording)}.json"), None)

    def has_space(self) -> bool:
        return disk.free_bytes(self.live) >= self.min_free_bytes

    def _day(self, answered_at_ms: int) -> Path:
        return self.root / f"{datetime.fromtimestamp(answered_at_ms // 1000, UTC):%Y/%m/%d}"


def is_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None


def _checked(recording: RecordingId) -> RecordingId:
    if not is_id(recording):
        raise Misuse("a recording's id is a lower-case UUID")
    return recording


def _require_owner(root: Path) -> None:
    with suppress(OSError):  # what is not there is told otherwise
        owner = root.stat().st_uid
        if owner != os.geteuid():
            raise Unavailable(f"{root}: belongs to {_user(owner)}, as the server does; run this as that user")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _take_lock(root: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(root / ".lock", flags, disk.FILE_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_drafts(renditions: Path) -> None:
    """What workers were making when a process before us was killed."""
    for draft in renditions.glob("*.tmp"):
        draft.unlink(missing_ok=True)


def _require_space(root: Path, min_free_bytes: int) -> None:
    free = disk.free_bytes(root)
    if free < min_free_bytes:
        raise Unavailable(
            f"storage.directory {root}: only {free >> 20} MiB free, {min_free_bytes >> 20} MiB are needed;"
            " free some space or choose another directory"
        )


def _probe(live: Path) -> None:
    """Find out now, and not in the first call, that nothing can be written here."""
    probe = live / PROBE
    try:
        disk.write_new(probe, bytes(_PROBE_BYTES))
    finally:
        probe.unlink(missing_ok=True)


_REMEDIES = {
    errno.EAGAIN: "is in use by another mediaproxy; stop that one or choose another directory",
    errno.EACCES: "may not be written by this user; give it write permission or choose another directory",
    errno.EPERM: "may not be written by this user; give it write permission or choose another directory",
    errno.EROFS: "lies on a read-only file system; choose another directory",
    errno.ENOTDIR: "is no directory; choose another path",
    errno.EEXIST: "is no directory; choose another path",
    errno.ENOSPC: "has no space left; free some space or choose another directory",
    errno.EDQUOT: "has no space left; free some space or choose another directory",
}


def _unusable(root: Path, error: OSError) -> Unavailable:
    remedy = _REMEDIES.get(error.errno or 0, f"cannot be used ({error.strerror}); choose another directory")
    return Unavailable(f"storage.directory {root}: {remedy}")


def _chain_unusable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"{path}: cannot be read and written ({error.strerror}); restore it as a plain file")
