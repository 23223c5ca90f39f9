"""The fixed header: bounds of the payload for every shape of packet, and nothing raised for garbage."""

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import example, given
from hypothesis import strategies as st

from mediaproxy.rtp.packet import HEADER, build, payload_bounds

PLAIN = build(0, False, 1, 160, 0xABCD, b"x" * 160)


def packet(first: int, tail: bytes) -> bytes:
    return HEADER.pack(first, 0, 1, 160, 0xABCD) + tail


@pytest.mark.parametrize(
    ("data", "bounds"),
    [
        pytest.param(PLAIN, (12, 172), id="plain"),
        pytest.param(packet(0x80, b""), (12, 12), id="no payload"),
        pytest.param(packet(0x82, b"c" * 8 + b"x" * 20), (20, 40), id="two CSRCs"),
        pytest.param(packet(0x90, b"\xbe\xde\x00\x01aaaa" + b"x" * 20), (20, 40), id="extension"),
        pytest.param(packet(0xA0, b"x" * 20 + b"\0\0\0\4"), (12, 32), id="padding"),
        pytest.param(packet(0xA0, b"\0\0\0\4"), (12, 12), id="nothing but padding"),
        pytest.param(packet(0xB1, b"cccc\0\0\0\1aaaa" + b"x" * 7 + b"\1"), (24, 31), id="all of them"),
        pytest.param(b"", None, id="empty"),
        pytest.param(PLAIN[:11], None, id="short"),
        pytest.param(b"\x40" + PLAIN[1:], None, id="version 1"),
        pytest.param(packet(0x82, b"c" * 7), None, id="CSRCs cut"),
        pytest.param(packet(0x90, b"\0\0\0"), None, id="extension's header cut"),
        pytest.param(packet(0x90, b"\0\0\xff\xffaaaa"), None, id="extension longer than the packet"),
        pytest.param(packet(0xA0, b"x" * 19 + b"\0"), None, id="padding of 0"),
        pytest.param(packet(0xA0, b"x" * 3 + b"\5"), None, id="padding longer than the payload"),
        pytest.param(packet(0xA0, b""), None, id="padding count inside the header"),
    ],
)
def test_the_payload_lies_between_header_and_padding(data: bytes, bounds: tuple[int, int] | None) -> None:
    assert payload_bounds(data + b"stale bytes of an older packet", len(data)) == bounds


def test_built_packets_wrap_and_are_read_by_another_implementation() -> None:
    data = build(101, True, 65_537, 2**32 + 5, 7, b"abcd")
    theirs = RtpPacket.parse(data)
    assert (theirs.payload_type, theirs.marker, theirs.sequence_number) == (101, 1, 1)
    assert (theirs.timestamp, theirs.ssrc, theirs.payload) == (5, 7, b"abcd")


@given(st.binary(max_size=64), st.sampled_from([0x80, 0x90, 0xA0, 0xB2, 0x00]))
@example(b"", 0xA0)
def test_any_bytes_give_bounds_inside_the_packet_or_none(tail: bytes, first: int) -> None:
    data = bytes([first]) + tail
    bounds = payload_bounds(data, len(data))
    if bounds is not None:
        assert 12 <= bounds[0] <= bounds[1] <= len(data)
        assert RtpPacket.parse(data).payload == data[bounds[0] : bounds[1]]
