"""From the answer to the published file, on a disk that works."""

import asyncio
import os
import struct
import time
from collections.abc import Sequence

import pytest

from mediaproxy.recording import journal, wav
from mediaproxy.recording.journal import Ended, Header
from mediaproxy.recording.manifest import StreamFacts
from mediaproxy.storage import Outcome, Spool, Storage, disk, verify
from tests.support.recordings import (
    ANSWERED_AT_MS,
    expected_frames,
    frames_in,
    header_of,
    interval,
    recording_id,
    speech,
    toggled,
)
from tests.support.spooling import written

ONE = recording_id(1)


def now_ns() -> int:
    """Far enough on for every recording to be due."""
    now_ns.at += 10_000_000_000  # type: ignore[attr-defined]
    return now_ns.at  # type: ignore[attr-defined, no-any-return]


now_ns.at = time.monotonic_ns()  # type: ignore[attr-defined]


async def worked_call(spool: Spool, header: Header) -> Outcome:
    """The worked call of the contract: 10 s, recorded from 4 s to 6 s."""
    name = header.recording_id
    await spool.create(header)
    assert (await spool.toggle(name, toggled(1, 32_000, "recording"))).durable
    spool.extend(name, 32_000)
    for at in range(32_000, 48_000, 800):
        spool.write(name, at, speech(at, at + 800).tobytes())
        spool.flush(now_ns())
    assert (await spool.toggle(name, toggled(2, 48_000, "inactive"))).durable
    spool.extend(name, 79_000)
    spool.flush(now_ns())
    return await spool.finish(name, Ended(80_000, (interval(32_000, 48_000),)))


async def test_the_worked_call(spool: Spool, storage: Storage) -> None:
    outcome = await worked_call(spool, header_of())
    assert (outcome.result, outcome.reasons, outcome.recorded_samples) == ("complete", (), 16_000)
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(80_000, [(32_000, 48_000)])).all()
    assert list(storage.live.iterdir()) == []
    assert [str(v) for v in verify([storage.root])] == [f"{outcome.audio}: ok"]
    found = storage.find(ONE, ANSWERED_AT_MS)
    assert found is not None
    assert (found.audio, found.sha256) == (outcome.audio, outcome.sha256)
    assert spool.stats().live == 0
    assert spool.failing is None


async def test_closed_stretches_cost_no_disk(spool: Spool) -> None:
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    hour = 3600 * 8000
    outcome = await spool.finish(ONE, Ended(hour, (interval(0, 1),)))
    assert outcome.audio is not None
    assert outcome.audio.stat().st_blocks * 512 < 64 << 10
    assert outcome.audio.stat().st_size == wav.data_end(hour) + len(wav.tail(outcome.intervals))


async def test_a_recording_that_never_opened_leaves_no_file(spool: Spool, storage: Storage) -> None:
    await spool.create(header_of())
    outcome = await spool.finish(ONE, Ended(8_000))
    assert (outcome.result, outcome.audio, outcome.duration_samples) == ("none", None, 8_000)
    assert list(storage.live.iterdir()) == []
    assert storage.find(ONE, ANSWERED_AT_MS) is None


async def test_a_silent_file_can_be_kept(spool: Spool, storage: Storage) -> None:
    await spool.create(header_of(keep_unrecorded=True))
    outcome = await spool.finish(ONE, Ended(8_000))
    assert outcome.result == "complete"
    assert outcome.audio is not None
    assert not frames_in(outcome.audio).any()
    assert [v.ok for v in verify([outcome.audio])] == [True]


async def test_the_recorders_reasons_degrade(spool: Spool) -> None:
    await spool.create(header_of(keep_unrecorded=True))
    streams = (StreamFacts("A", 7, "PCMU", 50, lost=4),)
    outcome = await spool.finish(ONE, Ended(8_000, streams=streams, reasons=("tap_overrun",)))
    assert (outcome.result, outcome.reasons) == ("degraded", ("tap_overrun",))


async def test_the_live_file_opens_at_any_time(spool: Spool, storage: Storage) -> None:
    await spool.create(header_of())
    path = storage.live_audio(ONE)
    assert len(frames_in(path)) == 0
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    for at in range(0, 8_000, 400):
        spool.write(ONE, at, speech(at, at + 400).tobytes())
        spool.flush(now_ns())
        await written(spool)
        frames = frames_in(path)
        assert (frames == speech(0, at + 400)[: len(frames)]).all()
    assert len(frames_in(path)) == 8_000
    await spool.finish(ONE, Ended(8_000, (interval(0, 8_000),)))


async def test_audio_waits_for_its_start_line(spool: Spool, storage: Storage) -> None:
    await spool.create(header_of())
    spool.extend(ONE, 1_000)
    opening = spool.toggle(ONE, toggled(1, 500, "recording"))
    spool.write(ONE, 500, speech(500, 1_000).tobytes())
    spool.flush(now_ns())  # the loop has not heard of the line yet, so no byte of the interval leaves
    assert spool.stats().backlog_bytes == 2_000
    assert (await opening).durable
    assert journal.replay(storage.journal(ONE).read_bytes()).opened
    spool.flush(now_ns())
    await written(spool)
    assert (frames_in(storage.live_audio(ONE))[500:] == speech(500, 1_000)).all()
    await spool.finish(ONE, Ended(1_000, (interval(500, 1_000),)))


async def test_pieces_apart_stay_apart(spool: Spool) -> None:
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    spans = [(100, 200), (200, 250), (300, 400), (390, 395)]
    for start, end in spans:
        spool.write(ONE, start, speech(start, end).tobytes())
    spool.flush(now_ns())
    outcome = await spool.finish(ONE, Ended(500, (interval(0, 500),)))
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(500, spans)).all()


async def test_an_annulled_opening_leaves_no_audio(spool: Spool, storage: Storage) -> None:
    await spool.create(header_of())
    opening = spool.toggle(ONE, toggled(1, 0, "recording"))
    spool.write(ONE, 0, speech(0, 400).tobytes())
    spool.annul(ONE, 1)
    await opening
    await spool.toggle(ONE, toggled(2, 400, "inactive"))
    spool.extend(ONE, 800)
    spool.flush(now_ns())
    await written(spool)
    assert not frames_in(storage.live_audio(ONE)).any()
    assert not journal.replay(storage.journal(ONE).read_bytes()).opened
    assert (await spool.finish(ONE, Ended(800))).result == "none"


async def test_what_lies_outside_at_the_end_is_blanked_and_told(spool: Spool) -> None:
    await spool.create(header_of())
    spool.write(ONE, 0, speech(0, 800).tobytes())
    spool.flush(now_ns())
    outcome = await spool.finish(ONE, Ended(800, (interval(200, 300),)))
    assert (outcome.result, outcome.reasons) == ("degraded", ("audio_outside_interval",))
    assert outcome.audio is not None
    assert (frames_in(outcome.audio) == expected_frames(800, [(200, 300)])).all()


async def test_a_late_command_for_a_finished_recording_is_absorbed(spool: Spool) -> None:
    await spool.create(header_of())
    ending = spool.finish(ONE, Ended(800))
    spool.write(ONE, 0, b"\1\1\1\1")
    spool.extend(ONE, 900)
    spool.annul(ONE, 1)
    assert not (await spool.toggle(ONE, toggled(1, 0, "recording"))).durable
    assert (await spool.finish(ONE, Ended(800))).result == "failed"
    assert (await ending).result == "none"
    assert spool.stats().backlog_bytes == 0


async def test_files_stay_open_and_are_closed_at_the_end(spool: Spool, storage: Storage) -> None:
    await asyncio.gather(*(spool.create(header_of(n)) for n in range(1, 9)))
    outcomes = [
        await spool.finish(header_of(n).recording_id, Ended(800, (interval(0, 800),))) for n in range(1, 9)
    ]
    assert [o.result for o in outcomes] == ["complete"] * 8  # and the leak check finds nothing open


async def test_stopping_leaves_live_recordings_to_repair(storage: Storage) -> None:
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=pytest.fail)
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    spool.write(ONE, 0, speech(0, 800).tobytes())
    spool.flush(now_ns())
    await spool.close()
    assert len(frames_in(storage.live_audio(ONE))) == 800
    assert not (await spool.toggle(ONE, toggled(2, 0, "paused"))).durable


async def test_a_flush_touches_each_recording_once_a_period(spool: Spool) -> None:
    await asyncio.gather(*(spool.create(header_of(n)) for n in range(1, 41)))
    handed: list[int] = []
    submit = spool._threads._audio.submit
    spool._threads._audio.submit = lambda flushes: (handed.append(len(flushes)), submit(flushes))[1]  # type: ignore
    at = now_ns()
    for step in range(16):
        for n in range(1, 41):
            spool.extend(recording_id(n), 400 * (step + 1))
        spool.flush(at + step * 50_000_000)
    assert sum(handed[-8:]) == 40, handed
    assert max(handed[-8:]) <= 8


@pytest.mark.parametrize("phase", range(10))
async def test_a_header_is_never_far_behind_its_file(spool: Spool, storage: Storage, phase: int) -> None:
    """Audio comes in bursts of the period in which headers are patched, at any phase to it."""
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    at, sent = now_ns(), 0
    for tick in range(50):
        if tick % 10 == phase:
            spool.write(ONE, sent, speech(sent, sent + 3_200).tobytes())
            sent += 3_200
        spool.flush(at + tick * 40_000_000)
        await written(spool)
        assert len(frames_in(storage.live_audio(ONE))) >= sent - 3_200
    await spool.finish(ONE, Ended(sent, (interval(0, sent),)))


async def test_a_header_never_promises_more_than_the_file_holds(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    promises: list[int] = []
    write_at, write_one = disk.write_at, disk.write_one

    def watched(fd: int, pieces: Sequence[bytes | memoryview], offset: int) -> None:
        watch(fd, pieces[0], offset)
        write_at(fd, pieces, offset)

    def watched_one(fd: int, piece: bytes | memoryview, offset: int) -> None:
        watch(fd, piece, offset)
        write_one(fd, piece, offset)

    def watch(fd: int, piece: bytes | memoryview, offset: int) -> None:
        if offset == 0 and len(piece) == wav.HEADER_BYTES:
            promised = struct.unpack_from("<I", piece, 4)[0] + 8
            assert promised <= max(os.fstat(fd).st_size, wav.HEADER_BYTES)
            promises.append(promised)

    ftruncate = os.ftruncate

    def watched_too(fd: int, length: int) -> None:
        assert struct.unpack("<I", os.pread(fd, 4, 4))[0] + 8 <= length
        ftruncate(fd, length)

    monkeypatch.setattr(disk, "write_at", watched)
    monkeypatch.setattr(disk, "write_one", watched_one)
    monkeypatch.setattr(os, "ftruncate", watched_too)
    await spool.create(header_of())
    await spool.toggle(ONE, toggled(1, 0, "recording"))
    for at in range(0, 1_600, 160):
        spool.write(ONE, at, speech(at, at + 80).tobytes())
        spool.extend(ONE, at + 160)
        spool.flush(now_ns())
        await written(spool)
    outcome = await spool.finish(ONE, Ended(1_500, (interval(0, 1_500),)))  # shorter than the file was
    assert outcome.result == "complete"
    assert len(promises) >= 12
