"""The order of a trunk's targets (RFC 2782)."""

import random
from collections import Counter

from mediaproxy.calls.failover import in_order
from mediaproxy.calls.model import Place, Target, Trunk
from mediaproxy.net import Endpoint

A, B, C, D = (Target("udp", Endpoint("127.0.0.2", 5060 + number)) for number in range(4))


def orders(*places: Place, times: int = 1) -> list[list[Target]]:
    chance = random.Random(1)
    trunk = Trunk("carrier", places[0].target, (), places=places)
    return [in_order(trunk, chance.randbytes) for _ in range(times)]


def test_lower_priorities_come_first_and_each_target_once() -> None:
    places = (Place(A, 20), Place(B, 10, 5), Place(C, 10, 5), Place(D, 5))
    for order in orders(*places, times=50):
        assert order[0] == D
        assert set(order[1:3]) == {B, C}
        assert order[3] == A


def test_equal_priorities_are_chosen_in_proportion_to_their_weight() -> None:
    first = Counter(order[0] for order in orders(Place(A, 0, 60), Place(B, 0, 20), Place(C), times=4_000))
    assert 2_800 < first[A] < 3_200
    assert 850 < first[B] < 1_150
    assert 0 < first[C] < 150


def test_without_a_choice_chance_is_not_asked() -> None:
    def never(count: int) -> bytes:
        raise AssertionError(count)

    assert in_order(Trunk("carrier", A, ()), never) == [A]
    assert in_order(Trunk("carrier", A, (), places=(Place(A, 2), Place(B, 1))), never) == [B, A]
