"""The log as CSV: all of it, page by page, and nothing in it that a spreadsheet would calculate."""

import csv
import io
from typing import Any

import httpx
import pytest

from mediaproxy.api import export
from mediaproxy.calllog import CallFilter, Cursor, LoggedCall, Page
from mediaproxy.errors import Unavailable
from tests.support.call_rows import call_id, call_row, ended_call, recording_id, recording_row
from tests.support.fake_backend import FakeBackend


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_a_line_a_call(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    metadata = (("ticket", "T,1"), ("ü", '"'))
    backend.logged = [
        LoggedCall(ended_call(1, from_name='Zoë "Z", 2nd\r\nline', metadata=metadata), recording_row(1)),
        LoggedCall(call_row(0)),
    ]
    answer = await admin.get("/v1/calls.csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; header=present; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.partition("\r\n")[0].split(",") == list(export.COLUMNS)
    first, second = read(answer.text)
    assert first["from_name"] == 'Zoë "Z", 2nd\r\nline'
    assert first["metadata"] == '{"ticket": "T,1", "ü": "\\""}'
    assert (first["id"], first["recording_id"], first["recording_result"]) == (
        call_id(1),
        recording_id(1),
        "complete",
    )
    assert (first["duration_ms"], first["recorded_ms"]) == ("10000", "2000")
    assert (second["disposition"], second["recording_id"], second["metadata"]) == ("", "", "")


@pytest.mark.parametrize("text", ["=1+1", "+15550100", "-1", "@SUM(A1)", "\t=1", "\r=1"])
async def test_nothing_is_a_formula(admin: httpx.AsyncClient, backend: FakeBackend, text: str) -> None:
    backend.logged = [
        LoggedCall(ended_call(0, from_user=text, to_user=text, from_name=text, sip_call_id=text))
    ]
    (row,) = read((await admin.get("/v1/calls.csv")).text)
    assert [row[name] for name in ("from", "to", "from_name", "sip_call_id")] == [f"'{text}"] * 4


@pytest.mark.parametrize("text", ["a=1", " =1", "15550100", "'=1"])
async def test_the_rest_is_as_it_is(admin: httpx.AsyncClient, backend: FakeBackend, text: str) -> None:
    backend.logged = [LoggedCall(ended_call(0, from_user=text))]
    (row,) = read((await admin.get("/v1/calls.csv")).text)
    assert row["from"] == text


async def test_every_page_is_in_it_and_the_filters_hold(
    alice: httpx.AsyncClient, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[CallFilter, Cursor | None]] = []
    calls = [LoggedCall(ended_call(number)) for number in range(60)]

    async def paged(query: CallFilter, *, limit: int, after: Cursor | None) -> Page:
        asked.append((query, after))
        first = int(after.id) if after else 0
        following = Cursor(0, str(first + 30)) if first < 30 else None
        return Page(tuple(calls[first : first + 30]), following)

    monkeypatch.setattr(backend, "calls", paged)
    answer = await alice.get("/v1/calls.csv?from=carrier&metadata.ticket=1")
    assert [row["id"] for row in read(answer.text)] == [call_id(number) for number in range(60)]
    assert [after for _, after in asked] == [None, Cursor(0, "30")]
    for query, _ in asked:
        assert query == CallFilter(
            agents=frozenset({"alice"}), from_user="carrier", metadata=(("ticket", "1"),)
        )


async def test_a_log_that_cannot_be_read_is_503(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.log_is_down = True
    assert (await admin.get("/v1/calls.csv")).status_code == 503


async def test_a_file_that_is_cut_short_is_no_whole_one(
    admin: httpx.AsyncClient, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails_later(query: CallFilter, *, limit: int, after: Cursor | None) -> Page:
        if after is not None:
            raise Unavailable("gone")
        return Page((LoggedCall(ended_call(0)),), Cursor(0, "x"))

    monkeypatch.setattr(backend, "calls", fails_later)
    with pytest.raises(RuntimeError, match="already started"):  # the connection breaks, for the status is out
        await admin.get("/v1/calls.csv")


@pytest.mark.parametrize("query", ["limit=5", "cursor=x", "state=x"])
async def test_a_page_of_it_is_not_to_be_had(
    admin: httpx.AsyncClient, backend: FakeBackend, query: str
) -> None:
    assert (await admin.get(f"/v1/calls.csv?{query}")).status_code == 422


def test_columns_are_the_keys_of_a_call(backend: FakeBackend) -> None:
    """None is forgotten when a call gets another one."""
    shown: dict[str, Any] = dict(export.call_json(LoggedCall(ended_call(0)), now_ms=0))
    own = {name for name in export.COLUMNS if not name.startswith("recording_")}
    assert own == set(shown) - {"participants", "recording"}
