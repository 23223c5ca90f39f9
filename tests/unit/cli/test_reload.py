"""SIGHUP: what is taken over, and what must not be."""

import asyncio
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from mediaproxy.cli.serve import _reload
from mediaproxy.config import Config

GOOD = '[[agents]]\nname = "alice"\ncontact = "sip:alice@192.0.2.1"\n'
ROUTE = '[[routes]]\nfrom = "agent:alice"\nto = "*"\nagent = "{}"\n'


class FakeServer:
    def __init__(self) -> None:
        self.taken: list[Config] = []
        self.metrics = self
        self.alarms: list[str] = []

    def alarm(self, event: str) -> None:
        self.alarms.append(event)

    async def reload(self, config: Config) -> list[str]:
        self.taken.append(config)
        return ["sip.listen"]


def reloaded(tmp_path: Path, text: str) -> tuple[FakeServer, Any]:
    file, server = tmp_path / "mediaproxy.toml", FakeServer()
    file.write_text(text)
    with capture_logs() as logged:
        asyncio.run(_reload(file, server))  # type: ignore[arg-type]  # a fake of what is called
    [line] = logged
    return server, line


def test_a_good_configuration_is_taken_and_told_with_its_warnings(tmp_path: Path) -> None:
    server, line = reloaded(tmp_path, GOOD + ROUTE.format("alice"))
    assert [agent.name for agent in server.taken[0].agents] == ["alice"]
    assert (line["event"], line["after_restart"]) == ("configuration_reloaded", ["sip.listen"])
    assert any("api.tokens" in warning for warning in line["warnings"])


def test_a_route_to_nobody_changes_nothing(tmp_path: Path) -> None:
    """A start refuses it, and so does a reload."""
    server, line = reloaded(tmp_path, GOOD + ROUTE.format("carol"))
    assert server.taken == []
    assert line["event"] == "configuration_not_reloaded"
    assert server.alarms == ["configuration_not_reloaded"]
    assert any("carol" in finding for finding in line["why"])


def test_an_unknown_key_changes_nothing(tmp_path: Path) -> None:
    server, line = reloaded(tmp_path, "[odd]\nkey = 1\n")
    assert server.taken == []
    assert any("odd" in finding for finding in line["why"])
