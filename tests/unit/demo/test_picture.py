import wave
from pathlib import Path

import numpy as np
import pytest

from mediaproxy.demo.picture import CLOSED, Span, clock, timeline, waveform


@pytest.mark.parametrize(("ms", "text"), [(0, "0:00"), (499, "0:00"), (500, "0:01"), (300_000, "5:00")])
def test_the_clock_rounds_to_seconds(ms: int, text: str) -> None:
    assert clock(ms) == text


def test_the_timeline_marks_what_was_recorded_and_leaves_the_future_blank() -> None:
    spans = [Span(2_000, 4_000, "alice"), Span(6_000, None, "alice")]
    assert timeline(spans, now_ms=7_500, total_ms=10_000, width=10).plain == "··━━··━━  "


def test_the_waveform_shows_speech_only_where_there_is_some(tmp_path: Path) -> None:
    pcm = np.zeros((8_000, 2), dtype="<i2")
    pcm[4_000:6_000, 0] = 12_000
    file = tmp_path / "call.wav"
    with wave.open(str(file), "wb") as audio:
        audio.setparams((2, 2, 8_000, 0, "NONE", ""))
        audio.writeframes(pcm.tobytes())
    carrier, agent, marks, _ = (row.plain[9:] for row in waveform(file, [Span(500, 750, "alice")], 8))
    assert [column == CLOSED for column in carrier] == [True] * 4 + [False] * 2 + [True] * 2
    assert agent == CLOSED * 8
    assert marks == "····━━··"
