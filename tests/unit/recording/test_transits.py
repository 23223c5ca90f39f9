import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.recording.transits import SLICES, LeastTransits


def test_the_least_of_the_last_ten_seconds() -> None:
    table = LeastTransits(1)
    row = table.take_row()
    table.note(row, 5, 30)
    table.note(row, 6, 20)
    table.note(row, 6, 25)
    assert table.least(row, 6) == 20
    assert table.least(row, 5 + SLICES) == 20
    assert table.least(row, 6 + SLICES) is None


def test_the_least_of_fewer_slices() -> None:
    table = LeastTransits(1)
    row = table.take_row()
    table.note(row, 5, 20)
    table.note(row, 6, 30)
    assert table.least(row, 6, 1) == 30
    assert table.least(row, 6, 2) == 20
    assert table.least(row, 7, 1) is None


def test_a_column_is_used_again_after_ten_seconds() -> None:
    table = LeastTransits(1)
    row = table.take_row()
    table.note(row, 3, 10)
    table.note(row, 3 + SLICES, 50)
    assert table.least(row, 3 + SLICES) == 50


def test_seconds_before_the_answer_count() -> None:
    table = LeastTransits(1)
    row = table.take_row()
    table.note(row, -2, 10)
    assert table.least(row, 3) == 10


def test_a_row_given_back_forgets() -> None:
    table = LeastTransits(1)
    row = table.take_row()
    table.note(row, 3, 10)
    table.give_back(row)
    assert table.take_row() == row
    assert table.least(row, 3) is None


def test_it_grows() -> None:
    table = LeastTransits(2)
    rows = [table.take_row() for _ in range(9)]
    assert len(set(rows)) == 9
    table.note(rows[8], 0, 7)
    assert table.least(rows[8], 0) == 7


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 60), st.integers(-50, 50)), max_size=60))
def test_many_at_once_is_the_same_as_one_by_one(notes: list[tuple[int, int, int]]) -> None:
    one, many = LeastTransits(4), LeastTransits(4)
    for row, second, transit in sorted(notes, key=lambda note: note[1]):
        one.note(row, second, transit)
        many.note_many(np.array([row]), np.array([second]), np.array([transit]))
    for row in range(4):
        for second in range(-3, 65):
            assert one.least(row, second) == many.least(row, second)
