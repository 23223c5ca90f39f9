"""`mediaproxy repair` in a folder that a killed proxy left."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mediaproxy.cli import app
from mediaproxy.storage import Storage
from tests.support.crashed import leave_spool
from tests.support.recordings import recording_id


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    leave_spool(tmp_path, 3)
    return tmp_path


def run(*arguments: str) -> tuple[int, list[str], str]:
    result = CliRunner().invoke(app, ["repair", *arguments])
    return result.exit_code, result.stdout.splitlines(), result.stderr


def test_a_line_for_each_recording(spool: Path) -> None:
    code, lines, errors = run(str(spool))
    assert (code, len(lines), errors) == (0, 3, "")
    audio = spool / "2026/01/05" / f"{recording_id(2)}.wav"
    assert lines[1] == f"{recording_id(2)}: recovered, 3.000 s of 8.000 s recorded -> {audio}"
    assert run(str(spool)) == (0, ["nothing to repair"], "")


def test_an_object_for_each_recording(spool: Path) -> None:
    (spool / "live" / f"{recording_id(2)}.journal").unlink()
    code, lines, _ = run(str(spool), "--json")
    first, second, _ = map(json.loads, lines)
    assert code == 1
    assert (first["result"], first["duration_samples"], first["recorded_samples"]) == (
        "recovered", 64_000, 48_000,
    )  # fmt: skip
    assert second == {
        "recording_id": recording_id(2),
        "result": "refused",
        "reasons": ["its journal is missing, so nothing says what may be heard"],
    }
    code, lines, _ = run(str(spool), "--json")
    assert (code, [json.loads(line) for line in lines]) == (1, [second])


def test_what_is_no_storage_directory_is_a_wrong_use(tmp_path: Path) -> None:
    code, lines, error = run(str(tmp_path))
    assert (code, lines) == (2, [])
    assert error == f"{tmp_path}: not a storage directory (it has no live/)\n"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_use_is_left_alone(spool: Path) -> None:
    server = Storage.open(spool, min_free_bytes=0)
    before = {path: path.read_bytes() for path in (spool / "live").iterdir()}
    code, lines, error = run(str(spool))
    server.close()
    assert (code, lines) == (2, [])
    assert "is in use by another mediaproxy; stop that one" in error
    assert "a server repairs by itself when it starts" in error
    assert {path: path.read_bytes() for path in (spool / "live").iterdir()} == before
