"""What the HTTP interface needs from the running proxy."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

from mediaproxy.calllog.outbox import Delivery, Outlook
from mediaproxy.calllog.rows import CallFilter, Cursor, LoggedCall, Page, RecordingRow
from mediaproxy.calls.behind import Naming
from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.metadata import MAX_KEYS
from mediaproxy.calls.plane import LegId
from mediaproxy.errors import MediaproxyError
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.chain import Head
from mediaproxy.recording.manifest import Redaction

RenditionFormat = Literal["wav", "flac", "mono", "opus", "mp3"]


class Action(Enum):
    """What can be asked of a recording."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Demand:
    """An authorised request to change a call's recording. `user` is the token's name."""

    call: CallId
    action: Action
    user: str


@dataclass(frozen=True, slots=True)
class Toggled:
    """The outcome; when `changed` is false, `effective_sample` is when the present state began."""

    state: str
    changed: bool
    durable: bool
    effective_sample: int
    sample_rate: int


class Refusal(Enum):
    """Why a demand was not met, judged by the call itself in this order."""

    NO_SUCH_CALL = "no_such_call"
    NOT_ANSWERED = "not_answered"
    ENDED = "ended"
    NOT_ENABLED = "not_enabled"
    LOCKED = "locked"
    NOT_DURABLE = "not_durable"


@dataclass(frozen=True, slots=True)
class Published:
    """Where a published recording lies, as absolute paths."""

    audio: Path
    manifest: Path


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redaction that is done, with SHA-256 in hex, `replaces` that of the manifest before; or, without
    them, one of a live recording: it is done when that is published, and before anyone can hear it."""

    redaction: Redaction
    manifest_sha256: str | None = None
    master_sha256: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Traced:
    """A SIP message of a call's `leg`, `at_ms` in Unix time, `elapsed_us` after the call's first one."""

    leg: LegId
    at_ms: int
    elapsed_us: int
    sent: bool
    transport: str
    local: str
    remote: str
    text: str


TOO_MANY_KEYS = f"at most {MAX_KEYS} keys"


class Unfit(MediaproxyError):
    """What was to be written of a call does not fit; the text says why."""


class Changes(Protocol):
    """What can be changed of a call besides its recording."""

    def name_agent(self, call: CallId, agent: str | None) -> Naming: ...

    async def annotate(self, call: CallId, changes: Mapping[str, str | None]) -> None:
        """Raises `Unfit`, and `Unavailable` when the log is needed and cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookState:
    """`origin` is its URL without path and query; `deliveries` are the latest, newest first."""

    name: str
    origin: str
    events: tuple[str, ...]
    outlook: Outlook
    deliveries: list[Delivery]


class Webhooks(Protocol):
    """Raises `Unavailable` when the log cannot be read."""

    async def states(self) -> list[WebhookState]: ...

    async def replay(self, name: str, since_ms: int) -> int | None:
        """How many messages are posted once more; None: there is no such webhook."""
        ...


class Backend(Protocol):
    """Everything reflects live calls first, stored rows second.

    A live call's recording carries the call clock of this moment in `duration_samples` and
    `recorded_samples`. Raises `Unavailable` when the log is needed and cannot be read.
    """

    async def calls(self, query: CallFilter, *, limit: int, after: Cursor | None) -> Page: ...

    async def call(self, call: CallId) -> LoggedCall | None: ...

    async def call_of_recording(self, recording: str) -> LoggedCall | None: ...

    async def toggle(self, demand: Demand) -> Toggled | Refusal: ...

    def talking(self, agent: str) -> list[CallRecord]:
        """The answered calls that an agent is on now, but for those on hold."""
        ...

    def trace(self, call: CallRecord) -> list[Traced]:
        """What was said on both legs, oldest first, as far as it is still kept."""
        ...

    def published(self, recording: RecordingRow) -> Published | None:
        """None when nothing was kept (no file in the row)."""
        ...

    def not_ready(self) -> str | None:
        """None when calls are taken, else why not, in a few words."""
        ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """With what manifests and chain can be verified; `signs` is the one that signs now."""

    key_id: str
    raw: bytes
    pem: str
    signs: bool


class Unchanged(MediaproxyError):
    """A published recording was left as it is; the text tells a client why."""


class Archive(Protocol):
    """What was published: its outline, its proof, and what makes less of it.

    Raises `Unavailable`, with a text for the client, when the storage cannot be read or written.
    """

    @property
    def agents_may_redact_ms(self) -> int:
        """How far back from the end of a call agents may redact; 0 = not at all."""
        ...

    async def public_keys(self) -> list[PublicKey]: ...

    async def head(self) -> Head: ...

    async def waveform(self, recording: RecordingId, published: Published) -> Path:
        """A JSON file."""
        ...

    async def redact(self, logged: LoggedCall, span: tuple[int, int], *, user: str, reason: str) -> Redacted:
        """Raises `Unchanged`."""
        ...

    async def remove(self, logged: LoggedCall, *, user: str, reason: str) -> None:
        """Harmless when it was removed before. Raises `Unchanged`."""
        ...


class Renditions(Protocol):
    """A published master in another format."""

    async def get(self, recording: RecordingId, master: Path, sha256: str, form: RenditionFormat) -> Path:
        """The file, made first when it is not there. Raises `Unavailable` with a text for the client."""
        ...
