"""What a call is about, in its owner's words: keys and values, few and short, in the order they came."""

from collections.abc import Mapping, Sequence
from typing import Final

from mediaproxy.sip.messages import Message

Metadata = tuple[tuple[str, str], ...]

MAX_KEYS: Final = 16
MAX_KEY: Final = 64  # characters
MAX_VALUE: Final = 256


def from_headers(message: Message, names: Sequence[str]) -> Metadata:
    """The headers that the operator named, as spelt by him; a value that is too long is cut."""
    found = ((name, message.headers.first(name)) for name in names)
    return tuple((name, value[:MAX_VALUE]) for name, value in found if value is not None)


def merged(metadata: Metadata, changes: Mapping[str, str | None]) -> Metadata | None:
    """With values set, and those keys removed whose new value is None (as RFC 7396); None: too many keys."""
    known: dict[str, str | None] = {**dict(metadata), **changes}
    result = tuple((key, value) for key, value in known.items() if value is not None)
    return result if len(result) <= MAX_KEYS else None
