"""What `mediaproxy loadtest` is asked, judged as a whole before anything begins."""

import math
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import typer

from mediaproxy.loadtest.codecs import Codec
from mediaproxy.loadtest.plan import MIN_DTMF_S, MIN_HOLD_S, Plan, Record
from mediaproxy.loadtest.target import Whereabouts
from mediaproxy.net import Endpoint

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SECRETS = ("--token",)
_HIDDEN = "HIDDEN"


def plan_of(plan: Plan, *, soak: str, limit: bool) -> Plan:
    """The plan as it is meant; `typer.BadParameter` says what does not go together."""
    if plan.dtmf and plan.record is not Record.RANDOM:
        raise typer.BadParameter("codes toggle, so this needs --record random", param_hint="--dtmf")
    if plan.dtmf and plan.duration_s < MIN_DTMF_S:
        raise typer.BadParameter(f"to be dialled in, a call needs {MIN_DTMF_S:g} s", param_hint="--duration")
    if plan.hold and plan.duration_s < MIN_HOLD_S:
        raise typer.BadParameter(f"to be held, a call needs {MIN_HOLD_S:g} s", param_hint="--duration")
    if plan.codec is Codec.G722 and plan.record is Record.RANDOM:
        raise typer.BadParameter(
            "what G.722 decodes to depends on where a recording begins, so it is checked to the sample with "
            "--record all only",
            param_hint="--codec",
        )
    if not soak:
        return plan
    if limit:
        raise typer.BadParameter("choose one of --soak and --find-limit", param_hint="--soak")
    seconds = seconds_of(soak)
    if seconds < plan.duration_s:
        raise typer.BadParameter("must be longer than a call", param_hint="--soak")
    return replace(plan, soak=True, calls=math.ceil((seconds - plan.duration_s) * plan.cps) + 1)


def seconds_of(text: str) -> float:
    """`8h`, `1h30m`, `90s`, `90`."""
    if not re.fullmatch(r"(\d{1,6}[smhd]?)+", text):
        raise typer.BadParameter(f"{text!r} is no time: 8h, 30m, 90s", param_hint="--soak")
    return float(sum(int(count) * _UNITS[unit or "s"] for count, unit in re.findall(r"(\d+)([smhd]?)", text)))


def whereabouts(
    target: str, api: str, token: str, ours: tuple[str, str, str], storage: Path | None, pid: int | None
) -> Whereabouts:
    """`ours`: where carrier and agent listen, and the number."""
    if not token:
        raise typer.BadParameter("a target needs --token, or MEDIAPROXY_TOKEN", param_hint="--token")
    transport, _, address = target.partition(":")
    if transport != "udp":
        raise typer.BadParameter("the load comes by UDP: udp:HOST:PORT", param_hint="--target")
    if urlsplit(api).scheme not in ("http", "https") or not urlsplit(api).hostname:
        raise typer.BadParameter("is no URL: http://HOST:PORT", param_hint="--api")
    carrier, agent, number = ours
    return Whereabouts(
        sip=endpoint(address, "--target"),
        api=api,
        token=token,
        carrier=endpoint(carrier, "--carrier"),
        agent=endpoint(agent, "--agent"),
        number=number,
        storage=storage,
        pid=pid,
    )


def endpoint(text: str, option: str) -> Endpoint:
    """An IPv4 address and a port: what our senders can speak to."""
    host, _, port = text.rpartition(":")
    numbers = host.split(".")
    if len(numbers) != 4 or not all(part.isdecimal() and int(part) < 256 for part in numbers):
        raise typer.BadParameter(f"{text!r} is not IPv4-ADDRESS:PORT", param_hint=option)
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise typer.BadParameter(f"{text!r} has no port between 1 and 65535", param_hint=option)
    return Endpoint(host, int(port))


def command_line() -> str:
    """What was typed, without secrets."""
    shown = ["mediaproxy"]
    for place, argument in enumerate(sys.argv[1:], 1):
        name = argument.partition("=")[0]
        if name in _SECRETS and "=" in argument:
            argument = f"{name}={_HIDDEN}"
        elif sys.argv[place - 1] in _SECRETS:
            argument = _HIDDEN
        shown.append(argument)
    return shlex.join(shown)
