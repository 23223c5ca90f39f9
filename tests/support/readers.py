"""Programs of others that read audio files: what they say, and what they complain of.

Each returns the number of sample frames that it found, or None when it does not say; a complaint fails.
"""

import json
import re
import shutil
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

Reader = Callable[[Path], int | None]

HARMLESS = "Guessed Channel Layout"  # ffmpeg of every WAV that has no extensible header
NEEDED = ("ffprobe", "ffmpeg", "sox", "flac", "opusinfo", "sndfile-info")


def missing() -> list[str]:
    return [name for name in NEEDED if shutil.which(name) is None]


def said(*words: object) -> str:
    """Standard output of a program that must neither fail nor complain."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{words}: exit {done.returncode}: {done.stderr}"
    complaints = [line for line in done.stderr.splitlines() if not line.startswith(HARMLESS)]
    assert not complaints, f"{words}: {complaints}"
    return done.stdout


def probe(path: Path) -> dict[str, object]:
    shown = ("-show_format", "-show_streams", "-show_chapters")
    found: dict[str, object] = json.loads(said("ffprobe", "-v", "warning", *shown, "-of", "json", path))
    return found


def ffprobe(path: Path) -> int | None:
    (stream,) = probe(path)["streams"]  # type: ignore[misc]  # a list of one
    assert stream["codec_type"] == "audio"
    exact = stream["codec_name"] in ("pcm_s16le", "flac")
    return int(stream["duration_ts"]) if exact and "duration_ts" in stream else None


def ffmpeg(path: Path) -> None:
    """Decodes all of it."""
    said("ffmpeg", "-nostdin", "-v", "warning", "-xerror", "-i", path, "-f", "null", "-")


def sox(path: Path) -> int | None:
    """Decodes all of it, too: its header is not believed."""
    said("sox", "-V2", path, "-n")
    return int(said("sox", "--info", "-s", path))


def python_wave(path: Path) -> int | None:
    with wave.open(str(path)) as file:
        frames = file.getnframes()
        content = file.readframes(frames)
        assert len(content) == frames * 2 * file.getnchannels()
        return frames


def strict_libsndfile(path: Path) -> int | None:
    """It marks so what it does not like."""
    text = said("sndfile-info", path)
    assert "***" not in text, text
    return libsndfile(path)


def libsndfile(path: Path) -> int | None:
    text = said("sndfile-info", path)
    return int(re.search(r"^Frames +: (\d+)", text, re.MULTILINE)[1])  # type: ignore[index]  # else it fails


def flac_itself(path: Path) -> int | None:
    """Its frames, CRCs and MD5; every warning is an error."""
    said("flac", "-t", "-s", "-w", path)
    return int(said("metaflac", "--show-total-samples", path))


def opusinfo(path: Path) -> None:
    text = said("opusinfo", path)
    assert "WARNING" not in text, text


READERS: dict[str, tuple[Reader, ...]] = {
    "riff": (ffprobe, ffmpeg, sox, python_wave, strict_libsndfile),
    "cut riff": (ffprobe, ffmpeg, sox, python_wave, libsndfile),  # holds more than it promises
    "rf64": (ffprobe, ffmpeg, sox, libsndfile),  # which knows no cue there
    "flac": (ffprobe, ffmpeg, sox, strict_libsndfile, flac_itself),
    "opus": (ffprobe, ffmpeg, opusinfo),
    "mp3": (ffprobe, ffmpeg),
}


def samples(path: Path) -> bytes:
    """All of it as sox hears it, interleaved 16-bit little-endian."""
    done = subprocess.run(
        ["sox", path, "-t", "raw", "-e", "signed", "-b", "16", "-L", "-"],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def labels(path: Path) -> list[tuple[int, str]]:
    """The regions of a WAV as libsndfile reads them: where each begins, and what it is called."""
    text = said("sndfile-info", path)
    places = {int(n): int(at) for n, at in re.findall(r"Cue ID : +(\d+)  Pos : +(\d+)", text)}
    return [(places[int(n)], name.strip()) for n, name in re.findall(r"labl : (\d+) : (.*)", text)]


def chapters(path: Path) -> list[tuple[float, float, str]]:
    return [
        (float(each["start_time"]), float(each["end_time"]), each["tags"]["title"])
        for each in probe(path)["chapters"]  # type: ignore[attr-defined]  # a list
    ]
