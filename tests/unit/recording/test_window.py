import time

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM
from mediaproxy.recording.window import BLOCK_ROWS, PCMA, PCMU, Stretch, Window, WindowPool
from tests.support.counts import count

ROW = 64
MOST = 256


def pcm(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int16)


def frames(stretches: list[Stretch]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, end, data in stretches:
        block = bytes((end - start) * 4) if data is None else data
        found += [(int(a), int(b)) for a, b in np.frombuffer(block, "<i2").reshape(-1, 2)]
    return found


def test_tracks_are_interleaved_and_silence_fills_the_rest() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    window.write(0, 2, pcm(1, 2))
    window.write(1, 3, pcm(7))
    assert frames(window.take(6)) == [(0, 0), (0, 0), (1, 0), (2, 7), (0, 0), (0, 0)]


def test_stretches_with_nothing_in_them_are_holes() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    window.write(0, 10, pcm(1))
    assert [(s.start, s.end, s.frames is None) for s in window.take(20)] == [
        (0, 10, True), (10, 11, False), (11, 20, True)
    ]  # fmt: skip
    assert window.take(30) == [Stretch(20, 30, None)]


def test_the_first_write_wins_also_when_it_wrote_zeros() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    window.write(0, 0, pcm(0, 5))
    window.write(0, 0, pcm(9, 9, 9))
    assert frames(window.take(3)) == [(0, 0), (5, 0), (9, 0)]


def test_a_blank_overwrites_and_stays_blank() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    window.write(0, 0, pcm(1, 2, 3))
    window.blank(0, 1, 5)
    window.write(0, 0, pcm(9, 9, 9, 9, 9, 9))
    assert frames(window.take(6)) == [(1, 0), (0, 0), (0, 0), (0, 0), (0, 0), (9, 0)]


def test_what_was_erased_may_be_written_again() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    window.write(0, 0, pcm(1, 2, 3))
    window.erase(1, 3)
    window.write(0, 0, pcm(9, 9, 9))
    assert frames(window.take(3)) == [(1, 0), (9, 0), (9, 0)]


def test_a_sample_among_thousands_of_scattered_ones_costs_what_the_first_cost() -> None:
    """A hostile sender's packets of one sample each, from the last to the first."""

    def cost(samples: int) -> float:
        window = Window(WindowPool(2 * samples), 2 * samples)
        begun = time.process_time()
        for position in range(2 * samples - 2, -1, -2):
            window.write_codes(0, position, np.full(1, 0x80, dtype=np.uint8), PCMU)
        return (time.process_time() - begun) / samples

    few, many = (min(cost(samples) for _ in range(3)) for samples in (300, 4_000))
    assert many < 3 * few


def test_written_out_is_final() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    window.take(10)
    assert window.write(0, 8, pcm(1, 2, 3)) == 0
    assert frames(window.take(11)) == [(3, 0)]


def test_it_grows_to_its_bound_and_counts_the_rest() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    assert window.write(0, MOST - 2, pcm(1, 2, 3, 4)) == 2
    assert not window.in_row
    assert frames(window.take(MOST))[-2:] == [(1, 0), (2, 0)]


def test_a_stall_fills_a_long_row_to_its_bound() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    assert window.write_codes(0, 0, np.full(MOST + 3, 0x80, dtype=np.uint8), PCMU) == 3
    assert frames(window.take(MOST)) == [(32_124, 0)] * MOST


def test_it_moves_to_a_long_row_and_back_and_gives_both_back_as_they_were_taken() -> None:
    pool = WindowPool(ROW, MOST)
    window = Window(pool, MOST)
    rows, codes = [], np.arange(1, 101, dtype=np.uint8)
    for part in np.split(codes, 10):
        window.write_codes(1, window.reaches(1), part, PCMU)
        assert window.row is not None
        rows.append(window.row)
    heard = frames(window.take(90))
    assert window.row is not None
    rows.append(window.row)
    assert [len(row.codes) for row in rows] == [ROW] * 6 + [MOST] * 4 + [ROW]
    assert [right for _, right in heard + frames(window.take(100))] == ULAW_TO_PCM[codes].tolist()
    window.rest()
    assert window.row is None
    assert not any(row.codes.any() for row in rows)
    assert pool.take_row().number == rows[-1].number


def test_codes_are_codes_again_once_the_linear_sound_has_gone() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    codes = np.arange(40, dtype=np.uint8)
    window.write_codes(0, 0, codes, PCMA)
    window.write(1, 3, pcm(5, 6))
    assert window.row is None
    heard = frames(window.take(5))
    assert window.in_row
    heard += frames(window.take(40))
    assert [left for left, _ in heard] == ALAW_TO_PCM[codes].tolist()
    assert [right for _, right in heard if right] == [5, 6]


def test_a_law_that_changes_changes_nothing_before() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    codes = np.arange(10, dtype=np.uint8)
    window.write_codes(0, 0, codes, PCMU)
    window.write_codes(0, 10, codes, PCMA)
    heard = [left for left, _ in frames(window.take(20))]
    assert heard == [*ULAW_TO_PCM[codes], *ALAW_TO_PCM[codes]]


def test_what_alaw_has_no_zero_for_is_zero() -> None:
    window = Window(WindowPool(ROW, MOST), MOST)
    for channel in (0, 1):
        window.write_codes(channel, channel, np.full(3, 0xD5, dtype=np.uint8), PCMA)
        window.write_codes(channel, 8, np.full(2, 0xD5, dtype=np.uint8), PCMA)
    expected = [(8, 0), (8, 8), (8, 8), (0, 8), (0, 0), (0, 0), (0, 0), (0, 0), (8, 8), (8, 8)]
    assert frames(window.take(10)) == expected


def test_a_discarded_window_leaves_no_audio_in_the_pool() -> None:
    for linear in (False, True):
        pool = WindowPool(ROW, MOST)
        window = Window(pool, MOST)
        window.write_codes(1, 5, np.array([1, 2, 3], dtype=np.uint8), PCMU)
        if linear:
            window.write(0, 2, pcm(1))
        window.discard()
        assert not pool.blocks[0].any()
        assert len({pool.take_row().number for _ in range(BLOCK_ROWS)}) == BLOCK_ROWS


class Machine(RuleBasedStateMachine):
    """The window against two dictionaries that nobody can get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = WindowPool(ROW, MOST)
        self.window = Window(self.pool, MOST)
        self.model: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.value = 0

    @rule(
        channel=st.integers(0, 1),
        offset=st.integers(-20, MOST + 20),
        length=st.integers(1, 50),
        zero=st.booleans(),
    )
    def write(self, channel: int, offset: int, length: int, zero: bool) -> None:
        self.value = 0 if zero else self.value % 32_000 + 1
        position = self.window.base + offset
        lost = self.window.write(channel, position, np.full(length, self.value, dtype=np.int16))
        beyond = 0
        for at in range(position, position + length):
            if at >= self.window.base + MOST:
                beyond += 1
            elif at >= self.window.base:
                self.model[channel].setdefault(at, self.value)
        assert lost == beyond

    @rule(
        channel=st.integers(0, 1),
        offset=st.integers(-20, MOST + 20),
        length=st.integers(1, 50),
        law=st.sampled_from([PCMU, PCMU, PCMU, PCMA]),
    )
    def write_codes(self, channel: int, offset: int, length: int, law: int) -> None:
        self.value = self.value % 32_000 + 1
        position = self.window.base + offset
        codes = np.arange(self.value, self.value + length).astype(np.uint8)
        self.window.write_codes(channel, position, codes, law)
        for at, sample in enumerate((ULAW_TO_PCM, ALAW_TO_PCM)[law][codes].tolist(), position):
            if self.window.base <= at < self.window.base + MOST:
                self.model[channel].setdefault(at, sample)

    @rule(channel=st.integers(0, 1), offset=st.integers(-20, MOST), length=st.integers(0, 50))
    def blank(self, channel: int, offset: int, length: int) -> None:
        start = self.window.base + offset
        self.window.blank(channel, start, start + length)
        for at in range(max(start, self.window.base), min(start + length, self.window.base + MOST)):
            self.model[channel][at] = 0

    @rule(offset=st.integers(-20, MOST), length=st.integers(0, MOST))
    def erase(self, offset: int, length: int) -> None:
        start = self.window.base + offset
        self.window.erase(start, start + length)
        for at in range(start, start + length):
            self.model[0].pop(at, None)
            self.model[1].pop(at, None)

    @rule(count=st.integers(0, MOST))
    def take(self, count: int) -> None:
        base = self.window.base
        expected = [(self.model[0].pop(at, 0), self.model[1].pop(at, 0)) for at in range(base, base + count)]
        stretches = self.window.take(base + count)
        assert [s.start for s in stretches[1:]] == [s.end for s in stretches[:-1]]
        assert frames(stretches) == expected
        self.window.rest()

    @invariant()
    def reach_is_the_models(self) -> None:
        for channel in (0, 1):
            reach = max(self.model[channel], default=self.window.base - 1) + 1
            assert self.window.reaches(channel) == reach

    def teardown(self) -> None:
        self.window.discard()
        assert not any(block.any() for block in self.pool.blocks)


TestWindow = Machine.TestCase
TestWindow.settings = settings(max_examples=count(60, full=2_000), stateful_step_count=40)
