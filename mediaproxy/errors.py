"""Errors say whose fault it is; who catches one knows what to answer.

`Malformed`: a peer's bytes. Raised at the parse boundary only; counted, then answered 4xx or dropped.
`Unavailable`: the world (a port, the disk, a database). Answered 503 or tried again.
`Misuse`: ours. Ends the one call it happened in.
"""


class MediaproxyError(Exception):
    """The root of what this package raises on purpose."""


class Malformed(MediaproxyError):
    """A peer sent what its RFC forbids. The text is fixed: it never holds the peer's bytes."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Unavailable(MediaproxyError):
    """Something that we depend on cannot serve us now. The text says what, where and how to mend it."""


class Misuse(MediaproxyError):
    """A caller inside this package broke a contract."""
