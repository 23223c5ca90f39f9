"""UPDATE (RFC 3311): what a re-INVITE does, without an ACK and before the answer too.

| RFC 3311 | it comes | it gets |
|---|---|---|
| 5.2 | without an offer | 200: the remote target is refreshed, the other leg hears nothing |
| 5.2 | while its sender's own offer is unanswered | 500 with Retry-After |
| 5.2 | while an offer of ours to its sender is unanswered | 491 |
| 5.1 | with an offer, the other leg allows UPDATE | what the other leg says to an UPDATE |
| 5.1 | with an offer, the other leg does not | what the other leg says to a re-INVITE |
"""

from collections.abc import Callable

from mediaproxy.sip.headers import Headers

# 5.2: it has to be answered promptly; its client gives up after 64*T1, and a person may decide a re-INVITE.
ANSWER_S = 20.0
LONGEST_WAIT_S = 10  # RFC 3261 14.2


def retry_after(random: Callable[[int], bytes]) -> Headers:
    """So that who asks twice without waiting comes back at a time of chance (RFC 3261 14.2)."""
    return Headers.of(("Retry-After", random(1)[0] % (LONGEST_WAIT_S + 1)))
