"""What was published, for the HTTP interface: blocking work goes to a thread of its own, one at a time."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mediaproxy.api.backend import PublicKey, Published, Redacted, Unchanged
from mediaproxy.calllog.rows import LoggedCall, RecordingRow
from mediaproxy.clock import NS_PER_MS
from mediaproxy.errors import Malformed, Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.recording import manifest
from mediaproxy.recording.chain import Head
from mediaproxy.recording.manifest import Actor
from mediaproxy.service import rows
from mediaproxy.service.events import EventStream
from mediaproxy.service.media import CommandedRecordings
from mediaproxy.storage import Storage, keys, redact
from mediaproxy.storage.waveform import waveform

MS_PER_S = 1_000
JUST_ENDED = "its call has just ended; try again when it is published, in a moment"
DISK = "the storage cannot be read or written now"

log = structlog.get_logger()
T = TypeVar("T")


class ProxyArchive:
    """Implements `api.backend.Archive`. `changes` runs what changes recordings, `files` what reads them."""

    def __init__(
        self,
        *,
        storage: Storage,
        put_row: Callable[[RecordingRow], None],
        live: CommandedRecordings,
        events: EventStream,
        changes: Executor,
        files: Executor,
        agents_may_redact_s: Callable[[], int],
    ) -> None:
        self._storage = storage
        self._put_row = put_row
        self._live = live
        self._events = events
        self._changes = changes
        self._files = files
        self._agents_may_redact_s = agents_may_redact_s

    @property
    def agents_may_redact_ms(self) -> int:
        return self._agents_may_redact_s() * MS_PER_S

    async def public_keys(self) -> list[PublicKey]:
        return await self._off_loop(self._files, self._public_keys)

    async def head(self) -> Head:
        return await self._off_loop(self._files, self._storage.chain.head)

    async def waveform(self, recording: RecordingId, published: Published) -> Path:
        return await self._off_loop(self._files, lambda: self._waveform(recording, published))

    async def redact(self, logged: LoggedCall, span: tuple[int, int], *, user: str, reason: str) -> Redacted:
        row = _recording(logged)
        by = Actor("api", user)
        if row.result is None:
            return await self._redact_live(logged, row, span, by, reason)
        done = await self._off_loop(
            self._changes, lambda: redact.redact(self._storage, row.id, *span, by=by, reason=reason)
        )
        self._tell("recording.redacted", logged, replace(row, sha256=done.claims.master.sha256), by, span)
        return Redacted(
            done.redaction, done.manifest_sha256, done.claims.master.sha256, done.claims.replaces or ""
        )

    async def _redact_live(
        self, logged: LoggedCall, row: RecordingRow, span: tuple[int, int], by: Actor, reason: str
    ) -> Redacted:
        try:
            redaction = await self._live.redact(logged.call.id, span, by, reason)
        except OSError as error:
            raise Unavailable(DISK) from error
        if redaction is None:
            raise Unchanged(JUST_ENDED)
        self._tell("recording.redacted", logged, row, by, span)
        return Redacted(redaction)

    async def remove(self, logged: LoggedCall, *, user: str, reason: str) -> None:
        row = _recording(logged)
        by = Actor("api", user)
        await self._off_loop(
            self._changes, lambda: redact.remove(self._storage, row.id, by=by, reason=reason)
        )
        gone = rows.deleted_row(row, time.time_ns() // NS_PER_MS)
        self._tell("recording.deleted", logged, gone, by)

    def _tell(
        self, event: str, logged: LoggedCall, row: RecordingRow, by: Actor, span: tuple[int, int] = (0, 0)
    ) -> None:
        if row.result is not None:  # a live one has its rows written elsewhere
            self._put_row(row)
        where = {"start_sample": span[0], "end_sample": span[1]} if any(span) else {}
        self._events.publish(
            event, logged.call.id, row.id, logged=LoggedCall(logged.call, row),
            means=by.means, user=by.user, **where,
        )  # fmt: skip
        log.info(event.replace(".", "_"), call=logged.call.id, recording=row.id, user=by.user, **where)

    def _public_keys(self) -> list[PublicKey]:
        own = Ed25519PrivateKey.from_private_bytes(self._storage.private_key).public_key()
        signing = manifest.key_id(own.public_bytes_raw())
        found = keys.public_keys(self._storage.root / "keys")
        return [PublicKey(key.key_id, key.raw, key.pem, key.key_id == signing) for key in found]

    def _waveform(self, recording: RecordingId, published: Published) -> Path:
        sha256 = manifest.decode(published.manifest.read_bytes()).master.sha256
        path = waveform(self._storage, recording, published.audio, sha256)
        if manifest.decode(published.manifest.read_bytes()).master.sha256 != sha256:
            path.unlink(missing_ok=True)  # it shows what was redacted meanwhile
            return self._waveform(recording, published)
        return path

    async def _off_loop(self, executor: Executor, act: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, act)
        except redact.Unchanged as unchanged:
            raise Unchanged(str(unchanged)) from unchanged
        except Malformed as malformed:
            raise Unchanged(malformed.reason) from malformed
        except FileNotFoundError as error:
            raise Unchanged("its files are no longer where they were published") from error
        except OSError as error:
            raise Unavailable(DISK) from error


def _recording(logged: LoggedCall) -> RecordingRow:
    assert logged.recording is not None
    return logged.recording
