"""Reads the proxy's call log by its API, page by page."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mediaproxy.loadtest.api import Api

Row = dict[str, Any]

_PAGE = 250  # rows; more at once would keep the proxy from its media for longer
_POLL_S = 0.5


async def rows_of(api: Api, callers: Collection[str]) -> dict[str, Row]:
    """The newest row of each caller: pages until all are found or the log ends."""
    wanted, found = set(callers), dict[str, Row]()
    cursor = None
    while wanted:
        at = f"&cursor={quote(cursor)}" if cursor else ""
        listed = await api.get(f"/v1/calls?limit={_PAGE}{at}")
        for row in listed["calls"]:
            if row["from"] in wanted:
                wanted.discard(row["from"])
                found[row["from"]] = row
        cursor = listed["next_cursor"]
        if cursor is None:
            break
    return found


async def row_of(api: Api, caller: str) -> Row | None:
    listed = await api.get(f"/v1/calls?limit=1&from={quote(caller)}")
    return next(iter(listed["calls"]), None)


async def settled_rows(
    api: Api, callers: Collection[str], seconds: float, tell: Callable[[int], None]
) -> Mapping[str, Row]:
    """The rows as they are once every recording is published, or that took too long."""
    until = time.monotonic() + seconds
    rows: dict[str, Row] = {}
    while True:
        rows |= await rows_of(api, [caller for caller in callers if not settled(rows.get(caller))])
        done = sum(settled(rows.get(caller)) for caller in callers)
        tell(done)
        if done == len(callers) or time.monotonic() > until:
            return rows
        await asyncio.sleep(_POLL_S)


def settled(row: Row | None) -> bool:
    """The call is over and what became of its recording is known."""
    if row is None or row["state"] != "ended":
        return False
    return row["recording"] is None or row["recording"]["result"] is not None


def is_published(row: Mapping[str, Any]) -> bool:
    return row["recording"] is not None and row["recording"]["result"] not in (None, "none")


def published(storage: Path, rows: Mapping[str, Row]) -> dict[str, Path]:
    """Where the recordings of these calls lie, by caller; what does not lie there is left out."""
    found = {}
    for caller, row in rows.items():
        if is_published(row):
            path = next(storage.glob(f"[0-9]*/*/*/{row['recording']['id']}.wav"), None)
            if path is not None:
                found[caller] = path
    return found
