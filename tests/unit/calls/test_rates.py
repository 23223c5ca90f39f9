"""Token buckets: so many a second from each source, and a table that stays small."""

from mediaproxy.calls.rates import Buckets
from mediaproxy.net import place_of


def test_a_burst_then_the_rate() -> None:
    buckets = Buckets(rate=10.0, burst=20.0, most=8)
    assert [buckets.take("a", now=5.0) for _ in range(21)] == [True] * 20 + [False]
    assert not buckets.take("a", now=5.09)
    assert buckets.take("a", now=5.11)
    assert not buckets.take("a", now=5.11)
    taken = sum(buckets.take("a", now=6.0 + at / 1000) for at in range(10_000))
    assert 100 <= taken <= 111


def test_sources_are_apart() -> None:
    buckets = Buckets(rate=1.0, burst=1.0, most=8)
    assert [buckets.take(source, now=0.0) for source in "aabb"] == [True, False, True, False]


def test_a_full_bucket_holds_no_more_than_a_burst() -> None:
    buckets = Buckets(rate=10.0, burst=2.0, most=8)
    assert buckets.take("a", now=0.0)
    assert [buckets.take("a", now=100.0) for _ in range(3)] == [True, True, False]


def test_the_table_is_bounded_and_the_busiest_stay() -> None:
    buckets = Buckets(rate=0.001, burst=1.0, most=8)
    assert buckets.take("busy", now=0.0)
    for number in range(1_000):
        buckets.take(f"other{number}", now=0.0)
        assert not buckets.take("busy", now=0.0)
        assert len(buckets) <= 8


def test_one_customer_has_many_addresses() -> None:
    assert place_of("192.0.2.1") == "192.0.2.1"
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:1") != place_of("2001:db8:0:1::1")
