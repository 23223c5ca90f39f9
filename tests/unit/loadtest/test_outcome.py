"""No packet may go missing from the verdict."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mediaproxy.loadtest.charts import delay_curves
from mediaproxy.loadtest.outcome import Sample, packet_faults
from mediaproxy.loadtest.report import write_report
from tests.support.load_outcomes import FIGURES, counts, delays, outcome


def test_faultless_counts_are_good() -> None:
    assert packet_faults(counts(), FIGURES) == []
    assert outcome(counts(), []).good
    assert not outcome(counts(), [], interrupted=True).good


@pytest.mark.parametrize("kind", ["lost", "altered", "misdirected", "duplicate", "foreign"])
def test_every_wrong_packet_is_a_fault(kind: str) -> None:
    assert packet_faults(counts(**{kind: 3}), FIGURES) == [f"3 packets {kind}"]


def test_a_digit_of_a_code_that_was_heard_is_a_fault() -> None:
    assert packet_faults(counts(digits_heard=7), FIGURES) == ["7 packets of digits reached the other party"]


@pytest.mark.parametrize("kind", ["unsent", "dropped"])
def test_a_generator_that_failed_proves_nothing(kind: str) -> None:
    found = packet_faults(counts(lost=1), replace(FIGURES, **{kind: 1}))
    assert len(found) == 1
    assert "the generator itself failed" in found[0]


def test_json_tells_what_was_measured() -> None:
    told = json.loads(json.dumps(outcome(counts(), ["call 1: no row in the call log"]).as_json()))
    assert not told["good"]
    assert told["faults"] == ["call 1: no row in the call log"]
    assert told["packets"]["sent"] == told["packets"]["arrived"] == 200
    delay = told["delay_us"]
    assert 40 <= delay["p50"] <= delay["p99"] <= delay["p99_9"] <= delay["max"] <= 60
    assert told["memory_mb"] == {"idle": 100.0, "largest": 120.0, "last": 120.0}
    assert "cores" in told["machine"]["processor"]
    assert told["memory_kb_per_call"] == 10_000.0
    assert told["cpu_us_per_packet"] == pytest.approx(30.0)
    assert told["generator"]["own_us_per_packet"] == pytest.approx(1.0)
    assert told["generator"]["cpu_us_per_packet"] == pytest.approx(2.0)
    assert told["setup_ms"]["max"] == 12.0
    assert told["plan"]["record"] == "all"


def test_delay_over_time_shows_a_burst_where_it_was() -> None:
    largest = delay_curves(delays(packet_25=5_000))[3]
    assert np.flatnonzero(largest.y > 1_000).tolist() == [5]  # 25 × 20 ms


def test_the_report_is_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    page = write_report(outcome(counts(), ['<odd> & "quoted"']), tmp_path / "new").read_text()
    assert "&lt;odd&gt; &amp;" in page
    assert not re.search(r"(src|href)=|https?:", page)
    charts = [ElementTree.fromstring(chart) for chart in re.findall(r"<svg.*?</svg>", page)]
    assert [len(chart.findall("polyline")) for chart in charts] == [0, 4, 1, 1, 1]
    assert len(charts[0].findall("rect")) == 60


def test_every_plot_is_a_picture_too_and_the_figures_lie_beside_them(tmp_path: Path) -> None:
    write_report(outcome(counts(), []), tmp_path)
    pictures = sorted(tmp_path.glob("*.png"))
    assert [picture.stem for picture in pictures] == [
        "delay-histogram",
        "delay-over-time",
        "loss-against-calls",
        "memory-against-calls",
        "memory-over-time",
    ]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert json.loads((tmp_path / "loadtest.json").read_text())["good"]


def test_what_was_not_measured_is_not_drawn_and_said(tmp_path: Path) -> None:
    unseen = [Sample(0, 0, 0, 0.0, 0), Sample(1_000_000_000, 2, 0, 0.0, 200)]
    page = write_report(
        outcome(counts(), [], samples=unseen, unmeasured=["its memory"]), tmp_path
    ).read_text()
    assert "its memory" in page
    assert "Resident memory" not in page
    assert "CPU per packet against calls" not in page


def test_a_report_stands_also_when_nothing_arrived(tmp_path: Path) -> None:
    nothing = counts(arrived=0, lost=200)
    assert "packets lost" in write_report(outcome(nothing, []), tmp_path).read_text()
