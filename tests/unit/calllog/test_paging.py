"""Pages are complete, newest first, and stable while calls come in."""

import asyncio
import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy.dialects.sqlite import dialect

from mediaproxy.calllog import CallFilter, Cursor, queries
from mediaproxy.calllog.log import CallLog
from mediaproxy.calls.events import Participant
from mediaproxy.calls.plane import LegId
from tests.support.call_rows import START_MS, call_id, call_row, ended_call, recording_row


async def _all(log: CallLog, query: CallFilter, *, limit: int) -> list[str]:
    found: list[str] = []
    after: Cursor | None = None
    while True:
        page = await log.calls(query, limit=limit, after=after)
        found += [one.call.id for one in page.calls]
        if page.next is None:
            return found
        after = page.next


async def _fill(log: CallLog) -> None:
    """Twelve calls: three in each state, alternating agents, one internal with two agents."""
    states = ("trying", "ringing", "answered", "ended")
    for number in range(12):
        agent = ("alice", "bob")[number % 2]
        log.put_call(
            call_row(number, state=states[number // 3], agent=agent, from_user=f"u{number % 3}", to_user="t")
        )
    both = tuple(
        Participant(leg, "agent", name, "", 0, None)
        for leg, name in zip(LegId, ("bob", "carol"), strict=True)
    )
    log.put_call(replace(call_row(12), agent="carol", participants=both))


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (CallFilter(), range(13)),
        (CallFilter(state="live"), [*range(9), 12]),
        (CallFilter(state="ended"), [9, 10, 11]),
        (CallFilter(agents=frozenset({"alice"})), range(0, 12, 2)),
        (CallFilter(agents=frozenset({"bob"})), [*range(1, 12, 2), 12]),
        (CallFilter(agents=frozenset({"bob", "carol"})), [12]),
        (CallFilter(agents=frozenset({"bob"}), state="ended"), [9, 11]),
        (CallFilter(agents=frozenset({"nobody"})), []),
        (CallFilter(from_user="u1"), [1, 4, 7, 10]),
        (CallFilter(from_user="U1"), []),
        (CallFilter(to_user="t", from_user="u0"), [0, 3, 6, 9]),
        (CallFilter(sip_call_id="3@127.0.0.2"), [3]),
        (CallFilter(since_ms=START_MS + 4, until_ms=START_MS + 7), [4, 5, 6]),
        (CallFilter(agents=frozenset({"alice"}), since_ms=START_MS + 4, until_ms=START_MS + 7), [4, 6]),
    ],
)
async def test_each_filter_holds_exactly_on_any_page_size(
    log: CallLog, query: CallFilter, numbers: list[int]
) -> None:
    await _fill(log)
    expected = [call_id(number) for number in sorted(numbers, reverse=True)]
    for limit in (1, 2, 500):
        assert await _all(log, query, limit=limit) == expected


async def test_a_full_last_page_has_no_successor(log: CallLog) -> None:
    await _fill(log)
    page = await log.calls(CallFilter(), limit=13)
    assert len(page.calls) == 13
    assert page.next is None


async def test_calls_of_the_same_millisecond_are_neither_lost_nor_doubled(log: CallLog) -> None:
    for number in range(7):
        log.put_call(call_row(number, started_at_ms=START_MS))
    for agents in (frozenset[str](), frozenset({"alice"})):
        found = await _all(log, CallFilter(agents=agents), limit=2)
        assert found == [call_id(number) for number in range(6, -1, -1)]


async def test_every_call_comes_with_its_own_recording(log: CallLog) -> None:
    for number in range(5):
        log.put_call(ended_call(number))
        if number % 2:
            log.put_recording(recording_row(number))
    page = await log.calls(CallFilter(), limit=5)
    assert [one.recording for one in page.calls] == [
        None, recording_row(3), None, recording_row(1), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (CallFilter(), "calls_by_start"),
        (CallFilter(since_ms=1, until_ms=2), "calls_by_start"),
        (CallFilter(state="ended"), "calls_by_state"),
        (CallFilter(from_user="a"), "calls_by_from"),
        (CallFilter(to_user="a"), "calls_by_to"),
        (CallFilter(sip_call_id="a"), "calls_by_sip_call_id"),
        (CallFilter(agents=frozenset({"a"})), "sqlite_autoindex_call_agents_1"),
    ],
)
async def test_no_page_reads_or_sorts_the_whole_log(
    log: CallLog, url: str, query: CallFilter, index: str
) -> None:
    asked = queries.page(query, limit=50, after=Cursor(START_MS, call_id(1)))
    sql = str(asked.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert f"USING INDEX {index}" in plan[0].replace("COVERING ", "")
    assert not any(step.startswith("SCAN") for step in plan[1:])
    assert query.sip_call_id or not any("TEMP B-TREE" in step for step in plan)


@pytest.mark.slow
async def test_ten_thousand_rows_page_completely_while_others_come_in(log: CallLog) -> None:
    random_order = random.Random(7)
    numbers = list(range(10_000))
    random_order.shuffle(numbers)
    for number in numbers:
        log.put_call(ended_call(number, started_at_ms=START_MS + number // 3))
    while log.backlog:
        await asyncio.sleep(0.01)
    paging = asyncio.create_task(_all(log, CallFilter(), limit=137))
    await log.calls(CallFilter(), limit=1)  # the first page is now on its way
    for number in range(10_000, 10_400):
        await log.started(call_row(number, started_at_ms=START_MS + number))
    found = await paging
    old = [one for one in found if one <= call_id(9_999)]
    assert old == [call_id(number) for number in range(9_999, -1, -1)]
    assert len(found) == len(set(found))
