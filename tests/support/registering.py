"""Agents who register in the simulated world: REGISTER by hand, digests by a client of its own."""

from dataclasses import replace
from itertools import count

from mediaproxy.calls.model import Agent, Plan, Route
from mediaproxy.net import Endpoint
from mediaproxy.sip.digest import Secret
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.messages import Response
from mediaproxy.sip.parser import parse_message
from tests.support.digest_client import answer
from tests.support.phone import PROXY, Phone, World
from tests.support.plans import PLAN

REALM = "pbx.example"
PASSWORDS = {"erin": "erin's secret", "frank": "frank's secret", "olaf": "old password"}
ERIN = Endpoint("127.0.0.30", 40_001)  # where its NAT sends from
PRIVATE = "sip:erin@10.0.0.7:5060"  # what it thinks that it is
MAIN = "sip:pbx.example"


def secret(name: str, **known: None) -> Secret:
    return replace(Secret.of(name, REALM, PASSWORDS[name]), **known)


REGISTERING = replace(
    PLAN,
    realm=REALM,
    agents=(
        *PLAN.agents,
        Agent("erin", secret=secret("erin")),
        Agent("frank", secret=secret("frank")),
        Agent("olaf", secret=secret("olaf", sha256=None)),
    ),
    routes=(Route("trunk:carrier", "+15550200", agent="erin"), *PLAN.routes),
)

_serial = count(1)


class Natted(Phone):
    """A telephone whose Contact nobody but its NAT understands."""

    @property
    def uri(self) -> str:
        return PRIVATE


class Device:
    """What registers from one address, and what was answered to it."""

    def __init__(
        self, world: World, name: str = "erin", at: Endpoint = ERIN, *, transport: str = "udp"
    ) -> None:
        self.world, self.name = world, name
        self.flow = Flow(transport, at, PROXY, 1 if transport == "tcp" else 0)
        self.call_id, self.cseq, self.nc = f"reg-{next(_serial)}", 0, 0
        self.password = PASSWORDS.get(name, "guessed")
        self.challenge = ""

    def send(self, *lines: str, contact: str | None = PRIVATE, to: str = "", uri: str = MAIN) -> Response:
        self.cseq += 1
        head = [
            f"REGISTER {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.flow.transport.upper()} 10.0.0.7:5060;rport;branch=z9hG4bK{next(_serial)}",
            "Max-Forwards: 70",
            f"From: <sip:{self.name}@{REALM}>;tag=dev",
            f"To: <sip:{to or self.name}@{REALM}>",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} REGISTER",
            *([f"Contact: <{contact}>"] if contact else []),
            *lines,
            "Content-Length: 0",
        ]
        before = len(self.world.wire)
        data = ("\r\n".join(head) + "\r\n\r\n").encode()
        back = Flow(self.flow.transport, self.flow.remote, self.flow.local, self.flow.connection)
        self.world.deliver(data, back)
        flow, answered = self.world.wire[before]
        assert flow.remote == self.flow.local
        response = parse_message(answered)
        assert isinstance(response, Response)
        return response

    def ask(self, **options: str | None) -> Response:
        """Without credentials: the challenge that it then has."""
        response = self.send(**options)  # type: ignore[arg-type]  # those of send
        if response.status in (401, 407):
            self.challenge = response.headers.all("www-authenticate")[0]
            self.nc = 0
        return response

    def credentials(self, *, uri: str = MAIN, nc: int | None = None) -> str:
        self.nc = self.nc + 1 if nc is None else nc
        made = answer(self.challenge, self.name, self.password, "REGISTER", uri, nc=self.nc)
        return f"Authorization: {made}"

    def register(self, *lines: str, **options: str | None) -> Response:
        if not self.challenge:
            self.ask()
        return self.send(self.credentials(), *lines, **options)  # type: ignore[arg-type]  # those of send


def plan_without(name: str) -> Plan:
    return replace(REGISTERING, agents=tuple(one for one in REGISTERING.agents if one.name != name))
