"""What a worker makes of a master: the same call, as long and as silent, in the same channels."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.errors import Malformed
from mediaproxy.storage import encode, forms
from mediaproxy.storage.encode import make
from mediaproxy.storage.jobs import Job
from tests.support.masters import Decoded, Frames, Master, call_audio, decode, write_master
from tests.support.recordings import RATE

CODEC_FRAME_S = {"opus": 0.020, "mp3": 0.072}

both_formats = pytest.mark.parametrize("form", CODEC_FRAME_S)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "rendition"


def encoded(master: Master, target: Path, form: str) -> str:
    return make(Job(form, master.path, target, master.sha256), lambda _: None)


def made(form: str, target: Path, frames: Frames) -> tuple[Master, Decoded]:
    master = write_master(target.with_name("master.wav"), frames)
    encoded(master, target, form)
    return master, decode(target)


def level_db(frames: Frames, rate: int, channel: int, start_s: float, end_s: float) -> float:
    part = frames[round(start_s * rate) : round(end_s * rate), channel].astype(np.float64)
    return float(20 * np.log10(np.sqrt(np.mean(part**2)) + 1e-3))


@both_formats
def test_speech_stays_in_its_channel_and_time_and_silence_stays_silent(form: str, target: Path) -> None:
    master, heard = made(form, target, call_audio(7.0, left=[1, 5], right=[3, 5]))
    assert master.sha256 in heard.comment
    for channel, start in ((0, 1), (1, 3), (0, 5), (1, 5)):
        before = level_db(master.frames, RATE, channel, start, start + 1)
        after = level_db(heard.frames, heard.rate, channel, start, start + 1)
        assert after == pytest.approx(before, abs=2)
    for channel, start, end in ((1, 0, 2.9), (0, 2.1, 4.9), (1, 4.1, 4.9), (0, 0, 0.9), (0, 6.1, 7)):
        assert level_db(heard.frames, heard.rate, channel, start, end) < 6  # two steps of 32,768


@both_formats
@pytest.mark.parametrize("samples", [1, 159, 160, 161, 8_000, 65_535, 65_536, 65_537, 131_111])
def test_it_is_as_long_as_the_call(form: str, target: Path, samples: int) -> None:
    _, heard = made(form, target, call_audio(samples / RATE, left=[0]))
    assert heard.seconds == pytest.approx(samples / RATE, abs=CODEC_FRAME_S[form])


@both_formats
def test_a_call_without_a_sample_is_a_file_without_audio(form: str, target: Path) -> None:
    master = write_master(target.with_name("master.wav"), call_audio(0))
    encoded(master, target, form)
    assert target.exists()


@both_formats
def test_the_same_master_gives_the_same_bytes_for_us_alone(form: str, target: Path) -> None:
    master, _ = made(form, target, call_audio(1.0, left=[0]))
    again = target.with_name("again")
    encoded(master, again, form)
    assert again.read_bytes() == target.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(os.listdir(target.parent)) == ["again", "master.json", "master.wav", "rendition"]


def test_another_file_than_the_master_is_refused(target: Path) -> None:
    master = write_master(target.with_name("master.wav"), call_audio(1.0))
    with pytest.raises(Malformed):
        encoded(replace(master, sha256="0" * 64), target, "opus")
    master.path.write_bytes(bytes(2000))
    with pytest.raises(Malformed):
        encoded(master, target, "opus")
    assert sorted(os.listdir(target.parent)) == ["master.json", "master.wav"]


def test_what_fails_half_way_leaves_no_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    master = write_master(target.with_name("master.wav"), call_audio(20.0, left=range(20)))
    frames = forms._frames

    def breaking(*arguments: object) -> Iterator[object]:
        yield next(frames(*arguments))  # type: ignore[arg-type]  # whatever it takes
        raise OSError(errno.EIO, "the disk is ill")

    monkeypatch.setattr(forms, "_frames", breaking)
    with pytest.raises(OSError, match="ill"):
        encoded(master, target, "mp3")
    assert sorted(os.listdir(target.parent)) == ["master.json", "master.wav"]


@both_formats
def test_a_full_disk_is_noticed_at_the_latest_at_the_end(
    form: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = write_master(target.with_name("master.wav"), call_audio(1.0, left=[0]))
    monkeypatch.setattr(encode.disk, "draft_of", lambda _: target.with_name("full"))

    def full(path: Path) -> int:
        path.symlink_to("/dev/full")
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(encode.disk, "create", full)
    monkeypatch.setattr(encode.os, "fsync", lambda _: None)
    with pytest.raises(OSError) as caught:
        encoded(master, target, form)
    assert caught.value.errno == errno.ENOSPC
    assert sorted(os.listdir(target.parent)) == ["master.json", "master.wav"]
