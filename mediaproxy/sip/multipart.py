"""The session description within a multipart/mixed body (RFC 2046 5.1, RFC 5621), and the bytes around it.

The body is cut where that part begins and ends and never rebuilt, so that what stands beside it (the caller's
location, RFC 6442) reaches the other side as it was written.
"""

from typing import NamedTuple

from mediaproxy.errors import Malformed
from mediaproxy.sip.grammar import WHITESPACE, param, parse_params, unquote
from mediaproxy.sip.headers import Headers, parse_headers
from mediaproxy.sip.parser import split_head

MIXED = "multipart/mixed"
UNSUPPORTED = 415
MAX_PARTS = 16
MAX_BOUNDARY = 70  # RFC 2046 5.1.1
_SDP = "application/sdp"
_CRLF = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_AS_IT_IS = frozenset({"7bit", "8bit", "binary"})


class Enclosed(NamedTuple):
    """A part's `content`, and the body before and after it.

    `length` is where in `before` the digits of the part's own Content-Length stand, if it has one.
    """

    content: bytes
    before: bytes
    after: bytes
    length: slice | None = None

    def around(self, content: bytes) -> bytes:
        """The body with `content` in the place of what was there; every other byte stays."""
        before = self.before
        if self.length is not None:
            before = b"%b%d%b" % (before[: self.length.start], len(content), before[self.length.stop :])
        return before + content + self.after


def find_sdp(body: bytes, content_type: str) -> Enclosed | None:
    """The one part that is SDP; None when there is none. `content_type` is the header's whole value.

    Raises `Malformed`: 400 when it is no multipart body or holds two descriptions, of which another might
    read the other one; 415 for one that is encoded.
    """
    found = None
    for start, end in _parts(body, _boundary(content_type)):
        enclosed = _read(body, start, end)
        if enclosed is not None and found is not None:
            raise Malformed("two session descriptions in one body")
        found = found or enclosed
    return found


def _boundary(content_type: str) -> bytes:
    _, semicolon, params = content_type.partition(";")
    text = param(parse_params(semicolon + params), "boundary") or ""
    text = unquote(text) if text.startswith('"') else text
    if not (0 < len(text) <= MAX_BOUNDARY and text.isascii() and text.isprintable()):
        raise Malformed("multipart body without a boundary", status=UNSUPPORTED)
    return b"--" + text.encode()


def _parts(body: bytes, delimiter: bytes) -> list[tuple[int, int]]:
    """Where each part begins and ends, its head included and the CRLF before the next delimiter not."""
    parts: list[tuple[int, int]] = []
    start: int | None = None
    at = 0 if body.startswith(delimiter) else body.find(_CRLF + delimiter)
    while at >= 0:
        if start is not None:
            parts.append((start, at))
        if len(parts) > MAX_PARTS:
            raise Malformed("too many parts in a body", status=413)
        line = at + len(delimiter) + (len(_CRLF) if body.startswith(_CRLF, at) else 0)
        if body.startswith(b"--", line):
            return parts
        end = body.find(_CRLF, line)
        if end < 0 or body[line:end].strip(b" \t"):
            raise Malformed("text after a boundary")  # or a longer one that begins alike
        # The CRLF of a delimiter's line may be that of the next one: a part without head and content.
        start, at = end + len(_CRLF), body.find(_CRLF + delimiter, end)
        start = min(start, at) if at >= 0 else start
    raise Malformed("multipart body without an end")


def _read(body: bytes, start: int, end: int) -> Enclosed | None:
    if body.startswith(_CRLF, start) or start >= end:  # no head: plain text
        return None
    head_end = body.find(_HEAD_END, start, end)
    head = body[start : end if head_end < 0 else head_end]
    text = head.decode("utf-8", "surrogateescape")
    headers = _headers(text)
    kind = (headers.first("content-type") or "").partition(";")[0].strip(WHITESPACE).lower()
    if kind != _SDP:
        return None
    encoding = (headers.first("content-transfer-encoding") or "binary").lower()
    if encoding not in _AS_IT_IS or "content-encoding" in headers:
        raise Malformed("session description in an encoding", status=UNSUPPORTED)
    if head_end < 0:
        raise Malformed("a part without content")
    content = head_end + len(_HEAD_END)
    return Enclosed(body[content:end], body[:content], body[end:], _length(body, start, headers))


def _headers(text: str) -> Headers:
    _, lines = split_head(f"\r\n{text}")  # no start line here
    headers = parse_headers(lines)
    if any(len(header.name) == 1 for header in headers):
        raise Malformed("a compact header in a part")  # SIP's alone: MIME would not know it
    for name in ("content-type", "content-length", "content-transfer-encoding"):
        if len(headers.all(name)) > 1:
            raise Malformed("a part's header stands twice")
    return headers


def _length(body: bytes, start: int, headers: Headers) -> slice | None:
    at = start
    for header in headers:
        line = header.text.encode("utf-8", "surrogateescape")
        if header.key == "content-length":
            digits = header.value.encode("utf-8", "surrogateescape")
            if not digits.isdigit():
                raise Malformed("a part's Content-Length is no number")
            first = body.index(digits, at + line.index(b":"))
            return slice(first, first + len(digits))
        at += len(line) + len(_CRLF)
    return None
