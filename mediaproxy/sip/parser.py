"""Bytes to messages (RFC 3261 7, 18.3). Whatever a peer sends gives a message or `Malformed`."""

from mediaproxy.errors import Malformed
from mediaproxy.limits import MAX_SIP_MESSAGE_BYTES
from mediaproxy.sip.address import parse_name_addr
from mediaproxy.sip.grammar import is_token, parse_number
from mediaproxy.sip.headers import Headers, join_folds, parse_headers
from mediaproxy.sip.messages import SIP_VERSION, Message, Request, Response

# Two of these would let two elements on the way read two different messages (RFC 4475 3.3.8, 3.3.9).
_SINGLE = frozenset(
    {
        *("from", "to", "call-id", "cseq", "max-forwards", "expires"),
        *("content-length", "content-type", "content-disposition", "mime-version"),
        *("session-expires", "min-se", "rack", "rseq", "event", "subscription-state"),
        *("refer-to", "referred-by", "replaces", "join", "target-dialog", "record"),
    }
)


def parse_message(data: bytes) -> Request | Response:
    """One datagram, or one message that `framing` cut out of a stream.

    Bytes beyond Content-Length are dropped, fewer of them are an error (18.3). Raises `Malformed`
    with the status to answer a request with: 400, 413 too large, 505 another version.
    """
    if len(data) > MAX_SIP_MESSAGE_BYTES:
        raise Malformed("message too large", status=413)
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise Malformed("head without an end")
    message = _parse_head(head.decode("utf-8", "surrogateescape"))
    message.body = _cut_body(body, message.headers)
    _check(message)
    return message


def split_head(head: str) -> tuple[str, list[str]]:
    """The start line and the header lines, folds joined. A bare CR or LF is nobody's line end."""
    ends = head.count("\r\n")
    if head.count("\n") != ends or head.count("\r") != ends:
        raise Malformed("bare CR or LF in the head")
    start_line, *lines = head.split("\r\n")
    if "\r\n " in head or "\r\n\t" in head:
        lines = join_folds(lines)
    return start_line, lines


def _parse_head(head: str) -> Request | Response:
    if "\0" in head and head.count("\0") != head.count("\\\0"):
        raise Malformed("NUL in the head")  # ends the line for some; within quotes it can be escaped (25.1)
    start_line, lines = split_head(head)
    words = start_line.split(" ", 2)
    if len(words) != 3:
        raise Malformed("start line has not three parts")
    if start_line[:4].upper() == "SIP/":
        return _parse_status(words, parse_headers(lines))
    method, uri, version = words
    if not is_token(method):
        raise Malformed("method is not a token")
    if version.upper() != SIP_VERSION:
        raise _version_error(version)
    return Request(method, uri, parse_headers(lines))


def _parse_status(words: list[str], headers: Headers) -> Response:
    version, status, reason = words
    if version.upper() != SIP_VERSION:
        raise _version_error(version)
    number = parse_number(status, most=699)
    if len(status) != 3 or number < 100:
        raise Malformed("bad status code")
    return Response(number, reason, headers)


def _version_error(version: str) -> Malformed:
    if version[:4].upper() == "SIP/" and version[4:].replace(".", "", 1).isdecimal():
        return Malformed("another SIP version", status=505)
    return Malformed("start line names no SIP version")


def _cut_body(body: bytes, headers: Headers) -> bytes:
    value = headers.first("content-length")
    if value is None:
        return body
    length = parse_number(value, most=MAX_SIP_MESSAGE_BYTES)
    if length > len(body):
        raise Malformed("body shorter than its Content-Length")
    return body[:length]


def _check(message: Request | Response) -> None:
    _check_singles(message)
    # Reading is checking: each of these raises Malformed, and most are asked for again anyway.
    _ = (message.via, message.from_, message.to, message.call_id)
    method = message.cseq.method
    if isinstance(message, Request):
        _ = (message.target, message.max_forwards)
        if method != message.method:
            raise Malformed("CSeq names another method")
    for name in ("contact", "route", "record-route"):
        for element in message.headers.elements(name):
            if element != "*":
                parse_name_addr(element)


def _check_singles(message: Message) -> None:
    singles = [key for key, _ in message.headers if key in _SINGLE]
    if len(singles) != len(set(singles)):
        raise Malformed("a header that may stand once stands twice")
