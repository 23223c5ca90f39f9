"""The newcomer's minute, as a newcomer runs it."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.proxy import COMMAND

pytestmark = [pytest.mark.slow, pytest.mark.peer]


def test_the_demo_shows_a_call_recorded_on_demand(tmp_path: Path) -> None:
    command = [*COMMAND, "demo", "--exit", "--directory", str(tmp_path / "demo")]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "0:30 call, 0:12 recorded" in shown.stdout
    assert "by alice, api" in shown.stdout
    assert "by alice, dtmf" in shown.stdout
    assert "mediaproxy verify: good" in shown.stdout
    [file] = re.findall(r"\S+\.wav", shown.stdout)
    assert Path(file).is_file()
