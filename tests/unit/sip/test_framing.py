"""Framing: the same messages however the stream is cut; bounded; broken once means broken."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.limits import MAX_SIP_MESSAGE_BYTES
from mediaproxy.sip.framing import Broken, Frame, Framed, Pinged, StreamFramer
from tests.support.sip_build import request_in

FIRST = request_in().replace(body=b"one\r\n\r\ntwo").encode()
SECOND = request_in(cseq=2).encode().replace(b"Content-Length:", b"L :")
STREAM = FIRST + b"\r\n\r\n" + SECOND + b"\r\n" + FIRST + b"\r\n\r\n\r\n"
FRAMES: list[Frame] = [Framed(FIRST), Pinged(), Framed(SECOND), Framed(FIRST), Pinged()]


def frames(*chunks: bytes) -> list[Frame]:
    framer = StreamFramer()
    return [frame for chunk in chunks for frame in framer.receive(chunk)]


def described(found: list[Frame]) -> list[object]:
    return [
        (frame.error.reason, frame.error.status, frame.head) if isinstance(frame, Broken) else frame
        for frame in found
    ]


def test_whole() -> None:
    assert frames(STREAM) == FRAMES


def test_cut_at_every_byte() -> None:
    for cut in range(len(STREAM) + 1):
        assert frames(STREAM[:cut], STREAM[cut:]) == FRAMES


def test_byte_by_byte() -> None:
    assert frames(*[bytes([byte]) for byte in STREAM]) == FRAMES


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert frames(*[STREAM[a:b] for a, b in pairwise(edges)]) == FRAMES


@given(st.binary(max_size=60), st.integers(0, 60))
def test_whatever_comes_the_cut_does_not_matter(tail: bytes, cut: int) -> None:
    data = b"INVITE x SIP/2.0\r\nContent-Length: 2\r\n" + tail + b"\r\n\r\nab" + tail
    assert described(frames(data[:cut], data[cut:])) == described(frames(data))


BAD_HEADS = {
    "no length": b"INVITE x SIP/2.0\r\nTo: x\r\n\r\n",
    "two lengths": b"INVITE x SIP/2.0\r\nl: 1\r\nContent-Length : 2\r\n\r\n",
    "no number": b"INVITE x SIP/2.0\r\nl: a\r\n\r\n",
    "negative": b"INVITE x SIP/2.0\r\nl: -1\r\n\r\n",
    "bare line feed": b"INVITE x SIP/2.0\r\nX: a\nl: 9\r\nl: 0\r\n\r\n",
    "folded at once": b"INVITE x SIP/2.0\r\n l: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_bad_framing_is_fatal(name: str) -> None:
    found = frames(BAD_HEADS[name], FIRST)
    assert len(found) == 1
    assert isinstance(found[0], Broken)
    assert found[0].error.status == 400
    assert found[0].head == BAD_HEADS[name][:-4]


@pytest.mark.parametrize(
    "stream",
    [
        b"INVITE x SIP/2.0\r\n" + b"X: y\r\n" * 20_000,
        b"INVITE x SIP/2.0\r\n" + b"X: y\r\n" * 20_000 + b"l: 0\r\n\r\n",
        b"INVITE x SIP/2.0\r\nl: 65535\r\n\r\n",
        b"x" * 200_000,
    ],
)
@pytest.mark.parametrize("size", [200_000, 4096])
def test_too_much_is_fatal(stream: bytes, size: int) -> None:
    (found,) = frames(*[stream[at : at + size] for at in range(0, len(stream), size)])
    assert isinstance(found, Broken)
    assert found.error.status == 413
    assert len(found.head) <= MAX_SIP_MESSAGE_BYTES
    assert not found.head.endswith(b"X")  # whole lines only


def test_the_largest_message_passes() -> None:
    head = b"INVITE x SIP/2.0\r\nl: 65000\r\n\r\n"
    message = head + b"b" * 65_000
    assert frames(message * 2) == [Framed(message)] * 2


def test_waiting_is_told() -> None:
    framer = StreamFramer()
    assert not framer.waiting
    framer.receive(FIRST[:10])
    assert framer.waiting
    framer.receive(FIRST[10:])
    assert not framer.waiting
