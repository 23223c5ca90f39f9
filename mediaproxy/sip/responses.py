"""Building responses (RFC 3261 8.2.6), and answering what could not even be parsed."""

from hashlib import blake2s

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.headers import Header, Headers, header_key
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.parser import split_head
from mediaproxy.sip.via import parse_via

REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    600: "Busy Everywhere",
    603: "Decline",
}

_COPIED = ("via", "from", "to", "call-id", "cseq")


def respond(
    request: Request,
    status: int,
    *,
    tag: str | None = None,
    reason: str | None = None,
    headers: Headers | None = None,
    body: bytes = b"",
) -> Response:
    """A response with what must be copied from the request, byte for byte.

    `tag` is added to a To that has none (never to a 100, 8.2.6.2). Record-Route is copied into what
    creates a dialog: 101 to 299 to an INVITE (12.1.1). `headers` come after these.
    """
    names: tuple[str, ...] = _COPIED
    if request.method == "INVITE" and 100 < status < 300:
        names = (*_COPIED, "record-route")
    copied = request.headers.only(*names)
    to = request.to
    if tag is not None and status > 100 and to.tag is None:
        copied = copied.with_("To", f"{request.headers.first('to')};tag={tag}")
        to = to.with_tag(tag)
    if headers is not None:
        copied = copied + headers
    reason = REASONS.get(status, "") if reason is None else reason
    return Response.answering(request, status, reason, copied, body, to)


def stamp(request: Request, source: Endpoint) -> Request:
    """`request` with `received` and `rport` on its topmost Via as the source demands (18.2.1)."""
    via = request.via
    stamped = via.stamped(source)
    return request if stamped is via else request.with_via(stamped)


def answer_malformed(data: bytes, error: Malformed, source: Endpoint) -> tuple[bytes, Endpoint] | None:
    """A stateless error response to a request that could not be parsed, and where it goes over UDP.

    None, and thus a drop, for responses, ACK, and whatever lacks one of the five headers that a
    response is made of (8.2.6): without them nobody could match it.
    """
    head, _, _ = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    try:
        start_line, lines = split_head(head.decode("utf-8", "surrogateescape"))
    except Malformed:
        return None
    headers = _essentials(lines)
    methods = (start_line.partition(" ")[0], (headers.first("cseq") or "").rpartition(" ")[2])
    if start_line[:4].upper() == "SIP/" or "ACK" in methods:
        return None
    if any(name not in headers for name in _COPIED):
        return None
    headers, reply_to = _stamp_if_readable(headers, source)
    to = headers.first("to") or ""
    if "tag=" not in to:  # the same tag for each retransmission (8.2.7)
        headers = headers.with_("To", f"{to};tag={blake2s(head, digest_size=8).hexdigest()}")
    response = Response(error.status, REASONS.get(error.status, ""), headers)
    return response.encode(), reply_to


def _stamp_if_readable(headers: Headers, source: Endpoint) -> tuple[Headers, Endpoint]:
    """A Via that can't be read goes back as it is, to where it came from."""
    try:
        via = parse_via(headers.elements("via")[0]).stamped(source)
    except (Malformed, IndexError):
        return headers, source
    return headers.with_first_element("via", via), via.reply_to


def _essentials(lines: list[str]) -> Headers:
    """The copied headers of lines of which others may be broken; of all but Via the first alone."""
    fields = []
    seen = set()
    for line in lines:
        name, colon, value = line.partition(":")
        key = header_key(name.rstrip(" \t"))
        if not colon or not value.strip() or key not in _COPIED or key in seen:
            continue
        if key != "via":
            seen.add(key)
        fields.append(Header(key, line))
    return Headers(fields)
