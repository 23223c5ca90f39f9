"""More than we can take, and those whom nobody knows: who is in a call feels nothing of it."""

import pytest

from mediaproxy.calls.events import SourceRefused
from mediaproxy.calls.model import Agent, EmergencyPlan, Guard
from mediaproxy.net import Endpoint
from mediaproxy.sip.digest import Secret
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from tests.support.phone import PROXY, Phone, PhoneCall, Say, World
from tests.support.plans import ALICE, BOB, CARRIER, PLAN, STRANGER, with_plan

HELP = EmergencyPlan(frozenset({"112"}), ("other",))


def guarded(**guard: object) -> World:
    return World(with_plan(guard=Guard(**guard), emergency=HELP))  # type: ignore[arg-type]  # by name


def request(method: str, number: int, source: Endpoint, agent: str, called: str) -> bytes:
    lines = Headers.of(
        ("Via", f"SIP/2.0/UDP {source};branch=z9hG4bK{method}{number}"),
        ("From", f"<sip:{number}@{source}>;tag=f{number}"),
        ("To", f"<sip:{called}@{PROXY}>"),
        ("Call-ID", f"{number}@{source}"),
        ("CSeq", f"1 {method}"),
        ("Max-Forwards", 70),
        ("User-Agent", agent),
        ("Contact", f"<sip:{source}>"),
    )
    return Request(method, f"sip:{called}@{PROXY}", lines).encode()


def flood(
    world: World,
    source: Endpoint,
    count: int,
    method: str = "OPTIONS",
    agent: str = "Phone/1",
    number: str = "x",
) -> list[int]:
    """The statuses of what comes back at once, in order."""
    before = len(world.wire)
    for at in range(count):
        world.deliver(request(method, at, source, agent, number), Flow("udp", PROXY, source))
    back = [data for flow, data in world.wire[before:] if flow.remote == source]
    return [int(data.split()[1]) for data in back]


def phones(world: World) -> tuple[Phone, Phone, Phone]:
    return world.phone("carrier", CARRIER), world.phone("alice", ALICE), world.phone("other", OTHER)


OTHER = Endpoint("127.0.0.7", 15070)


def talking(world: World) -> PhoneCall:
    """Alice is in a call that she placed."""
    call = world.phones[ALICE].invite("+4930")
    world.run(3)
    assert call.final == 200
    return call


def test_an_agent_has_its_rate_and_a_trunk_has_none() -> None:
    world = guarded(max_requests_per_second=10)
    assert flood(world, BOB, 15) == [200] * 10 + [503] * 5
    assert b"\r\nRetry-After: " in world.wire[-1][1]
    assert flood(world, ALICE, 10) == [200] * 10
    assert flood(world, CARRIER, 500) == [200] * 500
    assert world.proxy.counters.too_many_requests == 5
    world.run(1)
    assert flood(world, Endpoint(BOB.host, 1024), 11) == [200] * 10 + [503]  # whatever its port


def test_what_is_refused_leaves_nothing_behind() -> None:
    world = guarded(max_requests_per_second=1)
    flood(world, BOB, 2_000, "INVITE")
    assert len(world.proxy._context.layer) <= 1
    assert len(world.proxy) <= 1


def test_a_refused_request_is_answered_the_same_again() -> None:
    world = guarded(max_requests_per_second=1)
    flood(world, BOB, 1)
    first = flood(world, BOB, 3)
    answers = {data for flow, data in world.wire if flow.remote == BOB and b"503" in data[:12]}
    assert first == [200, 503, 503]  # the first is a repetition of what was let in
    assert len(answers) == 2


def test_who_is_in_a_call_is_never_refused() -> None:
    world = guarded(max_requests_per_second=5)
    carrier, alice, _ = phones(world)
    call = talking(world)
    assert flood(world, ALICE, 50)[-1] == 503
    call.request("INFO")
    call.request("INVITE", body=alice.media)
    world.run(0.5)
    assert [response.status for response in call.responses if response.cseq.method == "INFO"] == [200]
    assert flood(world, ALICE, 50, "MESSAGE")[-1] == 503
    call.bye()
    world.run(40)
    assert [response.status for response in call.responses if response.cseq.method == "BYE"] == [200]
    assert carrier.calls[0].over
    world.assert_settled()


def test_a_call_is_cancelled_whatever_comes() -> None:
    world = guarded(max_requests_per_second=5)
    carrier, alice, _ = phones(world)
    carrier.answers = [Say(180)]
    call = alice.invite("+4930")
    world.run(1)
    assert flood(world, ALICE, 50)[-1] == 503
    call.cancel()
    world.run(40)
    assert call.final == 487
    world.assert_settled()


def test_a_cancel_of_nothing_is_a_request_like_others() -> None:
    world = guarded(max_requests_per_second=5)
    assert flood(world, BOB, 8, "CANCEL") == [481] * 5 + [503] * 3


def test_somebody_calls_for_help_through_a_flood() -> None:
    world = guarded(max_requests_per_second=5, max_transactions=100)
    _, alice, other = phones(world)
    flood(world, CARRIER, 200)
    assert flood(world, ALICE, 50)[-1] == 503
    call = alice.invite("112")
    world.run(3)
    assert call.final == 200
    assert len(other.calls) == 1


def test_a_quarter_of_the_transactions_is_for_trunks() -> None:
    world = guarded(max_transactions=100)
    assert flood(world, BOB, 100) == [200] * 75 + [503] * 25
    assert flood(world, CARRIER, 50) == [200] * 25 + [503] * 25
    assert world.proxy.counters.no_room == 50
    world.run(40)
    assert flood(world, BOB, 1) == [200]


def test_a_new_plan_has_other_rates() -> None:
    world = guarded(max_requests_per_second=1)
    assert flood(world, BOB, 2) == [200, 503]
    world.proxy.replace_plan(with_plan())
    assert flood(world, BOB, 100, "MESSAGE") == [405] * 100


def test_a_stranger_who_says_112_is_one_all_the_same() -> None:
    """Where agents register anybody may be one, and is challenged."""
    carol = Agent("carol", secret=Secret.of("carol", "pbx.example", "x"))
    guard = Guard(max_requests_per_second=5)
    world = World(with_plan(agents=(*PLAN.agents, carol), guard=guard, emergency=HELP))
    world.phone("other", OTHER)
    assert flood(world, STRANGER, 8, "INVITE", number="112") == [407] * 5 + [503] * 3
    assert flood(world, ALICE, 8, "INVITE", number="112") == []
    assert len(world.proxy) == 8  # calls that are being set up


# -- those whom nobody knows


def told(world: World) -> list[SourceRefused]:
    return [event for event in world.events if isinstance(event, SourceRefused)]


def test_a_strangers_invite_is_refused_and_forgotten() -> None:
    world = guarded()
    assert flood(world, STRANGER, 1_000, "INVITE") == [403] * 1_000
    assert len(world.proxy._context.layer) == 0
    assert world.proxy.counters.unknown_sources == 1_000
    assert told(world) == [SourceRefused(STRANGER.host, "unknown", 1)]


def test_a_source_is_told_of_once_a_minute_with_what_it_sent() -> None:
    world = guarded()
    flood(world, STRANGER, 10, "INVITE")
    world.run(59)
    flood(world, STRANGER, 1, "INVITE")
    assert len(told(world)) == 1
    world.run(2)
    flood(world, STRANGER, 1, "INVITE")
    assert told(world)[1:] == [SourceRefused(STRANGER.host, "unknown", 11)]


def test_a_thousand_forged_sources_fill_no_log() -> None:
    world = guarded()
    for number in range(1_000):
        flood(world, Endpoint(f"127.1.{number // 250}.{number % 250 + 1}", 5060), 1, "INVITE")
    assert len(told(world)) == 20


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL"])
def test_strangers_may_get_no_answer_at_all(method: str) -> None:
    world = guarded(drops_unknown=True)
    assert flood(world, STRANGER, 5, method) == []
    assert world.proxy.counters.unknown_sources == 5
    assert told(world) == [SourceRefused(STRANGER.host, "unknown", 1)]
    assert flood(world, CARRIER, 1) == [200]


@pytest.mark.parametrize(
    "agent", ["friendly-scanner", "sipsak 0.9.6", "Friendly-Scanner", "pplsip", "SIPVicious 3"]
)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER"])
def test_scanners_get_no_answer(agent: str, method: str) -> None:
    world = guarded()
    assert flood(world, STRANGER, 3, method, agent) == []
    assert world.proxy.counters.scanners == 3
    assert told(world) == [SourceRefused(STRANGER.host, "scanner", 1)]


def test_whom_we_know_is_not_reported_for_a_forged_scanner() -> None:
    """Whoever forges a carrier's address must not have it banned."""
    world = guarded()
    assert flood(world, CARRIER, 3, agent="friendly-scanner") == []
    assert told(world) == []
