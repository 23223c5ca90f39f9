"""The event stream of a running proxy: a call's whole life, in order, to those who may see it."""

import asyncio
import json

from websockets.asyncio.client import connect as listen

from tests.support.api_shapes import CALL, RECORDING
from tests.support.softphone import connect

LIFE = [
    "call.started", "call.answered", "recording.armed", "recording.started", "recording.paused",
    "recording.resumed", "recording.stopped", "call.ended", "recording.completed",
]  # fmt: skip


async def heard(stream, wanted):
    events = []
    async with asyncio.timeout(8):
        while [e["type"] for e in events if e["type"] != "call.ringing"] != wanted:
            events.append(json.loads(await stream.recv()))
    return events


async def test_a_call_is_told_from_its_start_to_its_published_recording(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    url = f"ws://{proxy.config['api']['listen']}/v1/events"
    headers = {"Authorization": "Bearer adm"}
    async with listen(url, additional_headers=headers) as admin, listen(f"{url}?token=bo") as bob:
        pair = await connect(carrier, alice, "+15550100")
        call = (await api.call_of(pair.caller.call_id))["id"]
        await asyncio.sleep(0.2)
        await alice.media.dial("*1")
        await api.until(call, lambda row: row["recording"]["state"] == "recording", 1)
        for action in ("pause", "resume"):
            await api.toggle(call, action)
        await pair.hush()
        await pair.hang_up()
        events = await heard(admin, LIFE)
        assert {event["call_id"] for event in events} == {call}
        assert all(CALL(event["call"]) for event in events)
        told = {event["type"]: event for event in events}
        assert RECORDING(told["recording.completed"]["recording"])
        started = told["recording.started"]
        assert (started["means"], started["user"]) == ("dtmf", "alice")
        row = await api.ended(call)
        assert row["recording"]["intervals"][0]["start_sample"] == started["effective_sample"]
        assert told["recording.stopped"]["means"] == "call_end"
        assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
        for event in events:
            assert "*" not in json.dumps(event)
        async with listen(f"{url}?since={events[2]['id']}", additional_headers=headers) as again:
            assert json.loads(await again.recv()) == events[3]
        with_nothing = asyncio.create_task(bob.recv())
        await asyncio.sleep(0.1)
        assert not with_nothing.done()
        with_nothing.cancel()
        await asyncio.gather(with_nothing, return_exceptions=True)
