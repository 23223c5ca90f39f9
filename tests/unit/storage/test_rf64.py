"""A recording that grows past 4 GiB: one write makes its file RF64, and every reader follows, live."""

import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.recording import wav
from mediaproxy.recording.journal import Ended
from mediaproxy.storage import Spool, Storage
from tests.support.recordings import header_of, interval, recording_id, speech, toggled
from tests.support.spooling import written

ONE = recording_id(1)
BORDER = ((1 << 32) - wav.HEADER_BYTES) // wav.FRAME_BYTES  # frames that reach 4 GiB
START, END = BORDER - 4_000, BORDER + 4_000
PAST = BORDER + 1_000_000  # 37 h at 8 kHz


async def flushed(spool: Spool, turn: int) -> None:
    spool.flush((1 << 60) + turn * 1_000_000_000)
    await written(spool)


def head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(wav.HEADER_BYTES)


def form(path: Path) -> bytes:
    return head_of(path)[:4]


def check_readers(path: Path, frames: int) -> None:
    """What others say of the file's length, as it lies. sox and the standard library know no RF64."""
    if shutil.which("soxi") and form(path) == b"RIFF":
        shown = subprocess.run(["soxi", "-s", path], check=True, capture_output=True, text=True)
        assert (int(shown.stdout), shown.stderr) == (frames, "")
    if shutil.which("ffprobe"):
        command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)]
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        (stream,) = json.loads(shown.stdout)["streams"]
        assert (int(stream["duration_ts"]), shown.stderr) == (frames, "")


def frames_at(path: Path, start: int, end: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int16]]":
    fd = os.open(path, os.O_RDONLY)
    content = os.pread(fd, (end - start) * wav.FRAME_BYTES, wav.data_end(start))
    os.close(fd)
    return np.frombuffer(content, "<i2").reshape(-1, 2)


async def test_a_live_file_passes_4_gib(spool: Spool, storage: Storage) -> None:
    path = storage.live_audio(ONE)
    await spool.create(header_of())
    spool.extend(ONE, START)
    await spool.toggle(ONE, toggled(1, START, "recording"))
    spool.write(ONE, START, speech(START, START + 3_000).tobytes())
    await flushed(spool, 1)
    assert form(path) == b"RIFF"
    check_readers(path, START + 3_000)
    spool.write(ONE, START + 3_000, speech(START + 3_000, END).tobytes())
    await flushed(spool, 2)
    assert form(path) == b"RF64"
    check_readers(path, END)
    await spool.toggle(ONE, toggled(2, END, "paused"))
    spool.extend(ONE, PAST)
    await flushed(spool, 3)
    check_readers(path, PAST)
    assert wav.parse(head_of(path)).frames == PAST
    assert (frames_at(path, START, END) == speech(START, END)).all()
    assert path.stat().st_blocks * 512 < 256 << 10


@pytest.mark.slow
async def test_a_master_of_more_than_4_gib_is_published_whole(spool: Spool, storage: Storage) -> None:
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, START, "recording"))
    spool.write(ONE, START, speech(START, END).tobytes())
    outcome = await spool.finish(ONE, Ended(PAST, (interval(START, END),)))
    assert (outcome.result, outcome.reasons) == ("complete", ())
    assert outcome.audio is not None
    check_readers(outcome.audio, PAST)
    assert (frames_at(outcome.audio, START, END) == speech(START, END)).all()
    riff, data, frames = struct.unpack_from("<QQQ", head_of(outcome.audio), 20)
    assert riff + 8 == outcome.audio.stat().st_size
    assert (data, frames) == (PAST * wav.FRAME_BYTES, PAST)


async def test_an_hour_of_closed_gate_occupies_next_to_nothing_while_it_lives(
    spool: Spool, storage: Storage
) -> None:
    await spool.create(header_of())
    for second in range(1, 3_601, 10):
        spool.extend(ONE, second * 8_000)
        await flushed(spool, second)
    found = storage.live_audio(ONE).stat()
    assert found.st_size == wav.data_end(3_591 * 8_000)
    assert found.st_blocks * 512 < 64 << 10
