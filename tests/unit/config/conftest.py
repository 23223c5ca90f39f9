import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mediaproxy.config import BadConfiguration, Config, load

Loads = Callable[..., Config]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("MEDIAPROXY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "proxy.toml"


@pytest.fixture
def loads(file: Path, monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Load a text, under environment variables."""

    def load_text(text: str, **environment: str) -> Config:
        file.write_text(text)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load(file)

    return load_text


@pytest.fixture
def refusals(loads: Loads, file: Path) -> Callable[..., list[str]]:
    """The lines that say what is wrong with a text, the file's name cut to FILE."""

    def refuse(text: str, **environment: str) -> list[str]:
        with pytest.raises(BadConfiguration) as caught:
            loads(text, **environment)
        return str(caught.value).replace(str(file), "FILE").splitlines()

    return refuse
