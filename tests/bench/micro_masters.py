"""What is done with an hour of two parties' speech once it is over: a FLAC of it, and the proof of both."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from mediaproxy.audio.g711 import ULAW_TO_PCM, Pcm, ulaw_encode
from mediaproxy.audio.voice import HIGH, LOW, Speaker, speak
from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.recording import wav
from mediaproxy.recording.journal import Ended, Header
from mediaproxy.recording.manifest import Actor, Interval
from mediaproxy.storage import Storage, encode, verify
from mediaproxy.storage.audio import identity
from mediaproxy.storage.jobs import Exit, Inscription, Job
from mediaproxy.storage.publish import publish
from tests.bench.results import Masters

SECONDS = 3_600
_TURN_S = 60  # of each speaker's; told again and again
_RATE = 8_000
_BY = Actor("policy")

T = TypeVar("T")


def measure(seconds: int = SECONDS) -> Masters:
    """CPU of making the FLAC, its second look at what it made included (the median of three); time of
    verifying, by format."""
    with tempfile.TemporaryDirectory(prefix="mediaproxy-bench-") as place:
        storage = Storage.open(Path(place), min_free_bytes=0)
        try:
            ended = Ended(seconds * _RATE, (Interval(0, seconds * _RATE, _BY, _BY),))
            heads = [replace(_header(number), format=form) for number, form in enumerate(("wav", "flac"))]
            for head in heads:
                _write(storage, head, seconds)
            job = Job(
                "flac",
                storage.live_audio(heads[0].recording_id),
                storage.live / "made.flac",
                inscription=Inscription(identity(heads[0]), ended.intervals),
            )
            flac_s = median(_made_s(job) for _ in range(3))
            times_real = [seconds / _verified_s(storage, head, ended) for head in heads]
        finally:
            storage.close()
    return Masters(seconds, flac_s, *times_real)


def _made_s(job: Job) -> float:
    took_s, answer = _spent(time.process_time, lambda: encode.perform(job, lambda _: None))
    if answer.exit is not Exit.MADE:
        raise RuntimeError(f"no FLAC was made: {answer}")
    job.target.unlink()
    return took_s


def _verified_s(storage: Storage, head: Header, ended: Ended) -> float:
    published = publish(storage, head, ended, recovered=True)  # a worker of lowest priority has a minute
    audio = published.audio
    if audio is None or audio.suffix != f".{head.format}":
        raise RuntimeError(f"not published as {head.format}")
    took_s, verdicts = _spent(time.monotonic, lambda: list(verify([audio])))
    if [verdict.problems for verdict in verdicts] != [()]:
        raise RuntimeError(f"not as published: {verdicts}")
    return took_s


def _spent(clock: Callable[[], float], work: Callable[[], T]) -> tuple[float, T]:
    began = clock()
    result = work()
    return clock() - began, result


def _write(storage: Storage, head: Header, seconds: int) -> None:
    """A finished live file: both speak all the time, as a telephone hears them."""
    turns = np.stack([_telephone(LOW, 1), _telephone(HIGH, 2)], axis=1).astype("<i2").tobytes()
    with storage.live_audio(head.recording_id).open("wb") as file:
        file.write(wav.header(wav.constant_part(identity(head)), seconds * _RATE))
        for _ in range(seconds // _TURN_S):
            file.write(turns)
    storage.journal(head.recording_id).write_bytes(b"")


def _telephone(speaker: Speaker, seed: int) -> Pcm:
    return ULAW_TO_PCM[ulaw_encode(speak(speaker, _TURN_S, seed=seed))]


def _header(number: int) -> Header:
    name = RecordingId(uuid7(1, number.to_bytes(10, "big")))
    return Header(name, CallId(name), "bench", 1_767_607_202_500, _RATE, "automatic")


if __name__ == "__main__":
    print(measure())
