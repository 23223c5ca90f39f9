"""Agents who register: who is let in, where their calls go, and that nobody calls on their account."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mediaproxy.calls.events import ContactsChanged, PasswordRefused
from mediaproxy.calls.model import Agent
from mediaproxy.calls.suspects import FORGIVEN_S, MOST_FAILURES, Suspects
from mediaproxy.net import Endpoint
from mediaproxy.sip.digest import Secret
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from mediaproxy.sip.nonces import NONCE_S
from mediaproxy.sip.parser import parse_message
from tests.support.digest_client import answer, field
from tests.support.phone import Phone, PhoneCall, Say, World
from tests.support.plans import ALICE, CARRIER, STRANGER
from tests.support.registering import (
    ERIN,
    MAIN,
    PASSWORDS,
    PRIVATE,
    REALM,
    REGISTERING,
    Device,
    Natted,
    plan_without,
)

TO_ERIN = "+15550200"


@pytest.fixture
def world() -> World:
    return World(REGISTERING)


def natted(world: World) -> Natted:
    world.phones[ERIN] = phone = Natted(world, "erin", ERIN, "udp")
    return phone


def told(world: World, kind: type) -> list[object]:
    return [event for event in world.events if isinstance(event, kind)]


# -- REGISTER


def test_a_password_lets_in_and_a_challenge_offers_the_stronger_first(world: World) -> None:
    device = Device(world)
    refused = device.ask()
    assert refused.status == 401
    offers = refused.headers.all("www-authenticate")
    assert [field(offer, "algorithm") for offer in offers] == ["SHA-256", "MD5"]
    assert {field(offer, "realm") for offer in offers} == {REALM}
    for offer in offers:
        device.challenge = offer
        response = device.send(device.credentials())
        assert response.status == 200
        assert response.headers.all("contact") == [f"<{PRIVATE}>;expires=3600;q=1.000"]
    assert told(world, ContactsChanged) == [ContactsChanged("erin", 1)]
    assert world.proxy.contacts == 1


def test_an_agent_with_one_hash_is_offered_that_one_alone(world: World) -> None:
    olaf = Device(world, "olaf")
    offers = olaf.ask().headers.all("www-authenticate")
    assert [field(offer, "algorithm") for offer in offers] == ["MD5"]
    assert olaf.register().status == 200


def test_a_wrong_password_is_refused_and_told_once(world: World) -> None:
    device = Device(world)
    device.password = "guessed"
    response = device.register()
    assert (response.status, response.headers.all("www-authenticate")) == (403, [])
    assert told(world, PasswordRefused) == [PasswordRefused(ERIN.host, "erin", False)]
    assert world.proxy.contacts == 0
    stranger = Device(world, "nobody")
    assert stranger.ask().status == 401  # as if there were such an agent
    assert stranger.register().status == 403
    assert told(world, PasswordRefused)[1:] == [PasswordRefused(ERIN.host, None, False)]
    assert world.proxy.counters.wrong_passwords == 2


def test_whoever_guesses_is_not_listened_to_for_a_while(world: World) -> None:
    guesser, honest = Device(world), Device(world, "frank", Endpoint("127.0.0.31", 5060))
    inside = Device(world, "olaf", Endpoint(ERIN.host, 5099))
    assert inside.register().status == 200
    guesser.password = "guessed"
    assert {guesser.register().status for _ in range(MOST_FAILURES)} == {403}
    guesser.password = PASSWORDS["erin"]
    limited = guesser.register()
    assert (limited.status, limited.headers.first("retry-after")) == (503, "60")
    assert honest.register().status == 200
    assert inside.register().status == 200  # from behind the same NAT, but known
    assert [event.limited for event in told(world, PasswordRefused)] == [False] * 19 + [True]  # type: ignore[attr-defined]
    world.run(FORGIVEN_S + 1)
    assert guesser.register().status == 200


def test_what_was_sent_once_is_no_proof_again(world: World) -> None:
    device = Device(world)
    device.ask()
    sent = device.credentials()
    assert device.send(sent).status == 200
    replayed = device.send(sent)
    assert replayed.status == 401
    assert replayed.headers.all("www-authenticate")[0].endswith("stale=true")
    assert device.send(device.credentials()).status == 200
    assert world.proxy.counters.replayed == 1


def test_a_nonce_that_is_old_or_anothers_is_stale_and_no_failure(world: World) -> None:
    device = Device(world)
    assert device.register().status == 200
    world.run(NONCE_S + 1)
    stale = device.register()
    assert stale.headers.all("www-authenticate")[0].endswith("stale=true")
    device.challenge, device.nc = stale.headers.all("www-authenticate")[0], 0
    assert device.register().status == 200
    elsewhere = Device(world, "erin", STRANGER)
    elsewhere.challenge = device.challenge
    assert elsewhere.register().status == 401
    assert told(world, PasswordRefused) == []


def test_credentials_for_another_realm_or_address_are_none(world: World) -> None:
    device = Device(world)
    device.ask()
    challenge = device.challenge
    device.challenge = challenge.replace(REALM, "elsewhere")
    assert device.register().status == 401
    device.challenge = challenge
    assert device.send(device.credentials(uri="sip:other.example")).status == 400
    assert device.send("Authorization: Digest username=").status == 400
    assert device.send("Authorization: Basic eA==").status == 401
    assert world.proxy.contacts == 0


def test_nobody_registers_for_another(world: World) -> None:
    device = Device(world)
    assert device.register(to="frank").status == 403
    device.name = "frank"  # in From and To; erin's name and password in the credentials
    made = answer(device.challenge, "erin", PASSWORDS["erin"], "REGISTER", MAIN, nc=9)
    assert device.send(f"Authorization: {made}").status == 403
    assert world.proxy.contacts == 0


@pytest.mark.parametrize(
    ("lines", "status", "header"),
    [
        (("Expires: 59",), 423, ("Min-Expires", "60")),
        (("Require: gruu",), 420, ("Unsupported", "gruu")),
        (("Require: path", "Path: <sip:edge.example;lr>"), 200, ("Path", "<sip:edge.example;lr>")),
        (("Contact: <tel:+1>",), 400, None),
    ],
)
def test_what_a_register_may_ask_for(
    world: World, lines: tuple[str, ...], status: int, header: tuple[str, str] | None
) -> None:
    response = Device(world).register(*lines)
    assert response.status == status
    if header is not None:
        assert response.headers.first(header[0]) == header[1]


def test_without_agents_who_register_it_is_as_before() -> None:
    world = World(replace(REGISTERING, agents=tuple(a for a in REGISTERING.agents if not a.registers)))
    response = Device(world).send()
    assert response.status == 405
    assert "REGISTER" not in (response.headers.first("allow") or "")
    stranger = world.phone("stranger", STRANGER)
    call = stranger.invite("+1")
    world.run(1)
    assert call.final == 403


# -- calls to a registered agent


def call_erin(world: World) -> tuple[PhoneCall, Phone]:
    carrier = world.phone("carrier", CARRIER)
    return carrier.invite(TO_ERIN), carrier


def test_a_call_goes_to_where_the_agent_registered_from(world: World) -> None:
    erin = natted(world)
    Device(world).register()
    call, carrier = call_erin(world)
    carrier.bye_after_s = 2.0
    world.run(40)
    (heard,) = erin.calls
    assert [request.method for request in heard.requests] == ["INVITE", "BYE"]
    assert {request.uri for request in heard.requests} == {PRIVATE}
    assert (len(heard.acks), call.final, world.last.disposition) == (1, 200, "answered")
    assert (world.last.agent, world.last.trunk) == ("erin", "carrier")
    world.assert_settled()


def test_what_is_sent_within_the_call_passes_the_nat_too(world: World) -> None:
    erin = natted(world)
    Device(world).register()
    call_erin(world)
    world.run(3)
    erin.calls[0].request("OPTIONS")
    world.proxy.hang_up(world.events[-1].call.id, now_ns=world.now_ns)  # type: ignore[attr-defined]
    world.settle()
    world.run(40)
    assert erin.calls[0].over
    assert {flow.remote for flow, _ in world.wire} <= {ERIN, CARRIER}
    world.assert_settled()


def test_the_path_is_followed(world: World) -> None:
    erin = natted(world)
    Device(world).register("Path: <sip:edge.example;lr>, <sip:next.example;lr>")
    call_erin(world)
    world.run(3)
    assert erin.calls[0].requests[0].route == ("<sip:edge.example;lr>", "<sip:next.example;lr>")


def test_a_connection_is_the_way_back(world: World) -> None:
    Device(world, transport="tcp").register()
    call_erin(world)
    world.run(1)
    (flow,) = {flow for flow, data in world.wire if data.startswith(b"INVITE")}
    assert (flow.transport, flow.remote, flow.connection) == ("tcp", ERIN, 1)


def test_the_preferred_contacts_are_called(world: World) -> None:
    at = [Endpoint("127.0.0.30", 41_000 + number) for number in range(3)]
    phones = [world.phone("erin", endpoint) for endpoint in at]
    for endpoint, q in zip(at, ("0.5", "0.9", "0.9"), strict=True):
        Device(world, "erin", endpoint).register(f"Contact: <sip:erin@{endpoint}>;q={q}", contact=None)
    for _ in range(2):
        call_erin(world)
        world.run(5)
    assert [len(phone.calls) for phone in phones] == [0, 2, 2]


def test_who_is_not_registered_is_not_there() -> None:
    world = World(REGISTERING)
    erin = natted(world)
    call, _ = call_erin(world)
    world.run(1)
    assert (call.final, world.last.disposition, world.last.agent) == (480, "unavailable", "erin")
    assert call.response(480).headers.first("reason") == 'Q.850;cause=20;text="Agent not registered"'
    device = Device(world)
    device.register("Expires: 60")
    call_erin(world)
    world.run(10)
    assert len(erin.calls) == 1
    device.register("Expires: 0")
    call, _ = call_erin(world)
    world.run(1)
    assert call.final == 480


def test_who_does_not_refresh_is_gone(world: World) -> None:
    Device(world).register("Expires: 60")
    world.run(59)
    assert world.proxy.contacts == 1
    world.run(2)
    assert world.proxy.contacts == 0
    assert told(world, ContactsChanged)[-1] == ContactsChanged("erin", 0)
    call, _ = call_erin(world)
    world.run(1)
    assert call.final == 480


def test_a_new_plan_takes_away_whom_it_does_not_name(world: World) -> None:
    Device(world).register()
    frank = Device(world, "frank", Endpoint("127.0.0.31", 5060))
    frank.register()
    world.proxy.replace_plan(plan_without("erin"))
    world.settle()
    assert world.proxy.contacts == 1
    other = Agent("frank", secret=Secret.of("frank", REALM, "changed"))
    world.proxy.replace_plan(replace(plan_without("frank"), agents=(*plan_without("frank").agents, other)))
    assert world.proxy.contacts == 0
    assert frank.register().status == 403


# -- calls by a registered agent


def dial(world: World, phone: Phone, number: str = "+15550999", *, password: str = "") -> PhoneCall:
    """An INVITE, and another one with credentials when it is challenged and there is a password."""
    call = phone.invite(number)
    world.run(0.1)
    if call.final == 407 and password:
        (challenge, *_) = call.response(407).headers.all("proxy-authenticate")
        assert call.invite is not None
        made = answer(challenge, phone.name, password, "INVITE", call.invite.uri)
        call = phone.invite(number, headers=(("Proxy-Authorization", made),))
        world.run(8)
    return call


def test_a_registered_agent_calls_with_its_password_and_nothing_of_it_goes_on(world: World) -> None:
    erin, carrier = natted(world), world.phone("carrier", CARRIER)
    Device(world).register()
    call = dial(world, erin, password=PASSWORDS["erin"])
    assert call.final == 200
    assert (world.names().count("CallStarted"), world.names().count("CallAnswered")) == (1, 1)
    (heard,) = carrier.calls
    names = {header.key for request in heard.requests for header in request.headers}
    assert not {"proxy-authorization", "authorization"} & names
    heard.bye()
    world.run(40)
    assert call.over
    assert (world.last.agent, world.last.direction) == ("erin", "outbound")
    world.assert_settled()


@pytest.mark.parametrize("registered", [True, False])
def test_an_address_is_no_proof(world: World, registered: bool) -> None:
    """Default deny: neither the place where an agent registered nor its name places a call."""
    erin, carrier = natted(world), world.phone("carrier", CARRIER)
    if registered:
        Device(world).register()
    assert dial(world, erin).final == 407
    assert dial(world, erin, password="guessed").final == 403
    assert dial(world, world.phone("erin", STRANGER), password="guessed").final == 403
    assert dial(world, world.phone("nobody", STRANGER), password="guessed").final == 403
    world.run(40)
    assert carrier.calls == []
    assert world.events == told(world, ContactsChanged) + told(world, PasswordRefused)
    world.assert_settled()


def test_a_registered_agent_among_a_carrier_s_addresses_is_not_taken_for_the_carrier() -> None:
    wide = replace(REGISTERING.trunks[0], sources=(ip_network("127.0.0.0/8"),))
    world = World(replace(REGISTERING, trunks=(wide,)))
    erin = natted(world)
    Device(world).register()
    assert dial(world, erin, "+15550100").final == 407
    assert dial(world, world.phone("carrier", CARRIER), "+15550100").final is None  # it is taken on


def test_credentials_of_one_call_place_no_other(world: World) -> None:
    erin, carrier = natted(world), world.phone("carrier", CARRIER)
    call = dial(world, erin, password=PASSWORDS["erin"])
    assert (call.final, call.invite is not None, len(carrier.calls)) == (200, True, 1)
    assert isinstance(call.invite, Request)
    stolen = call.invite.headers.first("proxy-authorization") or ""
    for phone, number in ((erin, "+15550999"), (erin, "+1900"), (world.phone("erin", STRANGER), "+15550999")):
        again = phone.invite(number, headers=(("Proxy-Authorization", stolen),))
        world.run(1)
        assert again.final in (400, 407)
    assert len(carrier.calls) == 1


def test_fixed_agents_and_carriers_are_never_challenged(world: World) -> None:
    Device(world).register()
    alice, carrier = world.phone("alice", ALICE), world.phone("carrier", CARRIER)
    for phone, number in ((alice, "+15550999"), (carrier, "+15550100")):
        call = phone.invite(number)
        world.run(5)
        assert call.final == 200


def test_only_calls_are_challenged(world: World) -> None:
    """CANCEL, ACK and what is within a call need no password (22.1)."""
    erin, carrier = natted(world), world.phone("carrier", CARRIER)
    carrier.answers = [Say(180, after=0.1)]
    Device(world).register()
    ringing = dial(world, erin, password=PASSWORDS["erin"])
    ringing.cancel()
    world.run(5)
    assert ringing.final == 487
    carrier.answers = [Say(200, after=0.1)]
    call = dial(world, erin, password=PASSWORDS["erin"])
    call.request("INVITE", body=erin.media)
    world.run(5)
    call.request("INFO", headers=Headers.of(("X", "y")))
    world.run(5)
    call.bye()
    world.run(40)
    assert not {401, 407} & set(call.statuses)
    world.assert_settled()


def test_the_challenge_is_for_the_call_s_realm_and_acknowledged(world: World) -> None:
    erin = natted(world)
    call = erin.invite("+15550999")
    world.run(40)
    challenge = call.response(407).headers.all("proxy-authenticate")[0]
    assert field(challenge, "realm") == REALM
    sent = [parse_message(data) for flow, data in world.wire if flow.remote == ERIN]
    assert [getattr(message, "status", 0) for message in sent] == [407]  # acknowledged: not repeated


# -- the memory of failures


def test_suspects_are_forgotten_in_time_and_bounded() -> None:
    suspects = Suspects(most=3)
    for _ in range(MOST_FAILURES):
        assert not suspects.is_limited("2001:db8::1", now=0)
        suspects.fail("2001:db8::1", now=0)
    assert suspects.is_limited("2001:db8::ffff", now=FORGIVEN_S - 1)  # the same customer
    assert not suspects.is_limited("2001:db8:0:1::1", now=0)
    assert not suspects.is_limited("2001:db8::1", now=FORGIVEN_S + 1)
    for host in range(5):
        suspects.fail(f"192.0.2.{host}", now=1)
    assert len(suspects) == 3
