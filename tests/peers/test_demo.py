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
    lines = shown.stdout.splitlines()
    assert max(len(line) for line in lines if ".wav" not in line) <= 80, "it fits into an ordinary terminal"
    [carrier, agent] = [line for line in lines if re.match(r" *(carrier|agent) [·▁-█]", line)]
    assert len(carrier) == len(agent)
    assert "0:30" in lines[lines.index(agent) + 2], "to the end of the call"
    [file] = re.findall(r"\S+\.wav", shown.stdout)
    assert Path(file).is_file()
