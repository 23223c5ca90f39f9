"""`mediaproxy trace`: the ladder of one call."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

import typer

from mediaproxy.cli.calls import printable
from mediaproxy.loadtest.api import Api, Refused

WIDTH = 34  # of an arrow
TIME_WIDTH = 10
US = "mediaproxy"

Message = dict[str, Any]


def show_trace(call: str, api: str, token: str, *, whole: bool, as_json: bool) -> int:
    if not token:
        raise typer.BadParameter("the API needs an admin's token, or MEDIAPROXY_TOKEN", param_hint="--token")
    if urlsplit(api).scheme not in ("http", "https") or not urlsplit(api).hostname:
        raise typer.BadParameter("is no URL: http://HOST:PORT", param_hint="--api")
    try:
        found = asyncio.run(_ask(api, token, f"/v1/calls/{quote(call, safe='')}/trace"))
    except Refused as error:
        typer.echo(f"mediaproxy: {api}: {error}", err=True)
        return 1 if error.status == 404 else 2
    except OSError as error:
        typer.echo(f"mediaproxy: {api}: {error}: is the proxy running, and its API there? (--api)", err=True)
        return 2
    messages: list[Message] = found["messages"]
    if as_json:
        typer.echo(json.dumps(found))
    elif messages:
        for line in ladder(messages, whole=whole):
            typer.echo(line)
    if not messages:
        typer.echo("mediaproxy: nothing of this call is kept any more: only recent ones are", err=True)
        return 1
    return 0


async def _ask(api: str, token: str, path: str) -> Any:
    asked = Api(api, token)
    try:
        return await asked.get(path)
    finally:
        asked.close()


def ladder(messages: list[Message], *, whole: bool = False) -> list[str]:
    """The caller at the left, the callee at the right, we in the middle."""
    remotes = {"A": "caller", "B": "callee"}
    for message in reversed(messages):
        remotes[message["leg"]] = f"{message['transport']} {message['remote']}"
    gap = " " * TIME_WIDTH
    lines = [
        f"{messages[0]['at']}",
        f"{gap}{remotes['A']:<{WIDTH - len(US) // 2 + 1}}{US}{remotes['B']:>{WIDTH - len(US) // 2}}",
    ]
    here = dict(remotes)
    for message in messages:
        there = f"{message['transport']} {message['remote']}"
        moved = "" if here[message["leg"]] == there else f"  ({'to' if message['sent'] else 'from'} {there})"
        arrow = _arrow(message["leg"], summary(message["text"]), sent=message["sent"])
        lines.append(f"{message['elapsed_us'] / 1e6:>+{TIME_WIDTH - 1}.3f} {arrow}{moved}")
        if whole:
            lines += [gap + printable(line) for line in message["text"].splitlines()] + [""]
    return lines


def summary(text: str) -> str:
    """`INVITE (sdp)`, `200 OK (INVITE, sdp)`."""
    words = text.split("\n", 1)[0].strip().split(" ", 2)
    notes = ["sdp"] if re.search(r"(?im)^c(ontent-type)?[ \t]*:[ \t]*application/sdp", text) else []
    if words[0].upper().startswith("SIP/"):
        method = re.search(r"(?im)^CSeq[ \t]*:[ \t]*\d+[ \t]+(\S+)", text)
        notes = ([method[1]] if method else []) + notes
        words = words[1:]
        shown = " ".join(words)
    else:
        shown = words[0]
    return printable(shown + (f" ({', '.join(notes)})" if notes else ""))


def _arrow(leg: str, what: str, *, sent: bool) -> str:
    """On leg A what we send goes to the left, on leg B to the right."""
    left = sent == (leg == "A")
    what = what if len(what) <= WIDTH - 6 else what[: WIDTH - 7] + "…"
    line = f" {what} ".center(WIDTH - 2, "─")
    arrow = f"◀{line}─" if left else f"─{line}▶"
    pad = " " * WIDTH
    return f"{arrow}│" if leg == "A" else f"{pad}│{arrow}"
