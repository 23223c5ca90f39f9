"""The spools of earlier versions are repaired to what they were repaired to then (tests/golden/spools)."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediaproxy.recording import manifest
from mediaproxy.storage import Repaired, Storage, repair, verify
from mediaproxy.storage.masters import filled, open_master
from tests.golden.spools.make import FLAC, REDACTED, REDACTION, SPANS, make
from tests.support.recordings import Frames, expected_frames

SPOOLS = Path(__file__).parents[2] / "golden" / "spools"
VERSIONS = sorted(path.parent.name for path in SPOOLS.glob("*/live"))


def repaired(storage: Storage, live: Path) -> dict[str, Any]:
    """What came out, by recording: its manifest, or None where there was nothing to keep."""
    shutil.copytree(live, storage.live, dirs_exist_ok=True)
    told: dict[str, Any] = {}
    for found in repair(storage):
        assert isinstance(found, Repaired), found
        told[found.outcome.recording_id] = None
        if found.outcome.audio is not None:
            claims = json.loads(found.outcome.audio.with_suffix(".json").read_bytes())
            heard = hashlib.sha256(frames_of(found.outcome.audio).tobytes()).hexdigest()
            told[found.outcome.recording_id] = claims | {"frames": heard}
    assert all(verdict.ok for verdict in verify([storage.root]))
    assert list(storage.live.iterdir()) == []
    return told


def frames_of(path: Path) -> Frames:
    with open_master(path) as pcm:
        return np.frombuffer(b"".join(filled(pcm)), "<i2").reshape(-1, 2)


def said_again(then: Any, now: Any) -> Any:
    """What is told now, without what could not be told then."""
    if isinstance(then, dict) and isinstance(now, dict):
        return {key: said_again(then[key], now[key]) for key in then if key in now}
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [said_again(*pair) for pair in zip(then, now, strict=True)]
    return now


@pytest.mark.parametrize("version", VERSIONS)
def test_a_spool_of_an_earlier_version(storage: Storage, version: str) -> None:
    """Fields that a later manifest has besides may come; what it said then it says still."""
    expected = json.loads((SPOOLS / version / "expected.json").read_text())
    told = repaired(storage, SPOOLS / version / "live")
    assert told.keys() == expected.keys()
    for recording, claims in expected.items():
        assert said_again(claims, told[recording]) == claims


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_expected_is_what_was_said(storage: Storage, version: str) -> None:
    repaired(storage, SPOOLS / version / "live")
    kept = {int(path.stem[-1]) for path in (SPOOLS / version / "live").glob("*.journal")}
    for n in kept:
        paths = [path for path in storage.root.rglob(f"*{n}.*") if path.suffix in (".wav", ".flac")]
        assert [path.suffix for path in paths] == [".flac" if n == FLAC else ".wav"] * bool(SPANS[n])
        for each in map(frames_of, paths):
            truth = expected_frames(480 if n == 5 else 400, SPANS[n], n)
            if n == REDACTED:
                truth[REDACTION.start_sample : REDACTION.end_sample] = 0
            assert (each == truth).all()


def test_a_spool_of_this_version(storage: Storage, tmp_path: Path) -> None:
    """As the newest that is kept: what is to be kept next, is made like this."""
    make(tmp_path / "made")
    told = repaired(storage, tmp_path / "made" / "live")
    newest = json.loads((SPOOLS / "kinds" / "expected.json").read_text())
    assert told.keys() == newest.keys()
    assert {key: told[key] and told[key]["frames"] for key in told} == {
        key: newest[key] and newest[key]["frames"] for key in newest
    }


def test_a_manifest_of_them_is_one_of_ours(storage: Storage) -> None:
    repaired(storage, SPOOLS / VERSIONS[0] / "live")
    results = [manifest.decode(path.read_bytes()).result for path in storage.root.rglob("2*/*/*/*.json")]
    assert results == ["recovered"] * 4
