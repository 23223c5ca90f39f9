"""A webhook: who is told of which events, and how it is proved."""

from dataclasses import dataclass, field

from mediaproxy.webhooks.post import Place


@dataclass(frozen=True, slots=True)
class Hook:
    """`events` are names, `call.*` for all of a kind, or `*`."""

    name: str
    place: Place
    key: bytes = field(repr=False)
    events: tuple[str, ...]

    def wants(self, type: str) -> bool:
        kind = f"{type.partition('.')[0]}.*"
        return any(each in ("*", kind, type) for each in self.events)
