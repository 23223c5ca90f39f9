"""The whole proxy: builds every adapter, wires them, starts them in order and stops them in reverse."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog

from mediaproxy import config as configuration
from mediaproxy.api.app import create_app
from mediaproxy.api.server import ApiServer
from mediaproxy.api.tokens import Tokens
from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import LoggedCall
from mediaproxy.calls.plane import PlaneEvent
from mediaproxy.calls.proxy import Proxy
from mediaproxy.clock import NS_PER_MS
from mediaproxy.config import Config
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.media.plane import PlaneSettings
from mediaproxy.net import Endpoint
from mediaproxy.observe import Metrics
from mediaproxy.service.archive import ProxyArchive
from mediaproxy.service.backend import ProxyBackend
from mediaproxy.service.call_changes import CallChanges
from mediaproxy.service.certificates import Certificates
from mediaproxy.service.control import Control
from mediaproxy.service.events import EventStream
from mediaproxy.service.gauges import watch_all
from mediaproxy.service.live import Settings
from mediaproxy.service.media import Media, Outward
from mediaproxy.service.media_loop import LoopSettings, MediaLoop
from mediaproxy.service.pulse import TICK_S, pulse
from mediaproxy.service.recovery import Recovery
from mediaproxy.service.retention import Retention
from mediaproxy.service.sound_files import load_sounds
from mediaproxy.service.sounds import Sounds
from mediaproxy.service.tracing import Tracing
from mediaproxy.service.webhooks import Webhooks
from mediaproxy.service.wiring import LiveCalls, Output, Wiring, wall_offset_ns
from mediaproxy.service.workers import Workers, shares
from mediaproxy.sip.transactions import TransactionLayer
from mediaproxy.storage import Renditions, Storage, pending
from mediaproxy.storage.redact import finish
from mediaproxy.transport.hep import CaptureServer
from mediaproxy.transport.sip_transport import SipTransport

GOODBYE_S = 2.0  # for the answers to our last BYEs: twice repeated over UDP
FILE_READERS = 4

log = structlog.get_logger()


class Server:
    """A running proxy. Make one with `running`; it is stopped when that context ends."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._draining = False
        self._cannot_keep: str | None = None
        self.metrics = Metrics()
        self.live = LiveCalls()
        self.events = EventStream(run=f"{_unix_ms():x}", now_ms=_unix_ms, find=self._live_call)
        self.tokens = Tokens(config.api.known_tokens())
        self._tracing = Tracing()

    @property
    def draining(self) -> bool:
        return self._draining

    async def reload(self, config: Config) -> list[str]:
        """Take over what can change while calls live; returns the keys that need a restart. Raises
        `Unavailable`, and nothing has changed."""
        sounds = await asyncio.to_thread(load_sounds, config)
        await self._certificates.reload(config)
        self._media.add_sounds(sounds)
        waiting = configuration.needs_restart(self._config, config)
        self._config = config
        self._proxy.replace_plan(configuration.plan(config))
        self._transport.settle()
        self.tokens.replace(config.api.known_tokens())
        return waiting

    async def drain(self, deadline_s: float | None = None) -> None:
        """Take no new call; let the live ones end, and end them ourselves after `deadline_s` (default: the
        configuration's)."""
        if deadline_s is None:
            deadline_s = self._config.sip.drain_timeout_s
        self._draining = True
        self._proxy.refuse_new_calls()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.live.none.wait(), deadline_s)
        self._proxy.leave()
        for record in self.live.all():
            self._proxy.hang_up(record.id, now_ns=time.monotonic_ns())
        self._proxy.leave_trunks(now_ns=time.monotonic_ns())
        self._transport.settle()
        await self._said_goodbye()

    async def _said_goodbye(self) -> None:
        """A BYE that is lost once must not leave a telephone in a call that is over."""
        end = self._loop.time() + GOODBYE_S
        while (len(self._proxy) or self._proxy.trunks.leaving) and self._loop.time() < end:  # noqa: ASYNC110 - the core announces no idleness
            await asyncio.sleep(TICK_S)

    async def _start(self, stack: AsyncExitStack) -> None:
        """In this order: nothing is answered before it can be logged and recorded."""
        sounds = Sounds(await asyncio.to_thread(load_sounds, self._config))
        storage, interrupted = await self._open_storage(stack)
        call_log = await CallLog.open(self._config.database.url, on_alarm=self._alarm)
        stack.push_async_callback(call_log.close)
        self._open_webhooks(stack, call_log)
        self._recovery = recovery = Recovery(
            call_log=call_log, storage=storage, names=interrupted, metrics=self.metrics, events=self.events
        )
        await recovery.close_rows()
        self._media = await self._open_media(stack, storage, sounds, call_log)
        self._build(stack, storage, call_log)
        stack.push_async_callback(self._transport.stop)
        self._certificates = Certificates(self._config, self._transport.renew, self._alarm)
        await self._certificates.start()
        stack.push_async_callback(self._certificates.close)
        await self._transport.start(
            (target.transport, target.endpoint) for target in self._config.sip.listeners
        )
        await self._api.start()
        stack.push_async_callback(self._api.stop)
        stack.push_async_callback(self._renditions.close)  # first: replies wait for them
        collector = await stack.enter_async_context(
            pulse(self._tick, live=self.live.__len__, beat=lambda: call_log.beat(_unix_ms()))
        )
        stack.push_async_callback(self._finish_recordings)
        self._webhooks.start()
        recovery.start()
        stack.push_async_callback(recovery.close)
        retention = Retention(
            storage=storage,
            call_log=call_log,
            events=self.events,
            limits=lambda: self._config.storage.limits,
            now_ms=_unix_ms,
        )
        retention.start()
        stack.push_async_callback(retention.close)
        collector.settle()
        self._transport.settle()  # from now on carriers may know of us
        log.info("chain_head", head=str(await asyncio.to_thread(storage.chain.head)))

    def _open_webhooks(self, stack: AsyncExitStack, call_log: CallLog) -> None:
        """Before the first event."""
        hooks = [one.hook for one in self._config.webhooks]
        self._webhooks = Webhooks(hooks, call_log, _unix_ms)
        stack.push_async_callback(self._webhooks.close)
        self._webhooks.watch(self.metrics)
        self.events.listen(self._webhooks.tell)

    async def _open_storage(self, stack: AsyncExitStack) -> tuple[Storage, list[str]]:
        """With the names of what a crash left in the spool, asked for before anything of ours is there."""
        storage = await asyncio.to_thread(Storage.open, self._config.storage.directory)
        stack.callback(storage.close)
        await asyncio.to_thread(_make_good, storage)
        return storage, await asyncio.to_thread(pending, storage)

    async def _open_media(
        self, stack: AsyncExitStack, storage: Storage, sounds: Sounds, call_log: CallLog
    ) -> Media:
        """One media loop here, or workers that have one each."""
        outward = Outward(
            on_plane_event=self._on_plane_event,
            put_row=call_log.put_recording,
            indicate=self._on_indication,
            events=self.events,
            counts=self.metrics,
        )
        settings, count = _loop_settings(self._config), self._config.media.workers
        if not count:
            loop = MediaLoop(settings, storage, sounds, outward)
            stack.push_async_callback(loop.close)
            return loop
        workers = Workers(
            shares(settings, count), storage.root, sounds, outward, self._recovery.repair, storage.keep
        )
        stack.push_async_callback(workers.close)
        await workers.start()
        self.metrics.watch("media_workers_ready", "Processes that relay and record", lambda: workers.ready)
        return workers

    def _build(self, stack: AsyncExitStack, storage: Storage, call_log: CallLog) -> None:
        self._proxy = self._build_proxy()
        self._transport: SipTransport[Any] = SipTransport(
            self._proxy, self._on_output, on_message=self._tracing.note, on_unfit=_peer_refused
        )
        if (capture := self._config.capture).endpoint is not None:
            server = CaptureServer(capture.endpoint, capture.id, self._transport.counters)
            stack.callback(server.close)
            self._tracing.copy_to(server)
        control = Control(self.live.get, self._media.recordings, self.metrics)
        self._wiring = Wiring(
            proxy=self._proxy,
            media=self._media,
            settle=self._transport.settle,
            live=self.live,
            control=control,
            call_log=call_log,
            metrics=self.metrics,
            events=self.events,
        )
        self._build_api(stack, storage, call_log, control)
        watch_all(
            self.metrics,
            live=self.live,
            proxy=self._proxy,
            transport=self._transport.counters,
            media=self._media,
            call_log=call_log,
        )

    def _build_proxy(self) -> Proxy:
        return Proxy(
            configuration.plan(self._config),
            random=os.urandom,
            wall_offset_ns=wall_offset_ns,
            layer=TransactionLayer(random_bytes=os.urandom),
            listeners=self._config.sip.listeners,
        )

    def _build_api(
        self, stack: AsyncExitStack, storage: Storage, call_log: CallLog, control: Control
    ) -> None:
        readers, changes = _threads(stack, "reader", FILE_READERS), _threads(stack, "archive", 1)
        max_bytes = self._config.storage.renditions_mb << 20
        self._renditions = Renditions(storage, readers, _rendition_failed, max_bytes=max_bytes)
        backend = ProxyBackend(
            log=call_log,
            live_call=self.live.get,
            talking=self.live.talking,
            recordings=self._media.recordings,
            control=control,
            storage=storage,
            trace=self._tracing.of,
            not_ready=self._not_ready,
        )
        archive = ProxyArchive(
            storage=storage,
            put_row=call_log.put_recording,
            live=self._media.recordings,
            events=self.events,
            changes=changes,
            files=readers,
            agents_may_redact_s=lambda: self._config.recording.agents_may_redact_s,
        )
        app = create_app(
            backend,
            self.tokens,
            renditions=self._renditions,
            archive=archive,
            changes=self._changes(call_log),
            webhooks=self._webhooks,
            events=self.events,
            registry=self.metrics.registry,
            files=readers,
            now_ms=_unix_ms,
        )
        self._api = ApiServer(app, self._config.api.endpoint)

    def _changes(self, call_log: CallLog) -> CallChanges:
        return CallChanges(
            proxy=self._proxy,
            settle=self._transport.settle,
            live_call=self.live.get,
            log=call_log,
            events=self.events,
        )

    def _not_ready(self) -> str | None:
        if self._draining:
            return "draining"
        if not self._media.takes_calls:
            return "no media worker takes calls"
        reason = self._cannot_keep
        return None if reason is None else f"{reason}: calls that would be recorded are refused"

    def _judge_storage(self) -> None:
        """Whether new calls that would be recorded are turned away from now on, and why."""
        refuses = self._config.recording.on_recorder_failure == "refuse_new"
        self._cannot_keep = self._media.failing if refuses else None
        self._proxy.refuse_recorded_calls(refuse=self._cannot_keep is not None)

    # Bound late: plane and transport are built before what hears them.
    def _on_plane_event(self, event: PlaneEvent) -> None:
        self._wiring.on_plane_event(event)

    def _on_indication(self, call: CallId, word: str) -> None:
        self._proxy.indicate(call, word, now_ns=time.monotonic_ns())
        self._loop.call_soon(self._transport.settle)  # it may be said from within an output

    def _on_output(self, output: Output) -> None:
        self._wiring.on_output(output)

    def _live_call(self, call: CallId) -> LoggedCall | None:
        record = self.live.get(call)
        if record is None:
            return None
        return LoggedCall(record, self._media.recordings.row(call, now_ns=time.monotonic_ns()))

    def _alarm(self, event: str, fields: Mapping[str, object]) -> None:
        self.metrics.alarm(event)
        log.error(event, **fields)

    def _tick(self, now_ns: int) -> None:
        self._media.tick(now_ns)
        self._judge_storage()

    async def _finish_recordings(self) -> None:
        """Whatever has ended is published before the adapters go."""
        await self._wiring.close()
        await self._media.close()


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Server]:
    """A proxy whose listeners are all bound. Raises `Unavailable` with a remedy when one cannot be."""
    async with AsyncExitStack() as stack:
        server = Server(config)
        await server._start(stack)
        yield server


def _loop_settings(config: Config) -> LoopSettings:
    media, recording = config.media, config.recording
    return LoopSettings(
        PlaneSettings(media.addresses, media.advertised, media.port_range, compiled=media.compiled),
        Settings(
            sample_rate=recording.sample_rate,
            keep_unrecorded=recording.keep_unrecorded,
            record_on_hold=recording.record_on_hold,
            confirmation_tone=recording.confirmation_tone,
            format=recording.format,
        ),
        config.storage.backlog_mb << 20,
    )


def _make_good(storage: Storage) -> None:
    """What a crash left of redactions and removals; and a storage of before there was a chain."""
    if storage.adopted:
        log.warning("chain_begun", adopted=storage.adopted)
    for line in finish(storage):
        log.warning("change_finished", what=line)


def _threads(stack: AsyncExitStack, name: str, count: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(count, thread_name_prefix=name)
    stack.callback(pool.shutdown, wait=True)
    return pool


def _peer_refused(transport: str, remote: Endpoint, reason: str, untold: int) -> None:
    log.warning("sip_peer_refused", transport=transport, remote=str(remote), why=reason, untold=untold)


def _rendition_failed(recording: RecordingId, reason: str, last_words: str) -> None:
    log.error("rendition_failed", recording=recording, reason=reason, worker=last_words)


def _unix_ms() -> int:
    return time.time_ns() // NS_PER_MS
