"""Reading what parties report by RTCP: exact, bounded, and whatever comes nothing is raised."""

import random
from struct import pack

import pytest

from mediaproxy.clock import NS_PER_S
from mediaproxy.limits import MAX_RTP_BYTES, MAX_STREAMS_PER_LEG
from mediaproxy.media.userspace.reports import Reports

OURS = 0xA1
RR, SR = 201, 200
SDES = b"\x81\xca\x00\x03\x00\x00\x00\x07\x01\x03abc\x00\x00\x00"


def block(ssrc: int = OURS, *, fraction: int = 0, lost: int = 0, jitter: int = 0) -> bytes:
    """RFC 3550 6.4.1: SSRC, fraction lost, cumulative lost (24 bits, signed), four words."""
    return pack("!LL4L", ssrc, fraction << 24 | lost & 0xFF_FFFF, 0, jitter, 0, 0)


def report(*blocks: bytes, kind: int = RR) -> bytes:
    body = pack("!L", 7) + (bytes(20) if kind == SR else b"") + b"".join(blocks)
    return pack("!BBH", 0x80 | len(blocks), kind, len(body) // 4) + body


def read(*packets: bytes, clock_hz: int = 8000) -> Reports:
    """One packet a second."""
    reports = Reports()
    for second, packet in enumerate(packets, 1):
        reports.receive(memoryview(packet), ssrc=OURS, clock_hz=clock_hz, now_ns=second * NS_PER_S)
    return reports


@pytest.mark.parametrize("kind", [RR, SR])
@pytest.mark.parametrize("rest", [b"", SDES, b"\x81\xca\x00\x00"])  # the last: a torn SDES
def test_the_last_and_the_worst_are_kept(kind: int, rest: bytes) -> None:
    reports = read(
        report(block(fraction=64, lost=12, jitter=240), kind=kind) + rest,
        report(block(fraction=128, lost=40, jitter=80), kind=kind) + rest,
        report(block(fraction=32, lost=41, jitter=160), kind=kind) + rest,
    )
    assert (reports.count, reports.lost) == (3, 41)
    assert (reports.last_loss_percent, reports.worst_loss_percent) == (12.5, 50.0)
    assert (reports.last_jitter_ms, reports.worst_jitter_ms) == (20.0, 30.0)


def test_jitter_is_counted_in_the_streams_own_clock() -> None:
    assert read(report(block(jitter=480)), clock_hz=48_000).last_jitter_ms == 10.0


def test_what_is_said_of_other_streams_does_not_count() -> None:
    reports = read(report(block(1, lost=9), block(lost=2), block(3, lost=9)), report(block(4, lost=9)))
    assert (reports.count, reports.lost) == (1, 2)


def test_more_duplicates_than_losses_are_no_loss() -> None:
    assert read(report(block(lost=-5))).lost == 0


def test_each_stream_counts_its_own_losses_and_few_are_remembered() -> None:
    reports = Reports()
    for number in range(10 * MAX_STREAMS_PER_LEG):
        for lost in (1, 3):
            now_ns = (2 * number + lost) * NS_PER_S
            packet = memoryview(report(block(number, lost=lost)))
            reports.receive(packet, ssrc=number, clock_hz=8000, now_ns=now_ns)
    assert reports.lost == 3 * 10 * MAX_STREAMS_PER_LEG
    assert len(reports._lost) == MAX_STREAMS_PER_LEG


def test_jitter_that_no_call_survives_is_not_believed() -> None:
    reports = read(report(block(jitter=2**32 - 1, fraction=255, lost=99)))
    assert (reports.count, reports.lost, reports.worst_loss_percent) == (0, 0, 0.0)


def test_a_flood_is_read_ten_times_a_second() -> None:
    reports = Reports()
    packet = memoryview(report(*[block()] * 31))
    for millisecond in range(1000):
        reports.receive(packet, ssrc=OURS, clock_hz=8000, now_ns=millisecond * 1_000_000)
    assert reports.count == 31 * 10


def test_no_bytes_raise_anything() -> None:
    chance = random.Random(11)
    reports, now_ns = Reports(), 0
    seeds = [report(), report(block()), report(block(), block(2)) + SDES, report(block(), kind=SR)]
    for _ in range(20_000):
        packet = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(5)):
            packet[chance.randrange(len(packet))] = chance.randrange(256)
        packet += chance.randbytes(chance.choice([0, 0, 4, 30]))
        now_ns += NS_PER_S
        reports.receive(memoryview(packet), ssrc=OURS, clock_hz=8000, now_ns=now_ns)
    assert reports.count > 100
    for size in range(4, MAX_RTP_BYTES, 97):
        now_ns += NS_PER_S
        reports.receive(memoryview(chance.randbytes(size)), ssrc=OURS, clock_hz=8000, now_ns=now_ns)
