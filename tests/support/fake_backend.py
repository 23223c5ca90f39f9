"""A proxy as the HTTP interface sees it: rows in memory, toggles that are only noted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mediaproxy.api import Demand, Published, Refusal, RenditionFormat, Toggled
from mediaproxy.api.backend import PublicKey, Redacted, Traced, Unfit, WebhookState
from mediaproxy.calllog import CallFilter, Cursor, LoggedCall, Page, RecordingRow
from mediaproxy.calls.behind import Naming
from mediaproxy.calls.events import CallRecord, is_on
from mediaproxy.errors import Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.recording.chain import Head
from mediaproxy.recording.manifest import Actor, Redaction


def _started(demand: Demand) -> Toggled | Refusal:
    return Toggled("recording", True, True, 32_008, 8_000)


@dataclass
class FakeBackend:
    folder: Path
    logged: list[LoggedCall] = field(default_factory=list)
    outcome: Callable[[Demand], Toggled | Refusal] = _started
    demands: list[Demand] = field(default_factory=list)
    asked: list[tuple[CallFilter, int, Cursor | None]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    next: Cursor | None = None
    reason: str | None = None
    log_is_down: bool = False
    traced: list[Traced] = field(default_factory=list)

    def reset(self, folder: Path) -> None:
        """As new, for the next test: an app takes longer to build than to test."""
        vars(self).update(vars(FakeBackend(folder)))

    async def calls(self, query: CallFilter, *, limit: int, after: Cursor | None) -> Page:
        if self.log_is_down:
            raise Unavailable("call log /secret/path: gone")
        self.asked.append((query, limit, after))
        return Page(tuple(self.logged), self.next)

    async def call(self, call: str) -> LoggedCall | None:
        self.looked_up.append(call)
        return next((one for one in self.logged if one.call.id == call), None)

    async def call_of_recording(self, recording: str) -> LoggedCall | None:
        self.looked_up.append(recording)
        return next((one for one in self.logged if one.recording and one.recording.id == recording), None)

    async def toggle(self, demand: Demand) -> Toggled | Refusal:
        self.demands.append(demand)
        return self.outcome(demand)

    def published(self, recording: RecordingRow) -> Published | None:
        if recording.file is None or recording.manifest is None:
            return None
        return Published(self.folder / recording.file, self.folder / recording.manifest)

    def talking(self, agent: str) -> list[CallRecord]:
        return [one.call for one in self.logged if one.call.state == "answered" and is_on(one.call, agent)]

    def trace(self, call: CallRecord) -> list[Traced]:
        return self.traced

    def not_ready(self) -> str | None:
        return self.reason


@dataclass
class FakeArchive:
    """Notes what it was asked; fails as it is told to."""

    failure: Exception | None = None
    agents_may_redact_ms: int = 0
    redacted: list[tuple[str, tuple[int, int], str, str]] = field(default_factory=list)
    removed: list[tuple[str, str, str]] = field(default_factory=list)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def public_keys(self) -> list[PublicKey]:
        self._fail()
        return [PublicKey("56475aa75463474c", bytes(32), "-----BEGIN PUBLIC KEY-----\n", True)]

    async def head(self) -> Head:
        self._fail()
        return Head(7, "ab" * 32)

    async def waveform(self, recording: RecordingId, published: Published) -> Path:
        self._fail()
        path = published.audio.with_suffix(".waveform")
        path.write_text(f'{{"recording_id":"{recording}"}}')
        return path

    async def redact(self, logged: LoggedCall, span: tuple[int, int], *, user: str, reason: str) -> Redacted:
        self._fail()
        assert logged.recording is not None
        self.redacted.append((logged.recording.id, span, user, reason))
        by = Actor("api", user)
        done = Redaction(*span, reason, by, "2026-01-05T11:00:00.000Z")
        if logged.recording.result is None:
            return Redacted(done)
        return Redacted(done, "01" * 32, "02" * 32, "03" * 32)

    async def remove(self, logged: LoggedCall, *, user: str, reason: str) -> None:
        self._fail()
        assert logged.recording is not None
        self.removed.append((logged.recording.id, user, reason))


@dataclass
class FakeChanges:
    """Notes what is to be changed, and does nothing of it."""

    naming: Naming = Naming.DONE
    fits: bool = True
    named: list[tuple[str, str | None]] = field(default_factory=list)
    annotated: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def name_agent(self, call: str, agent: str | None) -> Naming:
        self.named.append((call, agent))
        return self.naming

    async def annotate(self, call: str, changes: Mapping[str, str | None]) -> None:
        if not self.fits:
            raise Unfit("at most 16 keys")
        self.annotated.append((call, dict(changes)))


@dataclass
class FakeWebhooks:
    """One, of the name `crm`."""

    known: list[WebhookState] = field(default_factory=list)
    replayed: list[tuple[str, int]] = field(default_factory=list)

    async def states(self) -> list[WebhookState]:
        return self.known

    async def replay(self, name: str, since_ms: int) -> int | None:
        self.replayed.append((name, since_ms))
        return 3 if name == "crm" else None


@dataclass
class FakeRenditions:
    """Makes a small file beside the master, or says why not."""

    failure: str | None = None
    asked: list[tuple[str, str, RenditionFormat]] = field(default_factory=list)

    async def get(self, recording: RecordingId, master: Path, sha256: str, form: RenditionFormat) -> Path:
        self.asked.append((recording, sha256, form))
        if self.failure is not None:
            raise Unavailable(self.failure)
        path = master.with_suffix(f".{form}")
        if not path.exists():
            path.write_bytes(f"{form} of {recording}".encode())
        return path
