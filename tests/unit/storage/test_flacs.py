"""A FLAC holds every sample of the WAV, and reads like it, from anywhere."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.errors import Malformed
from mediaproxy.recording import flac, wav
from mediaproxy.recording.flac import StreamInfo
from mediaproxy.storage import flacs, masters
from mediaproxy.storage.encode import make
from mediaproxy.storage.flacs import NotExact
from mediaproxy.storage.jobs import Job
from mediaproxy.storage.masters import open_master
from tests.support.masters import Frames, identity_of, write_master
from tests.support.recordings import frames_in

RNG = np.random.default_rng(5)


def noise(frames: int) -> Frames:
    return RNG.integers(-32_768, 32_768, (frames, 2)).astype("<i2")


def gappy(frames: int) -> Frames:
    """Mostly silent, as calls that are recorded on demand are."""
    made = np.zeros((frames, 2), "<i2")
    for start in range(0, frames, 90_000):
        made[start + 20_000 : start + 30_000] = noise(10_000)[: max(frames - start - 20_000, 0)]
    return made


def read(path: Path, start: int, end: int) -> Frames:
    """As `chunks` tells it, what it leaves out being zero."""
    got = np.zeros((end - start, 2), "<i2")
    with open_master(path) as pcm:
        at = start
        for first, samples in pcm.chunks(start, end):
            assert first >= at
            part = np.frombuffer(samples, "<i2").reshape(-1, 2)
            got[first - start : first - start + len(part)] = part
            at = first + len(part)
    return got


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path, Frames]:
    frames = gappy(400_001)
    master = write_master(tmp_path / "m.wav", frames)
    make(Job("flac", master.path, tmp_path / "m.flac", master.sha256), lambda _: None)
    return master.path, tmp_path / "m.flac", frames


@pytest.mark.parametrize(
    ("start", "end"), [(0, 400_001), (0, 1), (400_000, 400_001), (65_535, 65_537), (25_001, 200_003), (7, 7)]
)
def test_any_range_reads_the_same_from_wav_and_flac(
    both: tuple[Path, Path, Frames], start: int, end: int
) -> None:
    for path in both[:2]:
        assert np.array_equal(read(path, start, end), both[2][start:end])


def test_holes_are_left_out_of_a_wav_and_never_split_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "sparse.wav"
    head = wav.header(wav.constant_part(identity_of()), 1_000_000)
    with path.open("wb") as file:
        file.write(head)
        file.seek(wav.data_end(500_001) + 2)  # an extent begins on any byte of the file system's liking
        file.write(b"\1\2" * 3)
        file.truncate(wav.data_end(1_000_000))
    with open_master(path) as pcm:
        found = list(pcm.chunks(0, 1_000_000))
        everything = b"".join(masters.filled(pcm))
    assert sum(len(samples) for _, samples in found) < 100_000
    assert all(len(samples) % wav.FRAME_BYTES == 0 for _, samples in found)
    assert everything == path.read_bytes()[wav.HEADER_BYTES :]


@pytest.mark.parametrize("frames", [0, 1, 15, 16, 2_303, 2_304, 2_305, 65_536, 65_537])
def test_every_length_is_exact_and_sound(tmp_path: Path, frames: int) -> None:
    made = noise(frames)
    master = write_master(tmp_path / "m.wav", made)
    target = tmp_path / "m.flac"
    told = []
    sha256 = make(Job("flac", master.path, target, master.sha256), told.append)
    assert sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert [each.of for each in told] == [frames] * len(told)
    assert not told or told[-1].done == frames
    with open_master(target) as pcm:
        assert (pcm.shape.sample_rate, pcm.shape.frames) == (8_000, frames)
        assert b"".join(masters.filled(pcm)) == made.tobytes()
    if shutil.which("flac"):
        subprocess.run(["flac", "-t", "-s", "-w" if frames else "-s", target], check=True)  # -w: warnings too


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_other_rates(tmp_path: Path, rate: int) -> None:
    made = noise(rate)
    with (tmp_path / "m.flac").open("w+b") as file:
        shape = wav.Shape(rate, rate)
        info = flacs.write(file.fileno(), iter([made.tobytes()]), shape, ["A=1"], lambda _: None)
        flacs.check(file.fileno(), info)
    assert np.array_equal(read(tmp_path / "m.flac", 0, rate), made)


def test_seek_points_are_where_frames_begin(tmp_path: Path) -> None:
    made = gappy(8_000 * 35)
    master = write_master(tmp_path / "m.wav", made)
    make(Job("flac", master.path, tmp_path / "m.flac", master.sha256), lambda _: None)
    content = (tmp_path / "m.flac").read_bytes()
    at = 42
    length = int.from_bytes(content[at + 1 : at + 4], "big")
    points = [content[at + 4 + n : at + 22 + n] for n in range(0, length, 18)]
    first_frame = at + 4 + length
    first_frame += 4 + int.from_bytes(content[first_frame + 1 : first_frame + 4], "big")
    assert len(points) == 4
    for n, point in enumerate(points):
        sample, offset = int.from_bytes(point[:8], "big"), int.from_bytes(point[8:16], "big")
        assert 0 <= sample - n * 80_000 < 2_304
        assert content[first_frame + offset :][:2] == b"\xff\xf8"


@pytest.mark.parametrize("at", [100, 20_000, -30])
def test_a_damaged_stream_is_noticed(tmp_path: Path, at: int) -> None:
    path = tmp_path / "m.flac"
    with path.open("w+b") as file:
        info = flacs.write(
            file.fileno(), iter([noise(30_000).tobytes()]), wav.Shape(8_000, 30_000), [], lambda _: None
        )
        flacs.check(file.fileno(), info)
        content = bytearray(path.read_bytes())
        content[at] ^= 0x10
        os.pwrite(file.fileno(), content, 0)
        with pytest.raises(NotExact):
            flacs.check(file.fileno(), info)
    if at > 100:
        with pytest.raises(Malformed), open_master(path) as pcm:
            assert b"".join(masters.filled(pcm)) != b""


def test_an_encoder_that_changes_a_sample_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The MD5 is of what was to be written, never of what came out of the encoder."""
    honest = flacs._frame

    def careless(samples: bytes, rate: int, at: int) -> object:
        return honest(samples[:-2] + bytes(2) if at else samples, rate, at)

    monkeypatch.setattr(flacs, "_frame", careless)
    master = write_master(tmp_path / "m.wav", noise(100_000) | 1)
    with pytest.raises(NotExact):
        make(Job("flac", master.path, tmp_path / "m.flac", master.sha256), lambda _: None)
    assert not (tmp_path / "m.flac").exists()


@pytest.mark.parametrize("field", ["frames", "md5", "block"])
def test_the_head_must_say_what_the_stream_holds(tmp_path: Path, field: str) -> None:
    with (tmp_path / "m.flac").open("w+b") as file:
        pieces: Iterator[bytes] = iter([noise(5_000).tobytes()])
        info = flacs.write(file.fileno(), pieces, wav.Shape(8_000, 5_000), [], lambda _: None)
        wrong: StreamInfo = replace(info, **{field: bytes(16) if field == "md5" else 4_999})
        os.pwrite(file.fileno(), flac.head(wrong, (), [])[:42], 0)
        with pytest.raises(NotExact):
            flacs.check(file.fileno(), info)


def test_a_wav_made_of_a_flac_is_the_wav_again(tmp_path: Path) -> None:
    made = np.concatenate([gappy(100_000), np.zeros((500_000, 2), "<i2")])
    master = write_master(tmp_path / "m.wav", made, [(20_000, 30_000), (90_000, 100_000)])
    folder = tmp_path / "flac"
    folder.mkdir()
    flac_sha256 = make(Job("flac", master.path, folder / "m.flac", master.sha256), lambda _: None)
    shutil.copy(master.path.with_suffix(".json"), folder / "m.json")
    make(Job("wav", folder / "m.flac", tmp_path / "again.wav", flac_sha256), lambda _: None)
    again = (tmp_path / "again.wav").read_bytes()
    assert np.array_equal(frames_in(tmp_path / "again.wav"), made)
    assert again[wav.HEADER_BYTES :] == master.path.read_bytes()[wav.HEADER_BYTES :]
    assert f"master sha256 {flac_sha256}".encode() in again[: wav.HEADER_BYTES]
    assert (tmp_path / "again.wav").stat().st_blocks * 512 < len(again) / 2


def test_mono_is_both_together_and_never_wraps(tmp_path: Path) -> None:
    made = np.array([[100, -30], [30_000, 30_000], [-30_000, -30_000], [0, 0], [5, 0]], "<i2")
    master = write_master(tmp_path / "m.wav", made)
    make(Job("mono", master.path, tmp_path / "mono.wav", master.sha256), lambda _: None)
    content = (tmp_path / "mono.wav").read_bytes()
    assert content[wav.HEADER_BYTES :][:10] == np.array([70, 32_767, -32_768, 0, 5], "<i2").tobytes()
    if shutil.which("ffprobe"):
        asked = ["ffprobe", "-v", "error", "-show_entries", "stream=channels,duration_ts", "-of", "csv=p=0"]
        said = subprocess.run([*asked, tmp_path / "mono.wav"], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "1,5"
