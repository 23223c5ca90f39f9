"""On a terminal the bar and the lines do not get into each other; what goes to a file is lines alone."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from mediaproxy.storage import Storage
from tests.support.proxy import COMMAND, clean_environment
from tests.support.published import publish_one

CLEARED = b"\r\x1b[2K"


@pytest.fixture
def masters(tmp_path: Path) -> list[Path]:
    storage = Storage.open(tmp_path / "rec", min_free_bytes=0)
    made = [publish_one(storage, n) for n in (1, 2)]
    storage.close()
    return made


def on_a_terminal(arguments: list[str], stdout: Path | None = None) -> bytes:
    """What the terminal is sent; `stdout` goes elsewhere when it is given."""
    ours, theirs = pty.openpty()
    out = theirs if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT)
    environment = clean_environment() | {"TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen([*COMMAND, *arguments], stdout=out, stderr=theirs, env=environment) as process:
        for fd in {out, theirs}:
            os.close(fd)
        sent = b"".join(iter(lambda: read(ours), b""))
        assert process.wait() == 0
    os.close(ours)
    return sent


def read(fd: int) -> bytes:
    try:
        return os.read(fd, 65_536)
    except OSError:  # nobody writes any more
        return b""


@pytest.mark.slow
def test_lines_stand_above_the_bar(masters: list[Path]) -> None:
    sent = on_a_terminal(["verify", str(masters[0].parents[3])])
    assert b"reading" in sent
    for master in masters:
        assert CLEARED + f"{master}: ok\r\n".encode() in sent


@pytest.mark.slow
def test_a_file_gets_the_lines_alone(masters: list[Path], tmp_path: Path) -> None:
    sent = on_a_terminal(["verify", *map(str, masters)], stdout=tmp_path / "said")
    assert b"reading" in sent
    lines = (tmp_path / "said").read_text().splitlines()
    assert lines[:2] == [f"{master}: ok" for master in masters]
    assert "chain.jsonl: ok" in lines[2]
    assert len(lines) == 3
