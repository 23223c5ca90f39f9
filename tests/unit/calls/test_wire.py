import pytest

from mediaproxy.calls import wire
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from tests.support.plans import ALICE, CARRIER, PLAN

AGENT, TRUNK = PLAN.agents[0], PLAN.trunks[0]


def request(*headers: tuple[str, str], body: bytes = b"") -> Request:
    return Request("INVITE", "sip:x@y", Headers.of(*headers), body)


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (("Supported", "100rel"), None),
        (("Supported", "timer,replaces , 100REL"), None),
        (("Supported", "path,  outbound"), "Supported: path,  outbound"),  # untouched, blanks and all
        (("k", "timer, path"), "k: path"),
        (("Require", "foo, timer"), "Require: foo"),
        (("Allow", "INVITE"), None),
        (("Authorization", "Digest x"), None),
        (("WWW-Authenticate", "Digest x"), None),
        (("Content-Length", "7"), None),
        (("v", "SIP/2.0/UDP x"), None),
        (("Session-Expires", "90"), None),
        (("x", "90"), None),
        (("Min-SE", "90"), None),
        (("Replaces", "x"), "Replaces: x"),
        (("Content-Type", "a/b"), "Content-Type: a/b"),
    ],
)
def test_what_passes_from_leg_to_leg(line: tuple[str, str], passes: str | None) -> None:
    kept = wire.copied(request(line), TRUNK, body=True)
    assert [header.text for header in kept] == ([] if passes is None else [passes])


@pytest.mark.parametrize("name", ["P-Asserted-Identity", "Privacy"])
def test_an_identity_is_worth_what_its_sender_is(name: str) -> None:
    assert len(wire.copied(request((name, "x")), TRUNK, body=True)) == 1
    assert len(wire.copied(request((name, "x")), AGENT, body=True)) == 0


def test_without_a_body_nothing_describes_one() -> None:
    described = request(("Content-Type", "a/b"), ("c", "a/b"), ("Content-Disposition", "x"), ("X-Kept", "1"))
    assert [header.key for header in wire.copied(described, TRUNK, body=False)] == ["x-kept"]


def test_where_requests_go() -> None:
    assert wire.request_uri(AGENT, "+1") == f"sip:alice@{ALICE};x=Y"
    assert wire.request_uri(TRUNK, "+1*2#") == f"sip:+1*2%23@{CARRIER}"


@pytest.mark.parametrize(
    ("flow", "contact"),
    [
        (Flow("udp", Endpoint("192.0.2.1", 5060), CARRIER), "<sip:192.0.2.1:5060>"),
        (Flow("tcp", Endpoint("2001:db8::1", 5061), CARRIER), "<sip:[2001:db8::1]:5061;transport=tcp>"),
        (Flow("tls", Endpoint("192.0.2.1", 5061), CARRIER), "<sip:192.0.2.1:5061;transport=tls>"),
    ],
)
def test_where_we_are(flow: Flow, contact: str) -> None:
    assert wire.contact(flow) == contact


@pytest.mark.parametrize(
    ("uri", "headers", "transport", "scheme"),
    [
        ("sip:1@y", {"Contact": "<sip:x@y;transport=tls>"}, "tls", "sip"),
        ("SIPS:1@y", {"Contact": "<sip:x@y>"}, "tls", "sips"),
        ("sip:1@y", {"Contact": '"X" <sips:x@y>'}, "tls", "sips"),
        ("sip:1@y", {"Contact": "sips:x@y"}, "tls", "sips"),
        ("sip:1@y", {"Record-Route": "<sip:p;lr>", "Contact": "<sips:x@y>"}, "tls", "sip"),
        ("sip:1@y", {"Record-Route": "<sips:p;lr>", "Contact": "<sip:x@y>"}, "tls", "sips"),
        ("sip:1@y", {"Contact": "<sips:x@y>"}, "udp", "sip"),  # nothing to be secure about
    ],
)
def test_a_sips_way_wants_a_sips_contact(
    uri: str, headers: dict[str, str], transport: str, scheme: str
) -> None:
    invite = Request("INVITE", uri, Headers.of(*headers.items()))
    flow = Flow(transport, Endpoint("192.0.2.1", 5061), CARRIER)
    assert wire.scheme_asked_for(invite, flow) == scheme
    assert wire.contact(flow, "sips") == "<sips:192.0.2.1:5061>"
