"""The scanners that every header is read with (RFC 3261 25.1): one pass, no backtracking."""

import string

from mediaproxy.errors import Malformed

Params = tuple[tuple[str, str | None], ...]
"""Parameters in order: names in lower case, values as spelt (quotes included), None without `=`."""

WHITESPACE = " \t\r\n"  # \r\n only ever occurs before a blank: folding (7.3.1)
MAX_LIST_ELEMENTS = 64  # keeps the cost of one message below a few ms whatever it holds

_TOKEN = frozenset(string.ascii_letters + string.digits + "-.!%*_+`'~")
_NOT_IN_VALUE = frozenset(' \t\r\n\x00"<>,;')


def is_token(text: str) -> bool:
    return bool(text) and _TOKEN.issuperset(text)


def parse_number(text: str, *, most: int) -> int:
    """A decimal integer in 0..`most`."""
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise Malformed("not a number")
    value = int(text)
    if value > most:
        raise Malformed("number too large")
    return value


def unfold(value: str) -> str:
    """A folded value means the same as one with a single space there (7.3.1)."""
    if "\n" not in value:
        return value.strip(WHITESPACE)
    return " ".join(line.strip(WHITESPACE) for line in value.split("\r\n")).strip()


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Split at `separator` outside of quoted strings and angle brackets, blanks removed."""
    if separator not in text:
        return [text.strip(WHITESPACE)]
    if '"' not in text and "<" not in text:
        return [part.strip(WHITESPACE) for part in text.split(separator)]
    parts = []
    start = at = 0
    length = len(text)
    while at < length:
        char = text[at]
        if char == '"':
            at = closing_quote(text, at)
        elif char == "<":
            at = _closing_bracket(text, at)
        elif char == separator:
            parts.append(text[start:at].strip(WHITESPACE))
            start = at + 1
        at += 1
    parts.append(text[start:].strip(WHITESPACE))
    return parts


def closing_quote(text: str, opening: int) -> int:
    """Where the quoted string that begins at `opening` ends."""
    at = opening + 1
    quote = text.find('"', at)
    while quote >= 0:
        backslash = text.find("\\", at, quote)
        if backslash < 0:
            return quote
        at = backslash + 2  # whatever follows a backslash is taken literally
        if at > quote:
            quote = text.find('"', at)
    raise Malformed("unterminated quoted string")


def unquote(text: str) -> str:
    """The content of a quoted string given with its quotes."""
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    parts = inner.split("\\\\")  # pairs first, so that an escaped backslash escapes nothing
    return "\\".join(part.replace("\\", "") for part in parts)


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_params(text: str) -> Params:
    """`;name=value;name` with the leading semicolon, or nothing at all."""
    text = text.strip(WHITESPACE)
    if not text:
        return ()
    if text[0] != ";":
        raise Malformed("parameters do not begin with a semicolon")
    pieces = text[1:].split(";") if '"' not in text else split_outside_quotes(text[1:], ";")
    if len(pieces) > MAX_LIST_ELEMENTS:
        raise Malformed("too many parameters")
    return tuple([_parse_param(piece) for piece in pieces])


def format_params(params: Params) -> str:
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def param(params: Params, name: str) -> str | None:
    """The value of a parameter; "" when it stands without one, None when it is absent."""
    for key, value in params:
        if key == name:
            return value or ""
    return None


def with_param(params: Params, name: str, value: str | None) -> Params:
    """`params` with `name` set, in its place if it was there."""
    if param(params, name) is None:
        return (*params, (name, value))
    return tuple((key, value if key == name else old) for key, old in params)


def _parse_param(piece: str) -> tuple[str, str | None]:
    name, equals, value = piece.partition("=")
    name = name.strip(WHITESPACE).lower()
    if not is_token(name):
        raise Malformed("parameter name is not a token")
    if not equals:
        return name, None
    value = value.strip(WHITESPACE)
    if not value:
        raise Malformed("empty parameter value")
    if value[0] == '"':
        if closing_quote(value, 0) != len(value) - 1:
            raise Malformed("text after a quoted parameter value")
    elif not _NOT_IN_VALUE.isdisjoint(value):
        raise Malformed("forbidden character in a parameter value")
    return name, value


def _closing_bracket(text: str, opening: int) -> int:
    closing = text.find(">", opening)
    if closing < 0:
        raise Malformed("unterminated angle bracket")
    return closing
