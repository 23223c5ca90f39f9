"""What Prometheus reads."""

from dataclasses import fields

from prometheus_client import generate_latest

from mediaproxy.calls.plane import LegCounters
from mediaproxy.observe import Metrics


def _sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_calls_recordings_toggles_and_alarms_are_counted() -> None:
    metrics = Metrics()
    for disposition in ("answered", "busy", "answered"):
        metrics.call_ended(disposition)
    metrics.recording_finished("complete")
    metrics.toggled("dtmf", "locked")
    metrics.alarm("calllog_failing")
    assert _sample(metrics, "mediaproxy_calls_total", disposition="answered") == 2
    assert _sample(metrics, "mediaproxy_recordings_total", result="complete") == 1
    assert _sample(metrics, "mediaproxy_toggles_total", means="dtmf", outcome="locked") == 1
    assert _sample(metrics, "mediaproxy_alarms_total", event="calllog_failing") == 1


def test_packets_are_never_merged() -> None:
    metrics = Metrics()
    counted = [field for field in fields(LegCounters) if field.type is int]
    counts = {field.name: number for number, field in enumerate(counted, 1)}
    metrics.released((LegCounters(**counts), LegCounters()))
    metrics.released((LegCounters(**counts), LegCounters(packets=5)))
    for kind, number in counts.items():
        assert _sample(metrics, "mediaproxy_packets_total", leg="a", kind=kind) == 2 * number
    assert _sample(metrics, "mediaproxy_packets_total", leg="b", kind="packets") == 5


def test_what_parties_report_is_spread_over_buckets_and_never_summed_up() -> None:
    metrics = Metrics()
    told = LegCounters(reports=3, worst_reported_jitter_ms=30.0, worst_reported_loss_percent=4.0)
    metrics.released((told, LegCounters(worst_reported_jitter_ms=99.0)))
    metrics.released((told, LegCounters()))
    for name, below, above in (("jitter_ms", "20.0", "50.0"), ("loss_percent", "2.0", "5.0")):
        bucket = f"mediaproxy_worst_reported_{name}_bucket"
        assert _sample(metrics, bucket, leg="a", le=below) == 0
        assert _sample(metrics, bucket, leg="a", le=above) == 2
        assert _sample(metrics, bucket, leg="b", le="+Inf") == 0  # it told nothing
    assert _sample(metrics, "mediaproxy_packets_total", leg="a", kind="reports") == 6
    assert _sample(metrics, "mediaproxy_packets_total", leg="a", kind="worst_reported_jitter_ms") is None


def test_what_is_watched_is_read_at_each_scrape() -> None:
    metrics = Metrics()
    values = iter((3, 4))
    metrics.watch("calls_live", "Calls", lambda: next(values))
    metrics.watch("strays", "Strays", lambda: 7, total=True)
    assert b"\nmediaproxy_calls_live 3.0\n" in generate_latest(metrics.registry)
    text = generate_latest(metrics.registry)
    assert b"\nmediaproxy_calls_live 4.0\n" in text
    assert b"# TYPE mediaproxy_strays_total counter\nmediaproxy_strays_total 7.0\n" in text


def test_two_proxies_in_one_process_do_not_share_counts() -> None:
    first, second = Metrics(), Metrics()
    first.call_ended("busy")
    assert _sample(second, "mediaproxy_calls_total", disposition="busy") is None
