"""Standard Webhooks: what proves to the receiver that a message is ours, whole, and of when.

The signature is HMAC-SHA256 over `id.timestamp.body`; a secret is `whsec_` and Base64 of 24 to 64 bytes.
"""

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

PREFIX: Final = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64


def parse_secret(text: str) -> bytes:
    """Raises ValueError with a remedy."""
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not (text.startswith(PREFIX) and MIN_BYTES <= len(key) <= MAX_BYTES):
        raise ValueError(
            f'not a secret; write "{PREFIX}" and Base64 of {MIN_BYTES} to {MAX_BYTES} bytes'
            " (openssl rand -base64 32)"
        )
    return key


def headers(key: bytes, ident: str, unix_s: int, body: bytes) -> list[tuple[str, str]]:
    signed = hmac.digest(key, f"{ident}.{unix_s}.".encode() + body, sha256)
    return [
        ("webhook-id", ident),
        ("webhook-timestamp", str(unix_s)),
        ("webhook-signature", f"v1,{b64encode(signed).decode()}"),
    ]
