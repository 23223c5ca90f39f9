"""What a file says of itself in words: who recorded when. Names come from outside, so they are cleaned."""

from typing import Final

from mediaproxy.recording.manifest import Actor, Interval

MAX_NAME: Final = 64

_WORDS: Final = {"audio": "recorded"}


def of_interval(interval: Interval) -> str:
    """`recorded by alice (api) until call end`: one line, printable, of bounded length."""
    word = _WORDS.get(interval.kind, printable(interval.kind))
    return f"{word} by {_of_actor(interval.started_by)} until {_of_actor(interval.ended_by)}"


def printable(text: str) -> str:
    """Without what would end a field, move a cursor or break a reader's line."""
    cut = text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"
    return "".join(sign if sign.isprintable() else "�" for sign in cut)


def _of_actor(actor: Actor) -> str:
    means = printable(actor.means).replace("_", " ")
    return means if not actor.user else f"{printable(actor.user)} ({means})"
