"""No packet may go missing from the verdict."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mediaproxy.loadtest.outcome import Delays, packet_faults
from mediaproxy.loadtest.report import delay_curves, write_report
from tests.support.load_outcomes import books, outcome


def test_faultless_books_are_good() -> None:
    assert packet_faults(books()) == []
    assert outcome(books(), []).good


def test_a_lost_packet_is_a_fault() -> None:
    arrived = books().arrived_ns.copy()
    arrived[2, 7] = 0
    assert packet_faults(books(arrived_ns=arrived)) == ["1 packets lost"]


@pytest.mark.parametrize("kind", ["altered", "misdirected", "duplicate", "foreign"])
def test_every_other_wrong_packet_is_a_fault(kind: str) -> None:
    assert packet_faults(books(**{kind: 3})) == [f"3 packets {kind}"]


@pytest.mark.parametrize("kind", ["unsent", "sink_dropped"])
def test_a_generator_that_failed_proves_nothing(kind: str) -> None:
    found = packet_faults(books(**{kind: 1}))
    assert any("the generator itself failed" in fault for fault in found)


def test_json_tells_what_was_measured() -> None:
    told = json.loads(json.dumps(outcome(books(), ["call 1: no row in the call log"]).as_json()))
    assert not told["good"]
    assert told["faults"] == ["call 1: no row in the call log"]
    assert told["packets"]["sent"] == told["packets"]["arrived"] == 200
    assert 40 <= told["delay_us"]["p50"] <= told["delay_us"]["p99"] <= told["delay_us"]["max"] <= 60
    assert told["memory_mb"] == {"idle": 100.0, "largest": 120.0}
    assert told["plan"]["record"] == "all"


def test_delay_over_time_shows_a_burst_where_it_was() -> None:
    arrived = books().arrived_ns.copy()
    arrived[:, 25] += 5_000_000
    largest = delay_curves(Delays.of(books(arrived_ns=arrived), 1_000_000_000))[2]
    assert np.flatnonzero(largest.y > 1_000).tolist() == [5]  # 25 × 20 ms


def test_the_report_is_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    page = write_report(outcome(books(), ['<odd> & "quoted"']), tmp_path / "new").read_text()
    assert "&lt;odd&gt; &amp;" in page
    assert not re.search(r"(src|href)=|https?:", page)
    charts = [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", page)]
    assert [len(chart.findall("polyline")) for chart in charts] == [0, 3, 1]
    assert len(charts[0].findall("rect")) == 60


def test_a_report_stands_also_when_nothing_arrived(tmp_path: Path) -> None:
    nothing = books(arrived_ns=np.zeros_like(books().arrived_ns))
    assert "packets lost" in write_report(outcome(nothing, []), tmp_path).read_text()
