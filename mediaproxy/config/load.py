"""From a file and the environment to a configuration, or to findings that say how to mend them."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from mediaproxy.config.agents import AgentSection
from mediaproxy.config.complaints import complaints
from mediaproxy.config.findings import BadConfiguration, Finding, Severity, bad_file
from mediaproxy.config.sections import RouteSection, TrunkSection
from mediaproxy.config.settings import ENV_DELIMITER, ENV_PREFIX, Config
from mediaproxy.config.texts import SQLITE, visible
from mediaproxy.config.trunk_register import RegisterSection

MAX_PASSWORD_BYTES = 1_024
_S = TypeVar("_S", AgentSection, RegisterSection)


def load(path: Path) -> Config:
    """Read, validate, make paths absolute. Raises BadConfiguration with everything that is wrong."""
    tables = _read(path)
    unknown = list(_unknown_variables())
    if unknown:
        raise BadConfiguration(unknown)
    try:
        config = Config(**tables)
    except ValidationError as error:
        raise BadConfiguration(complaints(error, str(path))) from None
    except SettingsError as error:
        raise BadConfiguration([_not_json(str(error))]) from None
    return _with_passwords(_absolute(config, path.resolve().parent), str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise bad_file(path, str(error.strerror), "name a file that can be read") from None
    except UnicodeDecodeError:
        raise bad_file(path, "not UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise bad_file(path, f"not TOML: {error}", "see configs/example.toml") from None


def _unknown_variables() -> Iterator[Finding]:
    """Variables that look like ours but name no section: a misspelt one must not be ignored."""
    for name in sorted(os.environ):
        section, delimiter, _ = name.removeprefix(ENV_PREFIX).partition(ENV_DELIMITER)
        if name.startswith(ENV_PREFIX) and delimiter and section.lower() not in Config.model_fields:
            sections = ", ".join(Config.model_fields)
            yield Finding(
                Severity.ERROR, "environment", name, None, "no such section", f"use one of {sections}"
            )


def _not_json(text: str) -> Finding:
    """pydantic-settings names the section in its text, and nothing else."""
    section = ENV_PREFIX + text.partition('field "')[2].partition('"')[0].upper()
    names = ", ".join(sorted(name for name in os.environ if name.upper().startswith(section)))
    remedy = """write lists and tables as JSON, e.g. '["a"]'"""
    return Finding(Severity.ERROR, "environment", names, None, "not JSON", remedy)


def _absolute(config: Config, folder: Path) -> Config:
    directory = folder / config.storage.directory.expanduser()
    url = SQLITE + str(folder / config.database.url.removeprefix(SQLITE))
    return config.model_copy(
        update={
            "sip": config.sip.model_copy(update={"tls": config.sip.tls.below(folder)}),
            "storage": config.storage.model_copy(update={"directory": directory}),
            "recording": config.recording.model_copy(
                update={"announcement": config.recording.announcement.below(folder)}
            ),
            "routes": tuple(_route_below(route, folder) for route in config.routes),
            "agents": tuple(_agent_below(agent, folder) for agent in config.agents),
            "trunks": tuple(_trunk_below(trunk, folder) for trunk in config.trunks),
            "database": config.database.model_copy(update={"url": url}),
        }
    )


def _with_passwords(config: Config, file: str) -> Config:
    """With what the password files say. Raises BadConfiguration."""
    findings: list[Finding] = []

    def with_password(section: _S, key: str) -> _S:
        if section.password_file is None:
            return section
        try:
            return section.model_copy(update={"password": _read_password(section.password_file)})
        except ValueError as error:
            problem, _, remedy = str(error).partition("; ")
            name = str(section.password_file)
            findings.append(Finding(Severity.ERROR, file, f"{key}.password_file", name, problem, remedy))
            return section

    agents = [with_password(one, f"agents[{number}]") for number, one in enumerate(config.agents)]
    trunks = [
        trunk
        if trunk.register_ is None
        else trunk.model_copy(
            update={"register_": with_password(trunk.register_, f"trunks[{number}].register")}
        )
        for number, trunk in enumerate(config.trunks)
    ]
    if findings:
        raise BadConfiguration(findings)
    return config.model_copy(update={"agents": tuple(agents), "trunks": tuple(trunks)})


def _read_password(path: Path) -> SecretStr:
    """Raises ValueError, which reads `problem; remedy` and holds nothing of the file."""
    try:
        with path.open("rb") as opened:
            line = opened.readline(MAX_PASSWORD_BYTES)
    except OSError as error:
        raise ValueError(f"{error.strerror}; name a file that can be read") from None
    try:
        return visible(SecretStr(line.decode("ascii").rstrip("\r\n")))
    except ValueError:
        raise ValueError("its first line is no password; write one of visible ASCII signs") from None


def _agent_below(agent: AgentSection, folder: Path) -> AgentSection:
    if agent.password_file is None:
        return agent
    return agent.model_copy(update={"password_file": folder / agent.password_file.expanduser()})


def _trunk_below(trunk: TrunkSection, folder: Path) -> TrunkSection:
    if trunk.register_ is None:
        return trunk
    return trunk.model_copy(update={"register_": trunk.register_.below(folder)})


def _route_below(route: RouteSection, folder: Path) -> RouteSection:
    if route.announcement is None:
        return route
    return route.model_copy(update={"announcement": route.announcement.below(folder)})
