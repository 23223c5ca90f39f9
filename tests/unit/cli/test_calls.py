"""`mediaproxy calls`: what a person reads in a terminal, whatever a peer wrote."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from mediaproxy.api.shapes import call_json
from mediaproxy.calllog.rows import IntervalRow, LoggedCall
from mediaproxy.cli.calls import as_of, table
from mediaproxy.recording.manifest import Actor
from tests.support.call_rows import START_MS, call_row, ended_call, recording_row


def shown(*calls: LoggedCall, width: int = 80) -> str:
    out = StringIO()
    Console(width=width, file=out).print(table([call_json(each, now_ms=START_MS) for each in calls]))
    return out.getvalue()


def test_nothing_is_cut_off_in_eighty_columns() -> None:
    text = shown(LoggedCall(ended_call(), recording_row()))
    assert "…" not in text
    words = ("2026-01-05", "carrier", "+15550100", "alice", "answered", "0:10", "0:02", "0:04–0:06")
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    "name", ["\x1b[2J\x1b]0;owned\x07", "[red]x[/red]", "a\r\nb", "\u202egnp.exe", "\x9b31m"]
)
def test_what_peers_wrote_moves_no_cursor(name: str) -> None:
    text = shown(LoggedCall(ended_call(from_user=name, to_user=name)), width=200)
    assert len(text.splitlines()) == 2
    assert not [sign for sign in text if not sign.isprintable() and sign != "\n"]
    assert "[red]x" in text or "[red]" not in name


def test_a_live_recording_is_shown_as_of_now() -> None:
    """Its row is as old as its last toggle: here 1 s after the answer."""
    by = Actor("api", "alice")
    live = call_row(state="answered", answered_at_ms=START_MS)
    row = recording_row(
        state="recording", duration_samples=8_000, recorded_samples=0,
        intervals=(IntervalRow(1_000, 3_000, by, by), IntervalRow(8_000, None, by, None)),
    )  # fmt: skip
    now = as_of(LoggedCall(live, row), START_MS + 5_000).recording
    assert now is not None
    assert (now.duration_samples, now.recorded_samples) == (40_000, 34_000)


@pytest.mark.parametrize("recording", [None, recording_row()])
def test_what_has_ended_stays_as_it_is(recording: object) -> None:
    logged = LoggedCall(ended_call(), None if recording is None else recording_row())
    assert as_of(logged, START_MS + 99_000) == logged
    assert as_of(replace(logged, call=call_row()), START_MS) == replace(logged, call=call_row())
