"""Calls for help: before every route and limit, with the caller's location byte for byte."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mediaproxy.calls.events import CallAnswered, CallStarted
from mediaproxy.calls.model import EmergencyPlan, Plan, Policy, RecordingPolicy, Route, Target, Trunk
from mediaproxy.net import Endpoint
from mediaproxy.sip.parser import parse_message
from tests.support.phone import Phone, PhoneCall, World, sdp
from tests.support.plans import ALICE, CARRIER, PLAN, STRANGER, with_plan

OTHER = Endpoint("127.0.0.7", 15070)
HELP = EmergencyPlan(frozenset({"112", "*110"}), ("other",))
HELPED = with_plan(emergency=HELP)
PIDF = (
    b"Content-Type: application/pidf+xml\r\nContent-ID: <target@alice.example>\r\n\r\n"
    b'<?xml version="1.0"?>\r\n<presence xmlns="urn:ietf:params:xml:ns:pidf">\t\r\n</presence>\n'
)
LOCATION = (("Geolocation", "<cid:target@alice.example> ;  inserted-by=x"), ("geolocation-Routing", " yes"))


def a_call(world: World, number: str = "112", **options: object) -> tuple[PhoneCall, Phone]:
    alice, other = world.phone("alice", ALICE), world.phone("other", OTHER)
    world.phone("carrier", CARRIER)
    return alice.invite(number, **options), other


def started(world: World) -> CallStarted:
    return next(event for event in world.events if isinstance(event, CallStarted))


@pytest.mark.parametrize("dialled", ["112", "1-1.2", "*110", "112;phone-context=+49"])
def test_it_goes_to_its_own_trunk_before_every_route(dialled: str) -> None:
    everything = Route("agent:*", "*", agent="bob", recording=RecordingPolicy(Policy.AUTOMATIC))
    world = World(replace(HELPED, routes=(everything, *PLAN.routes)))
    call, other = a_call(world, dialled)
    world.run(3)
    assert call.final == 200
    assert started(world).call.emergency
    assert world.proxy.counters.emergencies == 1
    assert (
        other.calls[0].requests[0].uri
        == f"sip:{dialled.split(';')[0].translate({45: None, 46: None})}@{OTHER}"
    )
    answered = next(event for event in world.events if isinstance(event, CallAnswered))
    assert answered.policy == RecordingPolicy(Policy.OFF)
    call.bye()
    world.run(40)
    world.assert_settled()


def test_neither_limits_nor_drain_nor_a_failing_recorder_stop_it() -> None:
    world = World(replace(HELPED, max_calls=1, emergency=replace(HELP, recording=RecordingPolicy())))
    first, other = a_call(world)
    world.run(3)
    world.proxy.refuse_new_calls()
    world.proxy.refuse_recorded_calls(refuse=True)
    second, ordinary = world.phones[ALICE].invite("112"), world.phones[ALICE].invite("+4930")
    world.run(3)
    assert (first.final, second.final, ordinary.final) == (200, 200, 503)
    assert len(other.calls) == 2


def test_who_is_about_to_leave_says_so_at_once() -> None:
    world = World(HELPED)
    call, other = a_call(world)
    world.run(3)
    world.proxy.leave()
    late = world.phones[ALICE].invite("112")
    world.run(1)
    assert (call.final, late.final, len(other.calls)) == (200, 503, 1)


def test_the_first_trunk_that_is_reached_carries_it() -> None:
    by_tls = Trunk("away", Target("tls", Endpoint("127.0.0.8", 15061)), (ip_network("127.0.0.8/32"),))
    emergency = replace(HELP, trunks=("away", "other"))
    world = World(replace(HELPED, trunks=(*PLAN.trunks, by_tls), emergency=emergency))
    call, _ = a_call(world)
    world.run(3)
    assert call.final == 200
    assert started(world).call.trunk == "other"


def test_nobody_can_be_reached() -> None:
    by_tls = Trunk("away", Target("tls", Endpoint("127.0.0.8", 15061)), (ip_network("127.0.0.8/32"),))
    world = World(replace(HELPED, trunks=(*PLAN.trunks, by_tls), emergency=replace(HELP, trunks=("away",))))
    call, _ = a_call(world)
    world.run(3)
    assert call.final == 503
    assert started(world).call.emergency


def test_who_is_called_back() -> None:
    world = World(replace(HELPED, emergency=replace(HELP, caller_id="+4930123")))
    call, other = a_call(world)
    world.run(3)
    invite = other.calls[0].requests[0]
    assert (invite.from_.uri.user, invite.from_.display) == ("+4930123", "Carol C")
    assert call.response(200).from_.uri.user == "alice"
    ordinary = world.phones[ALICE].invite("+4930")
    world.run(3)
    assert ordinary.final == 200
    assert world.phones[CARRIER].calls[0].requests[0].from_.uri.user == "alice"


def test_a_call_from_such_a_trunk_is_one_to_us() -> None:
    routes = (Route("trunk:other", "112", agent="bob"), *PLAN.routes)
    world = World(replace(HELPED, routes=routes))
    bob, other = world.phone("bob", PLAN.agents[1].target.endpoint), world.phone("other", OTHER)  # type: ignore[union-attr]
    call = other.invite("112")
    world.run(3)
    assert call.final == 200
    assert len(bob.calls) == 1
    assert not started(world).call.emergency


def test_strangers_are_strangers() -> None:
    world = World(HELPED)
    call = world.phone("stranger", STRANGER).invite("112")
    world.run(3)
    assert call.final == 403


def test_a_new_plan_has_other_numbers() -> None:
    world = World(PLAN)
    call, other = a_call(world)
    world.run(3)
    assert call.final == 404
    world.proxy.replace_plan(HELPED)
    again = world.phones[ALICE].invite("112")
    world.run(3)
    assert again.final == 200
    assert len(other.calls) == 1


# -- the caller's location


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--u1\r\n%b\r\n" % part for part in parts) + b"--u1--\r\n"


def sdp_part(content: bytes) -> bytes:
    return b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)


def sent_to(world: World, at: Endpoint) -> bytes:
    return next(data for flow, data in world.wire if flow.remote == at and data.startswith(b"INVITE"))


@pytest.mark.parametrize("plan", [HELPED, with_plan(routes=(Route("agent:*", "112", trunk="other"),))])
def test_the_location_passes_byte_for_byte(plan: Plan) -> None:
    world = World(plan)
    offer = sdp(ALICE.host, 6080)
    sent = multipart(PIDF, sdp_part(offer), PIDF)
    kind = 'multipart/mixed ; boundary="u1"'
    call, _ = a_call(world, body=sent, content_type=kind, headers=LOCATION)
    world.run(3)
    assert call.final == 200
    data = sent_to(world, OTHER)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in (*(f"{name}: {value}" for name, value in LOCATION), f"Content-Type: {kind}"):
        assert f"\r\n{line}\r\n".encode() in head + b"\r\n"
    assert int(parse_message(data).headers.first("content-length") or "") == len(body)
    _, found, rest = body.partition(b"v=0\r\n")
    anchored = (found + rest).partition(b"\r\n--u1")[0]
    assert b"c=IN IP4 127.0.0.1\r\n" in anchored
    assert str(ALICE.host).encode() not in anchored
    assert len(anchored) != len(offer)
    theirs = sent.replace(b"Content-Length: %d" % len(offer), b"Content-Length: %d" % len(anchored))
    assert body == theirs.replace(offer, anchored)
    call.bye()
    world.run(40)
    world.assert_settled()


def test_parts_without_a_description_pass_and_the_callee_offers() -> None:
    world = World(HELPED)
    alice, other = world.phone("alice", ALICE), world.phone("other", OTHER)
    sent = multipart(PIDF)
    call = alice.invite("112", body=sent, content_type="multipart/mixed;boundary=u1")
    call.late_answer = alice.media
    world.run(3)
    assert call.final == 200
    assert other.calls[0].requests[0].body == sent
    call.bye()
    world.run(40)
    world.assert_settled()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (multipart(sdp_part(sdp()), sdp_part(sdp())), 400),
        (multipart(sdp_part(sdp()).replace(b"AVP", b"SAVP")), 488),
        (b"--u1", 400),
    ],
)
def test_bodies_that_no_call_is_made_of(body: bytes, status: int) -> None:
    world = World(HELPED)
    call, other = a_call(world, body=body, content_type="multipart/mixed;boundary=u1")
    world.run(3)
    assert call.final == status
    assert other.calls == []
