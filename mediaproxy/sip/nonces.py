"""Nonces that need no memory until somebody has proven a password with one (RFC 7616 3.3, 5.4).

A nonce says itself when it was made, signed together with the realm and the host that asked, so that no
other host can use it up. Memory is bounded: of the nonces in use the oldest are forgotten first, and
what is older than a forgotten one counts no more.
"""

from collections.abc import Callable
from enum import Enum, auto
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_hmac

from mediaproxy.limits import MAX_NONCES

NONCE_S = 600.0
KEY_BYTES = 32
_MADE, _SERIAL, _SIGNED = 8, 6, 12  # bytes: ns of the monotonic clock, a number of ours, signature
_DIGITS = 2 * (_MADE + _SERIAL + _SIGNED)


class Judgement(Enum):
    FRESH = auto()
    STALE = auto()  # ours or not: a new challenge tells
    REPLAYED = auto()  # its count was used already


class Nonces:
    """`random` gives that many random bytes; the key is this object's own, so a restart makes all stale."""

    def __init__(self, random: Callable[[int], bytes], *, most: int = MAX_NONCES) -> None:
        self._key = random(KEY_BYTES)
        self._serial = 0
        self._most = most
        self._used: dict[int, int] = {}  # serial -> highest count, in order of first use
        self._forgotten = 0  # the highest serial of which the count is no longer known

    def __len__(self) -> int:
        return len(self._used)

    def new(self, realm: str, host: str, *, now_ns: int) -> str:
        self._serial += 1
        made = now_ns.to_bytes(_MADE, "big") + self._serial.to_bytes(_SERIAL, "big")
        return (made + self._sign(made, realm, host)).hex()

    def judge(self, nonce: str, count: int, realm: str, host: str, *, now_ns: int) -> Judgement:
        """Whether it may be used so once; whoever has proven a password then calls `use`."""
        serial = self._read(nonce, realm, host, now_ns)
        if serial is None:
            return Judgement.STALE
        highest = self._used.get(serial)
        if highest is not None:
            return Judgement.FRESH if count > highest else Judgement.REPLAYED
        return Judgement.STALE if serial <= self._forgotten else Judgement.FRESH

    def use(self, nonce: str, count: int) -> None:
        """Of a nonce that was judged fresh: this count and all below are spent."""
        serial = int.from_bytes(bytes.fromhex(nonce)[_MADE : _MADE + _SERIAL], "big")
        self._used[serial] = count
        while len(self._used) > self._most:
            oldest = next(iter(self._used))
            del self._used[oldest]
            self._forgotten = max(self._forgotten, oldest)

    def _read(self, nonce: str, realm: str, host: str, now_ns: int) -> int | None:
        """The serial of a nonce of ours that is still good; None of any other text."""
        if len(nonce) != _DIGITS or not nonce.isascii():
            return None
        try:
            octets = bytes.fromhex(nonce)
        except ValueError:
            return None
        made, signature = octets[: _MADE + _SERIAL], octets[_MADE + _SERIAL :]
        if not compare_digest(signature, self._sign(made, realm, host)):
            return None
        age_s = (now_ns - int.from_bytes(made[:_MADE], "big")) / 1e9
        return int.from_bytes(made[_MADE:], "big") if age_s <= NONCE_S else None

    def _sign(self, made: bytes, realm: str, host: str) -> bytes:
        text = f"{len(realm)}:{realm}{host}".encode("utf-8", "surrogateescape")
        return new_hmac(self._key, made + text, sha256).digest()[:_SIGNED]
