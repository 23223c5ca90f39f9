"""Digest authentication as the client sees it (RFC 3261 22, RFC 7616, RFC 8760): qop "auth", or none.

A challenge without qop is answered as RFC 2069 had it, which some registrars still ask for. What speaks
another scheme, "auth-int" alone or a session algorithm is passed over.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mediaproxy.errors import Malformed
from mediaproxy.sip.digest import QOP, Algorithm, Credentials, Secret, parse_algorithm, parse_fields, response
from mediaproxy.sip.grammar import WHITESPACE, quote

CNONCE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Challenge:
    """What WWW-Authenticate or Proxy-Authenticate asks; `has_qop` false: in RFC 2069's way."""

    realm: str
    nonce: str
    algorithm: Algorithm
    has_qop: bool
    opaque: str | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are to a peer. The password stands in no `repr`."""

    user: str
    password: str = field(repr=False)


def parse_challenge(text: str) -> Challenge | None:
    """One header's value. None: a scheme, algorithm or qop that is not ours. Raises `Malformed`."""
    scheme, _, rest = text.strip(WHITESPACE).partition(" ")
    if scheme.lower() != "digest":
        return None
    fields = parse_fields(rest)
    algorithm = parse_algorithm(fields.get("algorithm", Algorithm.MD5.value))
    qop = fields.get("qop")
    offered = None if qop is None else {one.strip(WHITESPACE).lower() for one in qop.split(",")}
    if algorithm is None or (offered is not None and QOP not in offered):
        return None
    if "realm" not in fields or not fields.get("nonce"):
        raise Malformed("digest challenge lacks a field")
    return Challenge(
        fields["realm"],
        fields["nonce"],
        algorithm,
        offered is not None,
        fields.get("opaque"),
        fields.get("stale", "").lower() == "true",
    )


def first_challenge(values: Iterable[str], accepts: Callable[[str], bool]) -> Challenge | None:
    """The topmost that we can answer, of a realm that `accepts` takes (RFC 8760 2.4)."""
    for value in values:
        try:
            challenge = parse_challenge(value)
        except Malformed:
            continue
        if challenge is not None and accepts(challenge.realm):
            return challenge
    return None


def credentials(
    challenge: Challenge, account: Account, method: str, uri: str, *, cnonce: str, count: int
) -> str:
    """The value of Authorization or Proxy-Authorization; `count` is how often the nonce was used, from 1."""
    algorithm = challenge.algorithm
    secret = Secret.of(account.user, challenge.realm, account.password).known(algorithm)
    assert secret is not None  # made of a password, it is known by every algorithm
    if challenge.has_qop:
        ours = Credentials(
            account.user, challenge.realm, challenge.nonce, uri, algorithm, count, cnonce, response=""
        )
        digest = response(ours, secret, method)
    else:
        digest = algorithm.hash(f"{secret}:{challenge.nonce}:{algorithm.hash(f'{method}:{uri}')}")
    parts = [
        f"Digest username={quote(account.user)}",
        f"realm={quote(challenge.realm)}",
        f"nonce={quote(challenge.nonce)}",
        f"uri={quote(uri)}",
        f"algorithm={algorithm.value}",
        f'response="{digest}"',
    ]
    if challenge.opaque is not None:
        parts.append(f"opaque={quote(challenge.opaque)}")
    if challenge.has_qop:
        parts.append(f'qop={QOP}, nc={count:08x}, cnonce="{cnonce}"')
    return ", ".join(parts)


def next_nonce(text: str) -> str | None:
    """Of the value of Authentication-Info: with which nonce the next request begins (RFC 7616 3.5)."""
    try:
        return parse_fields(text).get("nextnonce") or None
    except Malformed:
        return None
