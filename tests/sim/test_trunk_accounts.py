"""Carriers that we register with: the binding's life, and whose challenges our password answers."""

from dataclasses import replace
from itertools import pairwise

import pytest

from mediaproxy.calls.events import TrunkRegistered
from mediaproxy.net import Endpoint
from mediaproxy.sip.parser import parse_message
from tests.support.carrier_registrar import ACCOUNT, PASSWORD, REALM, USER, Carrier, fields, with_account
from tests.support.phone import Link, Say, World
from tests.support.plans import ALICE, CARRIER, PLAN

ABROAD = "+4930123"


def made(**changes: object) -> tuple[World, Carrier]:
    world = World(with_account(replace(ACCOUNT, **changes)))  # type: ignore[arg-type]  # names are checked
    return world, Carrier(world)


def told(world: World) -> list[object]:
    return [event for event in world.events if isinstance(event, TrunkRegistered)]


# -- the binding


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
@pytest.mark.parametrize("qop", ['"auth"', '"auth-int, auth"', ""])
@pytest.mark.parametrize("status", [401, 407])
def test_a_registrar_gets_what_it_asks_for(algorithm: str, qop: str, status: int) -> None:
    world, carrier = made()
    carrier.algorithm, carrier.qop, carrier.challenges = algorithm, qop, {"REGISTER": status}
    world.run(1)
    first, second = carrier.registers
    assert carrier.wrong == []
    assert carrier.bound
    assert told(world) == [TrunkRegistered("carrier", True, 200)]
    assert first.uri == second.uri == "sip:carrier.example"
    assert str(first.to) == f"<sip:{USER}@carrier.example>"
    assert first.headers.all("contact") == [f"<sip:{USER}@127.0.0.1:15060>"]
    assert (first.call_id, first.cseq.number + 1) == (second.call_id, second.cseq.number)


def test_it_is_refreshed_for_days_without_a_gap_and_by_one_request_each_time() -> None:
    world, carrier = made(expires_s=600)
    world.run(1)
    for _ in range(300):
        world.run(600)
        assert carrier.bound
    assert len(carrier.registers) == 2 + 300 * 600 // 540
    assert told(world) == [TrunkRegistered("carrier", True, 200)]
    assert max(carrier.counts.values()) == len(carrier.registers) - 1  # one nonce, each count once


def test_what_the_registrar_grants_counts_not_what_we_asked_for() -> None:
    world, carrier = made()
    carrier.granted_s = 30
    world.run(100)
    assert carrier.bound
    assert len(carrier.registers) == 2 + 6  # every 15 s


def test_a_stale_nonce_is_answered_and_the_next_one_is_used_when_it_is_named() -> None:
    world, carrier = made(expires_s=120)
    world.run(1)
    carrier.stale()
    world.run(60)
    assert [("stale" in str(one)) for one in told(world)] == [False]
    assert (len(carrier.registers), carrier.bound) == (4, True)
    carrier.more = (("Authentication-Info", 'nextnonce="n2"'),)
    world.run(60)
    carrier.stale()
    world.run(60)
    assert (len(carrier.registers), carrier.bound) == (6, True)
    assert fields(carrier.registers[-1].headers.all("authorization")[0])["nonce"] == "n2"


def test_an_interval_too_brief_is_made_longer_once() -> None:
    world, carrier = made(expires_s=60)
    carrier.script = [(423, (("Min-Expires", "1800"),))]
    world.run(1)
    assert [one.headers.first("expires") for one in carrier.registers] == ["60", "1800", "1800"]
    assert carrier.bound


@pytest.mark.parametrize("least", ["60", "0", "4294967295", "x", None])
def test_an_interval_that_makes_no_sense_is_a_failure(least: str | None) -> None:
    world, carrier = made(expires_s=60)
    carrier.script = [(423, () if least is None else (("Min-Expires", least),))]
    world.run(1)
    assert (len(carrier.registers), carrier.bound) == (1, False)
    world.run(5)
    assert carrier.bound


def test_a_wrong_password_is_not_tried_again_soon() -> None:
    world, carrier = made(password="guessed")
    world.run(299)
    assert (len(carrier.registers), len(carrier.wrong)) == (2, 1)
    assert told(world) == [TrunkRegistered("carrier", False, 401)]
    world.run(40)
    assert (len(carrier.registers), len(carrier.wrong)) == (4, 2)
    assert world.proxy.counters.trunk_registrations_failed == 2


def test_failures_are_tried_again_later_each_time_and_as_the_registrar_says() -> None:
    world, carrier = made()
    carrier.script = [(500, ())] * 5
    at = []
    for second in range(200):
        before = len(carrier.registers)
        world.run(1)
        if len(carrier.registers) > before:
            at.append(second)
    waits = [later - sooner for sooner, later in pairwise(at)]
    least = [5, 10, 20, 40, 80]
    assert len(waits) == len(least)
    assert all(short <= wait <= 1.1 * short + 1 for wait, short in zip(waits, least, strict=True))
    assert carrier.bound
    assert told(world) == [TrunkRegistered("carrier", False, 500), TrunkRegistered("carrier", True, 200)]
    again, told_when = made()
    told_when.script = [(503, (("Retry-After", "77 (later)"),))]
    again.run(76)
    assert len(told_when.registers) == 1
    again.run(10)
    assert told_when.bound


def test_silence_ends_the_binding_when_it_expires_and_not_before() -> None:
    world, carrier = made(expires_s=120)
    world.run(1)
    carrier.silent = True
    world.run(115)
    assert told(world) == [TrunkRegistered("carrier", True, 200)]
    world.run(10)
    assert told(world)[1:] == [TrunkRegistered("carrier", False, 408)]
    carrier.silent = False
    world.run(400)
    assert carrier.bound
    assert told(world)[2:] == [TrunkRegistered("carrier", True, 200)]


def test_at_the_end_it_is_removed() -> None:
    world, carrier = made()
    world.run(1)
    carrier.stale()
    world.proxy.leave_trunks(now_ns=world.now_ns)
    world.settle()
    assert world.proxy.trunks.leaving
    world.run(1)
    assert not carrier.bound
    assert not world.proxy.trunks.leaving
    assert carrier.registers[-1].headers.first("expires") == "0"
    count = len(carrier.registers)
    world.run(10_000)
    assert len(carrier.registers) == count


def test_a_plan_that_says_otherwise_registers_anew_and_one_that_says_the_same_does_not() -> None:
    world, carrier = made()
    world.run(1)
    world.proxy.replace_plan(with_account())
    world.run(1)
    assert len(carrier.registers) == 2
    world.proxy.replace_plan(with_account(replace(ACCOUNT, expires_s=60)))
    world.run(1)
    assert (carrier.registers[-1].headers.first("expires"), carrier.bound) == ("60", True)
    world.proxy.replace_plan(PLAN)
    world.settle()
    world.run(1)
    assert (carrier.registers[-1].headers.first("expires"), carrier.bound) == ("0", False)
    assert world.proxy.trunks.registered == {}


@pytest.mark.parametrize("seed", range(8))
def test_on_a_bad_network_too(seed: int) -> None:
    world = World(
        with_account(replace(ACCOUNT, expires_s=600)),
        link=Link(jitter_s=0.1, loss=0.3, duplicate=0.1),
        seed=seed,
    )
    carrier = Carrier(world)
    world.run(100)
    gaps = 0
    for _ in range(500):
        world.run(60)
        gaps += not carrier.bound
    assert gaps == 0
    assert carrier.wrong == []


# -- calls


def calling(**challenges: int) -> tuple[World, Carrier]:
    world, carrier = made()
    carrier.challenges |= challenges
    carrier.answers = [Say(180, after=0.2), Say(200, after=1.0)]
    world.run(1)
    return world, carrier


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenged_call_is_set_up_held_and_ended(status: int) -> None:
    world, carrier = calling(INVITE=status, BYE=status, INFO=status)
    alice = world.phone("alice", ALICE)
    call = alice.invite(ABROAD)
    world.run(3)
    assert call.final == 200
    assert all(one not in call.statuses for one in (401, 403, 407))
    (leg,) = carrier.calls
    assert len(leg.acks) == 1
    name = "authorization" if status == 401 else "proxy-authorization"
    assert leg.acks[0].headers.all(name) == leg.requests[0].headers.all(name)  # RFC 3261 22.1
    call.request("INVITE", body=alice.media)
    world.run(1)
    assert call.statuses.count(200) == 2
    assert len(leg.acks) == 2
    call.bye()
    world.run(2)
    numbers = [request.cseq.number for request in leg.requests]
    assert numbers == sorted(set(numbers))
    assert leg.over
    assert carrier.wrong == []
    world.assert_settled()


def test_the_carrier_hangs_up_a_challenged_call() -> None:
    world, carrier = calling(INVITE=407)
    alice = world.phone("alice", ALICE)
    call = alice.invite(ABROAD)
    world.run(3)
    carrier.calls[0].bye()
    world.run(2)
    assert call.over
    world.assert_settled()


def test_a_caller_who_gives_up_while_we_are_challenged_leaves_nothing() -> None:
    for after in (0.005, 0.025, 0.035, 0.045, 0.06, 0.3):
        world, carrier = calling(INVITE=407)
        call = world.phone("alice", ALICE).invite(ABROAD)
        world.later(after, call.cancel)
        world.run(60)
        assert call.final == 487
        assert all(leg.acks == [] for leg in carrier.calls)
        world.assert_settled()


def test_what_was_cancelled_before_its_challenge_is_not_sent_again() -> None:
    world, carrier = calling(INVITE=407)
    carrier.delay_s = 0.4  # the CANCEL waits for the 100 that comes after 0.2
    call = world.phone("alice", ALICE).invite(ABROAD)
    world.later(0.1, call.cancel)
    world.run(60)
    assert call.final == 487
    assert shown(world, after="INVITE") == []
    world.assert_settled()


def test_a_wrong_password_is_a_refusal_after_one_try() -> None:
    world, carrier = made(password="guessed")
    carrier.challenges |= {"INVITE": 407}
    world.run(1)
    tries = len(carrier.wrong)
    call = world.phone("alice", ALICE).invite(ABROAD)
    world.run(3)
    assert call.final == 403
    assert len(carrier.wrong) == tries + 1
    world.assert_settled()


def test_no_other_realm_gets_an_answer() -> None:
    world, carrier = calling(INVITE=407)
    carrier.realm = "elsewhere.example"
    call = world.phone("alice", ALICE).invite(ABROAD)
    world.run(3)
    assert call.final == 403
    assert shown(world, after="INVITE") == []
    world.assert_settled()


def test_nobody_but_the_trunk_gets_an_answer_even_in_its_own_dialog() -> None:
    """A Contact that leads elsewhere takes our BYE there; a challenge from there stays unanswered."""
    world, carrier = calling(INVITE=407, BYE=407)
    thief = Carrier(world, Endpoint("127.0.0.99", 15070))
    thief.challenges = {"BYE": 407}
    carrier.answers = [Say(200, after=0.2, headers=(("Record-Route", f"<sip:{thief.at};lr>"),))]
    alice = world.phone("alice", ALICE)
    call = alice.invite(ABROAD)
    world.run(2)
    call.bye()
    world.run(40)
    to_thief = [parse_message(data) for flow, data in world.wire if flow.remote == thief.at]
    assert {one.cseq.method for one in to_thief} == {"ACK", "BYE"}
    assert all("proxy-authorization" not in one.headers for one in to_thief)
    world.assert_settled()


def test_an_agents_challenge_gets_no_answer() -> None:
    world, carrier = calling(INVITE=407)
    alice = Carrier(world, ALICE)
    alice.challenges = {"INVITE": 407, "BYE": 407}
    call = carrier.invite("+15550100")
    world.run(3)
    assert call.final == 403
    assert all(b"Authorization" not in data for flow, data in world.wire if flow.remote == ALICE)


def test_a_realm_of_the_configuration_is_kept_to() -> None:
    world, carrier = made(realm="other.example")
    world.run(1)
    assert not carrier.bound
    assert shown(world) == []
    world, carrier = made(realm=REALM)
    world.run(1)
    assert carrier.bound


def test_the_password_stands_nowhere() -> None:
    world, _ = calling(INVITE=407)
    world.phone("alice", ALICE).invite(ABROAD)
    world.run(3)
    assert all(PASSWORD.encode() not in data for _, data in world.wire)
    assert PASSWORD not in repr(with_account())


def shown(world: World, *, after: str = "") -> list[str]:
    """The credentials that the proxy showed in requests of that method (or of any)."""
    requests = [parse_message(data) for flow, data in world.wire if flow.remote == CARRIER]
    return [
        value
        for one in requests
        if one.cseq.method == after or not after
        for name in ("authorization", "proxy-authorization")
        for value in one.headers.all(name)
    ]
