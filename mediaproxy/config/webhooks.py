"""The table of a webhook."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from mediaproxy.config.section import Section
from mediaproxy.config.texts import Name, parses, some
from mediaproxy.webhooks.hook import Hook
from mediaproxy.webhooks.post import parse_url
from mediaproxy.webhooks.signature import parse_secret

EVENTS: Final = (
    "call.started", "call.ringing", "call.answered", "call.updated", "call.ended",
    "recording.armed", "recording.started", "recording.announced", "recording.paused", "recording.resumed",
    "recording.stopped", "recording.pause_exceeded", "recording.failing", "recording.restored",
    "recording.completed", "recording.failed", "recording.redacted", "recording.deleted",
    "media.worker_died",
)  # fmt: skip
KNOWN: Final = frozenset(EVENTS) | {f"{one.partition('.')[0]}.*" for one in EVENTS} | {"*"}


def _event(text: str) -> str:
    if text not in KNOWN:
        raise ValueError(f'not an event; write "*", "call.*", "recording.*" or one of {", ".join(EVENTS)}')
    return text


def _secret(secret: SecretStr) -> SecretStr:
    parse_secret(secret.get_secret_value())
    return secret


class WebhookSection(Section):
    """Where events are posted, signed as Standard Webhooks has it."""

    name: Name
    url: Annotated[str, parses(parse_url)]
    secret: Annotated[SecretStr, AfterValidator(_secret)] = Field(
        description='"whsec_" and Base64 of 24 to 64 bytes: what proves that a message is ours'
    )
    events: Annotated[tuple[Annotated[str, AfterValidator(_event)], ...], AfterValidator(some)] = Field(
        ("call.ended", "recording.completed", "recording.failed"),
        description='of which it is told; also "call.*", "recording.*", "*"',
    )
    allow_private: bool = Field(False, description="true: also at an address that is not of the Internet")

    @property
    def hook(self) -> Hook:
        place = parse_url(self.url, allow_private=self.allow_private)
        return Hook(self.name, place, parse_secret(self.secret.get_secret_value()), self.events)
