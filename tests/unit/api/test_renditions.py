"""`?format=`: other formats over HTTP as the master is, telling which master they are of."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mediaproxy.calllog import LoggedCall
from mediaproxy.storage import jobs
from tests.support.api_shapes import PROBLEM
from tests.support.call_rows import START_MS, call_row, ended_call, recording_id, recording_row
from tests.support.fake_backend import FakeBackend, FakeRenditions

ID = recording_id(0)
AUDIO = f"/v1/recordings/{ID}/audio"
SHA256 = "ab" * 32

lossy = pytest.mark.parametrize(
    ("form", "media_type"),
    [("opus", "audio/ogg"), ("mp3", "audio/mpeg"), ("flac", "audio/flac"), ("mono", "audio/wav")],
)


@pytest.fixture(autouse=True)
def master(backend: FakeBackend, renditions: FakeRenditions, tmp_path: Path) -> Path:
    row = recording_row(0)
    backend.logged = [LoggedCall(ended_call(0), row)]
    path = tmp_path / str(row.file)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF")
    return path


@lossy
async def test_a_rendition_names_its_master(
    alice: httpx.AsyncClient, renditions: FakeRenditions, form: str, media_type: str
) -> None:
    answer = await alice.get(AUDIO, params={"format": form})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["master-sha256"] == SHA256
    assert f'filename="{ID}.{jobs.suffix(form)}"' in answer.headers["content-disposition"]
    assert answer.content == f"{form} of {ID}".encode()
    assert renditions.asked == [(ID, SHA256, form)]


async def test_the_master_is_no_rendition(alice: httpx.AsyncClient, renditions: FakeRenditions) -> None:
    answer = await alice.get(AUDIO, params={"format": "wav"})
    assert (answer.content, answer.headers["content-type"]) == (b"RIFF", "audio/wav")
    assert answer.headers["master-sha256"] == SHA256
    assert renditions.asked == []


async def test_a_flac_master_is_sent_as_it_is_and_as_a_wav(
    alice: httpx.AsyncClient, backend: FakeBackend, renditions: FakeRenditions, master: Path
) -> None:
    row = recording_row(0)
    backend.logged = [
        LoggedCall(ended_call(0), replace(row, file=str(Path(row.file or "").with_suffix(".flac"))))
    ]
    master.with_suffix(".flac").write_bytes(b"fLaC")
    master.unlink()
    for params in ({}, {"format": "flac"}):
        answer = await alice.get(AUDIO, params=params)
        assert (answer.content, answer.headers["content-type"]) == (b"fLaC", "audio/flac")
        assert answer.headers["etag"] == f'"{SHA256}"'
        assert f'filename="{ID}.flac"' in answer.headers["content-disposition"]
    assert renditions.asked == []
    answer = await alice.get(AUDIO, params={"format": "wav"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert renditions.asked == [(ID, SHA256, "wav")]


@lossy
async def test_ranges_and_etags_are_the_renditions_own(
    alice: httpx.AsyncClient, master: Path, form: str, media_type: str
) -> None:
    whole = await alice.get(AUDIO, params={"format": form})
    etag = whole.headers["etag"]
    assert etag.startswith(f'"{SHA256}-{form}-')
    part = await alice.get(AUDIO, params={"format": form}, headers={"Range": "bytes=2-5", "If-Range": etag})
    assert (part.status_code, part.content) == (206, whole.content[2:6])
    assert part.headers["content-type"] == media_type
    known = await alice.get(AUDIO, params={"format": form}, headers={"If-None-Match": etag})
    assert (known.status_code, known.content) == (304, b"")
    other = await alice.get(AUDIO, params={"format": form}, headers={"If-None-Match": f'"{SHA256}"'})
    assert other.status_code == 200
    head = await alice.head(AUDIO, params={"format": form})
    assert head.headers["content-length"] == str(len(whole.content))


async def test_a_rendition_made_anew_has_another_etag(alice: httpx.AsyncClient, master: Path) -> None:
    before = await alice.get(AUDIO, params={"format": "mp3"})
    master.with_suffix(".mp3").write_bytes(b"by another encoder")
    after = await alice.get(
        AUDIO, params={"format": "mp3"}, headers={"Range": "bytes=0-1", "If-Range": before.headers["etag"]}
    )
    assert (after.status_code, after.content) == (200, b"by another encoder")


@lossy
async def test_one_that_cannot_be_made_is_a_problem_that_says_why(
    alice: httpx.AsyncClient, renditions: FakeRenditions, form: str, media_type: str
) -> None:
    renditions.failure = "the encoder failed"
    answer = await alice.get(AUDIO, params={"format": form})
    assert answer.status_code == 503
    assert PROBLEM(answer.json())
    assert answer.json()["detail"] == "the encoder failed"
    assert answer.json()["type"].endswith("no_rendition")
    assert answer.headers["retry-after"] == "10"


@lossy
@pytest.mark.parametrize("state", ["recording", "finished"])
async def test_a_live_recording_is_worth_another_try(
    alice: httpx.AsyncClient,
    backend: FakeBackend,
    renditions: FakeRenditions,
    form: str,
    media_type: str,
    state: str,
) -> None:
    live = recording_row(0, result=None, state=state, file=None, manifest=None)
    backend.logged = [LoggedCall(call_row(0, state="answered", answered_at_ms=START_MS), live)]
    answer = await alice.get(AUDIO, params={"format": form})
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert renditions.asked == []


@lossy
async def test_no_rendition_outlives_its_master(
    alice: httpx.AsyncClient, master: Path, form: str, media_type: str
) -> None:
    await alice.get(AUDIO, params={"format": form})
    master.unlink()
    answer = await alice.get(AUDIO, params={"format": form})
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (404, "file_gone")


@lossy
async def test_another_agents_rendition_is_theirs(
    bob: httpx.AsyncClient, renditions: FakeRenditions, form: str, media_type: str
) -> None:
    assert (await bob.get(AUDIO, params={"format": form})).status_code == 403
    assert renditions.asked == []
