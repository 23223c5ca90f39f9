"""Media time, sentence by sentence. Times in samples at 8 kHz; a packet is 20 ms unless said."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.recording.packets import Margins, Packet
from mediaproxy.recording.streams import MAX_HELD, Stream, Why
from mediaproxy.recording.transits import LeastTransits

MS = 8
PTIME = 20 * MS
NETWORK = 50 * MS


class Sender:
    """A leg that speaks from position 0 on; timestamps begin at `stamp`, sequence numbers at `seq`."""

    def __init__(self, *, stamp: int = 1_000, seq: int = 5, openings: int = 0) -> None:
        self.stream = Stream(1, Margins.of(8_000), LeastTransits(), openings)
        self.stamp, self.seq = stamp, seq
        self.is_open = True

    def send(self, number: int, delay: int = 0, *, tick: int = 0, samples: int = PTIME) -> list[int]:
        """Packet `number` arrives `delay` late and is read up to `tick` later: what now has a position."""
        return [p.position for p in self.place(self.packet(number, delay, tick=tick, samples=samples))]

    def packet(self, number: int, delay: int = 0, *, tick: int = 0, samples: int = PTIME) -> Packet:
        reaches = (number + 1) * PTIME + NETWORK + delay
        stamp = (self.stamp + number * PTIME) & 0xFFFFFFFF
        return Packet(reaches, reaches + tick, (self.seq + number) & 0xFFFF, stamp, samples)

    def place(self, packet: Packet) -> list[Packet]:
        return self.stream.receive(packet, is_open=self.is_open)

    def send_all(self, numbers: Iterable[int], delay: int = 0) -> list[int]:
        return [position for number in numbers for position in self.send(number, delay)]

    def drifting(self, numbers: Iterable[int], every: int) -> list[int]:
        """Each packet comes a sample later than the one `every` packets before it (or earlier: negative)."""
        return [position for n in numbers for position in self.send(n, n // every)]

    def anchored(self, packets: int = 17) -> "Sender":
        """With its offset known: packet n lies at n * PTIME + NETWORK."""
        self.send_all(range(packets))
        assert self.stream.hold is None
        return self


def at(number: int) -> int:
    return number * PTIME + NETWORK


# Anchor.


def test_the_first_300_ms_are_held_then_all_placed_at_their_least_transit() -> None:
    sender = Sender()
    assert sender.send(0, delay=40 * MS) == []
    assert sender.send_all(range(1, 10), delay=30 * MS) == []
    assert sender.send(10) == []
    assert sender.send_all(range(11, 16), delay=25 * MS) == []
    # The next is the first that arrived more than 300 ms after the first.
    assert sender.send(17, delay=5 * MS) == [at(n) for n in (*range(16), 17)]


def test_a_hold_ends_by_time_without_a_further_packet() -> None:
    sender = Sender()
    sender.send(0)
    first = PTIME + NETWORK
    assert sender.stream.settle(first + 300 * MS - 1, is_open=True) == []
    assert [p.position for p in sender.stream.settle(first + 300 * MS, is_open=True)] == [at(0)]


def test_a_stall_of_ours_does_not_end_a_hold_early() -> None:
    """What was read late counts: the least delayed may be among it."""
    sender = Sender()
    sender.send(0, delay=60 * MS)
    burst = [sender.packet(n) for n in range(1, 40)]
    for packet in burst:
        packet.arrival, packet.earliest = at(41), at(1)
    assert all(sender.place(packet) == [] for packet in burst)
    placed = sender.stream.settle(at(41), is_open=True)
    assert [p.position for p in placed] == [at(n) + PTIME for n in range(40)]


def test_what_is_held_keeps_the_written_end_back() -> None:
    sender = Sender()
    sender.place(Packet(700, 1_000, 5, 1_000, PTIME))
    assert sender.stream.hold is not None
    assert sender.stream.hold.earliest == 700


def test_a_flood_does_not_hold_for_ever() -> None:
    sender = Sender()
    placed = [sender.place(Packet(0, 0, n & 0xFFFF, n, 1)) for n in range(MAX_HELD)]
    assert len(placed[-1]) == MAX_HELD
    assert sender.stream.hold is None


def test_an_anchor_is_no_reanchor() -> None:
    assert Sender().anchored().stream.reanchors == 0


# Fits.


@pytest.mark.parametrize(("late", "fits"), [(0, True), (300 * MS, True), (300 * MS + 1, False)])
def test_a_packet_up_to_300_ms_late_is_placed(late: int, fits: bool) -> None:
    sender = Sender().anchored()
    sender.send_all(range(18, 17 + late // PTIME))
    assert sender.send(17, late) == ([at(17)] if fits else [])
    assert (sender.stream.hold is None) == fits


def test_a_packet_read_late_is_not_late() -> None:
    """Late only if late even for its earliest possible arrival."""
    sender = Sender().anchored()
    assert sender.send(17, tick=2_000 * MS) == [at(17)]


@pytest.mark.parametrize(
    ("early", "position"), [(0, at(17)), (20 * MS, at(17)), (20 * MS + 1, at(17) - 20 * MS - 1)]
)
def test_a_packet_more_than_20_ms_ahead_lowers_the_offset(early: int, position: int) -> None:
    sender = Sender().anchored()
    assert sender.send(17, -early) == [position]
    assert sender.stream.reanchors == (early > 20 * MS)
    assert sender.send(18) == [at(18) - (early if early > 20 * MS else 0)]


def test_a_lowered_offset_is_valid_from_its_timestamp_on() -> None:
    sender = Sender().anchored()
    sender.send(18, -40 * MS)
    assert sender.send(17) == [at(17)]
    assert sender.send(19) == [at(19) - 40 * MS]


def test_a_packet_more_than_200_ms_ahead_does_not_fit() -> None:
    sender = Sender().anchored()
    assert sender.send(17, -200 * MS) == [at(17) - 200 * MS]
    assert sender.send(18, -200 * MS - 200 * MS - 1) == []


def test_a_move_while_closed_is_not_counted() -> None:
    sender = Sender().anchored()
    sender.is_open = False
    sender.send(17, -40 * MS)
    assert sender.stream.reanchors == 0


# Does not fit.


SLOWER = 500 * MS  # by so much the timestamps fall behind, without a gap in the arrivals


def test_300_ms_that_agree_move_the_offset_and_all_are_placed() -> None:
    sender = Sender().anchored()
    sender.stamp -= SLOWER
    assert sender.send_all(range(17, 32)) == []
    assert sender.stream.hold is not None
    assert sender.stream.hold.why is Why.UNFIT
    assert sender.send(33) == [at(n) for n in (*range(17, 32), 33)]
    assert (sender.stream.reanchors, sender.stream.late) == (1, 0)


def test_halves_that_differ_by_more_than_20_ms_do_not_agree() -> None:
    for apart, placed in ((20 * MS, 16), (20 * MS + 1, 0)):
        sender = Sender().anchored()
        sender.stamp -= SLOWER
        sender.send_all(range(17, 26), apart)
        sender.send_all(range(26, 32))
        assert len(sender.send(32, apart)) == placed


def test_a_fitting_packet_first_drops_them() -> None:
    sender = Sender().anchored()
    sender.stamp -= SLOWER
    assert sender.send_all(range(17, 20)) == []
    sender.stamp += SLOWER
    assert sender.send(20) == [at(20)]
    assert (sender.stream.reanchors, sender.stream.late) == (0, 3)


def test_400_ms_without_agreement_drop_them() -> None:
    sender = Sender().anchored()
    for number in range(17, 37):
        sender.stamp -= SLOWER if number == 17 else 5 * MS
        assert sender.send(number) == []
    assert sender.stream.late == 0
    assert sender.stream.settle(at(18) + 400 * MS, is_open=True) == []
    assert (sender.stream.reanchors, sender.stream.late) == (0, 20)


def test_a_flood_that_never_agrees_costs_no_more_a_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    transit, looked_at = Packet.transit.fget, 0
    assert transit is not None

    def note(packet: Packet) -> int:
        nonlocal looked_at
        looked_at += 1
        return transit(packet)

    monkeypatch.setattr(Packet, "transit", property(note))
    sender = Sender().anchored()
    looked_at = 0
    for number in range(1_000):
        packet = sender.packet(17 + number, -number * PTIME + 3 * number)
        packet.timestamp = (packet.timestamp + (1 << 30) + number * 40_000) & 0xFFFFFFFF
        assert sender.place(packet) == []
    assert sender.stream.hold is not None
    assert len(sender.stream.hold.packets) == 1_000
    assert looked_at < 3_000


def test_a_bogus_timestamp_writes_nothing() -> None:
    sender = Sender().anchored()
    bogus = sender.packet(17)
    bogus.timestamp = (bogus.timestamp + (1 << 31)) & 0xFFFFFFFF
    assert sender.place(bogus) == []
    assert sender.send(18) == [at(18)]
    assert sender.stream.late == 1


def test_a_sender_that_begins_its_timestamps_anew_is_followed() -> None:
    sender = Sender().anchored()
    sender.stamp = 77_777_777
    assert sender.send_all(range(17, 32)) == []
    assert sender.send(32) == [at(n) for n in range(17, 33)]
    assert sender.stream.reanchors == 1


# Raised.


def test_ten_seconds_more_than_100_ms_late_raise_the_offset() -> None:
    for late, moved in ((100 * MS, 0), (100 * MS + 1, 100 * MS + 1)):
        sender = Sender().anchored()
        placed = sender.send_all(range(17, 17 + 560), late)
        assert len(placed) == 560
        assert placed[400] == at(417)
        assert placed[-1] == at(576) + moved
        assert sender.stream.reanchors == (moved != 0)


def test_one_packet_in_time_within_ten_seconds_raises_nothing() -> None:
    sender = Sender().anchored()
    for number in range(17, 1_500):
        sender.send(number, 0 if number % 450 == 0 else 120 * MS)
    assert sender.stream.reanchors == 0


def test_what_is_only_read_late_raises_nothing() -> None:
    sender = Sender().anchored()
    for number in range(17, 1_100):
        packet = sender.packet(number)
        packet.arrival += 150 * MS
        sender.place(packet)
    assert sender.stream.reanchors == 0


# Drift.


def test_within_5_ms_of_its_target_an_offset_stays() -> None:
    sender = Sender().anchored()
    sender.drifting(range(17, 3_000), 200)  # 31 ppm, 15 samples
    assert sender.stream.slips == 0
    assert sender.stream.ppm is None or sender.stream.ppm < 0


@pytest.mark.parametrize("every", [62, -62])
def test_beyond_it_one_sample_is_repeated_or_dropped_at_most_each_100_ms(every: int) -> None:
    """A clock off by 100 ppm for five minutes."""
    sender = Sender().anchored()
    placed = [sender.place(sender.packet(n, n // every)) for n in range(17, 15_000)]
    positions = [p.position for packets in placed for p in packets]
    steps = [b - a - PTIME for a, b in pairwise(positions)]
    slips = [n for n, step in enumerate(steps) if step]
    assert set(steps) <= {0, 1 if every > 0 else -1}
    assert len(slips) == sender.stream.slips > 150
    assert min(b - a for a, b in pairwise(slips)) >= 5
    assert abs(positions[-1] - at(14_999) - 14_999 // every) <= 8 * MS
    assert sum(p.repeat for packets in placed for p in packets) == (len(slips) if every > 0 else 0)
    assert sender.stream.ppm == pytest.approx(-1e6 / (every * PTIME), rel=0.1)
    assert sender.stream.reanchors == 0


def test_a_change_of_more_than_8_ms_is_the_networks() -> None:
    sender = Sender().anchored()
    sender.send_all(range(17, 1_100))
    placed = sender.send_all(range(1_100, 4_000), 9 * MS)
    assert placed[-1] == at(3_999)
    assert sender.stream.slips == 0


def test_a_target_never_exceeds_the_least_transit() -> None:
    sender = Sender().anchored()
    placed = sender.send_all(range(17, 3_000), -15 * MS)
    assert placed[-1] == at(2_999) - 10 * MS
    assert sender.stream.slips == 10 * MS


def test_while_nothing_is_kept_the_offset_follows_at_once() -> None:
    sender = Sender().anchored()
    sender.is_open = False
    sender.send_all(range(17, 600), -15 * MS)
    assert sender.send(600, -15 * MS) == [at(600) - 15 * MS]
    assert sender.stream.slips == 0


# Clocks.


@pytest.mark.parametrize(
    ("rate", "clock"), [(8_000, 48_000), (16_000, 8_000), (48_000, 8_000), (8_000, 44_100)]
)
def test_a_timestamp_becomes_samples_exactly(rate: int, clock: int) -> None:
    """Position = unwrapped timestamp * rate // clock + offset, across a wrap; neighbours touch."""
    stream = Stream(1, Margins.of(rate), LeastTransits())
    stamp, ticks = (1 << 32) - 40 * clock, clock // 50
    placed = []
    for number in range(4_000):
        arrival = (number + 1) * rate // 50 + 400
        seq, timestamp = number & 0xFFFF, (stamp + number * ticks) & 0xFFFFFFFF
        packet = Packet(arrival, arrival, seq, timestamp, ticks, clock_hz=clock)
        placed += stream.receive(packet, is_open=True)
    assert stream.offset is not None
    for number, packet in enumerate(placed):
        assert packet.position == (stamp + number * ticks) * rate // clock + stream.offset
    assert all(a.end == b.position for a, b in pairwise(placed))
    assert stream.reanchors == stream.slips == 0


def test_another_clock_begins_the_anchor_anew() -> None:
    sender = Sender().anchored()
    packet = sender.packet(17)
    packet.clock_hz, packet.ticks = 48_000, 960
    assert sender.place(packet) == []
    assert sender.stream.hold is not None
    assert (sender.stream.hold.why, sender.stream.reanchors) == (Why.ANCHOR, 1)


def test_what_a_packet_lasts_is_learnt_from_its_successor() -> None:
    sender = Sender().anchored()
    stream, stamp = sender.stream, sender.stamp + 17 * PTIME
    assert stream.usual_ticks(22, stamp, 8_000) == PTIME
    assert stream.usual_ticks(22, stamp + PTIME, 8_000) == 2 * PTIME
    assert stream.usual_ticks(22, stamp + 8_000, 8_000) == PTIME  # DTX
    assert stream.usual_ticks(23, stamp + PTIME, 8_000) == PTIME  # one was lost


# At an edge.


def spread(sender: Sender, number: int, delay: int = 0) -> tuple[int, int]:
    placed = sender.place(sender.packet(number, delay))
    return tuple(sender.stream.spread(placed[-1]))  # type: ignore[return-value]  # two of them


def test_where_nothing_moves_a_packet_lies_nowhere_else() -> None:
    assert spread(Sender().anchored(), 17) == (0, 0)


def test_it_may_lie_as_early_as_the_least_delayed_of_ten_seconds() -> None:
    sender = Sender().anchored()
    sender.send(17, -5 * MS)  # too little to move the offset
    assert spread(sender, 18) == (-5 * MS, 0)
    sender.send_all(range(19, 500))
    assert spread(sender, 500) == (-5 * MS, 0)
    sender.send_all(range(501, 530))
    assert spread(sender, 530) == (0, 0)


def test_it_may_lie_as_late_as_all_of_late() -> None:
    sender = Sender().anchored()
    sender.send_all(range(17, 40), 50 * MS)
    assert spread(sender, 40, 60 * MS) == (0, 50 * MS)


def test_transits_are_kept_across_small_moves() -> None:
    """What looks like a new route may be a queue: what comes may be as old as before."""
    sender, _ = gap(500 * MS)
    assert sender.stream.reanchors == 1
    assert spread(sender, 66, 500 * MS) == (-500 * MS, 0)


def test_not_where_the_sender_itself_went_back() -> None:
    sender = Sender().anchored()
    sender.stamp -= SLOWER
    sender.send_all(range(17, 34))
    assert sender.stream.reanchors == 1
    assert spread(sender, 34) == (0, 0)


# After a gap.


def gap(delay: int) -> tuple[Sender, list[int]]:
    sender = Sender().anchored()
    assert sender.send(50, delay) == []
    assert sender.stream.hold is not None
    assert sender.stream.hold.why is Why.GAP
    assert sender.send_all(range(51, 65), delay) == []
    return sender, sender.send(65, delay)


@pytest.mark.parametrize(
    ("delay", "moved"),
    [(0, 0), (60 * MS, 0), (60 * MS + 1, 60 * MS + 1), (-20 * MS, 0), (-20 * MS - 1, -20 * MS - 1)],
)
def test_after_a_gap_the_offset_moves_only_far(delay: int, moved: int) -> None:
    sender, placed = gap(delay)
    assert placed == [at(n) + moved for n in range(50, 66)]
    assert sender.stream.reanchors == (moved != 0)


def test_a_gap_that_may_be_our_own_stall_is_none() -> None:
    sender = Sender().anchored()
    packet = sender.packet(50)
    packet.earliest = sender.stream.last_arrival + 150 * MS
    assert [p.position for p in sender.place(packet)] == [at(50)]


def test_a_stall_of_ours_after_a_gap_raises_nothing() -> None:
    """All that was read after it seems late by as much, but none is late for its earliest arrival."""
    sender = Sender().anchored()
    burst = [sender.packet(n) for n in range(30, 40)]
    for packet in burst:
        packet.earliest, packet.arrival = at(30), at(80)
        assert sender.place(packet) == []
    placed = sender.stream.settle(at(100), is_open=True)
    assert [p.position for p in placed] == [at(n) for n in range(30, 40)]
    assert sender.stream.reanchors == 0


# An opening after the gate was closed for more than a second.


def test_at_an_opening_the_offset_is_the_least_transit_of_ten_seconds() -> None:
    sender = Sender().anchored()
    sender.is_open = False
    sender.send(17, -15 * MS)  # measured, but too little ahead to lower the offset
    sender.send_all(range(18, 100), 10 * MS)
    sender.stream.opened([at(100)], at(101), is_open=False)
    assert sender.send(101) == [at(101) - 15 * MS]
    assert sender.stream.reanchors == 0


def test_what_is_older_than_ten_seconds_does_not_count() -> None:
    sender = Sender().anchored()
    sender.is_open = False
    sender.send_all(range(17, 1_000), 10 * MS)
    sender.stream.opened([at(1_000)], at(1_000), is_open=False)
    assert sender.send(1_000, 10 * MS) == [at(1_000) + 10 * MS]


def test_what_is_held_at_an_opening_keeps_the_offset_before_it() -> None:
    sender = Sender().anchored()
    sender.send(17, -15 * MS)
    sender.send_all([40, 41], 5 * MS)  # after a gap
    placed = sender.stream.opened([at(50)], at(60), is_open=False)
    assert [p.position for p in placed] == [at(40), at(41)]
    assert sender.send(42, 5 * MS) == [at(42) - 15 * MS]


def test_an_opening_counts_for_what_arrives_after_it() -> None:
    sender = Sender().anchored()
    sender.send(17, -15 * MS)
    sender.stream.opened([at(30)], at(30) - 1, is_open=False)
    assert sender.send(18) == [at(18)]


# Sequence numbers.


def counters(sender: Sender) -> tuple[int, int, int, int]:
    stream = sender.stream
    return stream.packets, stream.lost, stream.duplicate, stream.reordered


def test_duplicates_are_counted_and_placed_once() -> None:
    sender = Sender().anchored()
    assert sender.send(17) == [at(17)]
    assert sender.send(17, 5 * MS) == []
    assert counters(sender) == (19, 0, 1, 0)


def test_a_packet_that_comes_after_all_was_not_lost() -> None:
    sender = Sender().anchored()
    sender.send(19)
    assert counters(sender) == (18, 2, 0, 0)
    sender.send(18, 25 * MS)
    assert counters(sender) == (19, 1, 0, 1)
    sender.send(18, 26 * MS)
    assert counters(sender) == (20, 1, 1, 1)


def test_a_sequence_that_jumps_far_began_anew() -> None:
    sender = Sender().anchored()
    sender.seq += 20_000
    sender.send_all(range(17, 20))
    assert counters(sender) == (20, 0, 0, 0)


def test_a_sequence_that_jumps_back_began_anew_if_its_successor_says_so() -> None:
    sender = Sender(seq=1_000).anchored()
    sender.seq -= 500
    sender.send_all(range(17, 30))
    assert counters(sender) == (30, 0, 0, 1)
    assert sender.stream.last_seq == 529
    assert sender.stream.is_steady(sender.place(sender.packet(30))[0], 0)


def test_one_old_number_is_nobodys_beginning() -> None:
    sender = Sender(seq=1_000).anchored(200)
    for number in (30, 50):
        old = sender.packet(200)
        old.seq = 1_000 + number
        sender.place(old)
    sender.send_all(range(200, 210))
    assert counters(sender) == (212, 0, 0, 2)


def test_after_a_hold_the_next_number_tells_nothing_about_loss() -> None:
    sender = Sender().anchored()
    sender.stream.resume()
    sender.send(1_000)
    assert counters(sender) == (18, 0, 0, 0)


def test_what_holds_no_audio_counts_and_is_not_placed() -> None:
    sender = Sender().anchored()
    assert sender.send(17, samples=0) == []
    assert sender.send(18) == [at(18)]
    assert counters(sender) == (19, 0, 0, 0)


def test_a_lane_advances_as_the_packets_would_have() -> None:
    by_rule, by_lane = Sender().anchored(), Sender().anchored()
    by_rule.send_all(range(17, 317))
    by_lane.stream.advance(300, by_rule.stream.last_arrival)
    for sender in (by_rule, by_lane):
        sender.send(316, 5 * MS)  # a duplicate
        sender.send(318)
    assert counters(by_rule) == counters(by_lane) == (319, 1, 1, 0)


def test_a_lane_forgets_a_step_back_as_the_packets_would_have() -> None:
    """A hold that is full ends with the packet that came last: it may be lent at once."""
    at_once, spreads = (1 - MAX_HELD) * PTIME, []
    for by_lane in (False, True):
        sender = Sender()
        burst = [sender.packet(n, -n * PTIME) for n in range(MAX_HELD)]
        burst[1].timestamp -= 1_000_000
        last = [placed for packet in burst for placed in sender.place(packet)][-1]
        assert sender.stream.is_steady(last, 0)
        following = [sender.packet(n, at_once) for n in range(MAX_HELD, MAX_HELD + 100)]
        if by_lane:
            sender.stream.advance(100, following[-1].arrival)
        else:
            assert [p.position for packet in following for p in sender.place(packet)] == [
                last.position + n * PTIME for n in range(1, 101)
            ]
        for number in range(MAX_HELD + 100, MAX_HELD + 117):  # after a gap, by a slower route
            placed = sender.place(sender.packet(number, at_once + 500 * MS))
        spreads.append(tuple(sender.stream.spread(placed[-1])))
    assert spreads == [(-500 * MS, 0), (-500 * MS, 0)]


# Withheld digits.


def span(sender: Sender, number: int, samples: int) -> list[tuple[int, int]]:
    packet = sender.packet(number)
    digit = Packet(packet.earliest, packet.arrival, packet.seq, packet.timestamp, samples, digit=True)
    return [(p.position, p.end) for p in sender.place(digit) if p.digit]


def test_a_digits_span_lies_where_its_audio_would() -> None:
    sender = Sender().anchored()
    assert span(sender, 17, 3 * PTIME) == [(at(17), at(20))]


def test_a_digits_span_without_an_offset_ends_at_its_arrival() -> None:
    assert span(Sender(), 0, 400) == [(at(1) - 400, at(1))]


def test_a_digits_span_waits_with_the_audio_that_is_held() -> None:
    sender = Sender()
    sender.send(0)
    assert span(sender, 1, PTIME) == []
    placed = sender.stream.settle(10_000, is_open=True)
    assert [(p.position, p.digit) for p in placed] == [(at(0), False), (at(1), True)]


# Wrap at any phase.


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 16) - 1))
def test_wraps_are_nothing(stamp: int, seq: int) -> None:
    sender = Sender(stamp=stamp, seq=seq)
    placed = sender.send_all(range(40))
    assert placed == [at(n) for n in range(40)]
    assert counters(sender) == (40, 0, 0, 0)


@pytest.mark.parametrize("phase", [0, 1, PTIME - 1, PTIME, 20 * PTIME])
def test_a_gap_of_more_than_half_a_wrap_is_bridged(phase: int) -> None:
    sender = Sender(stamp=(1 << 32) - phase).anchored()
    far = (1 << 31) // PTIME + 10
    sender.send_all(range(far, far + 15))
    assert sender.send(far + 15)[0] == at(far)
    assert sender.stream.reanchors == 0
