"""A row of the log held against the call that was."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from mediaproxy.loadtest.rows import check_row

Row = dict[str, Any]
SPANS = [(8_000, 24_000), (32_000, 40_000)]


def a_row() -> Row:
    return {
        "state": "ended",
        "disposition": "answered",
        "ended_by": "caller",
        "duration_ms": 10_000,
        "recorded_ms": 3_000,
        "recording": {
            "state": "finished",
            "result": "complete",
            "sample_rate": 8_000,
            "duration_samples": 80_000,
            "recorded_samples": 24_000,
            "intervals": [{"start_sample": start, "end_sample": end} for start, end in SPANS],
        },
    }


def test_a_right_row_passes() -> None:
    assert check_row(a_row(), 10_040.0, "on", SPANS) == []


WRONG: dict[str, Callable[[Row], Any]] = {
    "state is": lambda row: row.update(state="answered"),
    "disposition is": lambda row: row.update(disposition="failed"),
    "ended_by is": lambda row: row.update(ended_by="us"),
    "duration is": lambda row: row.update(duration_ms=9_900),
    "recorded_ms is": lambda row: row.update(recorded_ms=3_001),
    "no recording": lambda row: row.update(recording=None),
    "recording.state is": lambda row: row["recording"].update(state="paused"),
    "recording.result is": lambda row: row["recording"].update(result="degraded"),
    "recording.recorded_samples is": lambda row: row["recording"].update(recorded_samples=23_999),
    "80008 samples, but 10000 ms": lambda row: row["recording"].update(duration_samples=80_008),
    "intervals are": lambda row: row["recording"]["intervals"][0].update(end_sample=24_001),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_in_a_row_is_seen(fault: str) -> None:
    row = copy.deepcopy(a_row())
    WRONG[fault](row)
    found = check_row(row, 10_040.0, "on", SPANS)
    assert any(fault in one for one in found), found


def test_a_missing_interval_is_seen() -> None:
    row = a_row()
    row["recording"]["intervals"].pop()
    assert any("intervals are" in fault for fault in check_row(row, 10_000.0, "on", SPANS))


def test_a_recording_that_never_opened_leaves_none() -> None:
    row = a_row() | {"recorded_ms": 0}
    row["recording"] |= {"result": "none", "recorded_samples": 0, "intervals": []}
    assert check_row(row, 10_000.0, "on", []) == []


def test_a_call_that_must_not_be_recorded_has_no_recording() -> None:
    row = a_row() | {"recorded_ms": 0}
    assert check_row(row, 10_000.0, "off", []) == ["recorded, although the policy is off"]
    assert check_row(row | {"recording": None}, 10_000.0, "off", []) == []
