"""The SIP messages of a call, to admins alone."""

import httpx

from mediaproxy.api.backend import Traced
from mediaproxy.calllog import LoggedCall
from mediaproxy.calls.plane import LegId
from tests.support.api_shapes import PROBLEM
from tests.support.call_rows import START_MS, call_id, ended_call
from tests.support.fake_backend import FakeBackend

UNKNOWN = "0193aaaa-0000-7000-8000-000000000000"


async def test_messages_of_both_legs_in_their_order(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.logged = [LoggedCall(ended_call(0))]
    ends = ("udp", "192.0.2.1:5060", "192.0.2.2:5060")
    backend.traced = [
        Traced(LegId.A, START_MS, 0, False, *ends, "INVITE sip:\udcffx SIP/2.0\r\n\r\n"),
        Traced(LegId.B, START_MS + 1, 1_234, True, *ends, "INVITE"),
    ]
    answer = await admin.get(f"/v1/calls/{call_id(0)}/trace")
    assert answer.status_code == 200
    first, second = answer.json()["messages"]
    assert first["leg"] == "A"
    assert first["text"].startswith("INVITE sip:")
    assert second == {
        "leg": "B", "at": "2026-01-05T10:00:00.001Z", "elapsed_us": 1_234, "sent": True, "transport": "udp",
        "local": "192.0.2.1:5060", "remote": "192.0.2.2:5060", "text": "INVITE",
    }  # fmt: skip


async def test_agents_see_none_and_an_unknown_call_has_none(
    alice: httpx.AsyncClient, admin: httpx.AsyncClient, backend: FakeBackend
) -> None:
    backend.logged = [LoggedCall(ended_call(0))]
    refused = await alice.get(f"/v1/calls/{call_id(0)}/trace")
    assert refused.status_code == 403
    assert PROBLEM(refused.json())
    for client in (alice, admin):
        assert (await client.get(f"/v1/calls/{UNKNOWN}/trace")).status_code == 404
    assert (await admin.get(f"/v1/calls/{call_id(0)}/trace")).json() == {"messages": []}
