"""Which of everybody's plain counts Prometheus sees; read when it asks, never written here."""

import asyncio
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from operator import attrgetter
from typing import Any

from mediaproxy.calllog.log import CallLog
from mediaproxy.calls.proxy import Proxy
from mediaproxy.observe import Metrics
from mediaproxy.service.media import Media
from mediaproxy.service.wiring import LiveCalls
from mediaproxy.transport.counters import TransportCounters


def watch_all(
    metrics: Metrics,
    *,
    live: LiveCalls,
    proxy: Proxy,
    transport: TransportCounters,
    media: Media,
    call_log: CallLog,
) -> None:
    """Called once, when all of them are built."""
    metrics.watch("loop_tasks", "Tasks of the event loop", lambda: len(asyncio.all_tasks()))
    metrics.watch("calls_live", "Calls that have not ended", lambda: len(live))
    metrics.watch("agent_contacts", "Contacts at which agents are registered", lambda: proxy.contacts)
    metrics.watch(
        "trunks_registered",
        "Carriers that we are registered with",
        lambda: sum(proxy.trunks.registered.values()),
    )
    metrics.watch(
        "trunks_to_register",
        "Carriers that we are to be registered with",
        lambda: len(proxy.trunks.registered),
    )
    _watch_ints(metrics, "sip", "SIP transport", transport)
    _watch_ints(metrics, "calls", "Call core", proxy.counters, leave_out=("live",))
    _watch_ints(metrics, "log", "Call log rows", call_log.counters)
    metrics.watch("spool_failing", "1 while recordings cannot be written", lambda: media.failing is not None)
    for name, description in (
        ("live", "Recordings in the spool"),
        ("backlog_bytes", "Audio that waits for the disk"),
        ("max_backlog_bytes", "How much of it may wait"),
        ("lost_samples", "Samples that found no room in the backlog; zeros in the file"),
        ("standing", "Recordings whose audio cannot reach the disk"),
        ("postponed", "Recordings that could not be published yet"),
        ("fsync_p99_ms", "Slowest journal writes of late"),
    ):
        metrics.watch(f"spool_{name}", description, partial(_stat, media.stats, attrgetter(name)))


def _watch_ints(
    metrics: Metrics, prefix: str, description: str, counters: Any, *, leave_out: tuple[str, ...] = ()
) -> None:
    for field in fields(counters):
        if field.name not in leave_out:
            text = f"{description}: {field.name.replace('_', ' ')}"
            metrics.watch(f"{prefix}_{field.name}", text, partial(getattr, counters, field.name), total=True)


def _stat(stats: Callable[[], Any], field: Callable[[Any], float]) -> float:
    return field(stats())
