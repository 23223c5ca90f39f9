"""What the demo draws: a call's timeline and a recording's waveform, as rich text."""

import wave
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.text import Text

BARS = " ▁▂▃▄▅▆▇█"
CLOSED = "·"
CARRIER, AGENT, RECORDED, QUIET = "cyan", "magenta", "red", "bright_black"
MS_PER_S = 1_000
TICK_S = 5


class Span(NamedTuple):
    """A recorded stretch in ms; `end_ms` is None while it goes on."""

    start_ms: int
    end_ms: int | None
    by: str


def clock(ms: int) -> str:
    """`5:00`."""
    seconds = (ms + MS_PER_S // 2) // MS_PER_S
    return f"{seconds // 60}:{seconds % 60:02d}"


def timeline(spans: Sequence[Span], now_ms: int, total_ms: int, width: int) -> Text:
    """The call as it goes on: what was recorded in red, what was not as dots, the future blank."""
    text = Text()
    for column in range(width):
        start_ms, end_ms = column * total_ms // width, (column + 1) * total_ms // width
        if start_ms > now_ms:
            text.append(" ")
        elif _touches(spans, start_ms, end_ms, now_ms):
            text.append("━", RECORDED)
        else:
            text.append(CLOSED, QUIET)
    return text


def waveform(file: Path, spans: Sequence[Span], width: int) -> list[Text]:
    """Both channels of a recording, where it was recorded, and a scale below."""
    with wave.open(str(file)) as audio:
        rate, frames = audio.getframerate(), audio.getnframes()
        pcm = np.frombuffer(audio.readframes(frames), dtype="<i2").reshape(-1, 2)
    total_ms = frames * MS_PER_S // rate
    rows = [
        _channel("carrier", pcm[:, 0], CARRIER, width),
        _channel("agent", pcm[:, 1], AGENT, width),
    ]
    marks = Text(" " * 9) + timeline(spans, total_ms, total_ms, width)
    return [*rows, marks, _scale(total_ms, width)]


def _channel(name: str, pcm: npt.NDArray[np.int16], style: str, width: int) -> Text:
    text = Text(f"{name:>8} ", style)
    edges = [column * len(pcm) // width for column in range(width + 1)]
    for start, end in pairwise(edges):
        peak = int(np.abs(pcm[start:end].astype(np.int32)).max(initial=0))
        if peak == 0:
            text.append(CLOSED, QUIET)
        else:
            text.append(BARS[min(1 + peak * (len(BARS) - 1) // 14_000, len(BARS) - 1)], style)
    return text


def _scale(total_ms: int, width: int) -> Text:
    cells = [" "] * (width + 6)
    step_ms = TICK_S * MS_PER_S
    for at_ms in range(0, total_ms + 1, step_ms):
        label = clock(at_ms)
        start = at_ms * width // max(total_ms, 1)
        cells[start : start + len(label)] = label
    return Text(" " * 9 + "".join(cells).rstrip(), QUIET)


def _touches(spans: Sequence[Span], start_ms: int, end_ms: int, now_ms: int) -> bool:
    return any(
        span.start_ms < end_ms and start_ms < (now_ms if span.end_ms is None else span.end_ms)
        for span in spans
    )
