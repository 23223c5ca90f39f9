"""Everything that is counted, declared in one place and exported for Prometheus.

Nothing here is touched per packet: packet counts are added when a call is released, and live values
are read when Prometheus asks.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mediaproxy.calls.plane import LegCounters

PREFIX = "mediaproxy_"
LEGS = ("a", "b")

# How bad a call got for a party, as far as telephones tell: from unheard to unbearable.
_LOSS_PERCENT = (0, 1, 2, 5, 10, 20, 50)
_JITTER_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

Read = Callable[[], float]


class Metrics:
    """One registry. Label values are few and ours, never a peer's."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._live = _Live()
        self.registry.register(self._live)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._calls = self._counter("calls", "Calls that ended", "disposition")
        self._recordings = self._counter("recordings", "Recordings that were finished", "result")
        self._toggles = self._counter("toggles", "Commands to recordings", "means", "outcome")
        self._alarms = self._counter("alarms", "Alarms raised", "event")
        packets = self._counter("packets", "Packets of released calls", "leg", "kind")
        kinds = [field.name for field in fields(LegCounters) if field.type is int]
        self._packets = [{kind: packets.labels(leg, kind) for kind in kinds} for leg in LEGS]
        self._loss = self._worst("loss_percent", "Worst loss that a leg reported, by call", _LOSS_PERCENT)
        self._jitter = self._worst("jitter_ms", "Worst jitter that a leg reported, by call", _JITTER_MS)

    def call_ended(self, disposition: str) -> None:
        self._calls.labels(disposition).inc()

    def recording_finished(self, result: str) -> None:
        self._recordings.labels(result).inc()

    def toggled(self, means: str, outcome: str) -> None:
        """`outcome` is the new state, or the name of the refusal."""
        self._toggles.labels(means, outcome).inc()

    def alarm(self, event: str) -> None:
        """`event` is an alarm's constant name."""
        self._alarms.labels(event).inc()

    def released(self, legs: tuple[LegCounters, LegCounters]) -> None:
        """Add a released call's packets, and how bad it got for those who told."""
        for counters, children in zip(legs, self._packets, strict=True):
            for kind, child in children.items():
                child.inc(getattr(counters, kind))
        for counters, loss, jitter in zip(legs, self._loss, self._jitter, strict=True):
            if counters.reports:
                loss.observe(counters.worst_reported_loss_percent)
                jitter.observe(counters.worst_reported_jitter_ms)

    def watch(self, name: str, description: str, read: Read, *, total: bool = False) -> None:
        """A value of ours, read at each scrape; `total` says that it only ever grows."""
        self._live.watch(name, description, read, total=total)

    def _worst(self, name: str, description: str, buckets: tuple[float, ...]) -> list[Histogram]:
        histogram = Histogram(
            f"{PREFIX}worst_reported_{name}", description, ["leg"], registry=self.registry, buckets=buckets
        )
        return [histogram.labels(leg) for leg in LEGS]

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, description, labels, registry=self.registry)


class _Live(Collector):
    """Plain ints that live elsewhere, collected when asked for."""

    def __init__(self) -> None:
        self._watched: list[tuple[type[GaugeMetricFamily | CounterMetricFamily], str, str, Read]] = []

    def watch(self, name: str, description: str, read: Read, *, total: bool) -> None:
        family = CounterMetricFamily if total else GaugeMetricFamily
        self._watched.append((family, PREFIX + name, description, read))

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        for family, name, description, read in self._watched:
            yield family(name, description, value=read())
