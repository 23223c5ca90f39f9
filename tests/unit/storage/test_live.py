"""What waits for the disk, and what must not get there yet."""

import numpy as np
import pytest

from mediaproxy.storage.live import LiveRecording, Piece
from tests.support.recordings import header_of, interval, speech, toggled


def recording(frames: int = 0) -> LiveRecording:
    live = LiveRecording(header_of())
    if frames:
        live.write(0, speech(0, frames).tobytes())
    return live


def spans(pieces: list[Piece]) -> list[tuple[int, int]]:
    for piece in pieces:
        assert bytes(piece.frames) == speech(piece.first, piece.end).tobytes()
    return [(piece.first, piece.end) for piece in pieces]


def test_without_toggles_everything_goes() -> None:
    live = recording(100)
    live.extend(400)
    assert spans(live.take()) == [(0, 100)]
    assert (live.handed, live.waiting_bytes) == (400, 0)
    assert live.take() == []


def test_nothing_goes_before_the_header_is_durable() -> None:
    live = recording(100)
    live.await_header(1)
    assert (live.take(), live.handed) == ([], 0)
    live.settle(1)
    assert spans(live.take()) == [(0, 100)]


@pytest.mark.parametrize("state", ["recording", "inactive"])
def test_the_file_stops_at_a_toggle_that_is_not_durable(state: str) -> None:
    live = recording(100)
    live.await_toggle(1, toggled(1, 60, state))
    assert spans(live.take()) == [(0, 60)]
    assert (live.handed, live.waiting_bytes) == (60, 40 * 4)
    live.settle(1)
    assert spans(live.take()) == [(60, 100)]
    assert live.handed == 100


def test_the_first_of_several_counts() -> None:
    live = recording(100)
    live.await_toggle(1, toggled(1, 60, "recording"))
    live.await_toggle(2, toggled(2, 80, "inactive"))
    live.settle(2)
    assert spans(live.take()) == [(0, 60)]


def test_audio_of_a_refused_opening_never_goes() -> None:
    live = recording(100)
    live.await_toggle(1, toggled(1, 60, "recording"))
    live.refuse(1)
    live.settle(1)
    assert spans(live.take()) == [(0, 60)]
    live.write(100, speech(100, 120).tobytes())
    assert live.take() == []
    assert (live.handed, live.waiting_bytes) == (120, 0)


def test_a_later_opening_is_not_refused_with_an_earlier_one() -> None:
    live = recording(100)
    live.await_toggle(1, toggled(1, 20, "recording"))
    live.await_toggle(2, toggled(2, 40, "inactive"))
    live.await_toggle(3, toggled(3, 70, "recording"))
    live.await_annulment(4, 1)
    for ticket in (1, 2, 3):
        live.settle(ticket)
    assert spans(live.take()) == [(0, 20)]
    live.settle(4)
    assert spans(live.take()) == [(70, 100)]


def test_at_the_end_only_the_intervals_go() -> None:
    live = recording(100)
    live.await_toggle(1, toggled(1, 10, "recording"))
    assert spans(live.take_all(90, [interval(10, 20), interval(80, 95)])) == [(10, 20), (80, 90)]
    assert (live.handed, live.waiting_bytes) == (90, 0)


def test_lost_audio_degrades_once() -> None:
    live = recording()
    live.lose(5, "storage_full")
    live.lose(6, "storage_full")
    assert (live.lost_samples, list(live.reasons)) == (11, ["storage_full"])


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_toggles_and_answers_gives_each_sample_once_or_never(seed: int) -> None:
    rng = np.random.default_rng(seed)
    live, got, waiting = recording(), np.zeros(2_000, int), dict[int, int]()
    opened: list[tuple[int, bool]] = []  # position, refused
    for at in range(0, 2_000, 20):
        live.write(at, speech(at, at + 20).tobytes())
        if rng.random() < 0.2:
            live.await_toggle(at, toggled(at, at, "recording"))
            waiting[at] = len(opened)
            opened.append((at, False))
        for ticket in [t for t in waiting if rng.random() < 0.3]:
            if rng.random() < 0.5:
                live.refuse(ticket)
                opened[waiting[ticket]] = (ticket, True)
            live.settle(ticket)
            del waiting[ticket]
        for first, end in spans(live.take()):
            assert end <= min(waiting, default=2_000)
            got[first:end] += 1
    for ticket in waiting:
        live.settle(ticket)
    for first, end in spans(live.take()):
        got[first:end] += 1
    wanted = np.ones(2_000, int)
    for (start, refused), (end, _) in zip(opened, [*opened[1:], (2_000, False)], strict=True):
        wanted[start:end] = not refused
    assert (got == wanted).all()
