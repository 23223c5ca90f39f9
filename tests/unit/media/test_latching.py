"""The latch rule by itself, with literal times; the plane suite shows it on sockets."""

from mediaproxy.calls.plane import Connect, Latch, LegId, Remote
from mediaproxy.clock import NS_PER_S
from mediaproxy.ids import CallId
from mediaproxy.media.userspace.latching import Latching
from mediaproxy.net import Endpoint, Family

OLD, NEW, ELSEWHERE = ("192.0.2.1", 4000), ("192.0.2.1", 5000), ("198.51.100.1", 4000)


def connect(port: int, latch: Latch = Latch.AUTO, host: str = "192.0.2.1") -> Connect:
    remote = Remote(Endpoint(host, port), Endpoint(host, port + 1))
    return Connect(CallId("c"), LegId.A, remote, latch, "203.0.113.1")


def locked(latch: Latch = Latch.AUTO) -> Latching:
    latching = Latching(Family.IPV4)
    latching.connect(connect(4000, latch), 0)
    latching.source = OLD
    return latching


def test_before_a_description_nobody_is_heard_and_nothing_sent() -> None:
    latching = Latching(Family.IPV4)
    assert not latching.may_be(OLD, 0)
    assert not latching.learn_rtcp(OLD)
    assert latching.destination is None
    assert latching.rtcp_destination is None


def test_where_a_party_left_counts_again_after_two_seconds() -> None:
    latching = locked(Latch.ALWAYS)
    latching.connect(connect(9, Latch.ALWAYS), 10)
    assert not latching.may_be(OLD, 10 + 2 * NS_PER_S - 1)
    assert latching.may_be(ELSEWHERE, 10)
    assert latching.may_be(OLD, 10 + 2 * NS_PER_S)


def test_a_second_change_does_not_forget_where_it_left() -> None:
    latching = locked()
    latching.connect(connect(9), 10)
    latching.connect(connect(11), 20)
    assert not latching.may_be(OLD, 30)
    assert latching.may_be(NEW, 30)


def test_the_latch_may_change_without_the_address() -> None:
    latching = Latching(Family.IPV4)
    latching.connect(connect(4000, Latch.NEVER), 0)
    assert not latching.may_be(NEW, 1)
    latching.connect(connect(4000, Latch.AUTO), 2)
    assert latching.may_be(NEW, 3)
    assert not latching.may_be(ELSEWHERE, 3)


def test_rtcp_may_come_from_where_rtp_is_locked() -> None:
    latching = Latching(Family.IPV4)
    latching.connect(connect(4000, Latch.ALWAYS), 0)
    assert not latching.learn_rtcp(ELSEWHERE)
    latching.source = ("198.51.100.1", 7)
    assert latching.learn_rtcp(ELSEWHERE)
    assert latching.rtcp_destination == ELSEWHERE
    assert not latching.learn_rtcp(("192.0.2.1", 4001))


def test_media_on_hold_goes_nowhere() -> None:
    latching = Latching(Family.IPV4)
    for host, port in (("0.0.0.0", 4000), ("192.0.2.1", 0), ("2001:db8::1", 4000), ("phone.example", 4000)):
        latching.connect(connect(port, host=host), 0)
        assert latching.destination is None
