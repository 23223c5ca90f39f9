"""What the gate says of positions; that a toggle costs the same after thousands of them."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.recording.gate import Gate, Opening
from mediaproxy.recording.manifest import Actor

ALICE = Actor("api", "alice")


class Counted(list[Opening]):
    """Openings that know how many of them were looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[Opening]:
        return self._counting(super().__iter__())

    def __reversed__(self) -> Iterator[Opening]:
        return self._counting(super().__reversed__())

    def _counting(self, openings: Iterator[Opening]) -> Iterator[Opening]:
        for opening in openings:
            self.looked_at += 1
            yield opening


def toggled(gate: Gate, edges: list[int]) -> None:
    """Alternately an opening, which is confirmed, and a closing."""
    for number, at in enumerate(edges, 1):
        if gate.is_open:
            gate.close(at, ALICE)
        else:
            gate.open(at, ALICE, number=number)
            gate.confirm(number)


def test_no_command_and_no_packet_looks_at_all_that_was() -> None:
    gate = Gate()
    toggled(gate, list(range(0, 200_000, 100)))
    gate.openings = counted = Counted(gate.openings)
    for number, at in ((2_001, 300_000), (2_003, 500_000)):
        gate.open(at, ALICE, number=number)
        assert gate.settled_until() == at
        gate.confirm(number)
        assert gate.settled_until() is None
        gate.close(at + 100_000, ALICE)
        assert gate.overlaps(at + 99_999, at + 99_999 + 160)
        assert not gate.overlaps(at + 100_000, at + 100_160)
        assert [o.number for o in gate.admitting(at + 100, 1_600)] == [number]
    assert counted.looked_at < 30


def test_the_first_undecided_opening_is_the_limit_whatever_is_decided_first() -> None:
    gate = Gate()
    for number, at in ((1, 100), (2, 300), (3, 500)):
        gate.open(at, ALICE, number=number)
        gate.close(at + 100, ALICE)
    gate.confirm(2)
    assert gate.settled_until() == 100
    gate.annul(1)
    assert gate.settled_until() == 500
    gate.cut(450, ALICE)
    assert gate.settled_until() is None
    assert [o.number for o in gate.openings] == [2]


@given(st.lists(st.integers(0, 60), max_size=9).map(sorted), st.integers(-5, 65), st.integers(1, 20))
def test_what_overlaps_is_what_has_a_position_in_an_interval(
    edges: list[int], start: int, length: int
) -> None:
    gate = Gate()
    toggled(gate, edges)
    ends = [*edges[1::2], 1 << 40] if len(edges) % 2 else edges[1::2]
    spans = list(zip(edges[::2], ends, strict=True))
    for at in range(start, start + length):
        assert gate.contains(at) == any(first <= at < last for first, last in spans)
    touched = any(gate.contains(at) for at in range(start, start + length))
    empty = any(first == last and start < first < start + length for first, last in spans)
    assert touched <= gate.overlaps(start, start + length) <= (touched or empty)
