"""What the call core says, as listeners hear it."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from structlog.testing import capture_logs

from mediaproxy.calls.events import CallRecord, CallStarted
from mediaproxy.ids import CallId
from mediaproxy.service.events import EventStream
from mediaproxy.service.wiring import LiveCalls, Wiring

CALL = CallId("01926b7c-0000-7000-8000-000000000001")


def record(*, emergency: bool) -> CallRecord:
    return CallRecord(
        CALL, "x@y", "outbound", "alice", "112", "sip:alice@h", "sip:112@h", None, "alice", "carrier",
        "trying", 1_000, emergency=emergency,
    )  # fmt: skip


@pytest.mark.parametrize("emergency", [False, True])
async def test_a_call_for_help_is_told_first_of_all(emergency: bool) -> None:
    live = LiveCalls()
    events = EventStream(run="r", now_ms=lambda: 5, find=lambda call: None)
    media: Any = MagicMock()
    media.recordings.row.return_value = None
    call_log: Any = SimpleNamespace(started=lambda record: asyncio.get_running_loop().create_future())
    wiring = Wiring(
        proxy=MagicMock(), media=media, settle=MagicMock(), live=live, control=MagicMock(),
        call_log=call_log, metrics=MagicMock(), events=events,
    )  # fmt: skip
    with capture_logs() as lines:
        wiring.on_output(CallStarted(record(emergency=emergency)))
    told = [json.loads(event.text()) for event in events.read(1, 9) or ()]
    expected = {"call.started", "call.emergency"} if emergency else {"call.started"}
    assert {event["type"] for event in told} == expected
    assert all(event["call"]["to"] == "112" and event["call"]["agent"] == "alice" for event in told)
    warned = [line for line in lines if line["event"] == "call_emergency"]
    assert len(warned) == emergency
