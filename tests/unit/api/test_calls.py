"""What the log says, to whom, and in which shape."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from mediaproxy.calllog import CallFilter, Cursor, IntervalRow, LoggedCall
from mediaproxy.calls.events import Participant
from mediaproxy.calls.plane import LegId
from mediaproxy.recording.manifest import Actor
from tests.support.api_shapes import CALL, CALLS, PROBLEM, RECORDING
from tests.support.call_rows import START_MS, call_id, call_row, ended_call, recording_id, recording_row
from tests.support.fake_backend import FakeBackend

UNKNOWN = "0193aaaa-0000-7000-8000-000000000000"


async def test_the_worked_call_reads_as_the_contract_prints_it(
    admin: httpx.AsyncClient, backend: FakeBackend
) -> None:
    backend.logged = [LoggedCall(ended_call(0), recording_row(0))]
    answer = (await admin.get(f"/v1/calls/{call_id(0)}")).json()
    assert CALL(answer)
    assert answer.items() >= {
        "id": call_id(0), "direction": "inbound", "from": "carrier", "to": "+15550100", "agent": "alice",
        "trunk": "carrier", "state": "ended", "started_at": "2026-01-05T10:00:00.000Z",
        "answered_at": "2026-01-05T10:00:02.500Z", "ended_at": "2026-01-05T10:00:12.500Z",
        "duration_ms": 10_000, "recorded_ms": 2_000, "disposition": "answered", "ended_by": "caller",
    }.items()  # fmt: skip
    by_alice = {"means": "api", "user": "alice"}
    assert answer["recording"] == {
        "id": recording_id(0), "state": "finished", "result": "complete", "policy": "on_demand",
        "reasons": [], "sample_rate": 8_000, "duration_samples": 80_000, "recorded_samples": 16_000,
        "intervals": [
            {"kind": "audio", "start_sample": 32_000, "end_sample": 48_000,
             "start_ms": 4_000, "end_ms": 6_000, "started_by": by_alice, "ended_by": by_alice},
        ],
        "deleted_at": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "logged",
    [
        LoggedCall(call_row(0)),
        LoggedCall(ended_call(0, from_name="Zoë", sip_status=None), recording_row(0)),
        LoggedCall(call_row(0, state="answered", answered_at_ms=START_MS), recording_row(0, result=None)),
        LoggedCall(
            call_row(0, state="answered", answered_at_ms=START_MS, agent=None, trunk=None),
            recording_row(0, intervals=(IntervalRow(7, None, Actor("policy", None), None),), result=None),
        ),
    ],
)
async def test_every_key_is_always_there(
    admin: httpx.AsyncClient, backend: FakeBackend, logged: LoggedCall
) -> None:
    backend.logged = [logged]
    assert CALL((await admin.get(f"/v1/calls/{call_id(0)}")).json())
    assert CALLS((await admin.get("/v1/calls")).json())
    answer = await admin.get(f"/v1/calls/{call_id(0)}/recording")
    assert (RECORDING if logged.recording else PROBLEM)(answer.json())
    assert answer.status_code == (200 if logged.recording else 404)


@pytest.mark.parametrize(
    ("logged", "duration_ms"),
    [
        (LoggedCall(call_row(0)), 0),
        (LoggedCall(call_row(0, state="ended", ended_at_ms=START_MS + 9_000)), 0),
        (LoggedCall(call_row(0, state="answered", answered_at_ms=START_MS + 20_000)), 40_000),
        (LoggedCall(call_row(0, state="answered", answered_at_ms=START_MS + 90_000)), 0),
        (LoggedCall(ended_call(0)), 10_000),
        (LoggedCall(ended_call(0), recording_row(0, duration_samples=80_007)), 10_000),
        (LoggedCall(ended_call(0), recording_row(0, duration_samples=80_008)), 10_001),
    ],
)
async def test_duration_is_the_call_clocks(
    admin: httpx.AsyncClient, backend: FakeBackend, logged: LoggedCall, duration_ms: int
) -> None:
    backend.logged = [logged]
    assert (await admin.get(f"/v1/calls/{call_id(0)}")).json()["duration_ms"] == duration_ms


async def test_filters_reach_the_log_as_asked(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    asked = {
        "state": "live", "agent": "alice", "from": "a b", "to": "+1", "sip_call_id": "x@y",
        "since": "2026-01-05T10:00:00.001Z", "until": "2026-01-05T11:00:00+01:00", "limit": "7",
    }  # fmt: skip
    assert (await admin.get("/v1/calls", params=asked)).status_code == 200
    assert backend.asked == [
        (
            CallFilter("live", frozenset({"alice"}), "a b", "+1", "x@y", START_MS + 1, START_MS),
            7,
            None,
        )
    ]


async def test_nothing_given_is_the_first_fifty(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    await admin.get("/v1/calls?state=&agent=&from=&to=&sip_call_id=&since=&until=&limit=&cursor=")
    assert backend.asked == [(CallFilter(), 50, None)]


async def test_a_plus_sign_may_be_forgotten_to_escape(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    await admin.get("/v1/calls?to=+15550100&from=%2B1&until=2026-01-05T11:00:00+01:00")
    assert backend.asked == [(CallFilter(to_user="+15550100", from_user="+1", until_ms=START_MS), 50, None)]


async def test_a_cursor_leads_to_the_next_page(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.next = Cursor(START_MS, call_id(3))
    cursor = (await admin.get("/v1/calls")).json()["next_cursor"]
    await admin.get("/v1/calls", params={"cursor": cursor})
    assert backend.asked[1] == (CallFilter(), 50, Cursor(START_MS, call_id(3)))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=up", "state"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("since=yesterday", "since"),
        ("since=2026-01-05T10:00:00", "since"),
        ("until=x", "until"),
        ("cursor=!!", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
        ("agnet=alice", "agnet"),
    ],
)
async def test_a_bad_field_is_named(admin: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await admin.get(f"/v1/calls?{query}")
    assert answer.status_code == 422
    assert PROBLEM(answer.json())
    assert answer.json()["detail"].startswith(f"{field}: ")


async def test_agents_list_their_own_calls_alone(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, backend: FakeBackend
) -> None:
    await alice.get("/v1/calls")
    await bob.get("/v1/calls?agent=alice")
    assert [query.agents for query, _, _ in backend.asked] == [{"alice"}, {"alice", "bob"}]


@pytest.mark.parametrize("path", ["", "/recording"])
async def test_agents_see_their_own_calls_alone(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, backend: FakeBackend, path: str
) -> None:
    left = Participant(LegId.B, "agent", "bob", "", 0, 500)
    mine, formerly = ended_call(0), replace(ended_call(1), participants=(left,))
    backend.logged = [LoggedCall(mine, recording_row(0)), LoggedCall(formerly, recording_row(1))]
    assert (await alice.get(f"/v1/calls/{call_id(0)}{path}")).status_code == 200
    assert (await bob.get(f"/v1/calls/{call_id(0)}{path}")).status_code == 403
    assert (await bob.get(f"/v1/calls/{call_id(1)}{path}")).status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/calls/{}", "/v1/calls/{}/recording", "/v1/recordings/{}", "/v1/recordings/{}/audio"]
)
async def test_what_is_no_id_of_ours_is_never_looked_up(
    bob: httpx.AsyncClient, backend: FakeBackend, path: str
) -> None:
    for id in ("1", UNKNOWN, UNKNOWN.upper(), "..%2f..%2fetc%2fpasswd", "%00", UNKNOWN + "%0A"):
        answer = await bob.get(path.format(id))
        assert answer.status_code == 404, id
        assert PROBLEM(answer.json())
    assert backend.looked_up == [UNKNOWN]


@pytest.mark.parametrize("name", ["<script>", '"\r\nX: 1', "\udcff\ud800", "nul\0"])
async def test_what_peers_wrote_is_inert(admin: httpx.AsyncClient, backend: FakeBackend, name: str) -> None:
    backend.logged = [LoggedCall(call_row(0, from_name=name, from_user=name, to_uri=name))]
    answer = await admin.get(f"/v1/calls/{call_id(0)}")
    assert answer.content.isascii()
    assert b"\n" not in answer.content
    assert CALL(answer.json())
    answer.json()["from_name"].encode()


async def test_a_log_that_cannot_be_read_is_503_and_tells_no_path(
    admin: httpx.AsyncClient, backend: FakeBackend
) -> None:
    backend.log_is_down = True
    answer = await admin.get("/v1/calls")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert PROBLEM(answer.json())
    assert "secret" not in answer.text


async def test_a_page_is_the_calls_in_order(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    backend.logged = [LoggedCall(call_row(number)) for number in range(60, 0, -1)]
    answer: dict[str, Any] = (await admin.get("/v1/calls?limit=500")).json()
    assert CALLS(answer)
    assert [one["id"] for one in answer["calls"]] == [call_id(number) for number in range(60, 0, -1)]
    assert answer["next_cursor"] is None
