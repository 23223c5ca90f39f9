"""`mediaproxy retention`: what would go, what goes, and why."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mediaproxy.cli import app
from mediaproxy.storage import Storage
from tests.support.published import publish_one
from tests.support.recordings import recording_id

ONE, TWO, THREE = recording_id(1), recording_id(2), recording_id(3)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    storage = Storage.open(tmp_path / "rec", min_free_bytes=0)
    publish_one(storage, 1, keep_days=30)
    publish_one(storage, 2)
    publish_one(storage, 3, keep_days=30).with_suffix(".json").unlink()
    storage.close()
    path = tmp_path / "mediaproxy.toml"
    path.write_text('[storage]\ndirectory = "rec"\n')
    return path


def run(config: Path, *arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["retention", "--config", str(config), *arguments])
    return result.exit_code, result.stdout.splitlines()


def masters(config: Path) -> set[str]:
    return {path.stem for path in config.parent.rglob("*.wav")}


def test_a_dry_run_says_what_would_go_and_changes_nothing(config: Path) -> None:
    before = {path: path.read_bytes() for path in config.parent.rglob("*") if path.is_file()}
    code, lines = run(config, "--dry-run")
    assert code == 1
    assert lines[0] == f"{ONE}: goes: of 2026-01-05T10:00:02.500Z, kept 30 days"
    assert lines[1].endswith(
        f"{THREE}: left alone: its manifest is missing, so nothing says how long it is to be kept"
    )
    assert lines[2] == "1 would go, 9.3 kB of audio; 1 left alone"
    assert {path: path.read_bytes() for path in config.parent.rglob("*") if path.is_file()} == before


def test_what_is_due_goes_once(config: Path) -> None:
    code, lines = run(config)
    assert (code, lines[0].partition(": of")[0]) == (1, f"{ONE}: removed")
    assert masters(config) == {TWO, THREE}
    assert run(config)[1][-1] == "0 removed, 0 bytes of audio; 1 left alone"


def test_an_object_a_line(config: Path) -> None:
    _, lines = run(config, "--dry-run", "--json")
    goes, left = map(json.loads, lines)
    assert (goes["fate"], goes["recording_id"], goes["asked_days"], goes["kept_days"]) == (
        "goes",
        ONE,
        30,
        30,
    )
    assert (left["fate"], Path(left["path"]).name) == ("left alone", THREE)


def test_the_storages_limits_hold(config: Path) -> None:
    config.write_text('[storage]\ndirectory = "rec"\nmin_keep_days = 36500\n')
    assert run(config, "--dry-run") == (0, ["0 would go, 0 bytes of audio; 0 left alone"])
    config.write_text('[storage]\ndirectory = "rec"\nmax_keep_days = 10\n')
    assert {line[:36] for line in run(config, "--dry-run")[1][:2]} == {ONE, TWO}


def test_a_folder_that_no_server_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mediaproxy.toml"
    path.write_text('[storage]\ndirectory = "nowhere"\n')
    result = CliRunner().invoke(app, ["retention", "--config", str(path)])
    assert result.exit_code != 0
    assert not (tmp_path / "nowhere").exists()
