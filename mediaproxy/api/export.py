"""The log as CSV (RFC 4180), for spreadsheets: a line a call, in the order of `GET /v1/calls`.

A spreadsheet takes a cell for a formula that begins with one of `= + - @`, a tab or a carriage return, and
peers write what is in ours: such a cell gets an apostrophe before it, a number with its plus sign too.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from starlette.responses import StreamingResponse

from mediaproxy.api.shapes import CallJson, call_json
from mediaproxy.calllog.rows import LoggedCall, Page

ROWS_PER_PIECE: Final = 25  # calls encoded before the loop may look at media again
PAGE: Final = 250


class CsvResponse(StreamingResponse):
    media_type = "text/csv; header=present"


_OWN: Final = (
    "id", "sip_call_id", "direction", "from", "to", "from_name", "from_uri", "to_uri", "agent", "trunk",
    "state", "started_at", "answered_at", "ended_at", "duration_ms", "recorded_ms", "disposition",
    "sip_status", "ended_by",
)  # fmt: skip
_RECORDING: Final = ("id", "state", "result", "policy", "sample_rate", "duration_samples", "recorded_samples")
COLUMNS: Final = (*_OWN, *(f"recording_{name}" for name in _RECORDING), "metadata")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def header() -> str:
    return _lines([COLUMNS])


def lines(calls: Iterable[CallJson]) -> str:
    return _lines(_cells(call) for call in calls)


async def pieces(pages: AsyncIterator[Page], now_ms: Callable[[], int]) -> AsyncIterator[bytes]:
    """The whole file, piece by piece; never more than a page of it is held."""
    yield header().encode()
    async for page in pages:
        for first in range(0, len(page.calls), ROWS_PER_PIECE):
            yield _encoded(page.calls[first : first + ROWS_PER_PIECE], now_ms())


def _encoded(calls: tuple[LoggedCall, ...], now_ms: int) -> bytes:
    return lines(call_json(logged, now_ms=now_ms) for logged in calls).encode()


def inert(text: str) -> str:
    """A cell that no spreadsheet calculates with."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cells(call: CallJson) -> list[str]:
    own, recording = dict(call), dict(call["recording"] or {})
    found = [own[name] for name in _OWN] + [recording.get(name) for name in _RECORDING]
    about = json.dumps(call["metadata"], ensure_ascii=False) if call["metadata"] else None
    return [inert("" if value is None else str(value)) for value in (*found, about)]


def _lines(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
