"""The port pool: order, quarantine, other processes' ports, exhaustion; literal times."""

import socket
from collections.abc import Iterator

import pytest

from mediaproxy.errors import Unavailable
from mediaproxy.media.ports import PortPair, PortPool
from mediaproxy.net import Family

HOST = "127.0.0.21"
QUARANTINE_NS = 5_000_000_000


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
        (range(42_000, 42_006), [42_000, 42_002, 42_004]),
        (range(42_001, 42_006), [42_002, 42_004]),
        (range(42_000, 42_005), [42_000, 42_002]),
        (range(42_001, 42_003), []),
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
    pool = pool_of(range(42_010, 42_016))
    for _ in range(3):
        pairs.take(pool)
    for now_ns, port in enumerate((42_012, 42_014, 42_010)):
        pairs.give_back(pool, port, now_ns)
    later = 2 * QUARANTINE_NS
    assert [pairs.take(pool, later) for _ in range(3)] == [42_012, 42_014, 42_010]


def test_a_port_rests_before_it_is_taken_again(pairs: Pairs) -> None:
    pool = pool_of(range(42_020, 42_022))
    pairs.take(pool)
    pairs.give_back(pool, 42_020, 100)
    with pytest.raises(Unavailable, match="no media port is free"):
        pool.take(99 + QUARANTINE_NS)
    assert pairs.take(pool, 100 + QUARANTINE_NS) == 42_020


def test_all_others_are_taken_before_one_that_rested(pairs: Pairs) -> None:
    pool = pool_of(range(42_030, 42_038))
    assert pairs.take(pool) == 42_030
    pairs.give_back(pool, 42_030, 0)
    later = 10 * QUARANTINE_NS
    assert [pairs.take(pool, later) for _ in range(4)] == [42_032, 42_034, 42_036, 42_030]


@pytest.mark.parametrize("held", [42_040, 42_041])
@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])
def test_what_another_process_holds_is_passed_over_and_tried_again_later(
    pairs: Pairs, held: int, host: str
) -> None:
    pool = pool_of(range(42_040, 42_044))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        # Even from one that would share it.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, held))
        assert pairs.take(pool) == 42_042
        with pytest.raises(Unavailable):
            pool.take(0)
    assert pairs.take(pool) == 42_040


def test_a_range_that_is_all_held_fails_in_bounded_time_without_leaking() -> None:
    pool = pool_of(range(1, 1000), host="192.0.2.1")  # not an address of ours
    with pytest.raises(Unavailable, match="no media port could be bound"):
        pool.take(0)


def test_ipv6_ports_are_of_their_own(pairs: Pairs) -> None:
    four, six = pool_of(range(42_050, 42_052)), pool_of(range(42_050, 42_052), Family.IPV6, "::1")
    assert pairs.take(four) == pairs.take(six) == 42_050
    assert pairs[1].rtp.family == socket.AF_INET6
