"""Session timers (RFC 4028): a leg that no longer refreshes its session is gone, BYE or not.

Each leg has its own, for we are the user agent on both. What is agreed, by who asks:

| RFC 4028 | the request says | the 2xx says | refreshes |
|---|---|---|---|
| 9, table 2 | Session-Expires, refresher=uac or uas | the same | as said |
| 9, table 2 | Session-Expires, no refresher, Supported: timer | refresher=uac | who asked |
| 9, table 2 | no Supported: timer | refresher=uas | who answered |
| 7.2 | ours asked, and the 2xx says nothing | | we, for the peer does not know timers |
"""

from dataclasses import dataclass
from typing import NamedTuple

from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Message

TIMER = "timer"
MIN_SE_S = 90  # 4: nobody may ask for less
MAX_SE_S = 2**31 - 1
UAC, UAS = "uac", "uas"


class Expires(NamedTuple):
    """A Session-Expires. Without a `refresher` the other end decides."""

    seconds: int
    refresher: str | None


def session_expires(message: Message) -> Expires | None:
    """None when there is none that makes sense."""
    value = message.headers.first("session-expires")
    seconds = None if value is None else _seconds(value)
    if value is None or seconds is None:
        return None
    params = [part.strip().lower().replace(" ", "") for part in value.split(";")[1:]]
    refresher = next((role for role in (UAC, UAS) if f"refresher={role}" in params), None)
    return Expires(seconds, refresher)


def min_se(message: Message) -> int:
    """The least that all on the way take (5)."""
    value = message.headers.first("min-se")
    return max(MIN_SE_S, (_seconds(value) if value is not None else None) or 0)


def supports(message: Message) -> bool:
    return TIMER in message.headers.tokens("supported") | message.headers.tokens("require")


def is_too_brief(message: Message) -> bool:
    """Worth a 422: who knows timers asks for less than we take (9)."""
    said = session_expires(message)
    return said is not None and said.seconds < MIN_SE_S and supports(message)


def too_brief() -> Headers:
    """Of our 422."""
    return Headers.of(("Min-SE", MIN_SE_S))


@dataclass(slots=True)
class Session:
    """One leg's timer. `wish_s` is what we ask for (0: nothing), `interval_s` what is agreed (0: none).

    `since` is when it was refreshed last, `retry_at` when we ask once more, both in seconds.
    """

    wish_s: int = 0
    least_s: int = MIN_SE_S
    interval_s: int = 0
    ours: bool = False  # we are the refresher
    since: float = 0.0
    retry_at: float | None = None

    @property
    def refresh_at(self) -> float | None:
        """When we refresh: after half of it (7.4)."""
        if not self.interval_s or not self.ours:
            return None
        return self.since + self.interval_s / 2 if self.retry_at is None else self.retry_at

    @property
    def expires_at(self) -> float | None:
        """A BYE goes out a little earlier than the session is over (10)."""
        if not self.interval_s:
            return None
        return self.since + self.interval_s - min(32.0, self.interval_s / 3)

    def ask(self) -> Headers:
        """Of an INVITE or UPDATE of ours (7.1); who refreshes stays who did (7.4)."""
        seconds = max(self.interval_s or self.wish_s, self.least_s)
        headers = Headers.of(("Supported", TIMER))
        if not self.interval_s and not self.wish_s:
            return headers
        role = f";refresher={UAC if self.ours else UAS}" if self.interval_s else ""
        headers = headers.appended("Session-Expires", f"{seconds}{role}")
        return headers.appended("Min-SE", self.least_s) if self.least_s > MIN_SE_S else headers

    def take(self, response: Message, now: float) -> None:
        """A 2xx to what we asked (7.2)."""
        said = session_expires(response)
        if said is not None:
            self._agree(said.seconds, now, ours=said.refresher != UAS)
        else:
            self._agree(self.wish_s, now, ours=True)

    def accept(self, request: Message, now: float) -> Headers:
        """What our 2xx to a request says (9)."""
        said = session_expires(request)
        seconds = max(self.wish_s, min_se(request)) if said is None and self.wish_s else 0
        refresher = UAC if supports(request) else UAS
        if said is not None:
            seconds = said.seconds
            refresher = said.refresher or refresher if supports(request) else UAS
        self._agree(seconds, now, ours=refresher == UAS)
        headers = Headers.of(("Supported", TIMER))
        if not seconds:
            return headers
        if refresher == UAC:
            headers = headers.appended("Require", TIMER)
        return headers.appended("Session-Expires", f"{self.interval_s};refresher={refresher}")

    def lengthen(self, response: Message) -> bool:
        """After a 422: whether asking again makes sense (7.3)."""
        least = min_se(response)
        if response.headers.first("min-se") is None or least <= self.least_s:
            return False
        self.least_s = least
        if self.interval_s:
            self.interval_s = max(self.interval_s, least)
        return True

    def _agree(self, seconds: int, now: float, *, ours: bool) -> None:
        self.interval_s = max(seconds, self.least_s) if seconds else 0
        self.ours, self.since, self.retry_at = ours, now, None


def _seconds(value: str) -> int | None:
    digits = value.partition(";")[0].strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 10:
        return None
    return min(int(digits), MAX_SE_S)
