"""The compiled helper is built of these very sources, or not at all."""

import shutil
from pathlib import Path

import pytest

from mediaproxy import native
from mediaproxy.native import __main__ as build

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (apt: gcc libc6-dev)")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources, without what was built of them."""
    for name in native.SOURCES:
        shutil.copy(native.HERE / name, tmp_path)
    for module in (native, build):
        monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.delenv("CC", raising=False)
    return tmp_path


def loaded() -> object:
    return native.library.__wrapped__()


@needs_compiler
def test_it_is_built_once_and_loaded(sources: Path) -> None:
    assert loaded() is None
    assert build.main() == 0
    first = native.built().stat()
    assert loaded() is not None
    assert build.main() == 0
    assert native.built().stat() == first
    assert len(list(sources.iterdir())) == len(native.SOURCES) + 1


@needs_compiler
def test_what_was_built_of_other_sources_is_not_loaded_and_goes(sources: Path) -> None:
    build.main()
    old = native.built()
    with (sources / "relay.c").open("a") as source:
        source.write("/* changed */\n")
    assert native.built() != old
    assert loaded() is None
    assert build.main() == 0
    assert loaded() is not None
    assert not old.exists()


@needs_compiler
def test_sources_that_do_not_compile_leave_nothing(sources: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (sources / "relay.c").write_text("no C\n")
    assert build.main() == 1
    assert "could not be built" in capfd.readouterr().err
    assert len(list(sources.iterdir())) == len(native.SOURCES)


def test_without_a_compiler_it_says_what_to_install(
    sources: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    assert build.main() == 1
    assert "apt-get install gcc" in capfd.readouterr().err
    assert loaded() is None


def test_a_file_that_is_no_library_is_not_loaded(sources: Path) -> None:
    native.built().write_bytes(b"not a library")
    assert loaded() is None
