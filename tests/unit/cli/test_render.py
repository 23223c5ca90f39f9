"""`mediaproxy render`: a copy in another format, or one line why not."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mediaproxy.cli import app
from mediaproxy.storage import Storage
from tests.support.published import publish_one
from tests.support.recordings import expected_frames, frames_in, recording_id

ID = recording_id(1)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    storage = Storage.open(tmp_path / "rec", min_free_bytes=0)
    publish_one(storage)
    storage.close()
    path = tmp_path / "mediaproxy.toml"
    path.write_text('[storage]\ndirectory = "rec"\n')
    monkeypatch.chdir(tmp_path)
    return path


def master() -> Path:
    return next(Path("rec").rglob("*.wav"))


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["render", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow  # a real worker
def test_by_file_by_manifest_and_by_id(config: Path) -> None:
    assert run(master(), "-f", "wav")[:2] == (0, f"{Path(f'{ID}.wav').absolute()}\n")
    assert run(master().with_suffix(".json"), "-f", "wav", "-o", "two.wav")[0] == 0
    assert run(ID, "-f", "wav", "-o", "three.wav", "--config", config)[0] == 0
    truth = expected_frames(2_000, ((400, 800), (1_000, 1_200)))
    assert (frames_in(Path("two.wav")) == truth).all()
    assert Path("two.wav").read_bytes() == Path("three.wav").read_bytes() == Path(f"{ID}.wav").read_bytes()


def test_nothing_is_overwritten(config: Path) -> None:
    Path("mine.wav").write_bytes(b"mine")
    code, _, errors = run(master(), "-f", "wav", "-o", "mine.wav")
    there = Path("mine.wav").absolute()
    assert (code, errors) == (1, f"{master()}: {there} is there already; name another with --out\n")
    assert Path("mine.wav").read_bytes() == b"mine"


def test_a_place_that_is_not_there_is_named(config: Path) -> None:
    code, _, errors = run(master(), "-f", "wav", "-o", "gone/mine.wav")
    folder = Path("gone").absolute()
    assert (code, errors) == (1, f"{master()}: {folder} is no folder; name another place with --out\n")


@pytest.mark.slow  # a real worker
def test_another_file_than_the_master_is_refused(config: Path) -> None:
    with master().open("r+b") as file:
        file.seek(3_000)
        file.write(b"\1")
    code, _, errors = run(master(), "-f", "opus")
    assert (code, errors) == (
        1,
        f"{master()}: the file is not the one that was published: its SHA-256 is another one\n",
    )
    assert list(Path().glob("*.opus*")) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([ID, "-f", "wav"], 2),
        (["notes.txt", "-f", "wav"], 2),
        (["gone.wav", "-f", "wav"], 1),
        ([recording_id(7), "-f", "wav", "--config", "mediaproxy.toml"], 2),
    ],
)
def test_what_is_not_there_is_one_line(config: Path, arguments: list[str], code: int) -> None:
    assert run(*arguments)[0] == code


def test_a_manifest_that_names_another_place_is_not_followed(config: Path) -> None:
    document = master().with_suffix(".json")
    document.write_bytes(document.read_bytes().replace(f"{ID}.wav".encode(), b"../../../secret.wav"))
    assert run(document, "-f", "wav")[2] == f"{document}: its manifest cannot be read\n"
