"""`mediaproxy verify` says what holds, to people and to machines; `mediaproxy redact` makes silence."""

import json
import os
import pwd
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mediaproxy.cli import app, main
from mediaproxy.storage import Storage
from tests.support.published import publish_one
from tests.support.recordings import frames_in, recording_id

ID = recording_id(1)


@pytest.fixture
def audio(storage: Storage) -> Path:
    return publish_one(storage)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    opened = Storage.open(tmp_path / "recordings", min_free_bytes=0)
    opened.close()
    return opened


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mediaproxy.toml"
    path.write_text('[storage]\ndirectory = "recordings"\n')
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=True)


def test_a_storage_that_holds(audio: Path, storage: Storage) -> None:
    result = run("verify", storage.root)
    assert result.exit_code == 0
    assert f"{audio}: ok" in result.stdout
    assert f"chain.jsonl: ok, 1 lines (0 redacted, 0 deleted, 0 expired), head {storage.chain.head()}" in (
        result.stdout
    )
    assert "1 hold, 0 do not" in result.stderr
    assert "lie beside the recordings" in result.stderr
    assert "note the head elsewhere" in result.stderr


def test_a_recording_that_does_not_hold(audio: Path, storage: Storage) -> None:
    audio.write_bytes(audio.read_bytes()[:-1])
    result = run("verify", audio)
    assert result.exit_code == 1
    assert "SHA-256" in result.stdout


def test_the_report(audio: Path, storage: Storage) -> None:
    publish_one(storage, 2).unlink()
    result = run("verify", storage.root, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["good"], report["keys"], report["noted_head"]) == (False, "beside", None)
    assert [each["good"] for each in report["recordings"]] == [True, False]
    assert report["recordings"][1]["problems"] == ["the audio is missing"]
    first = report["recordings"][0]
    assert (first["recording_id"], first["duration_samples"], first["recorded_samples"]) == (ID, 2_000, 600)
    assert report["chains"][0]["lines"] == 2
    assert report["chains"][0]["counts"]["published"] == 2
    assert report["chains"][0]["head"] == str(storage.chain.head())


def test_keys_from_outside(audio: Path, storage: Storage, tmp_path: Path) -> None:
    shutil.copytree(storage.root / "keys", tmp_path / "kept", ignore=lambda *_: ["signing.pem"])
    (key,) = (tmp_path / "kept").iterdir()
    for given in (key, tmp_path / "kept"):
        result = run("verify", storage.root, "--key", given)
        assert result.exit_code == 0
        assert "by keys that were given" in result.stderr
    Storage.open(tmp_path / "other", min_free_bytes=0).close()
    assert run("verify", storage.root, "--key", tmp_path / "other" / "keys").exit_code == 1


def test_a_noted_head(audio: Path, storage: Storage) -> None:
    noted = storage.chain.head()
    publish_one(storage, 2)
    assert run("verify", storage.root, "--head", noted).exit_code == 0
    lines = storage.chain.path.read_bytes().splitlines(keepends=True)
    storage.chain.path.write_bytes(lines[1])
    result = run("verify", storage.root, "--head", noted)
    assert result.exit_code == 1
    assert f"the head that was noted, {noted}, is not in the chain" in result.stdout


@pytest.mark.parametrize("wrong", [["--head", "7"], ["--head", "0:00"], ["--key", "/dev/null"], ["--what"]])
def test_bad_usage(audio: Path, wrong: list[str]) -> None:
    result = run("verify", audio, *wrong)
    assert result.exit_code == 2 or "holds no Ed25519 public key" in str(result.exception)


@pytest.mark.parametrize(
    "hostile", [{"sample_rate": 0}, {"duration_samples": 10**400}, {"key_id": [1]}], ids=str
)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_hostile_manifest_is_a_finding(
    audio: Path, storage: Storage, hostile: dict[str, object], more: list[str]
) -> None:
    document = audio.with_suffix(".json")
    document.write_text(json.dumps(json.loads(document.read_bytes()) | hostile))
    result = run("verify", storage.root, *more)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "the manifest is not one of ours" in result.stdout


def test_what_cannot_be_looked_at_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "x" * 300
    monkeypatch.setattr("sys.argv", ["mediaproxy", "verify", name])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"mediaproxy: {name}: File name too long\n"


def test_redact_where_the_user_has_no_name(
    audio: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs as a number."""
    owner = os.stat(config.parent / "recordings").st_uid
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert run("redact", ID, "--config", config, "--last", "1", "--reason", "x").exit_code == 0
    (done,) = json.loads(audio.with_suffix(".json").read_bytes())["redactions"]
    assert done["by"] == {"means": "cli", "user": str(owner)}


def test_only_the_servers_user_may_change_what_the_server_must_read(
    audio: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = audio.read_bytes()
    monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    result = run("redact", ID, "--config", config, "--last", "1", "--reason", "x")
    assert "run this as that user" in str(result.exception)
    assert audio.read_bytes() == before


def test_nothing_there_is_a_finding(tmp_path: Path) -> None:
    assert run("verify", tmp_path).exit_code == 1
    assert run("verify", tmp_path / "nothing").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "silent"),
    [
        (["--range", "0.05-0.06"], (400, 480)),
        (["--range", "0:00.0501-0:00.0505"], None),
        (["--range", "0.06-9"], (480, 2_000)),
        (["--last", "0.125"], (1_000, 2_000)),
        (["--last", "60"], (0, 2_000)),
    ],
)
def test_redact(
    audio: Path, storage: Storage, config: Path, arguments: list[str], silent: tuple[int, int] | None
) -> None:
    before = frames_in(audio).copy()
    result = run("redact", ID, "--config", config, *arguments, "--reason", "card number")
    if silent is None:
        assert result.exit_code == 2
        assert np.array_equal(frames_in(audio), before)
        return
    assert result.exit_code == 0, result.output
    before[slice(*silent)] = 0
    assert np.array_equal(frames_in(audio), before)
    assert run("verify", storage.root).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--reason", "x"],
        ["--range", "1-2", "--last", "1", "--reason", "x"],
        ["--range", "2-1", "--reason", "x"],
        ["--range", "7-8", "--reason", "x"],
        ["--range", "a-b", "--reason", "x"],
        ["--range", "0:00-0:60", "--reason", "x"],
        ["--range", "0-0:99", "--reason", "x"],
        ["--last", "0", "--reason", "x"],
        ["--last", "-1", "--reason", "x"],
        ["--last", "nan", "--reason", "x"],
        ["--last", "inf", "--reason", "x"],
        ["--last", "1"],
        ["--last", "1", "--reason", ""],
        ["--last", "1", "--reason", " \t"],
        ["--last", "1", "--reason", "x" * 501],
    ],
)
def test_redact_says_what_is_wrong(audio: Path, config: Path, arguments: list[str]) -> None:
    before = audio.read_bytes()
    assert run("redact", ID, "--config", config, *arguments).exit_code == 2
    assert audio.read_bytes() == before


def test_redact_leaves_what_is_not_there_or_not_whole(audio: Path, config: Path) -> None:
    nobody = recording_id(9)
    result = run("redact", nobody, "--config", config, "--last", "1", "--reason", "x")
    assert (result.exit_code, result.stderr) == (
        1, f"{nobody}: left as it is: no published recording has this id\n"
    )  # fmt: skip
    assert run("redact", "../x", "--config", config, "--last", "1", "--reason", "x").exit_code == 2
    audio.write_bytes(audio.read_bytes()[:-1])
    result = run("redact", ID, "--config", config, "--last", "1", "--reason", "x")
    assert result.exit_code == 1
    assert "is not as it was published" in result.stderr
