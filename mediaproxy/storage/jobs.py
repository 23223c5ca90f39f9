"""What is asked of a worker process, and what it answers: a line of JSON each.

    → {"form":"flac","source":"…","target":"…","sha256":null,"inscription":{…}}
    ← {"done":65536,"of":28800000}   as often as it likes
    ← {"exit":0,"sha256":"…"}        once

Whatever else a worker writes are its last words.
"""

import json
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Literal, get_args

from mediaproxy.recording.manifest import Interval, intervals_from
from mediaproxy.recording.wav import Identity

Form = Literal["wav", "flac", "mono", "opus", "mp3"]
FORMS: Final = get_args(Form)


class Exit(IntEnum):
    """How a job ended; a worker that dies says nothing."""

    MADE = 0
    STORAGE_FULL = 3
    STORAGE_ERROR = 4
    NOT_THE_MASTER = 5
    NOT_EXACT = 6


@dataclass(frozen=True, slots=True)
class Inscription:
    """What a file says of itself, beside its samples."""

    identity: Identity
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """Make `target` of the master `source`, in one of `FORMS`.

    `sha256` is the source's, of which a copy is made; None: the target becomes a master itself. With no
    `inscription` the manifest beside the source is asked.
    """

    form: str
    source: Path
    target: Path
    sha256: str | None = None
    inscription: Inscription | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """In sample frames."""

    done: int
    of: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`sha256` is the target's, in hex; `words` say what went wrong."""

    exit: int
    sha256: str = ""
    words: str = ""


def encode(job: Job) -> bytes:
    return _line(asdict(job) | {"source": str(job.source), "target": str(job.target)})


def decode(line: bytes) -> Job:
    fields = json.loads(line)
    said = fields["inscription"]
    inscription = said and Inscription(Identity(**said["identity"]), intervals_from(said["intervals"]))
    return Job(fields["form"], Path(fields["source"]), Path(fields["target"]), fields["sha256"], inscription)


def encode_said(said: Progress | Answer) -> bytes:
    return _line(asdict(said))


def decode_said(line: bytes) -> Progress | Answer | None:
    """None: it is none of the two."""
    try:
        fields: dict[str, Any] = json.loads(line)
        return Answer(**fields) if "exit" in fields else Progress(**fields)
    except (ValueError, TypeError):
        return None


def suffix(form: str) -> str:
    """How a file of this form is called for people."""
    return "mono.wav" if form == "mono" else form


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
