"""Addresses with a display name (RFC 3261 20.10): From, To, Contact, Route, Record-Route."""

from typing import NamedTuple

from mediaproxy.errors import Malformed
from mediaproxy.sip.grammar import (
    WHITESPACE,
    Params,
    closing_quote,
    format_params,
    is_token,
    param,
    parse_params,
    quote,
    unquote,
    with_param,
)
from mediaproxy.sip.uri import Uri, parse_uri


class NameAddr(NamedTuple):
    """`display` is unquoted and "" when there is none; `params` are the header's, not the URI's."""

    uri: Uri
    display: str = ""
    params: Params = ()

    @property
    def tag(self) -> str | None:
        return self.param("tag") or None

    def param(self, name: str) -> str | None:
        return param(self.params, name)

    def with_tag(self, tag: str) -> "NameAddr":
        return self._replace(params=with_param(self.params, "tag", tag))

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{format_params(self.params)}"


def parse_name_addr(text: str) -> NameAddr:
    text = text.strip(WHITESPACE)
    if text[:1] == '"':
        end = closing_quote(text, 0)
        display = unquote(text[: end + 1])
        text = text[end + 1 :].lstrip(WHITESPACE)
        if text[:1] != "<":
            raise Malformed("no address after a display name")
    else:
        display, bracket, rest = text.partition("<")
        if not bracket:
            return _parse_addr_spec(text)
        display = _plain_display(display)
        text = bracket + rest
    uri, bracket, params = text[1:].partition(">")
    if not bracket:
        raise Malformed("unterminated angle bracket")
    return NameAddr(parse_uri(uri), display, parse_params(params))


def _plain_display(text: str) -> str:
    words = text.split()
    for word in words:
        # Tokens only, but phones do send unquoted UTF-8 names.
        if not is_token(word) and not is_token("".join([c if c < "\x80" else "x" for c in word])):
            raise Malformed("display name needs quotes")
    return " ".join(words)


def _parse_addr_spec(text: str) -> NameAddr:
    """Without brackets the parameters are the header's, and `,` and `?` are forbidden (20)."""
    uri, semicolon, params = text.partition(";")
    if "?" in uri or "," in uri:
        raise Malformed("address needs angle brackets")
    return NameAddr(parse_uri(uri.rstrip(WHITESPACE)), "", parse_params(semicolon + params))
