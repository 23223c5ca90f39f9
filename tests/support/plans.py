"""The plan that call tests share: the acceptance configuration's carrier and agents."""

from dataclasses import replace
from ipaddress import ip_network

from mediaproxy.calls.model import Agent, Plan, Policy, RecordingPolicy, Route, Target, Trunk
from mediaproxy.net import Endpoint

CARRIER = Endpoint("127.0.0.2", 15070)
ALICE = Endpoint("127.0.0.3", 15080)
BOB = Endpoint("127.0.0.4", 15080)
STRANGER = Endpoint("127.0.0.66", 15080)
SIX = Endpoint("::1", 15080)

PLAN = Plan(
    domain="pbx.example",
    trunks=(
        Trunk("carrier", Target("udp", CARRIER), (ip_network("127.0.0.2/32"),)),
        Trunk("other", Target("udp", Endpoint("127.0.0.7", 15070)), (ip_network("127.0.0.7/32"),)),
    ),
    agents=(
        Agent("alice", f"sip:alice@{ALICE};x=Y", Target("udp", ALICE)),
        Agent("bob", f"sip:bob@{BOB}", Target("udp", BOB)),
        Agent("tess", "sip:tess@127.0.0.5:15080;transport=tcp", Target("tcp", Endpoint("127.0.0.5", 15080))),
        Agent("six", f"sip:six@{SIX}", Target("udp", SIX)),
    ),
    routes=(
        Route("trunk:carrier", "+15550100", agent="alice"),
        Route("trunk:carrier", "+15550101", agent="alice", recording=RecordingPolicy(Policy.AUTOMATIC)),
        Route("trunk:carrier", "+15550102", agent="alice", recording=RecordingPolicy(Policy.OFF)),
        Route("trunk:carrier", "+15550105", agent="tess"),
        Route("trunk:carrier", "+15550106", agent="six"),
        Route("trunk:carrier", "+1999*", trunk="other"),
        Route("agent:*", "bob", agent="bob"),
        Route("agent:*", "+*", trunk="carrier"),
    ),
    codes=(("start", "*1"), ("stop", "*2"), ("toggle", "*3")),
)


def with_plan(**changes: object) -> Plan:
    return replace(PLAN, **changes)  # type: ignore[arg-type]  # the names are checked by replace
