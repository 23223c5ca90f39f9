"""`mediaproxy report`: every answered call is accounted for, and what nothing explains is a finding."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import LoggedCall
from mediaproxy.cli import app
from mediaproxy.cli.report import (
    DELETED,
    LIVE,
    MISSING,
    NOT_ASKED_FOR,
    PUBLISHED_WITHIN_MS,
    RECORDED,
    UNEXPLAINED,
    Report,
    judged,
)
from tests.support.call_rows import START_MS, call_row, ended_call, recording_row

LATER_MS = START_MS + 12_501 + PUBLISHED_WITHIN_MS + 1
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("recording", "outcome", "why"),
    [
        (None, NOT_ASKED_FOR, ""),
        ({}, RECORDED, ""),
        ({"result": "degraded", "reasons": ("storage_backlog",)}, RECORDED, "storage_backlog"),
        ({"result": "recovered", "reasons": ()}, RECORDED, ""),
        ({"result": "none", "intervals": (), "file": None}, NOT_ASKED_FOR, ""),
        ({"deleted_at_ms": START_MS, "file": None}, DELETED, ""),
        ({"result": "failed", "reasons": ("storage_full",)}, MISSING, "storage_full"),
        ({"result": "failed"}, UNEXPLAINED, "it failed"),
        ({"result": "none"}, UNEXPLAINED, "result none 60 s after its end"),
        ({"result": None}, UNEXPLAINED, "result not known 60 s after its end"),
    ],
)
def test_what_became_of_a_recording(recording: dict[str, Any] | None, outcome: str, why: str) -> None:
    row = None if recording is None else recording_row(**recording)
    assert judged(LoggedCall(ended_call(), row), LATER_MS) == (outcome, why)


def test_what_may_still_be_published_is_waited_for() -> None:
    row = recording_row(result=None)
    assert judged(LoggedCall(ended_call(), row), LATER_MS - 2)[0] == LIVE
    assert judged(LoggedCall(call_row(state="answered", answered_at_ms=START_MS), row), LATER_MS)[0] == LIVE


def test_unanswered_calls_are_counted_and_owe_nothing() -> None:
    found = Report("2026-01-05")
    found.add(LoggedCall(ended_call(answered_at_ms=None), None), LATER_MS)
    found.add(LoggedCall(ended_call(2), recording_row(2)), LATER_MS)
    assert (found.calls, found.answered, found.recorded_ms, found.unexplained) == (2, 1, 2_000, 0)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A log of two days: on the first, one recording that is right and one that nothing explains."""

    async def fill() -> None:
        log = await CallLog.open(f"sqlite:///{tmp_path}/db.sqlite", on_alarm=lambda *_: None)
        for number, changes in ((1, {}), (2, {"result": "failed"}), (DAY_MS, {})):
            log.put_call(ended_call(number))
            log.put_recording(recording_row(number, **changes))
        await log.close()

    asyncio.run(fill())
    file = tmp_path / "mediaproxy.toml"
    file.write_text('[database]\nurl = "sqlite:///db.sqlite"\n')
    return file


def test_a_day_s_report_names_what_nothing_explains(config: Path) -> None:
    shown = CliRunner().invoke(app, ["report", "--config", str(config), "--day", "2026-01-05"])
    assert shown.exit_code == 1, shown.output
    assert "2026-01-05: 2 calls, 2 answered" in shown.output
    assert f"{ended_call(2).id}  {UNEXPLAINED}: it failed" in shown.output
    as_json = CliRunner().invoke(app, ["report", "-c", str(config), "--day", "2026-01-06", "--json"])
    assert as_json.exit_code == 0
    told = json.loads(as_json.output)
    assert (told["calls"], told["unexplained"], told["by_policy"]) == (1, 0, {"on_demand": {RECORDED: 1}})


def test_a_day_that_is_none_is_bad_usage(config: Path) -> None:
    assert CliRunner().invoke(app, ["report", "-c", str(config), "--day", "soon"]).exit_code == 2
