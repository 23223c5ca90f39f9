"""Agents behind a PBX: who is on its leg, as it says in INVITEs and their answers, or as the API says."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mediaproxy.calls.behind import Naming
from mediaproxy.calls.events import CallAnswered, CallRecord, CallUpdated, is_on
from mediaproxy.calls.model import Agent, AgentFrom, Plan, Policy, RecordingPolicy, Route, Target, Trunk
from mediaproxy.calls.plane import LegId, WatchCodes
from mediaproxy.ids import CallId
from mediaproxy.net import Endpoint
from mediaproxy.sip.headers import Headers
from tests.support.phone import Link, Phone, PhoneCall, Say, World, sdp
from tests.support.plans import CARRIER, PLAN

PBX = Endpoint("127.0.0.8", 15070)
HEADER, PAI, CONTACT = AgentFrom("header", "X-Agent"), AgentFrom("pai"), AgentFrom("contact")


def plan(source: AgentFrom = HEADER) -> Plan:
    pbx = Trunk("pbx", Target("udp", PBX), (ip_network("127.0.0.8/32"),), agent_from=source)
    off = RecordingPolicy(Policy.OFF)
    behind = (
        Agent("carol", trunk="pbx"),
        Agent("dave", trunk="pbx"),
        Agent("olga", recording=off, trunk="pbx"),
        Agent("eve", trunk="elsewhere"),
    )
    routes = (
        Route("trunk:carrier", "+1777*", trunk="pbx"),
        Route("trunk:carrier", "+1778*", trunk="pbx", recording=RecordingPolicy(Policy.AUTOMATIC)),
        Route("trunk:pbx", "+*", trunk="carrier"),
    )
    return replace(
        PLAN, trunks=(*PLAN.trunks, pbx), agents=(*PLAN.agents, *behind), routes=routes + PLAN.routes
    )


def said(source: AgentFrom, agent: str) -> tuple[tuple[str, str], ...]:
    value = {
        "header": agent,
        "pai": f'"A" <sip:{agent}@pbx.example>, <tel:+1>',
        "contact": f"<sip:{agent}@{PBX}>",
    }
    return (
        (
            {"pai": "P-Asserted-Identity", "contact": "Contact"}.get(source.kind, "x-agent"),
            value[source.kind],
        ),
    )


def inbound(
    world: World, *answers: Say, number: str = "+17770100", seconds: float = 2
) -> tuple[PhoneCall, PhoneCall, Phone]:
    """From the carrier to the PBX: the caller's call, the PBX's, the PBX."""
    carrier, pbx = world.phone("carrier", CARRIER), world.phone("pbx", PBX)
    pbx.answers = list(answers)
    call = carrier.invite(number)
    world.run(seconds)
    return call, pbx.calls[0], pbx


def named(agent: str, *, status: int = 200, after: float = 1.0) -> Say:
    return Say(status, after=after, headers=said(HEADER, agent))


def records(world: World) -> list[CallRecord]:
    return [event.call for event in world.events if hasattr(event, "call")]


def latest(world: World) -> CallRecord:
    return records(world)[-1]


def stays(world: World) -> list[tuple[LegId, str, str, int, int | None]]:
    return [(one.leg, one.kind, one.name, one.from_ms, one.to_ms) for one in latest(world).participants]


def answered(world: World) -> CallAnswered:
    return next(event for event in world.events if isinstance(event, CallAnswered))


def reinvite(other: PhoneCall, world: World, agent: str, *, version: int = 2, seconds: float = 1) -> None:
    headers = Headers.of(*said(HEADER, agent))
    other.request("INVITE", headers=headers, body=sdp(PBX.host, 6070, version=version))
    world.run(seconds)


def test_a_2xx_names_the_agent() -> None:
    world = World(plan())
    call, _, _ = inbound(world, named("carol"))
    found = answered(world)
    assert (found.call.agent, found.call.trunk, found.call.direction) == ("carol", "carrier", "inbound")
    assert (found.agent_leg, found.carrier_leg, found.barred) == (LegId.B, LegId.A, False)
    assert [(one.leg, one.kind, one.name, one.number) for one in found.call.participants] == [
        (LegId.A, "trunk", "carrier", "carrier"),
        (LegId.B, "agent", "carol", "+17770100"),
    ]
    call.bye()
    world.run(40)
    assert world.last.agent == "carol"
    world.assert_settled()


def test_a_provisional_response_names_who_rings() -> None:
    world = World(plan())
    inbound(world, named("carol", status=180, after=0.2), named("dave", after=5), seconds=1)
    assert latest(world).agent == "carol"
    world.run(6)
    assert latest(world).agent == answered(world).call.agent == "dave"
    assert [one.name for one in latest(world).participants] == ["carrier", "dave"]


@pytest.mark.parametrize("source", [HEADER, PAI])
def test_an_invite_from_the_pbx_names_the_agent(source: AgentFrom) -> None:
    world = World(plan(source))
    world.phone("carrier", CARRIER)
    call = world.phone("carol", PBX).invite("+4420", headers=said(source, "carol"))
    world.run(2)
    assert call.final == 200
    assert {record.agent for record in records(world)} == {"carol"}
    found = answered(world)
    assert (found.call.direction, found.call.trunk) == ("outbound", "carrier")
    assert (found.agent_leg, found.carrier_leg) == (LegId.A, LegId.B)
    assert found.call.participants[0].name == "carol"


def test_a_contact_names_the_agent() -> None:
    world = World(plan(CONTACT))
    world.phone("carrier", CARRIER)
    world.phone("dave", PBX).invite("+4420")  # a phone's contact has its name
    world.run(2)
    assert answered(world).call.agent == "dave"


@pytest.mark.parametrize("agent", ["mallory", "eve", "", "carol dave", "CAROL"])
def test_whom_we_do_not_know_is_nobody(agent: str) -> None:
    """Nor is one who is behind another PBX."""
    world = World(plan())
    inbound(world, named(agent))
    assert answered(world).call.agent is None
    assert answered(world).call.participants[1].kind == "trunk"


def test_a_re_invite_changes_who_is_there_from_that_moment_on() -> None:
    world = World(plan())
    _, other, _ = inbound(world, named("carol"), seconds=4)
    reinvite(other, world, "dave")
    record = latest(world)
    assert record.agent == "dave"
    assert not is_on(record, "carol")
    assert is_on(record, "dave")
    (_, _, _, _, left_ms), (*_, from_ms, to_ms) = stays(world)[1:]
    assert stays(world)[1:] == [
        (LegId.B, "agent", "carol", 0, left_ms),
        (LegId.B, "agent", "dave", left_ms, None),
    ]
    assert from_ms == left_ms
    assert to_ms is None
    assert left_ms is not None
    assert 2_900 < left_ms < 3_100
    (update,) = [event for event in world.events if isinstance(event, CallUpdated)][1:]
    assert (update.at_ns - answered(world).answered_ns) // 1_000_000 == left_ms
    reinvite(other, world, "nobody", version=3)
    assert latest(world).agent is None
    assert stays(world)[-1][1:3] == ("trunk", "pbx")


def test_what_does_not_say_it_and_what_says_it_again_changes_nothing() -> None:
    world = World(plan())
    call, other, pbx = inbound(world, named("carol"))
    before = len(records(world))
    reinvite(other, world, "carol")
    other.request("INVITE", body=sdp(PBX.host, 6070, version=3))
    world.run(1)
    pbx.reinvite_answers = [Say(200, after=0.05)]
    call.request("INVITE", body=sdp("127.0.0.2", 6070, version=2))
    world.run(1)
    assert len(records(world)) == before


def test_the_answer_to_a_re_invite_names_too() -> None:
    world = World(plan())
    call, _, pbx = inbound(world, named("carol"))
    pbx.reinvite_answers = [Say(200, after=0.05, headers=said(HEADER, "dave"))]
    call.request("INVITE", body=sdp("127.0.0.2", 6070, version=2))
    world.run(1)
    assert latest(world).agent == "dave"


def test_the_carrier_names_nobody() -> None:
    world = World(plan())
    call, _, _ = inbound(world, named("carol"))
    call.request("INVITE", headers=Headers.of(("X-Agent", "dave")), body=sdp("127.0.0.2", 6070, version=2))
    world.run(1)
    assert latest(world).agent == "carol"


def test_a_late_fork_does_not_take_the_call_over() -> None:
    world = World(plan())
    inbound(world, named("carol"), Say(200, after=1.5, tag="other", headers=said(HEADER, "dave")), seconds=4)
    assert latest(world).agent == "carol"


def test_the_api_names_and_the_pbx_does_not_undo_it_by_saying_the_same_again() -> None:
    world = World(plan())
    _, other, _ = inbound(world, named("carol"))
    ident = CallId(latest(world).id)

    def name(agent: str | None) -> Naming:
        naming = world.proxy.name_agent(ident, agent, now_ns=world.now_ns)
        world.settle()
        return naming

    assert name("dave") is Naming.DONE
    assert latest(world).agent == "dave"
    reinvite(other, world, "carol")
    assert latest(world).agent == "dave"
    assert name("mallory") is name("eve") is Naming.UNKNOWN_AGENT
    assert name(None) is Naming.DONE
    assert latest(world).agent is None
    reinvite(other, world, "olga", version=3)
    assert latest(world).agent == "olga"
    assert world.proxy.name_agent(CallId("none"), "dave", now_ns=world.now_ns) is Naming.NO_SUCH_CALL


def test_a_call_without_a_pbx_has_nobody_to_name() -> None:
    world = World(PLAN)
    world.phone("alice", Endpoint("127.0.0.3", 15080))
    world.phone("carrier", CARRIER).invite("+15550100")
    world.run(2)
    naming = world.proxy.name_agent(latest(world).id, "bob", now_ns=world.now_ns)
    assert naming is Naming.NO_PBX
    assert latest(world).agent == "alice"


def test_who_may_not_be_recorded_bars_the_call_while_there() -> None:
    world = World(plan())
    _, other, _ = inbound(world, named("carol"), number="+17780100")
    reinvite(other, world, "olga")
    reinvite(other, world, "dave", version=3)
    updates = [event for event in world.events if isinstance(event, CallUpdated)]
    assert [(update.call.agent, update.barred) for update in updates] == [
        ("carol", False),
        ("olga", True),
        ("dave", False),
    ]


def test_who_may_not_be_recorded_answers() -> None:
    world = World(plan())
    inbound(world, named("olga"), number="+17780100")
    assert answered(world).barred
    assert answered(world).policy.policy is Policy.AUTOMATIC


def test_codes_are_obeyed_from_the_pbx_alone() -> None:
    world = World(plan())
    _, other, _ = inbound(world, named("carol"))
    (watched,) = world.operations(WatchCodes)
    assert isinstance(watched, WatchCodes)
    assert watched.leg is LegId.B
    assert set(watched.codes) == {"start", "stop", "toggle"}
    other.request("INFO", headers=Headers.of(("Record", "on")))
    world.run(1)
    assert [(demand.leg, demand.action) for demand in world.demands] == [(LegId.B, "start")]


@pytest.mark.parametrize("seed", range(5))
def test_on_any_network_the_last_word_counts(seed: int) -> None:
    world = World(plan(), link=Link(0.03, 0.2, loss=0.2, duplicate=0.2), seed=seed)
    call, other, _ = inbound(world, named("carol"), seconds=40)
    assert call.final == 200
    reinvite(other, world, "dave", seconds=40)
    assert latest(world).agent == "dave"
    call.bye()
    world.run(80)
    who = world.last.participants
    assert [one.name for one in who] == ["carrier", "carol", "dave"]
    assert who[1].to_ms == who[2].from_ms
    assert who[0].to_ms == who[2].to_ms == (world.last.ended_at_ms or 0) - (world.last.answered_at_ms or 0)
    world.assert_settled()
