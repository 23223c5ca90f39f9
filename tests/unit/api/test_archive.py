"""Redacting, deleting and proving over HTTP: who may, what is asked for, and what is wrong with it."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mediaproxy.api.backend import Unchanged
from mediaproxy.calllog import LoggedCall
from mediaproxy.errors import Unavailable
from tests.support.api_shapes import PROBLEM
from tests.support.call_rows import call_row, ended_call, recording_id, recording_row
from tests.support.fake_backend import FakeArchive, FakeBackend

ID = recording_id(0)
RECORDING = f"/v1/recordings/{ID}"
REDACT = f"{RECORDING}/redact"


@pytest.fixture(autouse=True)
def _published(backend: FakeBackend, archive: FakeArchive, tmp_path: Path) -> None:
    row = recording_row(0)
    backend.logged = [LoggedCall(ended_call(0), row)]
    path = tmp_path / str(row.file)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"audio")
    path.with_suffix(".json").write_text(json.dumps({"master": {"sha256": "cd" * 32}}))


async def redact(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post(REDACT, json={"reason": "card number"} | body)


def assert_problem(answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert PROBLEM(answer.json())
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "span"),
    [
        ({"start_sample": 100, "end_sample": 200}, (100, 200)),
        ({"start_sample": 0, "end_sample": 90_000}, (0, 80_000)),
        ({"start_ms": 1_001, "end_ms": 2_000}, (8_008, 16_000)),
        ({"start_ms": 0, "end_ms": 1}, (0, 8)),
        ({"last_s": 2}, (64_000, 80_000)),
        ({"last_s": 0.5}, (76_000, 80_000)),
        ({"last_s": 11}, (0, 80_000)),
        ({"last_s": 0.0001}, (79_992, 80_000)),
    ],
)
async def test_what_is_asked_for(
    admin: httpx.AsyncClient, archive: FakeArchive, body: dict[str, Any], span: tuple[int, int]
) -> None:
    answer = await redact(admin, **body)
    assert archive.redacted == [(ID, span, "admin", "card number")]
    assert answer.json() == {
        "recording_id": ID,
        "start_sample": span[0],
        "end_sample": span[1],
        "start_ms": span[0] // 8,
        "end_ms": span[1] // 8,
        "sample_rate": 8_000,
        "at": "2026-01-05T11:00:00.000Z",
        "manifest_sha256": "01" * 32,
        "master_sha256": "02" * 32,
        "replaces": "03" * 32,
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"last_s": 1, "reason": None}, "reason: "),
        ({"last_s": 1, "reason": ""}, "reason: "),
        ({"last_s": 1, "reason": " \n"}, "reason: "),
        ({"last_s": 1, "reason": "x" * 501}, "reason: "),
        ({}, "last_s: give"),
        ({"last_s": 1, "start_ms": 1, "end_ms": 2}, "last_s: give"),
        ({"start_sample": 1, "end_sample": 2, "start_ms": 1, "end_ms": 2}, "last_s: give"),
        ({"last_s": 0}, "last_s: "),
        ({"last_s": -1}, "last_s: "),
        ({"last_s": "1"}, "last_s: "),
        ({"start_ms": 1}, "end_ms: is missing"),
        ({"end_sample": 1}, "start_sample: is missing"),
        ({"start_ms": 1, "end_ms": 2.5}, "end_ms: "),
        ({"start_sample": -1, "end_sample": 5}, "start_sample: "),
        ({"start_sample": 5, "end_sample": 5}, "start_sample: it ends before it begins"),
        ({"start_ms": 6, "end_ms": 5}, "start_ms: it ends before it begins"),
        ({"start_sample": 80_000, "end_sample": 80_001}, "start_sample: it lies outside the recording"),
        ({"last_s": 1, "more": 1}, "more: "),
    ],
)
async def test_what_is_wrong_is_named(
    admin: httpx.AsyncClient, archive: FakeArchive, body: dict[str, Any], words: str
) -> None:
    whole = {key: value for key, value in ({"reason": "x"} | body).items() if value is not None}
    assert_problem(await admin.post(REDACT, json=whole), 422, words)
    assert archive.redacted == []


async def test_who_may_redact(
    nobody: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, archive: FakeArchive
) -> None:
    assert (await redact(nobody, last_s=1)).status_code == 401
    assert_problem(await redact(bob, last_s=1), 403, "not yours")
    assert_problem(await redact(alice, last_s=1), 403, "agents may redact")
    archive.agents_may_redact_ms = 2_000
    assert_problem(await redact(alice, last_s=2.001), 403, "agents may redact")
    assert_problem(await redact(alice, start_ms=0, end_ms=10_000), 403, "agents may redact")
    assert archive.redacted == []
    assert (await redact(alice, last_s=2)).status_code == 200
    assert (await redact(alice, start_ms=8_000, end_ms=8_001)).status_code == 200
    assert [each[2] for each in archive.redacted] == ["alice", "alice"]


async def test_what_is_not_published_cannot_be_redacted_or_deleted(
    admin: httpx.AsyncClient, backend: FakeBackend, archive: FakeArchive
) -> None:
    backend.logged = [LoggedCall(ended_call(0), recording_row(0, file=None, manifest=None))]
    assert (await redact(admin, last_s=1)).status_code == 404
    assert (await admin.delete(RECORDING, params={"reason": "x"})).status_code == 404
    backend.logged = [LoggedCall(ended_call(0), recording_row(0, result=None))]
    assert (await admin.delete(RECORDING, params={"reason": "x"})).status_code == 409
    backend.logged = []
    assert (await redact(admin, last_s=1)).status_code == 404
    assert (archive.redacted, archive.removed) == ([], [])


async def test_a_live_one_is_redacted_up_to_now(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, backend: FakeBackend, archive: FakeArchive
) -> None:
    """Its duration is that of this moment."""
    row = recording_row(0, result=None, file=None, manifest=None, sha256=None, duration_samples=24_000)
    backend.logged = [LoggedCall(call_row(0, state="answered"), row)]
    answer = await redact(admin, last_s=2)
    assert answer.status_code == 202
    assert [answer.json()[key] for key in ("manifest_sha256", "master_sha256", "replaces")] == [None] * 3
    assert (await redact(admin, start_ms=3_000, end_ms=4_000)).status_code == 422
    assert (await redact(alice, last_s=2)).status_code == 403
    archive.agents_may_redact_ms = 2_000
    assert (await redact(alice, last_s=2)).status_code == 202
    assert [each[1] for each in archive.redacted] == [(8_000, 24_000)] * 2


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"x"', b"[" * 10_000])
async def test_what_is_no_body_of_ours_is_said_of_the_body(admin: httpx.AsyncClient, body: bytes) -> None:
    assert_problem(await admin.post(REDACT, content=body), 422, "body: ")


async def test_a_body_is_looked_at_last_and_no_further_than_it_may_be_long(
    nobody: httpx.AsyncClient, bob: httpx.AsyncClient, alice: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 4_096

    for client, status, pieces in ((nobody, 401, 0), (bob, 403, 0), (alice, 403, 0), (admin, 413, 6)):
        taken = 0
        answer = await client.post(REDACT, content=endless())
        assert_problem(answer, status, "")
        assert taken <= pieces
    gone = f"/v1/recordings/{recording_id(1)}/redact"
    assert_problem(await admin.post(gone, content=b"{"), 404, "no such recording")


async def test_a_redaction_repeated_with_its_key_is_done_once(
    admin: httpx.AsyncClient, bob: httpx.AsyncClient, archive: FakeArchive
) -> None:
    keyed = {"json": {"reason": "x", "last_s": 1}, "headers": {"Idempotency-Key": "one"}}
    archive.failure = Unavailable("the disk is full")
    assert (await admin.post(REDACT, **keyed)).status_code == 503
    archive.failure = None
    first, again = await admin.post(REDACT, **keyed), await admin.post(REDACT, **keyed)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert len(archive.redacted) == 1
    assert (await bob.post(REDACT, **keyed)).status_code == 403
    await redact(admin, last_s=1)
    assert len(archive.redacted) == 2


async def test_deleting_is_for_admins(
    admin: httpx.AsyncClient, alice: httpx.AsyncClient, archive: FakeArchive
) -> None:
    archive.agents_may_redact_ms = 1_000_000
    assert_problem(await alice.delete(RECORDING, params={"reason": "x"}), 403, "for admins")
    for reason in ("", " ", "x" * 501):
        assert_problem(await admin.delete(RECORDING, params={"reason": reason}), 422, "reason: ")
    assert archive.removed == []
    answer = await admin.delete(RECORDING, params={"reason": "asked for"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await admin.delete(RECORDING)).status_code == 204
    assert [each[2] for each in archive.removed] == ["asked for", "not given"]


@pytest.mark.parametrize(
    ("failure", "status"), [(Unchanged("it is forged"), 409), (Unavailable("the disk is full"), 503)]
)
async def test_what_could_not_be_done_says_why(
    admin: httpx.AsyncClient, archive: FakeArchive, failure: Exception, status: int
) -> None:
    archive.failure = failure
    for answer in (
        await redact(admin, last_s=1),
        await admin.delete(RECORDING, params={"reason": "x"}),
        await admin.get(f"{RECORDING}/waveform"),
        await admin.get("/v1/keys"),
        await admin.get("/v1/chain/head"),
    ):
        assert_problem(answer, status, str(failure))


async def test_keys_and_head(
    alice: httpx.AsyncClient, nobody: httpx.AsyncClient, archive: FakeArchive
) -> None:
    (key,) = (await alice.get("/v1/keys")).json()["keys"]
    assert set(key) == {"key_id", "algorithm", "public_key", "pem", "signs"}
    assert (key["algorithm"], key["signs"]) == ("Ed25519", True)
    assert base64.b64decode(key["public_key"]) == bytes(32)
    head = (await alice.get("/v1/chain/head")).json()
    assert head == {"seq": 7, "hash": "ab" * 32, "head": "7:" + "ab" * 32}
    for path in ("/v1/keys", "/v1/chain/head", f"{RECORDING}/waveform"):
        assert (await nobody.get(path)).status_code == 401


async def test_the_verifier_is_for_everyone(nobody: httpx.AsyncClient, archive: FakeArchive) -> None:
    answer = await nobody.get("/verifier")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "BEGIN PUBLIC KEY" in answer.text


async def test_the_waveform_is_for_who_may_see(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    answer = await alice.get(f"{RECORDING}/waveform")
    assert answer.json() == {"recording_id": ID}
    assert answer.headers["content-type"] == "application/json"
    assert_problem(await bob.get(f"{RECORDING}/waveform"), 403, "not yours")


async def test_the_audio_is_named_by_the_manifest_as_it_is_now(alice: httpx.AsyncClient) -> None:
    """It may have been redacted by a command since the row was written."""
    answer = await alice.get(f"{RECORDING}/audio", headers={"If-None-Match": f'"{"ab" * 32}"'})
    assert answer.status_code == 200
    assert answer.headers["etag"] == f'"{"cd" * 32}"'
    assert answer.headers["master-sha256"] == "cd" * 32
