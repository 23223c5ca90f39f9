"""A carrier that wants to be registered with, and challenges by hand: digests by a client of its own."""

import re
from dataclasses import replace

from mediaproxy.calls.model import Plan, TrunkRegister
from mediaproxy.net import Endpoint
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import Cancelled, RequestReceived
from mediaproxy.sip.responses import respond
from tests.support.digest_client import hashed
from tests.support.phone import Phone, World
from tests.support.plans import CARRIER, PLAN

USER, PASSWORD, REALM = "acme-17", "carrier's secret", "carrier.example"
ACCOUNT = TrunkRegister(USER, PASSWORD, domain="carrier.example")


def with_account(register: TrunkRegister | None = ACCOUNT, plan: Plan = PLAN) -> Plan:
    first, *others = plan.trunks
    return replace(plan, trunks=(replace(first, register=register), *others))


def fields(credentials: str) -> dict[str, str]:
    found = re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', credentials)
    return {name: quoted or bare for name, quoted, bare in found}


class Carrier(Phone):
    """`challenges`: which methods need credentials, and by which status. `script`: what the next REGISTERs
    get instead of a judgement, (status, headers) each."""

    def __init__(self, world: World, at: Endpoint = CARRIER) -> None:
        super().__init__(world, "carrier", at, "udp")
        world.phones[at] = self
        self.challenges: dict[str, int] = {"REGISTER": 401}
        self.algorithm, self.realm, self.qop = "SHA-256", REALM, '"auth,auth-int"'
        self.nonces = 0
        self.delay_s = 0.0  # before it says anything of its own
        self.counts: dict[str, int] = {}
        self.granted_s: int | None = None
        self.more: tuple[tuple[str, str], ...] = ()  # of a 200 to a REGISTER
        self.script: list[tuple[int, tuple[tuple[str, str], ...]]] = []
        self.registers: list[Request] = []
        self.bound_until = 0.0
        self.wrong: list[str] = []  # credentials that did not fit

    @property
    def nonce(self) -> str:
        return f"n{self.nonces}"

    def stale(self) -> None:
        self.nonces += 1

    @property
    def bound(self) -> bool:
        return self.world.now_ns / 1e9 < self.bound_until

    def _act(self, event: object) -> None:
        """Who cancels what is being challenged gets the challenge all the same."""
        if not isinstance(event, Cancelled) or event.transaction in self._by_transaction:
            super()._act(event)

    def _receive_request(self, received: RequestReceived) -> None:
        request = received.request
        if request.method == "REGISTER":
            self.registers.append(request)
            if self.script:
                status, headers = self.script.pop(0)
                return self._say(received, status, *headers)
        status = self.challenges.get(request.method)
        if status is None:
            return self._taken(received)
        name = "authorization" if status == 401 else "proxy-authorization"
        given = request.headers.all(name)
        stale = False
        if given:
            assert len(given) == 1
            verdict = self._judge(request, given[0])
            if verdict is None:
                return self._taken(received)
            stale = verdict
        challenge = (
            f'Digest realm="{self.realm}", nonce="{self.nonce}", opaque="o p", algorithm={self.algorithm}'
            + (f", qop={self.qop}" if self.qop else "")
            + (", stale=TRUE" if stale else "")
        )
        return self._say(
            received, status, ("WWW-Authenticate" if status == 401 else "Proxy-Authenticate", challenge)
        )

    def _judge(self, request: Request, given: str) -> bool | None:
        """None: it fits; else whether it is stale alone."""
        one = fields(given)
        algorithm = one["algorithm"]
        secret = hashed(algorithm, one["username"], one["realm"], PASSWORD)
        asked = hashed(algorithm, request.method, one["uri"])
        parts = [one["nonce"], one["nc"], one["cnonce"], one["qop"]] if "qop" in one else [one["nonce"]]
        fits = hashed(algorithm, secret, *parts, asked) == one["response"]
        if not (fits and one["username"] == USER and one["opaque"] == "o p" and one["uri"] == request.uri):
            self.wrong.append(given)
            return False
        count = int(one.get("nc", "1"), 16)
        if one["nonce"] != self.nonce or ("nc" in one and count <= self.counts.get(self.nonce, 0)):
            return True
        self.counts[self.nonce] = count
        return None

    def _taken(self, received: RequestReceived) -> None:
        if received.request.method != "REGISTER":
            return super()._receive_request(received)
        asked = int(received.request.headers.first("expires") or 0)
        granted = asked if self.granted_s is None or not asked else self.granted_s
        self.bound_until = self.world.now_ns / 1e9 + granted
        contact = received.request.headers.first("contact")
        other = ("Contact", "<sip:other@10.0.0.9>;expires=7")
        return self._say(received, 200, other, ("Contact", f"{contact};expires={granted}"), *self.more)

    def _say(self, received: RequestReceived, status: int, *headers: tuple[str, str]) -> None:
        response = respond(received.request, status, tag="registrar", headers=Headers.of(*headers))

        def send() -> None:
            self.layer.send_response(received.transaction, response, now_ns=self.world.now_ns)
            self.flush()

        if self.delay_s:
            self.world.later(self.delay_s, send)
        else:
            send()
