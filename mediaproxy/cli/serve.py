"""`mediaproxy serve`: the server as a process, its signals, and the check of a configuration."""

import asyncio
import json
import signal
from pathlib import Path

import structlog
import typer
import uvloop

from mediaproxy import config as configuration
from mediaproxy.config import BadConfiguration, Config
from mediaproxy.config.findings import Finding, Severity
from mediaproxy.errors import Unavailable
from mediaproxy.observe import configure_logging, harden_process
from mediaproxy.service.server import Server, running

READY = "mediaproxy ready"
EXIT_USAGE = 2

log = structlog.get_logger()


def check_configuration(path: Path) -> int:
    """Print every finding; 0 when there is none worse than a warning, else 2."""
    if _checked(path) is None:
        return EXIT_USAGE
    typer.echo(f"{path}: good")
    return 0


def print_schema() -> int:
    typer.echo(json.dumps(configuration.json_schema(), indent=2))
    return 0


def run(path: Path) -> int:
    """Serve until SIGTERM or SIGINT; a second one does not wait for live calls."""
    config = _checked(path)
    if config is None:
        return EXIT_USAGE
    configure_logging()
    for failed in harden_process():
        log.warning("not_hardened", what=failed)
    try:
        uvloop.run(_serve(path, config))
    except Unavailable as error:
        typer.echo(f"mediaproxy: {error}", err=True)
        return EXIT_USAGE
    return 0


def _checked(path: Path) -> Config | None:
    """The configuration, or None when it cannot be used; every finding is printed."""
    try:
        config, warnings = _usable(path)
    except BadConfiguration as error:
        typer.echo(str(error), err=True)
        return None
    for warning in warnings:
        typer.echo(str(warning), err=True)
    return config


def _usable(path: Path) -> tuple[Config, list[Finding]]:
    """The configuration and its warnings. Raises BadConfiguration, also for what `check` finds."""
    config = configuration.load(path)
    findings = configuration.check(config, str(path))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise BadConfiguration(findings)
    return config, findings


async def _serve(path: Path, config: Config) -> None:
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    async with running(config) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _on_stop, stop, hurry)
        reloads = _Reloads(path, server)
        loop.add_signal_handler(signal.SIGHUP, reloads.wanted)
        typer.echo(READY, err=True)
        await stop.wait()
        draining = loop.create_task(server.drain())
        hastened = loop.create_task(hurry.wait())
        await asyncio.wait({draining, hastened}, return_when=asyncio.FIRST_COMPLETED)
        hastened.cancel()
        if not draining.done():
            draining.cancel()
            await server.drain(0)


def _on_stop(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    (hurry if stop.is_set() else stop).set()


class _Reloads:
    """One after the other: reading files takes a thread, and a reload that is asked for meanwhile is not
    forgotten."""

    def __init__(self, path: Path, server: Server) -> None:
        self._path = path
        self._server = server
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def wanted(self) -> None:
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        while self._again:
            self._again = False
            await _reload(self._path, self._server)


async def _reload(path: Path, server: Server) -> None:
    """A bad configuration changes nothing."""
    try:
        config, warnings = await asyncio.to_thread(_usable, path)
        waiting = await server.reload(config)
    except (BadConfiguration, Unavailable) as error:
        server.metrics.alarm("configuration_not_reloaded")
        log.error("configuration_not_reloaded", why=str(error).splitlines())
    else:
        log.info("configuration_reloaded", after_restart=waiting, warnings=[str(each) for each in warnings])
