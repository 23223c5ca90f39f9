"""What passes as RTCP: everything that aiortc reads from well-formed compounds, nothing torn."""

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.rtp.rtcp import is_rtcp, renumber_reports

RECEIVED = RtcpReceiverInfo(
    ssrc=1, fraction_lost=0, packets_lost=0, highest_sequence=9, jitter=3, lsr=0, dlsr=0
)
SR = bytes(RtcpSrPacket(ssrc=7, sender_info=RtcpSenderInfo(1, 2, 3, 4), reports=[RECEIVED]))
RR = bytes(RtcpRrPacket(ssrc=7, reports=[RECEIVED]))
SDES = bytes(RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=7, items=[(1, b"someone@here")])]))
BYE = bytes(RtcpByePacket(sources=[7]))
PLI = bytes(RtcpPsfbPacket(fmt=1, ssrc=7, media_ssrc=8))
XR = b"\x80\xcf\x00\x01\x00\x00\x00\x07"  # extended report, RFC 3611: unknown to aiortc
PADDED_BYE = b"\xa1\xcb\x00\x02" + (7).to_bytes(4, "big") + b"\0\0\0\4"


@pytest.mark.parametrize("data", [SR, RR, SR + SDES, RR + SDES + BYE, PLI, RR + XR, SR + PADDED_BYE])
def test_compounds_and_reduced_sizes_pass(data: bytes) -> None:
    assert is_rtcp(data + b"stale", len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SR[:-1],
        SR + SDES[:-4],
        SR + b"\0",
        PADDED_BYE + SR,
        b"\x40" + SR[1:],
        SR[:1] + b"\x00" + SR[2:],
        PADDED_BYE[:-1] + b"\0",
        PADDED_BYE[:-1] + b"\x09",
    ],
)
def test_torn_ones_do_not(data: bytes) -> None:
    assert not is_rtcp(data, len(data))


@given(st.lists(st.sampled_from([SR, RR, SDES, BYE, PLI]), min_size=1, max_size=4), st.data())
def test_whatever_aiortc_refuses_for_its_lengths_is_refused(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cut = data.draw(st.integers(0, len(whole) - 1))
    torn = whole[:cut]
    boundaries = {sum(map(len, parts[:n])) for n in range(1, len(parts))}
    assert is_rtcp(torn, cut) == (cut in boundaries)
    if cut in boundaries:
        assert RtcpPacket.parse(torn)


@given(st.binary(max_size=80))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    is_rtcp(b"\x80\xc9" + data, len(data) + 2)


def report(ssrc: int, highest: int) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc, fraction_lost=1, packets_lost=2, highest_sequence=highest, jitter=3, lsr=4, dlsr=5
    )


def both(highest: list[int]) -> bytes:
    """A compound with these in its blocks: two of a sender report, then one of a receiver report."""
    one, two, three = (report(ssrc, number) for ssrc, number in zip((1, 2, 1), highest, strict=True))
    sent = RtcpSrPacket(ssrc=7, sender_info=RtcpSenderInfo(1, 2, 3, 4), reports=[one, two])
    return bytes(sent) + SDES + bytes(RtcpRrPacket(ssrc=7, reports=[three])) + XR


def test_the_numbers_of_a_stream_are_put_back_across_a_wrap_and_nothing_else() -> None:
    packet = bytearray(both([0x1_0002, 0x5_0002, 0x0_0003]))
    renumber_reports(memoryview(packet), lambda ssrc, seq: seq - 4 & 0xFFFF if ssrc == 1 else seq)
    assert bytes(packet) == both([0x0_FFFE, 0x5_0002, 0xFFFF_FFFF])


@given(st.binary(max_size=80))
def test_any_rtcp_can_be_renumbered(rest: bytes) -> None:
    for kind in (b"\xc8", b"\xc9"):
        packet = bytearray(b"\x9f" + kind + rest)
        if is_rtcp(packet, len(packet)):
            renumber_reports(memoryview(packet), lambda ssrc, seq: seq + 1 & 0xFFFF)
            assert is_rtcp(packet, len(packet))
