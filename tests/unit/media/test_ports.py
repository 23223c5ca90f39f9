"""The port pool: order, quarantine, other processes' ports, exhaustion; literal times."""

import socket
from collections.abc import Iterator

import pytest

from mediaproxy.errors import Unavailable
from mediaproxy.media.ports import PortPair, PortPool
from mediaproxy.net import Family

HOST = "127.0.0.21"
QUARANTINE_NS = 5_000_000_000

pytestmark = pytest.mark.xdist_group("the very ports")  # two processes would hold them from each other


class Pairs(list[PortPair]):
    """What a test took, to be closed behind it."""

    def take(self, pool: PortPool, now_ns: int = 0) -> int:
        self.append(pool.take(now_ns))
        return self[-1].port

    def give_back(self, pool: PortPool, port: int, now_ns: int) -> None:
        pair = next(pair for pair in self if pair.port == port)
        self.remove(pair)
        pool.give_back(pair, now_ns)


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    taken = Pairs()
    yield taken
    for pair in taken:
        pair.close()


def pool_of(ports: range, family: Family = Family.IPV4, host: str = HOST) -> PortPool:
    return PortPool(host, family, ports, quarantine_s=5.0)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (range(31_000, 31_006), [31_000, 31_002, 31_004]),
        (range(31_001, 31_006), [31_002, 31_004]),
        (range(31_000, 31_005), [31_000, 31_002]),
        (range(31_001, 31_003), []),
    ],
)
def test_only_whole_pairs_inside_the_range_are_taken(pairs: Pairs, ports: range, expected: list[int]) -> None:
    pool = pool_of(ports)
    assert [pairs.take(pool) for _ in expected] == expected
    for pair in pairs:
        assert pair.rtp.getsockname()[1] == pair.port
        assert pair.rtcp.getsockname()[1] == pair.port + 1
    with pytest.raises(Unavailable):
        pool.take(0)


def test_first_given_back_is_first_taken_again(pairs: Pairs) -> None:
    pool = pool_of(range(31_010, 31_016))
    for _ in range(3):
        pairs.take(pool)
    for now_ns, port in enumerate((31_012, 31_014, 31_010)):
        pairs.give_back(pool, port, now_ns)
    later = 2 * QUARANTINE_NS
    assert [pairs.take(pool, later) for _ in range(3)] == [31_012, 31_014, 31_010]


def test_a_port_rests_before_it_is_taken_again(pairs: Pairs) -> None:
    pool = pool_of(range(31_020, 31_022))
    pairs.take(pool)
    pairs.give_back(pool, 31_020, 100)
    with pytest.raises(Unavailable, match="no media port is free"):
        pool.take(99 + QUARANTINE_NS)
    assert pairs.take(pool, 100 + QUARANTINE_NS) == 31_020


def test_all_others_are_taken_before_one_that_rested(pairs: Pairs) -> None:
    pool = pool_of(range(31_030, 31_038))
    assert pairs.take(pool) == 31_030
    pairs.give_back(pool, 31_030, 0)
    later = 10 * QUARANTINE_NS
    assert [pairs.take(pool, later) for _ in range(4)] == [31_032, 31_034, 31_036, 31_030]


@pytest.mark.parametrize("held", [31_040, 31_041])
@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])
def test_what_another_process_holds_is_passed_over_and_tried_again_later(
    pairs: Pairs, held: int, host: str
) -> None:
    pool = pool_of(range(31_040, 31_044))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        # Even from one that would share it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, held))
        assert pairs.take(pool) == 31_042
        with pytest.raises(Unavailable):
            pool.take(0)
    assert pairs.take(pool) == 31_040


def test_a_range_that_is_all_held_fails_in_bounded_time_without_leaking() -> None:
    pool = pool_of(range(1, 1000), host="192.0.2.1")  # not an address of ours
    with pytest.raises(Unavailable, match="no media port could be bound"):
        pool.take(0)


def test_ipv6_ports_are_of_their_own(pairs: Pairs) -> None:
    four, six = pool_of(range(31_050, 31_052)), pool_of(range(31_050, 31_052), Family.IPV6, "::1")
    assert pairs.take(four) == pairs.take(six) == 31_050
    assert pairs[1].rtp.family == socket.AF_INET6


def heard_by(sock: socket.socket) -> list[bytes]:
    """What waits in a socket; on loopback it is there as soon as it was sent."""
    heard: list[bytes] = []
    while True:
        try:
            heard.append(sock.recv(100))
        except BlockingIOError:
            return heard


@pytest.mark.parametrize(
    ("family", "host", "moved_host"),
    [(Family.IPV4, HOST, "127.0.0.22"), (Family.IPV6, "::1", "::1")],
)
def test_a_narrowed_port_hears_its_party_and_others_beside_it(
    pairs: Pairs, family: Family, host: str, moved_host: str
) -> None:
    pair = pool_of(range(31_010, 31_012), family, host).take(0)
    pairs.append(pair)
    at = pair.rtp.getsockname()
    with _bound(family, host) as party, _bound(family, host) as stranger, _bound(family, moved_host) as moved:
        stranger.sendto(b"before", at)
        pair.narrow(party.getsockname())
        assert pair.others is not None
        for sender in (party, stranger, moved):
            sender.sendto(b"after", at)
        assert heard_by(pair.rtp) == [b"before", b"after"]
        assert heard_by(pair.others) == [b"after", b"after"]
        others = pair.others
        pair.narrow(moved.getsockname())
        assert pair.others is others
        party.sendto(b"left", at)
        moved.sendto(b"there", at)
        assert (heard_by(pair.rtp), heard_by(others)) == ([b"there"], [b"left"])
        pair.rtp.send(b"hello")
        assert moved.recv(100) == b"hello"


def test_no_other_process_gets_into_a_narrowed_port(pairs: Pairs) -> None:
    pair = pool_of(range(31_010, 31_012)).take(0)
    pairs.append(pair)
    pair.narrow(("127.0.0.22", 9))
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setsockopt(socket.SOL_SOCKET, option, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind((HOST, pair.port))


def test_a_port_that_cannot_be_narrowed_stays_as_it_is(pairs: Pairs) -> None:
    pair = pool_of(range(31_010, 31_012)).take(0)
    pairs.append(pair)
    with pytest.raises(PermissionError):
        pair.narrow(("255.255.255.255", 9))  # without SO_BROADCAST
    assert pair.others is None
    with _bound(Family.IPV4, HOST) as anybody:
        anybody.sendto(b"heard", pair.rtp.getsockname())
    assert heard_by(pair.rtp) == [b"heard"]


def _bound(family: Family, host: str) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((host, 0))
    return bound
