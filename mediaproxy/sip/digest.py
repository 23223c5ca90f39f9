"""Digest authentication as the server sees it (RFC 3261 22, RFC 7616, RFC 8760): qop "auth" alone.

Passwords never come here, only H(user:realm:password), which is as good as one for this realm: neither
stands in a `repr` or in an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import md5, sha256
from hmac import compare_digest

from mediaproxy.errors import Malformed
from mediaproxy.sip.grammar import (
    MAX_LIST_ELEMENTS,
    WHITESPACE,
    closing_quote,
    is_token,
    quote,
    split_outside_quotes,
    unquote,
)
from mediaproxy.sip.uri import Uri, parse_uri

QOP = "auth"
_HEX = frozenset("0123456789abcdefABCDEF")


class Algorithm(Enum):
    """Strongest first, as they are offered (RFC 8760 2.3)."""

    SHA256 = "SHA-256"
    MD5 = "MD5"

    @property
    def digits(self) -> int:
        """Of a hash in hexadecimal."""
        return 64 if self is Algorithm.SHA256 else 32

    def hash(self, text: str) -> str:
        """In lower case hexadecimal."""
        octets = text.encode("utf-8", "surrogateescape")
        if self is Algorithm.SHA256:
            return sha256(octets).hexdigest()
        return md5(octets, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Secret:
    """H(user:realm:password) by algorithm; None: unknown, so that algorithm is not offered."""

    md5: str | None = field(default=None, repr=False)
    sha256: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, user: str, realm: str, password: str) -> "Secret":
        text = f"{user}:{realm}:{password}"
        return cls(Algorithm.MD5.hash(text), Algorithm.SHA256.hash(text))

    def known(self, algorithm: Algorithm) -> str | None:
        return self.sha256 if algorithm is Algorithm.SHA256 else self.md5

    @property
    def algorithms(self) -> tuple[Algorithm, ...]:
        return tuple(each for each in Algorithm if self.known(each) is not None)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client answers to a challenge. `count` is its nonce count, from 1."""

    user: str
    realm: str
    nonce: str
    uri: str
    algorithm: Algorithm
    count: int
    cnonce: str
    response: str = field(repr=False)

    def fits(self, method: str, secret: Secret) -> bool:
        """Whether who sent this knows the password; takes as long whatever is wrong."""
        known = secret.known(self.algorithm)
        wanted = response(self, known or "", method)
        return compare_digest(wanted.encode(), self.response.lower().encode()) and known is not None

    def is_for(self, uri: Uri) -> bool:
        """Whether they were made for this Request-URI: parameters and case of the host apart (22.4)."""
        try:
            meant = parse_uri(self.uri)
        except Malformed:
            return False
        return _address(meant) == _address(uri)


def response(credentials: Credentials, secret: str, method: str) -> str:
    """The response that the holder of `secret`, H(user:realm:password), gives (RFC 7616 3.4.1)."""
    hashed = credentials.algorithm.hash
    count = f"{credentials.count:08x}"
    parts = (secret, credentials.nonce, count, credentials.cnonce, QOP, hashed(f"{method}:{credentials.uri}"))
    return hashed(":".join(parts))


def challenges(
    realm: str, nonce: str, algorithms: Sequence[Algorithm] = tuple(Algorithm), *, stale: bool = False
) -> list[str]:
    """One value of WWW-Authenticate or Proxy-Authenticate for each algorithm, strongest first."""
    end = ", stale=true" if stale else ""
    return [
        f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={each.value}, qop="{QOP}"{end}'
        for each in Algorithm
        if each in algorithms
    ]


def parse_credentials(text: str) -> Credentials | None:
    """The value of Authorization or Proxy-Authorization. None: a scheme, algorithm or qop that is not ours.

    One pass. Raises `Malformed`.
    """
    scheme, _, rest = text.strip(WHITESPACE).partition(" ")
    if scheme.lower() != "digest":
        return None
    fields = parse_fields(rest)
    algorithm = parse_algorithm(fields.get("algorithm", Algorithm.MD5.value))
    if algorithm is None or fields.get("qop", "").lower() != QOP or fields.get("userhash") == "true":
        return None
    try:
        user, realm, nonce, uri, cnonce, given = [
            fields[name] for name in ("username", "realm", "nonce", "uri", "cnonce", "response")
        ]
    except KeyError:
        raise Malformed("digest credentials lack a field") from None
    if len(given) != algorithm.digits or not _HEX.issuperset(given):
        raise Malformed("digest response is none")
    return Credentials(user, realm, nonce, uri, algorithm, _count(fields.get("nc", "")), cnonce, given)


def parse_fields(text: str) -> dict[str, str]:
    """What credentials and challenges consist of, by lower-case name. Raises `Malformed`."""
    fields: dict[str, str] = {}
    pieces = split_outside_quotes(text, ",")
    if len(pieces) > MAX_LIST_ELEMENTS:
        raise Malformed("too many fields in digest credentials")
    for piece in pieces:
        name, equals, value = piece.partition("=")
        name, value = name.strip(WHITESPACE).lower(), value.strip(WHITESPACE)
        if not equals or not is_token(name) or not value:
            raise Malformed("digest field without a name or a value")
        if name in fields:
            raise Malformed("digest field given twice")
        fields[name] = _value(value)
    return fields


def _value(text: str) -> str:
    if text[0] != '"':
        return text
    if closing_quote(text, 0) != len(text) - 1:
        raise Malformed("text after a quoted digest field")
    return unquote(text)


def parse_algorithm(name: str) -> Algorithm | None:
    """None: one that is not ours."""
    return next((each for each in Algorithm if each.value == name.upper()), None)


def _count(text: str) -> int:
    if len(text) != 8 or not _HEX.issuperset(text) or not int(text, 16):
        raise Malformed("nonce count is none")
    return int(text, 16)


def _address(uri: Uri) -> tuple[str, str | None, str, int | None]:
    return uri.scheme, uri.user, uri.host.lower(), uri.port
