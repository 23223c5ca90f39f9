"""A recording held against the intervals of the log: what leaks, shifts or goes missing is found."""

import numpy as np
import pytest

from mediaproxy.loadtest import wire
from mediaproxy.loadtest.recordings import Span, check_track

TABLE = wire.payload_table()
SPOKEN = wire.decode_ulaw(wire.stream_codes(3, 100, TABLE))
BEGINS = 800
SPANS: list[Span] = [(0, 2_000), (3_000, 9_000), (12_001, 20_000)]


def a_track(spans: list[Span] = SPANS, begins: int = BEGINS) -> np.ndarray:
    whole = np.zeros(20_000, dtype=np.int16)
    whole[begins : begins + len(SPOKEN)] = SPOKEN
    track = np.zeros_like(whole)
    for start, end in spans:
        track[start:end] = whole[start:end]
    return track


def check(track: np.ndarray, spans: list[Span] = SPANS) -> str:
    return check_track(track, SPOKEN, BEGINS + 10, spans) or ""


def test_what_the_intervals_hold_passes() -> None:
    assert check(a_track()) == ""


def test_an_opening_may_move_the_offset_a_little() -> None:
    moved = a_track([SPANS[0], SPANS[2]])
    moved[3_000:9_000] = a_track(begins=BEGINS + 16)[3_000:9_000]
    assert check(moved) == ""


@pytest.mark.parametrize("at", [2_000, 2_999, 9_000, 12_000])
def test_a_sample_outside_the_intervals_is_seen(at: int) -> None:
    track = a_track()
    track[at] = 4
    assert "outside the intervals" in check(track)


@pytest.mark.parametrize("at", [800, 3_000, 5_000, 8_999, 12_500])
def test_a_wrong_sample_within_is_seen(at: int) -> None:
    track = a_track()
    track[at] += 4
    assert "1 samples differ" in check(track)


def test_samples_that_shift_within_an_interval_are_seen() -> None:
    track = a_track()
    track[5_001:9_000] = track[5_000:8_999].copy()
    assert "differ" in check(track)


def test_a_whole_interval_in_the_wrong_place_is_seen() -> None:
    assert "begins" in check(a_track(begins=BEGINS + 500))


def test_silence_is_excused_at_an_edge_amid_speech_only() -> None:
    track = a_track()
    track[3_000:3_150] = 0
    track[8_850:9_000] = 0
    assert check(track) == ""
    track[3_150:3_170] = 0
    assert "10 samples differ (10 of them silent)" in check(track)


def test_no_silence_is_excused_where_recording_covers_the_call() -> None:
    everything: list[Span] = [(0, 20_000)]
    assert check(a_track(everything), everything) == ""
    track = a_track(everything)
    track[BEGINS + len(SPOKEN) - 1] = 0
    assert "1 of them silent" in check(track, everything)


def test_an_interval_without_what_was_said_is_seen() -> None:
    track = a_track()
    track[3_000:9_000] = 0
    assert "nothing but silence from 3000 to 9000" in check(track)
    assert check(a_track([(17_000, 18_000)]), [(17_000, 18_000)]) == ""  # nobody spoke any more
