"""The client's half of digest authentication (RFC 7616 3.4), written apart from the server's."""

import hashlib
import re
from itertools import count

HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}

_cnonces = count(1)


def hashed(algorithm: str, *parts: str) -> str:
    return HASHES[algorithm](":".join(parts).encode()).hexdigest()


def field(challenge: str, name: str) -> str:
    found = re.search(rf'{name}=(?:"([^"]*)"|([^,\s]+))', challenge)
    assert found, challenge
    return found[1] or found[2]


def answer(challenge: str, user: str, password: str, method: str, uri: str, *, nc: int = 1) -> str:
    """The value of Authorization or Proxy-Authorization."""
    assert field(challenge, "qop") == "auth"
    algorithm, realm, nonce = (field(challenge, name) for name in ("algorithm", "realm", "nonce"))
    cnonce = f"c{next(_cnonces)}"
    response = hashed(
        algorithm, hashed(algorithm, user, realm, password), nonce, f"{nc:08x}", cnonce, "auth",
        hashed(algorithm, method, uri),
    )  # fmt: skip
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm={algorithm},'
        f' response="{response}", qop=auth, nc={nc:08x}, cnonce="{cnonce}"'
    )
