"""What a valid configuration gets wrong about agents behind a PBX."""

from collections.abc import Iterator

from mediaproxy.config.findings import Finding, Severity
from mediaproxy.config.settings import Config


def judge_behind(config: Config, file: str) -> Iterator[Finding]:
    naming = {trunk.name for trunk in config.trunks if trunk.agent_from is not None}
    for agent in config.agents:
        if agent.trunk is None:
            continue
        if agent.trunk not in naming:
            yield _error(
                file, f"agents.{agent.name}.trunk", agent.trunk,
                "no trunk that says who is there is called so",
                f"use one of {', '.join(sorted(naming))}" if naming else "give that trunk agent_from",
            )  # fmt: skip
        if agent.recording not in (None, "off"):
            yield _error(
                file, f"agents.{agent.name}.recording", agent.recording,
                "a call may begin before its PBX says who is there, so here only off is heeded",
                "say it in the routes to and from the PBX",
            )  # fmt: skip
    yield from _routes(config, file)


def _routes(config: Config, file: str) -> Iterator[Finding]:
    behind = {agent.name: agent.trunk for agent in config.agents if agent.trunk is not None}
    for number, route in enumerate(config.routes):
        if route.agent in behind:
            yield _error(
                file, f"routes[{number}].agent", route.agent, "is behind a PBX, which alone can reach it",
                f'write trunk = "{behind[route.agent]}"',
            )  # fmt: skip
        sender = route.from_.removeprefix("agent:")
        if route.from_ != sender and sender in behind:
            yield _error(
                file, f"routes[{number}].from", route.from_, "is behind a PBX, from which its calls come",
                f'write from = "trunk:{behind[sender]}"',
            )  # fmt: skip


def _error(file: str, key: str, value: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, file, key, value, problem, remedy)
