"""The books of traffic that comes and goes: whatever is wrong with a packet, it is counted once."""

from typing import Any

import numpy as np
import pytest

from mediaproxy.loadtest import digits, schedule, wire
from mediaproxy.loadtest.delays import Delays
from mediaproxy.loadtest.ledger import Ledger
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.schedule import Speech, Stream
from mediaproxy.loadtest.sink import ALTERED, ARRIVAL, DIGIT, FOREIGN, MISDIRECTED

PACKETS, FIRST, START_NS, DELAY_NS = 50, 3, 1_000_000_000, 40_000


def speech(number: int, **more: Any) -> Speech:
    return Speech(**({"stream": Stream(number, "127.0.0.1", 9), "first": FIRST, "packets": PACKETS} | more))


def sent(cycles: int) -> np.ndarray:
    """Every slot exactly in time."""
    slots = np.arange(schedule.SLOTS) * schedule.SLOT_NS
    return START_NS + np.arange(cycles)[:, None] * wire.PTIME_NS + slots


def arrivals(number: int, index: np.ndarray, network: Network | None = None, **changes: int) -> np.ndarray:
    found = np.zeros(len(index), dtype=ARRIVAL)
    found["stream"], found["index"] = number, index
    late = network.delays(number, index) if network else 0
    at = (FIRST + index) * wire.PTIME_NS + (schedule.slot(number) + late) * schedule.SLOT_NS
    found["at_ns"] = START_NS + at + DELAY_NS
    for name, value in changes.items():
        found[name] = value
    return found


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(START_NS, Network(), Delays(0.1, 5.0))


ALL = np.arange(PACKETS)


def test_everything_that_arrives_is_neither_lost_nor_anything_else(ledger: Ledger) -> None:
    ledger.open(speech(2))
    ledger.note([sent(80)], [arrivals(2, ALL[:20]), arrivals(2, ALL[20:])])
    said, began_ns = ledger.close(2)
    assert said.packets == PACKETS
    assert began_ns == START_NS + FIRST * wire.PTIME_NS + schedule.slot(2) * schedule.SLOT_NS
    counts = ledger.counts
    assert (counts.sent, counts.arrived, counts.lost) == (PACKETS, PACKETS, 0)
    assert (counts.altered, counts.misdirected, counts.duplicate, counts.foreign) == (0, 0, 0, 0)
    assert ledger.delays.percentiles([50, 100]) == [pytest.approx(40, rel=0.02), 40.0]
    assert ledger.open_streams == 0


def test_what_is_noted_as_arrived_before_it_is_noted_as_sent_waits(ledger: Ledger) -> None:
    ledger.open(speech(2))
    ledger.note([sent(10)], [arrivals(2, ALL)])
    assert ledger.counts.arrived == 7
    ledger.note([sent(80)[10:]], [])
    assert ledger.counts.arrived == PACKETS


def test_what_never_arrived_is_lost_when_it_was_sent(ledger: Ledger) -> None:
    ledger.open(speech(2))
    ledger.note([sent(80)], [arrivals(2, np.delete(ALL, [7, 8]))])
    ledger.close(2)
    assert ledger.counts.lost == 2
    assert np.flatnonzero(ledger.lost_by_step).tolist() == [2]  # (3 + 7) × 20 ms


@pytest.mark.parametrize(
    ("wrong", "name"), [(ALTERED, "altered"), (MISDIRECTED, "misdirected"), (FOREIGN, "foreign")]
)
def test_what_is_wrong_is_counted(ledger: Ledger, wrong: int, name: str) -> None:
    ledger.open(speech(2))
    ledger.note([sent(80)], [arrivals(2, ALL), arrivals(2, ALL[:3], wrong=wrong)])
    assert getattr(ledger.counts, name) == 3


def test_a_packet_twice_is_a_duplicate_in_one_note_or_two(ledger: Ledger) -> None:
    ledger.open(speech(2))
    ledger.note([sent(80)], [arrivals(2, np.array([1, 1, 2])), arrivals(2, np.array([2, 3]))])
    assert (ledger.counts.duplicate, ledger.counts.arrived) == (2, 3)


def test_packets_of_nobody_and_of_closed_streams_are_foreign(ledger: Ledger) -> None:
    ledger.open(speech(2))
    ledger.note([sent(80)], [arrivals(2, ALL), arrivals(9_999, ALL[:4])])
    ledger.close(2)
    ledger.note([], [arrivals(2, ALL[:1])])
    assert ledger.counts.foreign == 5


def test_a_moved_sequence_number_is_an_alteration_but_after_a_withheld_code(ledger: Ledger) -> None:
    ledger.open(speech(2))
    ledger.open(speech(3, digits=digits.code(5, "*1")))
    ledger.note([sent(80)], [arrivals(2, ALL[:1], shift=14), arrivals(3, ALL[40:41], shift=14)])
    assert (ledger.counts.altered, ledger.counts.arrived) == (1, 1)


def test_a_digit_that_is_heard_is_told_and_withheld_ones_are_not_lost(ledger: Ledger) -> None:
    ledger.open(speech(3, digits=digits.code(5, "*1")))
    quiet = digits.silent(digits.code(5, "*1"), PACKETS)
    ledger.note([sent(80)], [arrivals(3, ALL[~quiet]), arrivals(3, np.array([5]), wrong=DIGIT)])
    ledger.close(3)
    counts = ledger.counts
    assert (counts.digits_heard, counts.lost, counts.withheld, counts.sent) == (1, 0, 14, PACKETS)


def test_a_pause_and_the_networks_losses_are_not_the_proxys() -> None:
    network = Network(loss=0.3, jitter_ms=40, seed=2)
    ledger = Ledger(START_NS, network, Delays(0.1, 5.0))
    ledger.open(speech(2, pause=(10, 20)))
    there = np.delete(ALL, np.arange(10, 20))
    there = there[~network.lost(2, there)]
    ledger.note([sent(80)], [arrivals(2, there, network)])
    _, began_ns = ledger.close(2)
    assert (ledger.counts.sent, ledger.counts.lost) == (len(there), 0)
    assert began_ns == START_NS + FIRST * wire.PTIME_NS + schedule.slot(2) * schedule.SLOT_NS
    assert ledger.delays.percentiles([100]) == [40.0]


def test_what_was_broken_off_was_never_said(ledger: Ledger) -> None:
    ledger.open(speech(2))
    ledger.note([sent(20)], [arrivals(2, ALL[:10])])
    ledger.shorten(FIRST + 10)
    said, _ = ledger.close(2)
    assert (said.packets, ledger.counts.sent, ledger.counts.lost) == (10, 10, 0)


def test_room_is_taken_for_open_streams_alone(ledger: Ledger) -> None:
    for number in range(5_000):
        ledger.open(speech(number, first=0))
        if number >= 100:
            ledger.close(number - 100)
    assert ledger.open_streams == 100
    assert len(ledger._there) <= 256
