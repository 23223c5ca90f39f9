import subprocess
import sys

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mediaproxy.recording.ring import (
    HAS_PAYLOAD,
    HEADER,
    IS_DIGIT,
    MAX_PAYLOAD_BYTES,
    RECORD,
    SLOT_BYTES,
    PacketRing,
    left_out,
)

SLOTS = 8
LEFT_OUT = left_out(14)  # of the leg that is spoken of


def put(ring: PacketRing, seq: int, payload: bytes = b"abc", arrival_ns: int = 0, leg: int = 0) -> None:
    ring.put(7, leg, 0, 0, 0xCAFE, seq, 160 * seq, arrival_ns, payload)


def seqs(ring: PacketRing) -> list[int]:
    return [int(seq) for records in ring.take() for seq in records["seq"]]


def taken(ring: PacketRing, most: int | None = None) -> list[int]:
    found = [int(seq) for records in ring.take(most) for seq in records["seq"]]
    ring.free()
    return found


def memory(ring: PacketRing) -> bytes:
    """The whole block: slots that wait and slots that were freed."""
    return bytes(ring._memory)


def test_a_slot_is_1536_bytes_with_a_header_of_32() -> None:
    assert HEADER.size == 32
    assert RECORD.itemsize == SLOT_BYTES == 1_536
    fields = RECORD.fields
    assert fields is not None
    assert [fields[name][1] for name in RECORD.names or ()] == [
        0,
        4,
        5,
        6,
        7,
        8,
        12,
        14,
        16,
        20,
        28,
        32,
    ]


def test_a_record_comes_out_as_it_went_in() -> None:
    ring = PacketRing(SLOTS)
    ring.put(0xFFFFFFFE, 1, 127, 1, 0xFFFFFFFF, 65_535, 4_294_967_295, 10**18, b"\x01\x02")
    (records,) = ring.take()
    record = records[0]
    assert record["generation"] == 0xFFFFFFFE
    assert (record["leg"], record["flags"], record["payload_type"], record["marker"]) == (
        1,
        HAS_PAYLOAD,
        127,
        1,
    )
    assert (record["ssrc"], record["seq"], record["timestamp"]) == (0xFFFFFFFF, 65_535, 4_294_967_295)
    assert (record["length"], record["arrival_ns"]) == (2, 10**18)
    assert record["payload"][:3].tobytes() == b"\x01\x02\x00"


def test_headers_carry_a_length_and_no_payload() -> None:
    ring = PacketRing(SLOTS)
    ring.put_header(7, 0, 0, 0, 1, 2, 3, 4, 160)
    ring.put_digit(7, 0, 101, 1, 3, 4, 5, 99_999)
    (records,) = ring.take()
    assert records["length"].tolist() == [160, 65_535]
    assert records["flags"].tolist() == [0, IS_DIGIT]
    assert not records["payload"].any()


def test_a_full_ring_drops_and_counts_by_leg() -> None:
    ring = PacketRing(SLOTS)
    for seq in range(SLOTS + LEFT_OUT):
        put(ring, seq)
    put(ring, 99, leg=1)
    assert ring.take_dropped() == {}  # not before what came earlier is taken
    assert taken(ring) == list(range(SLOTS))
    assert ring.take_dropped() == {14: LEFT_OUT, 15: 1}
    assert ring.take_dropped() == {}


def test_a_leg_that_found_no_slot_is_left_out_for_a_while_and_no_other_is() -> None:
    ring = PacketRing(SLOTS)
    for seq in range(SLOTS + 1):
        put(ring, seq)
    assert taken(ring, 5) == [0, 1, 2, 3, 4]
    for seq in range(100, 100 + LEFT_OUT):  # the last of these is the first that is let in again
        put(ring, seq)
        if seq == 103:
            put(ring, seq, leg=1)
    assert ring.take_dropped() == {}
    assert taken(ring) == [5, 6, 7]
    assert ring.take_dropped() == {14: 1}, "when it began"
    assert taken(ring) == [103]
    assert ring.take_dropped() == {14: LEFT_OUT - 1}, "and when it ends"
    assert taken(ring) == [100 + LEFT_OUT - 1]


@pytest.mark.parametrize("kind", ["header", "digit"])
def test_headers_and_digits_of_a_leg_are_left_out_like_its_audio(kind: str) -> None:
    ring = PacketRing(SLOTS)
    for seq in range(SLOTS + 1):
        put(ring, seq)
    taken(ring)
    for seq in range(LEFT_OUT):
        if kind == "header":
            ring.put_header(7, 0, 0, 0, 0xCAFE, seq, 0, 0, 160)
        else:
            ring.put_digit(7, 0, 101, 0xCAFE, seq, 0, 0, 160)
    assert ring.take_dropped() == {14: LEFT_OUT}
    assert taken(ring) == [LEFT_OUT - 1]


def test_a_packet_that_does_not_fit_a_slot_is_dropped_and_harms_no_other() -> None:
    ring = PacketRing(SLOTS)
    put(ring, 1, b"x" * MAX_PAYLOAD_BYTES)
    put(ring, 2, b"x" * (MAX_PAYLOAD_BYTES + 1))
    put(ring, 3, b"y")
    assert taken(ring) == [1]
    assert ring.take_dropped() == {14: 1}
    assert taken(ring) == [3]


def test_what_was_drained_is_overwritten() -> None:
    ring = PacketRing(SLOTS)
    for seq in range(5):
        put(ring, seq, b"secret" * (seq + 1))
    assert b"secret" in memory(ring)
    ring.take()
    ring.free()
    assert b"secret" not in memory(ring)
    assert ring.used == 0


def test_all_memory_is_touched_at_construction() -> None:
    """A page that was never written is shared with all others; ours must be resident before any call.

    In a process of its own: malloc may hand this one memory that an earlier test has touched."""
    program = """
from mediaproxy.recording.ring import SLOT_BYTES, PacketRing

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4_096

before = resident()
ring = PacketRing(32_768)
print(ring.slots, (resident() - before) / (32_768 * SLOT_BYTES))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    slots, share = done.stdout.split()
    assert int(slots) == 32_768
    assert float(share) > 0.9


@pytest.mark.parametrize("slots", [0, -8, 6])
def test_the_number_of_slots_is_a_power_of_two(slots: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        PacketRing(slots)


def test_what_waits_holds_up_what_is_taken() -> None:
    ring = PacketRing(SLOTS, now_ns=100)
    for now in (200, 300):
        ring.begin_pass(now)
        put(ring, now, arrival_ns=now + 10)
        ring.end_pass(emptied=True)
    assert (ring.drain_mark_ns, ring.taken_until_ns) == (300, 100)
    ring.take(1)
    ring.free()
    assert ring.taken_until_ns == 200
    ring.take()
    ring.free()
    assert ring.taken_until_ns == 300


def test_a_packet_arrived_after_the_drain_mark_before_its_pass() -> None:
    ring = PacketRing(SLOTS, now_ns=100)
    ring.begin_pass(200)
    put(ring, 1, arrival_ns=210)
    ring.end_pass(emptied=True)
    assert ring.drain_mark_ns == 200
    ring.begin_pass(300)
    put(ring, 2)
    ring.end_pass(emptied=False)  # something was left in a socket: nothing is known past 200
    assert ring.drain_mark_ns == 200
    ring.begin_pass(400)
    put(ring, 3)
    ring.end_pass(emptied=True)
    ring.begin_pass(500)
    ring.end_pass(emptied=True)
    (records,) = ring.take()
    assert ring.earliest_ns(records["pass_number"]).tolist() == [100, 200, 200]
    assert ring.drain_mark_ns == 500


def test_sockets_may_be_found_empty_one_by_one() -> None:
    ring = PacketRing(SLOTS, now_ns=100)
    ring.begin_pass(200)
    put(ring, 1)
    ring.end_pass(emptied=False)
    ring.begin_pass(300)
    put(ring, 2)
    ring.end_pass(emptied=False)
    ring.found_empty_since(200)
    ring.found_empty_since(150)
    assert ring.drain_mark_ns == 200
    ring.begin_pass(400)
    put(ring, 3)
    (records,) = ring.take()
    assert ring.earliest_ns(records["pass_number"]).tolist() == [100, 100, 200]


def test_passes_without_packets_do_not_push_others_out() -> None:
    ring = PacketRing(SLOTS, now_ns=0)
    ring.begin_pass(10)
    put(ring, 1)
    ring.end_pass(emptied=True)
    for now_ns in range(20, 20 + 10 * SLOTS):
        ring.begin_pass(now_ns)
        ring.end_pass(emptied=True)
    (records,) = ring.take()
    assert ring.earliest_ns(records["pass_number"]).tolist() == [0]


class Machine(RuleBasedStateMachine):
    """The ring against a list."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = PacketRing(SLOTS)
        self.model: list[tuple[int, bytes]] = []
        self.seq = 0
        self.holes: list[list[int]] = []  # before which record of the model, and how many are missing
        self.left_out: dict[int, int] = {}

    @rule(payload=st.binary(min_size=1, max_size=40), leg=st.integers(0, 1))
    def put(self, payload: bytes, leg: int) -> None:
        self.seq += 1
        put(self.ring, self.seq, payload, leg=leg)
        if leg not in self.left_out and len(self.model) < SLOTS:
            self.model.append((self.seq, payload))
            return
        most = left_out(14 + leg)
        self.left_out[leg] = self.left_out.get(leg, most) - 1
        if self.left_out[leg] == most - 1:
            self.holes.append([len(self.model), 1])
        elif not self.left_out[leg]:
            del self.left_out[leg]
            self.holes.append([len(self.model), most - 1])

    @rule(most=st.none() | st.integers(1, SLOTS))
    def drain(self, most: int | None) -> None:
        views = self.ring.take(most)
        found = [(int(r["seq"]), r["payload"][: r["length"]].tobytes()) for view in views for r in view]
        assert len(views) <= 2
        assert found == self.model[: self.holes[0][0] if self.holes else None][:most]
        self.ring.free()
        self.model = self.model[len(found) :]
        self.holes = [[at - len(found), missing] for at, missing in self.holes]
        assert sum(self.ring.take_dropped().values()) == sum(n for at, n in self.holes if not at)
        self.holes = [hole for hole in self.holes if hole[0]]
        left = b"".join(payload for _, payload in self.model)
        assert np.frombuffer(memory(self.ring), dtype=RECORD)["payload"].sum() == sum(left)

    @invariant()
    def counts_agree(self) -> None:
        assert self.ring.used == len(self.model)
        assert self.ring.pressed == (len(self.model) > SLOTS // 2)


TestPacketRing = Machine.TestCase
TestPacketRing.settings = settings(max_examples=50, stateful_step_count=250)
