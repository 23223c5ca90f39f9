"""Bearer tokens (RFC 6750): who is asking, found without telling by time how near a guess was."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256


class Role(Enum):
    ADMIN = "admin"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `name` stands in recordings as their user; `agent` is set for agents."""

    role: Role
    name: str
    agent: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A secret and whom it stands for."""

    secret: str = field(repr=False)
    caller: Caller


class Tokens:
    """The known tokens, kept as hashes; replaced whole by `replace` on a reload."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        self._known = [(_digest(token.secret), token.caller) for token in tokens]

    def caller(self, authorization: str | None) -> Caller | None:
        """Whom an Authorization header's value stands for; every token is compared, in constant time."""
        scheme, _, secret = (authorization or "").partition(" ")
        given = _digest(secret.strip())
        found = None
        for known, caller in self._known:
            if hmac.compare_digest(known, given):
                found = caller
        return found if scheme.lower() == "bearer" else None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
