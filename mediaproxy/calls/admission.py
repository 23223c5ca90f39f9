"""Which requests we take at all (RFC 3261 8.2), judged before anything is set up."""

from dataclasses import dataclass, field

from mediaproxy.calls.session_timer import TIMER, is_too_brief, too_brief
from mediaproxy.calls.wire import ALLOW, SDP
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request

TAKEN = frozenset(ALLOW.split(", "))
# Known to us and refused with 405; what is in no RFC of ours is 501 (21.5.2).
KNOWN = TAKEN | {"REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER", "PRACK"}
RETRY_AFTER_S = 10
# Extensions that need nothing of who stands between the two ends (RFC 3323, 7044, 4412, 5373).
TRANSPARENT = frozenset({"privacy", "histinfo", "resource-priority", "answermode"})

TAKES_PART = frozenset({TIMER})  # what we do on each leg


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    headers: Headers = field(default_factory=Headers)
    reason: str | None = None


def busy() -> Refusal:
    """No room for one more call now."""
    return Refusal(503, Headers.of(("Retry-After", RETRY_AFTER_S)))


def not_registered() -> Refusal:
    """The agent is nowhere to be reached (Q.850: subscriber absent)."""
    return Refusal(480, Headers.of(("Reason", 'Q.850;cause=20;text="Agent not registered"')))


def check_method(request: Request, *, registers: bool = False) -> Refusal | None:
    """`registers`: there are agents who do."""
    if request.method in TAKEN or (registers and request.method == "REGISTER"):
        return None
    allow = Headers.of(("Allow", allowed(registers=registers)))
    return Refusal(405 if request.method in KNOWN else 501, allow)


def allowed(*, registers: bool) -> str:
    return f"{ALLOW}, REGISTER" if registers else ALLOW


def check_invite(request: Request, flow: Flow) -> Refusal | None:
    """What an INVITE must be, within a dialog or not."""
    if request.headers.first("contact") in (None, "*"):
        return Refusal(400, reason="Contact Missing")
    if request.target.scheme not in (("sip", "sips") if flow.transport == "tls" else ("sip",)):
        return Refusal(416)
    if request.max_forwards == 0:
        return Refusal(483)
    if is_too_brief(request):
        return Refusal(422, too_brief())
    return check_extensions(request, also=TAKES_PART) or check_body(request)


def check_extensions(request: Request, *, also: frozenset[str] = frozenset()) -> Refusal | None:
    """A Require of what we would have to take part in, or know nothing of (8.2.2.3); `also` is known."""
    if "require" not in request.headers:
        return None
    known = TRANSPARENT | also
    unsupported = [tag for tag in request.headers.elements("require") if tag.lower() not in known]
    return Refusal(420, Headers.of(("Unsupported", ", ".join(unsupported)))) if unsupported else None


def check_body(request: Request) -> Refusal | None:
    """An INVITE's body is SDP as it stands, or there is none (8.2.3)."""
    if not request.body:
        return None
    if request.content_type != SDP:
        return Refusal(415, Headers.of(("Accept", SDP)))
    if "content-encoding" in request.headers and request.headers.tokens("content-encoding") != {"identity"}:
        return Refusal(415, Headers.of(("Accept-Encoding", "identity"), ("Accept", SDP)))
    return None
