"""`mediaproxy calls --csv`: what the API's export says, of the newest calls."""

import asyncio
import csv
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mediaproxy.calllog.log import CallLog
from mediaproxy.cli import app
from tests.support.alarms import Alarms
from tests.support.call_rows import call_id, ended_call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    async def fill() -> None:
        log = await CallLog.open(f"sqlite:///{tmp_path}/log.sqlite", on_alarm=Alarms())
        for number in range(3):
            log.put_call(ended_call(number, metadata=(("ticket", str(number)),)))
        await log.close()

    asyncio.run(fill())
    path = tmp_path / "proxy.toml"
    path.write_text('[database]\nurl = "sqlite:///log.sqlite"\n')
    return path


def test_the_newest_calls(config: Path) -> None:
    result = CliRunner().invoke(app, ["calls", "--config", str(config), "--csv", "--limit", "2"])
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["id"] for row in rows] == [call_id(2), call_id(1)]
    assert [row["to"] for row in rows] == ["'+15550100"] * 2
    assert rows[0]["metadata"] == '{"ticket": "2"}'


def test_one_of_both(config: Path) -> None:
    assert CliRunner().invoke(app, ["calls", "--config", str(config), "--csv", "--json"]).exit_code == 2
