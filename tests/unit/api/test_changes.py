"""What a call is about and who is on it: who may say so, and what is refused."""

from typing import Any

import httpx
import pytest

from mediaproxy.calllog import LoggedCall
from mediaproxy.calls.behind import Naming
from mediaproxy.calls.events import Participant
from mediaproxy.calls.plane import LegId
from tests.support.api_shapes import CALL, PROBLEM
from tests.support.call_rows import START_MS, call_id, call_row, ended_call
from tests.support.fake_backend import FakeBackend, FakeChanges

PATH = f"/v1/calls/{call_id(0)}"


def answered(name: str, to_ms: int | None = None) -> LoggedCall:
    who = (Participant(LegId.B, "agent", name, "", 0, to_ms),)
    return LoggedCall(call_row(0, state="answered", answered_at_ms=START_MS, participants=who))


async def test_metadata_reach_the_call(
    alice: httpx.AsyncClient, backend: FakeBackend, changes: FakeChanges
) -> None:
    backend.logged = [answered("alice")]
    answer = await alice.patch(PATH, json={"metadata": {"ticket": "T-1", "old": None}})
    assert answer.status_code == 200
    assert CALL(answer.json())
    assert changes.annotated == [(call_id(0), {"ticket": "T-1", "old": None})]


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"k" * 65: "v"}, "metadata." + "k" * 65),
        ({"": "v"}, "metadata"),
        ({"ticket": "v" * 257}, "metadata.ticket"),
        ({"ticket": 5}, "metadata.ticket"),
        ("ticket", "metadata"),
    ],
)
async def test_what_does_not_fit_is_named(
    admin: httpx.AsyncClient, backend: FakeBackend, changes: FakeChanges, metadata: Any, named: str
) -> None:
    backend.logged = [answered("alice")]
    answer = await admin.patch(PATH, json={"metadata": metadata})
    assert answer.status_code == 422
    assert PROBLEM(answer.json())
    assert answer.json()["detail"].startswith(named)
    assert changes.annotated == []


async def test_what_fits_exactly_is_taken(
    admin: httpx.AsyncClient, backend: FakeBackend, changes: FakeChanges
) -> None:
    backend.logged = [answered("alice")]
    answer = await admin.patch(PATH, json={"metadata": {"k" * 64: "v" * 256}})
    assert answer.status_code == 200


async def test_too_many_keys_are_refused(
    admin: httpx.AsyncClient, backend: FakeBackend, changes: FakeChanges
) -> None:
    backend.logged, changes.fits = [answered("alice")], False
    answer = await admin.patch(PATH, json={"metadata": {}})
    assert (answer.status_code, answer.json()["detail"]) == (422, "metadata: at most 16 keys")


@pytest.mark.parametrize(
    ("logged", "status"),
    [
        (answered("alice"), 200),
        (answered("alice", 500), 403),  # she left
        (answered("bob"), 403),
        (LoggedCall(call_row(0, state="ringing")), 200),
        (LoggedCall(ended_call(0)), 403),
    ],
)
async def test_agents_annotate_the_call_they_are_on(
    alice: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    backend: FakeBackend,
    changes: FakeChanges,
    logged: LoggedCall,
    status: int,
) -> None:
    backend.logged = [logged]
    assert (await alice.patch(PATH, json={"metadata": {}})).status_code == status
    assert (await admin.patch(PATH, json={"metadata": {}})).status_code == 200


@pytest.mark.parametrize("agent", ["alice", None])
async def test_an_admin_says_who_is_there(
    admin: httpx.AsyncClient, backend: FakeBackend, changes: FakeChanges, agent: str | None
) -> None:
    backend.logged = [answered("alice")]
    answer = await admin.put(f"{PATH}/agent", json={"agent": agent})
    assert answer.status_code == 200
    assert CALL(answer.json())
    assert changes.named == [(call_id(0), agent)]


async def test_agents_say_of_nobody_that_he_is_there(
    alice: httpx.AsyncClient, backend: FakeBackend, changes: FakeChanges
) -> None:
    backend.logged = [answered("alice")]
    answer = await alice.put(f"{PATH}/agent", json={"agent": "alice"})
    assert answer.status_code == 403
    assert changes.named == []


@pytest.mark.parametrize(
    ("naming", "status", "detail"),
    [
        (Naming.NO_SUCH_CALL, 409, "the call has ended"),
        (Naming.NO_PBX, 409, "on neither leg"),
        (Naming.UNKNOWN_AGENT, 422, "agent: "),
    ],
)
async def test_whom_nobody_can_name(
    admin: httpx.AsyncClient,
    backend: FakeBackend,
    changes: FakeChanges,
    naming: Naming,
    status: int,
    detail: str,
) -> None:
    backend.logged, changes.naming = [answered("alice")], naming
    answer = await admin.put(f"{PATH}/agent", json={"agent": "mallory"})
    assert PROBLEM(answer.json())
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize("body", [{}, {"agent": 5}, {"agent": "a", "more": 1}])
async def test_a_body_of_another_kind_is_refused(
    admin: httpx.AsyncClient, backend: FakeBackend, changes: FakeChanges, body: Any
) -> None:
    backend.logged = [answered("alice")]
    assert (await admin.put(f"{PATH}/agent", json=body)).status_code == 422
    assert changes.named == []


@pytest.mark.parametrize("verb", ["PATCH", "PUT"])
async def test_a_call_that_is_not_there(admin: httpx.AsyncClient, backend: FakeBackend, verb: str) -> None:
    path = PATH if verb == "PATCH" else f"{PATH}/agent"
    assert (await admin.request(verb, path, json={"agent": None})).status_code == 404


async def test_calls_are_found_by_what_they_are_about(admin: httpx.AsyncClient, backend: FakeBackend) -> None:
    answer = await admin.get("/v1/calls?metadata.ticket=T 1&metadata.a.b=&to=+1")
    assert answer.status_code == 200
    (query, _, _) = backend.asked[-1]
    assert query.metadata == (("ticket", "T 1"), ("a.b", ""))
    assert query.to_user == "+1"


@pytest.mark.parametrize("query", ["metadata=x", "metdata.x=1", "metadatax=1"])
async def test_a_filter_of_another_name_is_refused(
    admin: httpx.AsyncClient, backend: FakeBackend, query: str
) -> None:
    assert (await admin.get(f"/v1/calls?{query}")).status_code == 422
