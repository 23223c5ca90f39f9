"""What is put into the log comes out of it, whatever happens in between."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from mediaproxy.calllog import CallFilter, IntervalRow, LoggedCall, writer
from mediaproxy.calllog import log as calllog_log
from mediaproxy.calllog.log import CallLog
from mediaproxy.calls.events import Participant
from mediaproxy.calls.plane import LegId
from mediaproxy.recording.manifest import Actor
from tests.support.alarms import Alarms
from tests.support.call_rows import START_MS, call_id, call_row, ended_call, recording_id, recording_row


async def test_a_started_call_is_stored_when_its_future_says_so(log: CallLog, url: str) -> None:
    assert await log.started(call_row()) is True
    other = await CallLog.open(url, on_alarm=lambda *_: None)
    assert await other.call(call_id(1)) == LoggedCall(call_row())
    await other.close()


async def test_everything_comes_back_as_it_went_in(log: CallLog) -> None:
    call = ended_call(from_name='Zoë "Z" \U0001f600')
    log.put_call(call)
    log.put_recording(recording_row(reasons=("ring_overrun", "disk"), deleted_at_ms=START_MS))
    stored = await log.call(call.id)
    assert stored == LoggedCall(call, recording_row(reasons=("ring_overrun", "disk"), deleted_at_ms=START_MS))
    assert await log.call_of_recording(recording_id(1)) == stored


async def test_an_open_interval_has_no_end(log: CallLog) -> None:
    open_interval = IntervalRow(5, None, Actor("policy", None), None)
    log.put_call(call_row())
    log.put_recording(recording_row(state="recording", intervals=(open_interval,), result=None))
    stored = await log.call(call_id(1))
    assert stored is not None
    assert stored.recording is not None
    assert stored.recording.intervals == (open_interval,)


async def test_the_newest_snapshot_wins(log: CallLog) -> None:
    await log.started(call_row())
    for state in ("ringing", "answered", "ended"):
        log.put_call(call_row(state=state))
    stored = await log.call(call_id(1))
    assert stored is not None
    assert stored.call.state == "ended"
    assert log.counters.written == 2  # what nobody waited for was written once


async def test_a_reader_sees_what_is_just_being_written(
    log: CallLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def write_slowly(*batch: Any) -> None:
        begun.set()
        await asyncio.sleep(0.02)
        await writer.write(*batch)

    monkeypatch.setattr(calllog_log, "write", write_slowly)
    log.put_call(call_row(1))
    await begun.wait()
    assert log.backlog == 1
    assert await log.call(call_id(1)) is not None


async def test_what_nobody_asks_for_is_written_soon(log: CallLog, url: str) -> None:
    log.put_call(call_row())
    await log.close()
    again = await CallLog.open(url, on_alarm=lambda *_: None)
    assert await again.call(call_id(1)) is not None
    await again.close()


async def test_an_unknown_call_is_none(log: CallLog) -> None:
    assert await log.call("0193aaaa-0000-7000-8000-000000000000") is None
    assert await log.call_of_recording("0193aaaa-0000-7000-8000-000000000000") is None


@pytest.mark.parametrize("text", ["\udcff\udc00", "nul\0", "\ud800", "'; drop table calls; --", "%", "\\"])
async def test_no_text_of_a_peer_can_hurt(log: CallLog, text: str) -> None:
    assert await log.started(call_row(from_name=text, from_user=text, to_uri=text, sip_call_id=text))
    assert await log.started(call_row(2))
    stored = await log.call(call_id(1))
    assert stored is not None
    assert stored.call.from_name is not None
    stored.call.from_name.encode()  # no lone surrogate is left
    assert log.counters.refused == 0


async def test_a_peers_text_is_found_again_by_what_was_stored(log: CallLog) -> None:
    await log.started(call_row(from_user="'; --"))
    page = await log.calls(CallFilter(from_user="'; --"), limit=10)
    assert [one.call.id for one in page.calls] == [call_id(1)]


async def test_a_row_that_cannot_be_stored_takes_no_other_with_it(log: CallLog, alarms: Alarms) -> None:
    log.put_call(call_row(1))
    log.put_call(call_row(2, started_at_ms=1 << 70))
    refused = log.started(call_row(3, sip_status=1 << 70))
    log.put_call(call_row(4))
    assert await refused is False
    assert log.counters.refused == 2
    page = await log.calls(CallFilter(), limit=10)
    assert [one.call.id for one in page.calls] == [call_id(4), call_id(1)]
    assert alarms.events == ["calllog_row_refused"] * 2


async def test_a_crash_leaves_rows_that_the_next_start_finds(log: CallLog) -> None:
    log.put_call(call_row(1))
    log.put_call(call_row(2, state="answered", answered_at_ms=START_MS + 5_000))
    log.put_call(ended_call(3))
    log.put_recording(recording_row(3, result=None))
    log.put_call(ended_call(4))
    log.put_recording(recording_row(4))
    log.put_call(ended_call(5))
    log.beat(START_MS + 3_000)
    await log.call(call_id(1))
    found = {one.logged.call.id: one.last_known_ms for one in await log.interrupted()}
    assert found == {
        call_id(1): START_MS + 3_000,
        call_id(2): START_MS + 5_000,
        call_id(3): START_MS + 3 + 12_500,
    }


async def test_the_beat_moves_on(log: CallLog) -> None:
    log.put_call(call_row(1))
    for beat in (1_000, 2_000):
        log.beat(START_MS + beat)
        await log.call(call_id(1))
    (one,) = await log.interrupted()
    assert one.last_known_ms == START_MS + 2_000


async def test_participants_of_both_legs_come_back(log: CallLog) -> None:
    there = Participant(LegId.A, "agent", "bob", "bob", 0, None)
    await log.started(replace(call_row(), participants=(there,)))
    stored = await log.call(call_id(1))
    assert stored is not None
    assert stored.call.participants == (there,)


async def test_closing_twice_is_harmless(log: CallLog) -> None:
    await log.close()
    await log.close()
