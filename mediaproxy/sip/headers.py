"""Header fields in order (RFC 3261 7.3): what nobody touches goes out byte for byte as it came in."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, cast

from mediaproxy.errors import Malformed
from mediaproxy.limits import MAX_SIP_HEADER_BYTES, MAX_SIP_HEADERS
from mediaproxy.sip.grammar import MAX_LIST_ELEMENTS, WHITESPACE, is_token, split_outside_quotes, unfold

# RFC 3261 7.3.3, RFC 3515, 3891 (none), 4028, 6665, 3892, 3841, 4474.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
# What stands in nearly every message, so that the common spelling costs one look-up.
_COMMON = (
    "Accept Allow Allow-Events Call-ID Call-Id Contact Content-Disposition Content-Length Content-Type CSeq"
    " Date Expires From Max-Forwards P-Asserted-Identity Privacy Proxy-Authorization Record-Route Require"
    " Route Server Session-Expires Min-SE Subject Supported To User-Agent Via"
)
_KEYS = {name: name.lower() for name in (*_COMMON.split(), *_COMMON.lower().split())} | _COMPACT


class Header(NamedTuple):
    """`key` is the long name in lower case, `text` the exact line or lines, without the last CRLF."""

    key: str
    text: str

    @property
    def name(self) -> str:
        """As spelt."""
        return self.text.partition(":")[0].rstrip(" \t")

    @property
    def value(self) -> str:
        """Unfolded, without the blanks around it."""
        return unfold(self.text.partition(":")[2])


# Skips the Python-level constructor, which would be a tenth of the cost of a message.
_new_header = cast(Callable[[tuple[str, str]], Header], partial(tuple.__new__, Header))


def header_key(name: str) -> str:
    """`name` as it is compared: lower case, compact forms made long."""
    key = _KEYS.get(name)
    if key is None:
        key = name.lower()
        key = _COMPACT.get(key, key)
    return key


class Headers:
    """An immutable list of header fields. Names are compared without case, compact equal to long."""

    __slots__ = ("_fields", "_keys")

    def __init__(self, fields: Iterable[Header] = ()) -> None:
        self._fields = tuple(fields)
        self._keys: list[str] | None = None  # of the fields, once something was looked for

    @classmethod
    def of(cls, *pairs: tuple[str, object]) -> "Headers":
        """Headers of our own making: names and values (anything with a `str`)."""
        return cls([_made(name, value) for name, value in pairs])

    def __iter__(self) -> Iterator[Header]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: str) -> bool:
        return self._find(header_key(name)) >= 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def __str__(self) -> str:
        """The header block, each line ended by CRLF."""
        return "".join([f"{text}\r\n" for _, text in self._fields])

    def first(self, name: str) -> str | None:
        """The value of the first field of that name."""
        at = self._find(header_key(name))
        if at < 0:
            return None
        _, _, value = self._fields[at][1].partition(":")
        return value.strip(" \t") if "\n" not in value else unfold(value)

    def all(self, name: str) -> list[str]:
        """One value per field, in order; comma lists stay as they are."""
        key = header_key(name)
        return [header.value for header in self._fields if header.key == key]

    def elements(self, name: str) -> list[str]:
        """The elements of comma lists and repeated fields in one order; empty ones are left out.

        Raises `Malformed` when they are too many or a quote is open: `parser` has asked for
        Contact, Route and Record-Route of all that it lets through.
        """
        key = header_key(name)
        found: list[str] = []
        if self._find(key) < 0:
            return found
        for header in self._fields:
            if header.key == key:
                found += [part for part in split_outside_quotes(header.value, ",") if part]
                if len(found) > MAX_LIST_ELEMENTS:
                    raise Malformed("too many elements in a list header")
        return found

    def tokens(self, name: str) -> frozenset[str]:
        """The elements of a list of option tags, methods or types: lower case, without parameters.

        Raises nothing whatever the peer sent.
        """
        parts = ",".join(self.all(name)).split(",")
        words = [part.partition(";")[0].strip(WHITESPACE).lower() for part in parts]
        return frozenset([word for word in words if word])

    def with_(self, name: str, value: object) -> "Headers":
        """`name` with this one value, in the place of the first such field, or at the end."""
        key = header_key(name)
        at = self._find(key)
        if at < 0:
            return self.appended(name, value)
        before, after = self._fields[:at], self._fields[at + 1 :]
        return Headers((*before, _made(name, value), *[header for header in after if header.key != key]))

    def with_first_element(self, name: str, value: object) -> "Headers":
        """The first element of a list header replaced; what follows it stays as spelt."""
        at = self._find(header_key(name))
        if at < 0:
            return self.prepended(name, value)
        header = self._fields[at]
        rest = split_outside_quotes(header.value, ",")[1:]
        changed = _made(header.name, ", ".join([str(value), *rest]))
        return Headers((*self._fields[:at], changed, *self._fields[at + 1 :]))

    def without(self, *names: str) -> "Headers":
        keys = {header_key(name) for name in names}
        return Headers([header for header in self._fields if header.key not in keys])

    def only(self, *names: str) -> "Headers":
        """The fields of these names in their order, byte for byte."""
        keys = {header_key(name) for name in names}
        return Headers([header for header in self._fields if header.key in keys])

    def prepended(self, name: str, value: object) -> "Headers":
        """A new field above all others of its name, where proxies expect it: at the top."""
        return Headers((_made(name, value), *self._fields))

    def appended(self, name: str, value: object) -> "Headers":
        return Headers((*self._fields, _made(name, value)))

    def __add__(self, other: "Headers") -> "Headers":
        return Headers((*self._fields, *other._fields))

    def _find(self, key: str) -> int:
        keys = self._keys
        if keys is None:
            keys = self._keys = [header[0] for header in self._fields]
        return keys.index(key) if key in keys else -1


def parse_headers(lines: list[str]) -> Headers:
    """`lines` of a head without its start line, split at CRLF, folds joined (`join_folds`)."""
    fields: list[Header] = []
    for line in lines:
        name, colon, _ = line.partition(":")
        if not colon:
            raise Malformed("header line without a colon")
        key = _KEYS.get(name)
        if key is None:
            key = _unusual_key(name)
        if len(line) > MAX_SIP_HEADER_BYTES:
            raise Malformed("header too long", status=413)
        fields.append(_new_header((key, line)))
    if len(fields) > MAX_SIP_HEADERS:
        raise Malformed("too many headers", status=413)
    return Headers(fields)


def join_folds(lines: list[str]) -> list[str]:
    """Lines that begin with a blank belong to the one before them; the CRLF between them is kept."""
    joined: list[list[str]] = []
    for line in lines:
        if line[:1] not in (" ", "\t"):
            joined.append([line])
        elif not line.strip(" \t"):
            raise Malformed("a folded line of blanks")  # for some it is the end of the head
        elif joined:
            joined[-1].append(line)
        else:
            raise Malformed("the first header line is folded")
    return ["\r\n".join(parts) for parts in joined]


def _unusual_key(name: str) -> str:
    # `Content-Length : 0` must be found too, or it would smuggle a second message past us.
    bare = name.rstrip(" \t")
    if not is_token(bare):
        raise Malformed("header name is not a token")
    return header_key(bare)


def _made(name: str, value: object) -> Header:
    return Header(header_key(name), f"{name}: {value}")
