from ipaddress import ip_network

import pytest

from mediaproxy.calls.model import (
    Agent,
    Overrides,
    Place,
    Plan,
    Policy,
    RecordingPolicy,
    Route,
    Target,
    Trunk,
)
from mediaproxy.calls.routing import Routing, called_number
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow


def agent(name: str, host: str, port: int = 15080, policy: Policy | None = None) -> Agent:
    recording = None if policy is None else RecordingPolicy(policy)
    target = Target("udp", Endpoint(host, port))
    return Agent(name, f"sip:{name}@{target.endpoint}", target, recording=recording)


def trunk(name: str, *sources: str) -> Trunk:
    target = Target("udp", Endpoint("127.0.0.2", 15070))
    return Trunk(name, target, tuple(ip_network(source) for source in sources))


CARRIER = trunk("carrier", "127.0.0.2/32")
WIDE = trunk("wide", "127.0.0.0/8", "::1/128")
ALICE = agent("alice", "127.0.0.3")
ANN = agent("ann", "127.0.0.5", 15080)
BEN = agent("ben", "127.0.0.5", 15081)
PLAN = Plan("pbx.example", trunks=(WIDE, CARRIER), agents=(ALICE, ANN, BEN))
NARROW = Plan("pbx.example", trunks=(CARRIER,), agents=(ALICE, ANN, BEN))


@pytest.mark.parametrize(
    ("plan", "source", "reliable", "from_user", "name"),
    [
        (PLAN, "127.0.0.3:15080", False, "x", "alice"),  # an agent's contact beats a trunk's prefix
        (PLAN, "127.0.0.3:9", False, "alice", "wide"),  # another port does not
        (PLAN, "127.0.0.3:9", True, "x", "alice"),  # but TCP ignores ports
        (PLAN, "127.0.0.2:9", False, "x", "carrier"),  # the longest prefix, not the first
        (PLAN, "127.0.0.9:9", False, "x", "wide"),
        (PLAN, "127.0.0.5:15081", False, "ann", "ben"),  # the port says who, not the From
        (PLAN, "127.0.0.5:9", True, "ben", "ben"),
        (PLAN, "127.0.0.5:9", True, "nobody", "wide"),
        (NARROW, "127.0.0.3:9", False, "x", "alice"),  # the only agent with that IP
        (NARROW, "127.0.0.5:9", False, "ben", "ben"),  # one of several: by From
        (NARROW, "127.0.0.5:9", False, "nobody", None),
        (NARROW, "127.0.0.5:9", True, "nobody", None),
        (NARROW, "127.0.0.9:9", False, "alice", None),
        (PLAN, "::1:7", False, "x", "wide"),
    ],
)
def test_who_sends(plan: Plan, source: str, reliable: bool, from_user: str, name: str | None) -> None:
    host, _, port = source.rpartition(":")
    flow = Flow("tcp" if reliable else "udp", Endpoint("127.0.0.1", 5060), Endpoint(host, int(port)))
    sender = Routing(plan).sender(flow, from_user=from_user)
    assert (sender and sender.name) == name


@pytest.mark.parametrize(
    ("transport", "source", "names", "name"),
    [
        ("tls", "127.0.0.2", ("other.example", "sip.carrier.example"), "carrier"),
        ("tls", "192.0.2.9", ("sip.carrier.example",), "carrier"),  # wherever it comes from
        ("tls", "127.0.0.2", ("other.example",), None),
        ("tls", "127.0.0.2", (), None),
        ("udp", "127.0.0.2", (), None),
    ],
)
def test_who_must_show_a_certificate_is_known_by_nothing_else(
    transport: str, source: str, names: tuple[str, ...], name: str | None
) -> None:
    target = Target("tls", Endpoint("127.0.0.2", 5061), "SIP.carrier.example")
    trunk = Trunk("carrier", target, (ip_network("127.0.0.0/8"),), by_certificate=True)
    flow = Flow(transport, Endpoint("127.0.0.1", 5061), Endpoint(source, 4711), names=names)
    sender = Routing(Plan("pbx.example", trunks=(trunk,))).sender(flow, from_user="x")
    assert (sender and sender.name) == name


@pytest.mark.parametrize(
    ("proven", "name"), [("192.0.2.1", "carrier"), ("192.0.2.2", "carrier"), ("192.0.2.3", None)]
)
def test_each_target_of_a_trunk_has_a_name_to_prove(proven: str, name: str | None) -> None:
    places = tuple(Place(Target("tls", Endpoint(f"192.0.2.{number}", 5061))) for number in (1, 2))
    trunk = Trunk("carrier", places[0].target, (), by_certificate=True, places=places)
    flow = Flow("tls", Endpoint("127.0.0.1", 5061), Endpoint("192.0.2.9", 4711), names=(proven,))
    sender = Routing(Plan("pbx.example", trunks=(trunk,))).sender(flow, from_user="x")
    assert (sender and sender.name) == name


@pytest.mark.parametrize(
    ("user", "number"),
    [
        ("+1 555".replace(" ", ""), "+1555"),
        ("+1-(555)-01.00", "+15550100"),
        ("+15550100;npdi;rn=+1999", "+15550100"),
        ("*1", "*1"),
        ("", ""),
    ],
)
def test_called_number(user: str, number: str) -> None:
    assert called_number(user) == number


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("+*", ["+", "+1555"], ["1555", ""]),
        ("*", ["", "anything"], []),
        ("+1555010?", ["+15550100"], ["+1555010", "+155501000"]),
        (r"\*1", ["*1"], ["x1", "\\*1", "**1"]),
        ("Bob", ["Bob"], ["bob", "Bobby"]),
        ("a*b*c", ["abc", "axxbyybzc", "abcabc"], ["ab", "acb", "abcd"]),
        ("", [""], ["a"]),
        ("[0-9]", ["[0-9]"], ["5"]),
        ("a\\", ["a\\"], ["a"]),
    ],
)
def test_what_a_glob_fits(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    plan = Plan("x", agents=(ALICE,), routes=(Route("trunk:*", pattern, agent="alice"),))
    routing = Routing(plan)
    assert [text for text in fits + fits_not if routing.destination(CARRIER, text)] == fits


def test_a_hostile_number_costs_little_against_many_stars() -> None:
    plan = Plan("x", agents=(ALICE,), routes=(Route("trunk:*", "*a" * 20 + "b", agent="alice"),))
    assert Routing(plan).destination(CARRIER, "a" * 2000) is None


def test_the_first_route_that_fits_decides() -> None:
    routes = (
        Route("agent:*", "+1", trunk="carrier"),
        Route("trunk:carrier", "+1", agent="alice"),
        Route("trunk:*", "*", agent="ann"),
    )
    routing = Routing(Plan("x", trunks=(CARRIER, WIDE), agents=(ALICE, ANN), routes=routes))

    def name(sender: Agent | Trunk, called: str) -> str | None:
        found = routing.destination(sender, called)
        return found and found.peer.name

    assert name(CARRIER, "+1") == "alice"
    assert name(CARRIER, "+2") == "ann"
    assert name(WIDE, "+1") == "ann"
    assert name(ALICE, "+1") == "carrier"
    assert name(ALICE, "+2") is None


ON_DEMAND, AUTOMATIC, OFF = (
    RecordingPolicy(policy) for policy in (Policy.ON_DEMAND, Policy.AUTOMATIC, Policy.OFF)
)


@pytest.mark.parametrize(
    ("route", "callee", "default", "policy"),
    [
        (None, None, OFF, OFF),
        (None, Policy.AUTOMATIC, OFF, AUTOMATIC),
        (ON_DEMAND, Policy.AUTOMATIC, OFF, ON_DEMAND),
        (AUTOMATIC, Policy.OFF, ON_DEMAND, OFF),  # an agent's off wins over the route
        (OFF, Policy.AUTOMATIC, ON_DEMAND, OFF),
    ],
)
def test_how_a_call_is_recorded(
    route: RecordingPolicy | None, callee: Policy | None, default: RecordingPolicy, policy: RecordingPolicy
) -> None:
    alice = agent("alice", "127.0.0.3", policy=callee)
    routes = (Route("trunk:*", "*", agent="alice", recording=route),)
    found = Routing(Plan("x", agents=(alice,), routes=routes, recording=default)).destination(CARRIER, "1")
    assert found is not None
    assert found.recording == policy


def test_a_callers_off_wins_too() -> None:
    caller = agent("ann", "127.0.0.5", policy=Policy.OFF)
    routes = (Route("agent:ann", "*", agent="alice", recording=AUTOMATIC),)
    found = Routing(Plan("x", agents=(ALICE, caller), routes=routes)).destination(caller, "1")
    assert found is not None
    assert found.recording == OFF


def test_a_route_decides_a_part_whoever_decides_the_rest() -> None:
    alice = Agent(
        "alice", "sip:alice@198.51.100.1", Target("udp", Endpoint("198.51.100.1", 5060)),
        recording=RecordingPolicy(Policy.AUTOMATIC, pausable=False, keep_days=5),
    )  # fmt: skip
    routes = (Route("agent:*", "1*", agent="alice", overrides=Overrides(keep_days=30)),)
    routes += (Route("agent:*", "2*", agent="alice"),)
    routing = Routing(Plan("pbx.example", agents=(alice,), routes=routes))
    kept = [routing.destination(alice, called) for called in ("1", "2")]
    assert [found and found.recording for found in kept] == [
        RecordingPolicy(Policy.AUTOMATIC, pausable=False, keep_days=30),
        RecordingPolicy(Policy.AUTOMATIC, pausable=False, keep_days=5),
    ]
