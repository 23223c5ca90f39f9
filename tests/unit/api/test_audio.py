"""The published file over HTTP: whole, in part, unchanged, or not yet."""

import json
from pathlib import Path

import httpx
import pytest

from mediaproxy.api.ranges import Span, Unsatisfiable, matches, parse_range
from mediaproxy.calllog import LoggedCall
from tests.support.api_shapes import PROBLEM, RECORDING
from tests.support.call_rows import START_MS, call_row, ended_call, recording_id, recording_row
from tests.support.fake_backend import FakeBackend

AUDIO = f"/v1/recordings/{recording_id(0)}/audio"
MANIFEST = f"/v1/recordings/{recording_id(0)}/manifest"
ETAG = f'"{"ab" * 32}"'
BYTES = bytes(index * 7 % 251 for index in range(200_000))  # more than three chunks


@pytest.fixture(autouse=True)
def _published(backend: FakeBackend, tmp_path: Path) -> None:
    row = recording_row(0)
    backend.logged = [LoggedCall(ended_call(0), row)]
    path = tmp_path / str(row.file)
    path.parent.mkdir(parents=True)
    path.write_bytes(BYTES)
    path.with_suffix(".json").write_text('{"version": 1}')


async def test_the_recording_is_the_calls(alice: httpx.AsyncClient) -> None:
    answer = await alice.get(f"/v1/recordings/{recording_id(0)}")
    assert RECORDING(answer.json())


async def test_the_whole_file(alice: httpx.AsyncClient) -> None:
    answer = await alice.get(AUDIO)
    assert answer.status_code == 200
    assert answer.content == BYTES
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["etag"] == ETAG
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(len(BYTES))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-43", 0, 44),
        ("bytes=65535-131073", 65_535, 131_074),
        ("bytes=199990-", 199_990, 200_000),
        ("bytes=199990-999999999", 199_990, 200_000),
        ("bytes=-10", 199_990, 200_000),
        ("bytes=-999999999", 0, 200_000),
    ],
)
async def test_a_part_of_it(alice: httpx.AsyncClient, asked: str, start: int, end: int) -> None:
    answer = await alice.get(AUDIO, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == BYTES[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/200000"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["etag"] == ETAG


@pytest.mark.parametrize("asked", ["bytes=200000-", "bytes=200000-300000", "bytes=-0"])
async def test_a_part_that_is_not_there(alice: httpx.AsyncClient, asked: str) -> None:
    answer = await alice.get(AUDIO, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */200000"
    assert PROBLEM(answer.json())


@pytest.mark.parametrize(
    "asked", ["bytes=5-4", "bytes=-", "bytes=0-1,5-6", "lines=0-1", "bytes=a-b", "bytes", "", "bytes=--1"]
)
async def test_what_is_no_single_range_gets_the_whole(alice: httpx.AsyncClient, asked: str) -> None:
    answer = await alice.get(AUDIO, headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, 200_000)


async def test_if_range_of_another_file_gets_the_whole(alice: httpx.AsyncClient) -> None:
    part = {"Range": "bytes=0-9"}
    assert (await alice.get(AUDIO, headers=part | {"If-Range": ETAG})).status_code == 206
    assert (await alice.get(AUDIO, headers=part | {"If-Range": '"other"'})).status_code == 200


@pytest.mark.parametrize("known", [ETAG, f"W/{ETAG}", f'"x", {ETAG}', "*"])
async def test_a_known_file_is_not_sent_again(alice: httpx.AsyncClient, known: str) -> None:
    answer = await alice.get(AUDIO, headers={"If-None-Match": known})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == ETAG


async def test_another_file_is_sent(alice: httpx.AsyncClient) -> None:
    assert (await alice.get(AUDIO, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_head_tells_without_sending(alice: httpx.AsyncClient) -> None:
    answer = await alice.head(AUDIO, headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "200000"
    assert answer.headers["etag"] == ETAG


@pytest.mark.parametrize("path", [AUDIO, MANIFEST])
@pytest.mark.parametrize("state", ["recording", "finished"])
async def test_what_is_not_published_yet_is_worth_another_try(
    alice: httpx.AsyncClient, backend: FakeBackend, path: str, state: str
) -> None:
    live = recording_row(0, result=None, state=state, file=None, manifest=None)
    backend.logged = [LoggedCall(call_row(0, state="answered", answered_at_ms=START_MS), live)]
    answer = await alice.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert PROBLEM(answer.json())


@pytest.mark.parametrize("path", [AUDIO, MANIFEST])
@pytest.mark.parametrize("result", ["none", "failed"])
async def test_nothing_kept_is_404(
    alice: httpx.AsyncClient, backend: FakeBackend, path: str, result: str
) -> None:
    backend.logged = [LoggedCall(ended_call(0), recording_row(0, result=result, file=None, manifest=None))]
    answer = await alice.get(path)
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("nothing_kept")


@pytest.mark.parametrize("path", [AUDIO, MANIFEST])
async def test_a_file_that_someone_took_away_is_404(
    alice: httpx.AsyncClient, tmp_path: Path, path: str
) -> None:
    row = recording_row(0)
    (tmp_path / str(row.file)).unlink()
    (tmp_path / str(row.manifest)).unlink()
    answer = await alice.get(path)
    assert answer.status_code == 404
    assert answer.json()["type"].endswith("file_gone")
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize("path", ["", "/audio", "/manifest"])
async def test_another_agents_recording_is_theirs(bob: httpx.AsyncClient, path: str) -> None:
    answer = await bob.get(f"/v1/recordings/{recording_id(0)}{path}")
    assert answer.status_code == 403
    assert PROBLEM(answer.json())


async def test_the_manifest_is_the_file_beside_it(alice: httpx.AsyncClient) -> None:
    answer = await alice.get(MANIFEST)
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.content) == {"version": 1}


@pytest.mark.parametrize("asked", ["ogg", "OPUS", "opus ", "../wav", ""])
async def test_an_unknown_format_names_the_field(alice: httpx.AsyncClient, asked: str) -> None:
    answer = await alice.get(AUDIO, params={"format": asked})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("format: ")
    assert PROBLEM(answer.json())


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(Unsatisfiable):
        parse_range("bytes=0-", 0)
    assert parse_range(None, 0) is None
    assert parse_range("bytes=0-0", 1) == Span(0, 1)


def test_an_etag_is_no_prefix() -> None:
    assert not matches('"a"', '"ab"')
    assert not matches(None, '"a"')


@pytest.mark.parametrize(
    "document",
    [
        b"[]",
        b"{}",
        b'{"master": []}',
        b'{"master": {"sha256": 1}}',
        b'{"master": {"sha256": "a\\r\\nb: c"}}',
        b"[",
    ],
)
async def test_a_manifest_that_somebody_wrote_over_is_no_fault_of_ours(
    alice: httpx.AsyncClient, tmp_path: Path, document: bytes
) -> None:
    (tmp_path / str(recording_row(0).manifest)).write_bytes(document)
    answer = await alice.get(AUDIO)
    assert (answer.status_code, answer.headers["etag"]) == (200, ETAG)


@pytest.mark.parametrize("path", [AUDIO, MANIFEST])
async def test_what_cannot_be_read_is_the_storages_fault(
    alice: httpx.AsyncClient, tmp_path: Path, path: str
) -> None:
    """A folder in its place, as any refusal of the disk."""
    file = tmp_path / str(recording_row(0).file if path == AUDIO else recording_row(0).manifest)
    file.unlink()
    file.mkdir()
    answer = await alice.get(path)
    assert PROBLEM(answer.json())
    assert answer.json()["type"].endswith("storage_unavailable")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
