"""Copies for a capture server, byte by byte."""

import socket

from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.trace import Said
from mediaproxy.transport.counters import TransportCounters
from mediaproxy.transport.hep import CaptureServer, encode

WALL_NS = 1_700_000_000_123_456_789
US, THEM = Endpoint("192.0.2.1", 5060), Endpoint("198.51.100.2", 5062)


def chunks(datagram: bytes) -> dict[int, bytes]:
    """As the specification cuts them."""
    assert datagram[:4] == b"HEP3"
    assert int.from_bytes(datagram[4:6]) == len(datagram)
    found, at = {}, 6
    while at < len(datagram):
        vendor, kind, length = (int.from_bytes(datagram[at + i : at + i + 2]) for i in (0, 2, 4))
        assert vendor == 0
        found[kind] = datagram[at + 6 : at + length]
        at += length
    assert at == len(datagram)
    return found


def test_what_came_by_udp() -> None:
    said = Said(0, False, Flow("udp", US, THEM), b"BYE sip:a@b SIP/2.0\r\n\r\n")
    assert chunks(encode(said, wall_ns=WALL_NS, capture_id=2001)) == {
        1: b"\x02",
        2: b"\x11",
        3: bytes([198, 51, 100, 2]),
        4: bytes([192, 0, 2, 1]),
        7: b"\x13\xc6",
        8: b"\x13\xc4",
        9: (1_700_000_000).to_bytes(4),
        10: (123_456).to_bytes(4),
        11: b"\x01",
        12: (2001).to_bytes(4),
        15: said.text,
    }


def test_what_we_sent_by_tcp_over_ipv6() -> None:
    ours, theirs = Endpoint("2001:db8::1", 5060), Endpoint("2001:db8::2", 40_000)
    found = chunks(encode(Said(0, True, Flow("tcp", ours, theirs, 3), b"x"), wall_ns=WALL_NS, capture_id=1))
    assert (found[1], found[2]) == (b"\x0a", b"\x06")
    assert found[5] == socket.inet_pton(socket.AF_INET6, ours.host)
    assert found[6] == socket.inet_pton(socket.AF_INET6, theirs.host)
    assert 3 not in found
    assert int.from_bytes(found[8]) == 40_000


def test_the_longest_message_still_fits_a_datagram() -> None:
    said = Said(0, True, Flow("udp", US, THEM), bytes(65_535))
    assert len(encode(said, wall_ns=WALL_NS, capture_id=1)) < 65_507


async def test_a_copy_that_nobody_takes_is_counted_and_forgotten() -> None:
    counters = TransportCounters()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        server = CaptureServer(Endpoint(*collector.getsockname()), 9, counters)
        server.send(Said(0, True, Flow("udp", US, THEM), b"hello"), wall_ns=WALL_NS)
        assert chunks(collector.recv(2_000))[15] == b"hello"
    server.close()
    server.send(Said(0, True, Flow("udp", US, THEM), b"hello"), wall_ns=WALL_NS)
    assert (counters.captured, counters.capture_failed) == (1, 1)
