"""A proxy as the HTTP interface sees it: rows in memory, toggles that are only noted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mediaproxy.api import Demand, Published, Refusal, RenditionFormat, Toggled
from mediaproxy.calllog import CallFilter, Cursor, LoggedCall, Page, RecordingRow
from mediaproxy.errors import Unavailable
from mediaproxy.ids import RecordingId


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

    def not_ready(self) -> str | None:
        return self.reason


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
