"""`mediaproxy calls`: the log in a terminal."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mediaproxy import config as configuration
from mediaproxy.api import export
from mediaproxy.api.shapes import CallJson, call_json
from mediaproxy.calllog.reader import Reader
from mediaproxy.calllog.rows import AUDIO, CallFilter, LoggedCall
from mediaproxy.clock import NS_PER_MS

MS_PER_S = 1_000
S_PER_MIN = 60
PIPED_WIDTH = 200  # in a file nothing has to be cut off


def show_calls(config: Path, *, as_json: bool, limit: int, as_csv: bool = False) -> int:
    """The newest calls, from the database that the configuration names."""
    url = configuration.load(config).database.url
    found = asyncio.run(_read(url, limit))
    if as_json:
        for call in found:
            typer.echo(json.dumps(call))
    elif as_csv:
        typer.echo(export.header() + export.lines(found), nl=False)
    else:
        console = Console()
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        console.print(table(found))
    return 0


async def _read(url: str, limit: int) -> list[CallJson]:
    reader = await Reader.open(url)
    try:
        page = await reader.calls(CallFilter(), limit=limit)
    finally:
        await reader.close()
    now_ms = time.time_ns() // NS_PER_MS
    return [call_json(as_of(logged, now_ms), now_ms=now_ms) for logged in page.calls]


def as_of(logged: LoggedCall, now_ms: int) -> LoggedCall:
    """A live recording's row is as old as its last toggle; its call clock went on."""
    answered_at_ms, row = logged.call.answered_at_ms, logged.recording
    if logged.call.state != "answered" or answered_at_ms is None or row is None:
        return logged
    duration = max(row.duration_samples, (now_ms - answered_at_ms) * row.sample_rate // MS_PER_S)
    audio = [one for one in row.intervals if one.kind == AUDIO]
    recorded = sum((one.end_sample or duration) - one.start_sample for one in audio)
    return replace(logged, recording=replace(row, duration_samples=duration, recorded_samples=recorded))


def table(calls: list[CallJson]) -> Table:
    """One row a call. Peers' words go in as plain text, never as markup."""
    result = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("started", "from", "to", "agent", "ended as", "call", "recorded", "when, by whom"):
        number = heading in ("call", "recorded")
        result.add_column(heading, justify="right" if number else "left", no_wrap=number, overflow="fold")
    for call in calls:
        result.add_row(*(Text(printable(cell)) for cell in _cells(call)))
    return result


def _cells(call: CallJson) -> tuple[str, ...]:
    return (
        call["started_at"].replace("T", " ").partition(".")[0],
        call["from"],
        call["to"],
        call["agent"] or "",
        (call["disposition"] or call["state"]).replace("_", " "),
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
        what = "" if interval["kind"] == AUDIO else f"{interval['kind']}, "
        texts.append(f"{clock(interval['start_ms'])}–{end} ({what}{who})")
    return ", ".join(texts)


def clock(ms: int) -> str:
    """Minutes and seconds, `5:00`."""
    seconds = (ms + MS_PER_S // 2) // MS_PER_S
    return f"{seconds // S_PER_MIN}:{seconds % S_PER_MIN:02d}"


def printable(text: str) -> str:
    """A peer's words without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "�" for c in text)
