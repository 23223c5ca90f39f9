"""A file of ours opens anywhere: the standard library, sox, FFmpeg; at any length, at any moment."""

import io
import os
import shutil
import struct
import subprocess
import wave
from pathlib import Path

import av
import pytest

from mediaproxy.errors import Malformed
from mediaproxy.recording import wav
from mediaproxy.recording.manifest import Actor
from tests.support.recordings import ANSWERED_AT_MS, interval, recording_id, speech

IDENTITY = wav.Identity(recording_id(1), recording_id(2), ANSWERED_AT_MS, 8000)
CONSTANT = wav.constant_part(IDENTITY)
FOUR_GIB_FRAMES = (1 << 32) // wav.FRAME_BYTES


def chunks(content: bytes) -> list[tuple[bytes, int]]:
    """Names and sizes, in order; the sizes must tile the file exactly."""
    assert content[:4] == b"RIFF"
    assert content[8:12] == b"WAVE"
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    found, at = [], 12
    while at < len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        found.append((name, size))
        at += 8 + size + size % 2
    assert at == len(content)
    return found


def whole(frames: int, *spans: tuple[int, int]) -> bytes:
    tail = wav.tail([interval(*span) for span in spans])
    return wav.header(CONSTANT, frames, len(tail)) + speech(0, frames).tobytes() + tail


def test_chunks_stand_in_the_order_that_is_promised() -> None:
    assert chunks(whole(10)) == [(b"JUNK", 28), (b"fmt ", 16), (b"bext", 936), (b"data", 40)]
    names = [name for name, _ in chunks(whole(10, (2, 5), (7, 9)))]
    assert names == [b"JUNK", b"fmt ", b"bext", b"data", b"cue ", b"LIST"]


def test_audio_begins_on_a_frame_boundary() -> None:
    assert len(wav.header(CONSTANT, 0)) == wav.HEADER_BYTES
    assert wav.HEADER_BYTES % wav.FRAME_BYTES == 0
    assert wav.data_end(0) == wav.HEADER_BYTES


@pytest.mark.parametrize("frames", [0, 1, 8000])
def test_the_standard_library_reads_what_we_wrote(frames: int) -> None:
    with wave.open(io.BytesIO(whole(frames, *([(0, 1)] if frames else [])))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 8000)
        assert file.getnframes() == frames
        assert file.readframes(frames + 1) == speech(0, frames).tobytes()


def test_ffmpeg_reads_what_we_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(whole(8000, (100, 200)))
    with av.open(str(path)) as container:
        assert container.streams.audio[0].duration == 8000
        assert container.metadata["date"] == "2026-01-05"
        assert container.metadata["creation_time"] == "10:00:02"
        assert int(container.metadata["time_reference"]) == (10 * 3600 + 2) * 8000 + 4000
        assert container.metadata["originator_reference"] == recording_id(1).replace("-", "")
        decoded = b"".join(bytes(frame.planes[0])[: frame.samples * 4] for frame in container.decode(audio=0))
    assert decoded == speech(0, 8000).tobytes()


@pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
def test_sox_reads_what_we_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(whole(8000, (100, 200)))
    raw = subprocess.run(["sox", path, "-t", "raw", "-"], check=True, capture_output=True)
    assert (raw.stdout, raw.stderr) == (speech(0, 8000).tobytes(), b"")


def test_past_four_gib_the_same_header_is_rf64(tmp_path: Path) -> None:
    frames = FOUR_GIB_FRAMES + 8000
    path = tmp_path / "big.wav"
    path.write_bytes(wav.header(CONSTANT, frames))
    os.truncate(path, wav.data_end(frames))
    with av.open(str(path)) as container:
        assert container.streams.audio[0].duration == frames
    assert wav.parse(wav.header(CONSTANT, frames)) == wav.Shape(8000, frames)


def test_the_switch_to_rf64_comes_exactly_when_32_bits_are_full() -> None:
    last = ((1 << 32) - 1 + 8 - wav.HEADER_BYTES) // wav.FRAME_BYTES
    below, above = wav.header(CONSTANT, last - 1), wav.header(CONSTANT, last + 1)
    assert (below[:4], above[:4]) == (b"RIFF", b"RF64")
    assert (below[12:16], above[12:16]) == (b"JUNK", b"ds64")
    assert [wav.parse(head).frames for head in (below, above)] == [last - 1, last + 1]


def test_regions_name_place_length_and_author() -> None:
    tail = wav.tail([interval(32_000, 48_000, Actor("call_end"))])
    assert struct.unpack_from("<4sII", tail) == (b"cue ", 28, 1)
    assert struct.unpack_from("<II4sIII", tail, 12) == (1, 32_000, b"data", 0, 0, 32_000)
    assert b"recorded by alice (api) until call end\0" in tail
    at = tail.index(b"ltxt")
    assert struct.unpack_from("<4sIII4s", tail, at) == (b"ltxt", 20, 1, 16_000, b"rgn ")


def test_without_intervals_there_is_no_tail() -> None:
    assert wav.tail([]) == b""


@pytest.mark.parametrize("cut", [0, 1, 11, 43, 1023])
def test_a_header_cut_short_is_malformed(cut: int) -> None:
    with pytest.raises(Malformed):
        wav.parse(wav.header(CONSTANT, 10)[:cut])


@pytest.mark.parametrize("at", [0, 8, 12, 16, 48, 56, 58, 60, 68, 70, 1016])
def test_a_header_of_another_kind_is_malformed(at: int) -> None:
    head = bytearray(wav.header(CONSTANT, 10))
    head[at] ^= 0x41
    if at == 60:  # the rate is free
        assert wav.parse(bytes(head)).sample_rate != 8000
        return
    with pytest.raises(Malformed):
        wav.parse(bytes(head))


def test_held_frames_are_the_whole_ones() -> None:
    assert [wav.held_frames(size) for size in (0, 1024, 1027, 1028, 1035)] == [0, 0, 0, 1, 2]


def test_a_live_header_counts_the_lines_of_its_journal() -> None:
    head = wav.header(CONSTANT, 10, lines=70_000)
    assert wav.journal_lines(head) == 70_000
    assert wav.journal_lines(wav.header(CONSTANT, 10)) == 0
    assert wav.parse(head) == wav.parse(wav.header(CONSTANT, 10))
    assert wav.recording_of(head) == recording_id(1).replace("-", "")
    plain = wav.header(CONSTANT, 10)
    assert [at for at in range(wav.HEADER_BYTES) if head[at] != plain[at]] == [678, 679, 680]
