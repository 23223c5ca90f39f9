"""Our credentials at one trunk (RFC 3261 22.2, 22.3), shown to that trunk and to nobody else.

Any element on a request's way may answer 401 or 407, and a realm is only a word in such an answer. So two
things must hold: the request went to an address of the trunk, and the realm is the trunk's own, which is
the configured one or the one that its registrar named.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from mediaproxy.calls.model import Trunk, TrunkRegister
from mediaproxy.sip.digest_client import (
    CNONCE_BYTES,
    Account,
    Challenge,
    credentials,
    first_challenge,
    next_nonce,
)
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response

# (challenge's header, credentials' header), by the status that asks for them (22.2, 22.3)
_HEADERS = {401: ("www-authenticate", "Authorization"), 407: ("proxy-authenticate", "Proxy-Authorization")}
PROOFS = ("authorization", "proxy-authorization")


class Proof(NamedTuple):
    """One more header for the request. `stale`: only the nonce was, not the password."""

    header: str
    value: str
    stale: bool


class TrunkAccount:
    """`random` gives that many random bytes."""

    def __init__(self, trunk: Trunk, register: TrunkRegister, random: Callable[[int], bytes]) -> None:
        self._trunk = trunk
        self._account = Account(register.auth_user or register.user, register.password)
        self._random = random
        self._realm = register.realm  # "": not yet known
        self._nonce, self._count = "", 0
        self._last: tuple[str, Challenge] | None = None  # (credentials' header, challenge) of the registrar

    def prove(self, request: Request, response: Response, flow: Flow) -> Proof | None:
        """The answer to a challenge of a request sent over `flow`; None when it is not for this trunk."""
        names = _HEADERS.get(response.status)
        if names is None or not self._is_trunk(flow):
            return None
        learns = not self._realm and request.method == "REGISTER"
        challenge = first_challenge(
            response.headers.all(names[0]), lambda realm: learns or realm == self._realm
        )
        if challenge is None:
            return None
        self._realm = challenge.realm
        if request.method == "REGISTER":
            self._last = names[1], challenge
        return Proof(names[1], self._answer(challenge, request), challenge.stale)

    def foresee(self, request: Request) -> Request:
        """A REGISTER with credentials by the last challenge, so that it need not be challenged again."""
        if self._last is None:
            return request
        name, challenge = self._last
        return request.replace(headers=request.headers.appended(name, self._answer(challenge, request)))

    def forget(self) -> None:
        """What was foreseen was wrong: the next REGISTER waits to be asked."""
        self._last = None

    def hear(self, response: Response) -> None:
        """The registrar's 2xx may name the nonce that comes next (RFC 7616 3.5)."""
        info = response.headers.first("authentication-info")
        nonce = None if info is None else next_nonce(info)
        if nonce is not None and self._last is not None:
            name, known = self._last
            self._last = name, Challenge(known.realm, nonce, known.algorithm, known.has_qop, known.opaque)

    def _answer(self, challenge: Challenge, request: Request) -> str:
        self._count = self._count + 1 if challenge.nonce == self._nonce else 1
        self._nonce = challenge.nonce
        return credentials(
            challenge,
            self._account,
            request.method,
            request.uri,
            cnonce=self._random(CNONCE_BYTES).hex(),
            count=self._count,
        )

    def _is_trunk(self, flow: Flow) -> bool:
        host = flow.remote.host
        if host == self._trunk.target.endpoint.host:
            return True
        by_address = () if self._trunk.by_certificate else self._trunk.sources
        return any(ip_address(host) in network for network in by_address)


def proven(request: Request, number: int, proof: Proof) -> Request:
    """The request once more: the next number, and credentials in the place of those that failed (22.2)."""
    headers = request.headers.without(proof.header).with_("CSeq", f"{number} {request.method}")
    return request.replace(headers=headers.appended(proof.header, proof.value))


def proofs(request: Request) -> Headers:
    """The credentials of an INVITE, which its ACK repeats (22.1), where that goes the same way."""
    return request.headers.only(*PROOFS)
