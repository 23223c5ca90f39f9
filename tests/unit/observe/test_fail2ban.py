"""The filter that is delivered finds the lines that are logged, whatever stands before them."""

import configparser
import io
import re
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import structlog

from mediaproxy.calls.events import PasswordRefused, SourceRefused
from mediaproxy.observe import configure_logging
from mediaproxy.service.wiring import LiveCalls, Wiring

CONFIGS = Path(__file__).parents[3] / "configs" / "fail2ban"
HOST = r"(?P<host>[0-9A-Fa-f:.]+)"  # what <HOST> comes to for addresses
DATE = {"%Y": r"\d{4}", "%m": r"\d\d", "%d": r"\d\d", "%H": r"\d\d", "%M": r"\d\d", "%S": r"\d\d"} | {
    "%f": r"\d{1,6}",
    "%z": "(?:Z|[+-][0-9]{2}:?[0-9]{2})",
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    structlog.reset_defaults()
    configure_logging(as_json=True)
    monkeypatch.setattr("mediaproxy.service.wiring.log", structlog.get_logger())
    return stream


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    yield
    structlog.reset_defaults()


def definition() -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    assert parser.read(CONFIGS / "filter.d" / "mediaproxy.conf")
    return parser["Definition"]


def logged(stream: io.StringIO, output: SourceRefused | PasswordRefused) -> str:
    wiring = Wiring(
        proxy=MagicMock(), media=MagicMock(), settle=MagicMock(), live=MagicMock(spec=LiveCalls),
        control=MagicMock(), call_log=MagicMock(), metrics=MagicMock(), events=MagicMock(),
    )  # fmt: skip
    wiring.on_output(output)
    return stream.getvalue().splitlines()[-1]


def found(line: str) -> str | None:
    """The address, as fail2ban finds it: without the time, which it cuts out."""
    date = definition()["datepattern"]
    for sign, pattern in DATE.items():
        date = date.replace(sign, pattern)
    rest, times = re.subn(date, "", line)
    assert times == 1
    for regex in definition()["failregex"].split("\n"):
        match = re.search(regex.replace("<HOST>", HOST), rest)
        if match:
            return match["host"]
    return None


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("before", ["", "Dec 01 12:00:00 gate mediaproxy[42]: "])
def test_the_filter_finds_who_was_refused(said: io.StringIO, host: str, before: str) -> None:
    refused: tuple[SourceRefused | PasswordRefused, ...] = (
        SourceRefused(host, "scanner", 1), SourceRefused(host, "unknown", 1_234),
        PasswordRefused(host, "alice", False), PasswordRefused(host, None, True),
    )  # fmt: skip
    for output in refused:
        assert found(before + logged(said, output)) == host


def test_it_finds_nothing_else(said: io.StringIO) -> None:
    log = structlog.get_logger()
    log.warning("sip_peer_refused", transport="tls", remote="192.0.2.7:5061", why="x", untold=0)
    log.info("call_started", call="c", status=None)
    log.info("sip_other", source="192.0.2.7", why="scanner", requests=1)
    lines = said.getvalue().splitlines()
    assert len(lines) == 3
    assert [found(line) for line in lines] == [None] * 3


def test_the_jail_uses_the_filter() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    assert parser.read(CONFIGS / "jail.d" / "mediaproxy.conf")
    assert parser["mediaproxy"]["filter"] == "mediaproxy"
    assert parser["mediaproxy"]["protocol"] == "tcp,udp"  # by itself it is TCP alone
