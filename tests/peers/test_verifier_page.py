"""The offline verifier in a real browser: what is genuine is called so, and nothing else is."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest

from mediaproxy.api.verifier import page as verifier_page
from mediaproxy.clock import rfc3339
from mediaproxy.recording import chain, manifest, wav
from mediaproxy.recording.manifest import Manifest, Master, Redaction
from mediaproxy.recording.wav import Identity
from mediaproxy.storage import Storage
from mediaproxy.storage.chain import Chain
from tests.support import browser
from tests.support.browser import Page
from tests.support.recordings import ALICE, ANSWERED_AT_MS, CALL_END, Frames, header_of, interval, speech

pytestmark = [
    pytest.mark.peer,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(
        shutil.which(browser.CHROMIUM) is None, reason="no chromium: apt-get install chromium"
    ),
]

SECOND = 8000
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & ünïcödé \u2028"


@dataclass(frozen=True)
class Evidence:
    """A recording as it lies in a store."""

    audio: Path
    manifest: Path
    key: Path
    document: Manifest
    private_key: bytes

    def files(self) -> list[Path]:
        return [self.audio, self.manifest, self.key]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def recorded() -> Frames:
    frames = np.zeros((10 * SECOND, 2), np.int16)
    frames[4 * SECOND : 6 * SECOND] = speech(4 * SECOND, 6 * SECOND)
    frames[5 * SECOND : 5 * SECOND + 4000] = 0
    return frames


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """Ten seconds, two of them recorded, half a second of these redacted; names are hostile."""
    storage = Storage.open(tmp_path / "rec", min_free_bytes=0)
    storage.close()
    header = header_of()
    frames = recorded()
    audio = tmp_path / f"{header.recording_id}.wav"
    constant = wav.constant_part(Identity(header.recording_id, header.call_id, ANSWERED_AT_MS, SECOND))
    audio.write_bytes(wav.header(constant, len(frames), 0) + frames.tobytes())
    document = Manifest(
        recording_id=header.recording_id,
        call_id=header.call_id,
        sip_call_id=HOSTILE,
        answered_at=rfc3339(ANSWERED_AT_MS),
        sample_rate=SECOND,
        duration_samples=len(frames),
        intervals=(interval(4 * SECOND, 6 * SECOND),),
        participants=tuple(
            replace(each, name=HOSTILE, to_sample=len(frames)) for each in header.participants
        ),
        streams=(),
        withheld=0,
        injected=0,
        result="complete",
        reasons=(),
        master=Master(audio.name, hashlib.sha256(audio.read_bytes()).hexdigest()),
        redactions=(Redaction(5 * SECOND, 5 * SECOND + 4000, HOSTILE, ALICE, "2026-01-05T11:00:00.000Z"),),
    )
    [key] = (tmp_path / "rec" / "keys").glob("*.pub")
    made = Evidence(audio, audio.with_suffix(".json"), key, document, storage.private_key)
    made.manifest.write_bytes(_signed(made, document))
    return made


def _signed(evidence: Evidence, document: Manifest) -> bytes:
    return manifest.encode(manifest.sign(document, evidence.private_key))


def verdict(page: Page, tmp_path: Path, files: list[Path], keys: list[str] | None = None) -> dict[str, str]:
    """What the page says of these files: each check's state, the verdict under ''."""
    html = tmp_path / "verifier.html"
    html.write_bytes(verifier_page(keys or []))
    page.errors.clear()
    page.open(html.as_uri())
    page.choose_files("#files", files)
    page.wait_for("document.querySelector('#verdict') !== null")
    assert not page.errors
    said: dict[str, str] = page.evaluate(
        "Object.fromEntries([['', document.querySelector('#verdict').dataset.state], ...Array.from("
        "document.querySelectorAll('[data-check]'), (each) => [each.dataset.check, each.className])])"
    )
    return said


def test_what_is_genuine_is_called_genuine(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    said = verdict(page, tmp_path, evidence.files())
    assert said == dict.fromkeys(("", "Signature", "Bytes", "Length", "Silence", "Redactions"), "good")
    drawn = page.evaluate("document.querySelector('svg').getAttribute('aria-label')")
    assert "audio from 0:04.000 to 0:06.000 by alice (api)" in drawn


def test_hostile_names_stay_text(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    verdict(page, tmp_path, evidence.files())
    assert HOSTILE in page.evaluate("document.body.textContent")
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("document.title") != "owned"


def test_a_page_that_knows_the_key_needs_no_key(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    said = verdict(page, tmp_path, [evidence.audio, evidence.manifest], [evidence.key.read_text()])
    assert said[""] == said["Signature"] == "good"


def test_without_a_key_nothing_is_proven(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    said = verdict(page, tmp_path, [evidence.audio, evidence.manifest])
    assert said[""] == said["Signature"] == "open"


Tamper = Callable[[Evidence], None]


def _sound_outside(evidence: Evidence) -> None:
    content = bytearray(evidence.audio.read_bytes())
    content[-4] = 1  # the last sample frame
    evidence.audio.write_bytes(content)


def _sound_redacted(evidence: Evidence) -> None:
    content = bytearray(evidence.audio.read_bytes())
    content[-(5 * SECOND - 100) * 4] = 1
    evidence.audio.write_bytes(content)


def _other_words(evidence: Evidence) -> None:
    content = bytearray(evidence.audio.read_bytes())
    content[-5 * SECOND * 4 - 400] ^= 1
    evidence.audio.write_bytes(content)


def _cut(evidence: Evidence) -> None:
    evidence.audio.write_bytes(evidence.audio.read_bytes()[:-4])


def _claim_by_another(evidence: Evidence) -> None:
    evidence.manifest.write_bytes(evidence.manifest.read_bytes().replace(b'"alice"', b'"bobby"', 1))


def _widen_interval(evidence: Evidence) -> None:
    text = evidence.manifest.read_bytes()
    evidence.manifest.write_bytes(text.replace(b'"end_sample":48000', b'"end_sample":56000', 1))


def _other_signature(evidence: Evidence) -> None:
    fields = json.loads(evidence.manifest.read_bytes())
    fields["signature"] = re.sub("^.", lambda m: "0" if m[0] != "0" else "1", fields["signature"])
    evidence.manifest.write_text(json.dumps(fields))


def _no_manifest(evidence: Evidence) -> None:
    evidence.manifest.write_text("[]")


def _half_a_manifest(evidence: Evidence) -> None:
    fields = json.loads(evidence.manifest.read_bytes())
    evidence.manifest.write_text(json.dumps({key: fields[key] for key in ("master", "intervals")}))


def _no_rate(evidence: Evidence) -> None:
    evidence.manifest.write_bytes(_signed(evidence, replace(evidence.document, sample_rate=0)))


def _intervals_in_disorder(evidence: Evidence) -> None:
    spans = ((48_000, 56_000), (32_000, 48_000))
    listed = tuple(interval(*span) for span in spans)
    evidence.manifest.write_bytes(_signed(evidence, replace(evidence.document, intervals=listed)))


TAMPERINGS: dict[str, tuple[Tamper, set[str]]] = {
    "sound outside": (_sound_outside, {"Bytes", "Silence"}),
    "sound where redacted": (_sound_redacted, {"Bytes", "Redactions"}),
    "other words": (_other_words, {"Bytes"}),
    "cut": (_cut, {"Bytes", "Audio"}),
    "another's name": (_claim_by_another, {"Signature"}),
    "a wider interval": (_widen_interval, {"Signature"}),
    "another signature": (_other_signature, {"Signature"}),
    "no manifest": (_no_manifest, {"Manifest"}),
    "half a manifest": (_half_a_manifest, {"Manifest"}),
    "no rate": (_no_rate, {"Manifest"}),
    "intervals in disorder": (_intervals_in_disorder, {"Intervals"}),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_what_was_changed_is_found(page: Page, tmp_path: Path, evidence: Evidence, name: str) -> None:
    tamper, expected = TAMPERINGS[name]
    tamper(evidence)
    said = verdict(page, tmp_path, evidence.files())
    assert said.pop("") == "bad"
    assert {check for check, state in said.items() if state == "bad"} == expected


def test_what_was_signed_anew_by_a_stranger_proves_nothing(
    page: Page, tmp_path: Path, evidence: Evidence
) -> None:
    evidence.manifest.write_bytes(manifest.encode(manifest.sign(evidence.document, bytes(32))))
    assert verdict(page, tmp_path, evidence.files())["Signature"] == "open"


def test_a_flac_master_is_decoded_and_judged_alike(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    for changed, expected in ((0, "good"), (1, "bad")):
        frames = recorded()
        frames[100] = changed
        audio = _flac(evidence.audio.with_suffix(".flac"), frames)
        master = Master(audio.name, hashlib.sha256(audio.read_bytes()).hexdigest())
        evidence.manifest.write_bytes(_signed(evidence, replace(evidence.document, master=master)))
        said = verdict(page, tmp_path, [audio, evidence.manifest, evidence.key])
        assert (said[""], said["Silence"]) == (expected, expected)
        assert said["Bytes"] == said["Length"] == "good"


def _flac(path: Path, frames: Frames) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SECOND, layout="stereo")
        frame = av.AudioFrame.from_ndarray(frames.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = SECOND
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _chain(tmp_path: Path, evidence: Evidence, *documents: bytes) -> list[bytes]:
    log = Chain(tmp_path / "chain.jsonl", evidence.private_key)
    other = chain.published("another", b"{}", CALL_END)
    own = [chain.published(evidence.document.recording_id, document, CALL_END) for document in documents]
    log.append(other, *own, other)
    return log.path.read_bytes().splitlines(keepends=True)


def test_the_chain_is_followed_to_the_recording(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    document = evidence.manifest.read_bytes()
    lines = _chain(tmp_path, evidence, document)
    broken = {
        "good": lines,
        "a line was removed": lines[1:],
        "an empty line": [lines[0], b"\n", *lines[1:]],
        "a line was changed": [lines[0].replace(b"another", b"somebody"), *lines[1:]],
        "it is not there": lines[:1],
    }
    for name, found in broken.items():
        path = tmp_path / "chain.jsonl"
        path.write_bytes(b"".join(found))
        said = verdict(page, tmp_path, [*evidence.files(), path])
        assert said["Chain"] == said[""] == ("good" if name == "good" else "bad"), name


def test_an_older_manifest_than_the_chain_knows_is_refused(
    page: Page, tmp_path: Path, evidence: Evidence
) -> None:
    _chain(tmp_path, evidence, evidence.manifest.read_bytes(), b"a later one")
    said = verdict(page, tmp_path, [*evidence.files(), tmp_path / "chain.jsonl"])
    assert said["Chain"] == "bad"


def test_what_a_crash_left_of_a_line_is_no_forgery(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    lines = _chain(tmp_path, evidence, evidence.manifest.read_bytes())
    path = tmp_path / "chain.jsonl"
    path.write_bytes(b"".join(lines) + lines[0][:40])
    assert verdict(page, tmp_path, [*evidence.files(), path])["Chain"] == "good"


@pytest.mark.parametrize("kind", ["deleted", "expired", "adopted"])
def test_what_the_chain_says_last_counts(page: Page, tmp_path: Path, evidence: Evidence, kind: str) -> None:
    """A copy of what was removed; a recording that another chain noted."""
    named = chain.sha256(evidence.manifest.read_bytes())
    log = Chain(tmp_path / "chain.jsonl", evidence.private_key)
    log.append(chain.Draft(kind, evidence.document.recording_id, named, CALL_END, "asked for"))
    said = verdict(page, tmp_path, [*evidence.files(), log.path])
    assert said["Chain"] == said[""] == "bad"


def test_a_newer_manifest_is_not_called_forged(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    evidence.manifest.write_bytes(_signed(evidence, replace(evidence.document, version=3)))
    assert verdict(page, tmp_path, evidence.files()) == {"": "open", "Manifest": "open"}


def test_what_the_browser_cannot_decode_is_not_called_forged(
    page: Page, tmp_path: Path, evidence: Evidence
) -> None:
    audio = evidence.audio.with_suffix(".flac")
    audio.write_bytes(b"fLaC and nothing that a browser knows")
    master = Master(audio.name, hashlib.sha256(audio.read_bytes()).hexdigest())
    evidence.manifest.write_bytes(_signed(evidence, replace(evidence.document, master=master)))
    said = verdict(page, tmp_path, [audio, evidence.manifest, evidence.key])
    assert (said[""], said["Bytes"], said["Audio"]) == ("open", "good", "open")


def test_what_cannot_be_read_is_not_called_forged(page: Page, tmp_path: Path, evidence: Evidence) -> None:
    gone = evidence.audio.with_name("gone.wav")
    assert verdict(page, tmp_path, [gone, evidence.manifest, evidence.key]).get("") == "open"
