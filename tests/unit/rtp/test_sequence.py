"""Renumbering: whatever is withheld and added, the receiver's numbers have neither gap nor repeat."""

from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.rtp.sequence import Renumbering, SequenceMap


def test_untouched_streams_keep_their_numbers() -> None:
    renumbering = Renumbering()
    assert [renumbering.forward(1, seq) for seq in (65_535, 0, 7)] == [65_535, 0, 7]


def test_a_withheld_packet_leaves_no_gap_and_a_lost_one_does() -> None:
    numbers = SequenceMap(9)
    numbers.withhold(10)
    assert [numbers.forward(seq) for seq in (11, 12, 14)] == [10, 11, 13]


def test_a_packet_of_ours_follows_the_last_and_pushes_the_next() -> None:
    numbers = SequenceMap(65_535)
    assert numbers.insert() == 0
    assert numbers.insert() == 1
    assert numbers.forward(0) == 2


def test_a_late_packet_is_numbered_as_its_neighbours_were() -> None:
    numbers = SequenceMap(9)
    assert numbers.forward(11) == 11
    numbers.withhold(12)
    numbers.insert()
    numbers.withhold(13)
    assert numbers.forward(14) == 13
    assert numbers.forward(10) == 10


def test_withholding_after_the_successor_went_out_leaves_a_hole_instead_of_a_repeat() -> None:
    numbers = SequenceMap(9)
    assert numbers.forward(11) == 11
    numbers.withhold(10)
    assert numbers.forward(12) == 12


def test_withholding_the_same_packet_twice_counts_once() -> None:
    # SIPp's captures repeat the end packet with the same sequence number.
    numbers = SequenceMap(9)
    for _ in range(3):
        numbers.withhold(10)
    assert numbers.forward(11) == 10


def test_a_sender_that_begins_anew_goes_on_from_there() -> None:
    numbers = SequenceMap(30_000)
    numbers.withhold(30_001)
    first = numbers.forward(100)
    assert [numbers.forward(101), numbers.forward(102)] == [first + 1, first + 2]


def test_the_number_of_streams_is_bounded() -> None:
    renumbering = Renumbering()
    for ssrc in range(1000):
        renumbering.withhold(ssrc, 5, relayed=4)
    assert renumbering.forward(999, 6) == 5
    assert renumbering.forward(0, 6) == 6


STEPS = st.lists(st.sampled_from(["forward", "withhold", "insert"]), max_size=60)


@given(STEPS, st.integers(0, 65_535))
def test_in_order_the_receiver_counts_one_by_one(steps: list[str], first: int) -> None:
    numbers, seq, received = SequenceMap(first - 1), first, []
    for step in steps:
        if step == "insert":
            received.append(numbers.insert())
        elif step == "withhold":
            numbers.withhold(seq & 0xFFFF)
            seq += 1
        else:
            received.append(numbers.forward(seq & 0xFFFF))
            seq += 1
    assert received == [(first + n) & 0xFFFF for n in range(len(received))]


@given(STEPS, st.integers(0, 65_535), st.randoms(use_true_random=False))
def test_reordered_the_receiver_still_sees_no_number_twice(steps: list[str], first: int, random) -> None:
    numbers, received = SequenceMap(first - 1), []
    order = sorted(range(len(steps)), key=lambda n: n + random.uniform(0, 3))
    for n in order:
        if steps[n] == "insert":
            received.append(numbers.insert())
        elif steps[n] == "withhold":
            numbers.withhold(first + n & 0xFFFF)
        else:
            received.append(numbers.forward(first + n & 0xFFFF))
    assert len(set(received)) == len(received)


@given(STEPS, st.integers(0, 65_535))
def test_a_relayed_number_leads_back_to_the_senders_own(steps: list[str], first: int) -> None:
    numbers, seq, came = SequenceMap(first - 1), first, {}
    for step in steps:
        if step == "insert":
            came[numbers.insert()] = seq - 1
        elif step == "withhold":
            numbers.withhold(seq & 0xFFFF)
            seq += 1
        else:
            came[numbers.forward(seq & 0xFFFF)] = seq
            seq += 1
    assert {out: numbers.backward(out) for out in came} == {out: n & 0xFFFF for out, n in came.items()}
