"""`mediaproxy calls`: the log in a terminal."""

import asyncio
import json
import time
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mediaproxy import config as configuration
from mediaproxy.api.shapes import CallJson, call_json
from mediaproxy.calllog.reader import Reader
from mediaproxy.calllog.rows import CallFilter
from mediaproxy.clock import NS_PER_MS

MS_PER_S = 1_000
S_PER_MIN = 60


def show_calls(config: Path, *, as_json: bool, limit: int) -> int:
    """The newest calls, from the database that the configuration names."""
    url = configuration.load(config).database.url
    found = asyncio.run(_read(url, limit))
    if as_json:
        for call in found:
            typer.echo(json.dumps(call))
    else:
        Console().print(table(found))
    return 0


async def _read(url: str, limit: int) -> list[CallJson]:
    reader = await Reader.open(url)
    try:
        page = await reader.calls(CallFilter(), limit=limit)
    finally:
        await reader.close()
    now_ms = time.time_ns() // NS_PER_MS
    return [call_json(logged, now_ms=now_ms) for logged in page.calls]


def table(calls: list[CallJson]) -> Table:
    """One row a call. Peers' words go in as plain text, never as markup."""
    result = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("started", "from", "to", "agent", "ended as", "call", "recorded", "when, by whom"):
        result.add_column(heading, justify="right" if heading in ("call", "recorded") else "left")
    for call in calls:
        result.add_row(*(Text(printable(cell)) for cell in _cells(call)))
    return result


def _cells(call: CallJson) -> tuple[str, ...]:
    return (
        call["started_at"],
        call["from"],
        call["to"],
        call["agent"] or "",
        call["disposition"] or call["state"],
        clock(call["duration_ms"]),
        clock(call["recorded_ms"]),
        spans(call),
    )


def spans(call: CallJson) -> str:
    """The intervals of a call's recording, as a person says them."""
    recording = call["recording"]
    if recording is None:
        return ""
    texts = []
    for interval in recording["intervals"]:
        end = "…" if interval["end_ms"] is None else clock(interval["end_ms"])
        by = interval["started_by"]
        who = f"{by['user']}, {by['means']}" if by["user"] else by["means"]
        texts.append(f"{clock(interval['start_ms'])}–{end} ({who})")
    return ", ".join(texts)


def clock(ms: int) -> str:
    """Minutes and seconds, `5:00`."""
    seconds = (ms + MS_PER_S // 2) // MS_PER_S
    return f"{seconds // S_PER_MIN}:{seconds % S_PER_MIN:02d}"


def printable(text: str) -> str:
    """A peer's words without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "�" for c in text)
