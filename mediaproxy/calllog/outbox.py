"""What is to be posted to webhooks: a row a message and webhook, stored with the rows that it tells of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
GIVEN_UP: Final = "given_up"
PRUNED_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Message:
    """A new one. `body` makes its text when it is written: what it tells of never changes."""

    webhook: str
    id: str
    type: str
    call_id: str | None
    created_at_ms: int
    body: Callable[[], str]

    @property
    def key(self) -> str:
        return f"{self.webhook} {self.id}"

    def columns(self) -> dict[str, Any]:
        return {
            "webhook": self.webhook,
            "id": self.id,
            "type": self.type,
            "call_id": self.call_id,
            "created_at_ms": self.created_at_ms,
            "body": self.body(),
            "state": WAITING,
            "attempts": 0,
            "next_at_ms": self.created_at_ms,
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one; `status` is HTTP's, `error` a fixed text of ours."""

    webhook: str
    id: str
    state: str
    attempts: int
    next_at_ms: int
    tried_at_ms: int
    status: int | None
    error: str | None

    @property
    def key(self) -> str:
        return f"{self.webhook} {self.id}"

    def columns(self) -> dict[str, Any]:
        return {
            "of_webhook": self.webhook,
            "of_id": self.id,
            "state": self.state,
            "attempts": self.attempts,
            "next_at_ms": self.next_at_ms,
            "tried_at_ms": self.tried_at_ms,
            "status": self.status,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Replay:
    """Everything of a webhook since then is to be posted once more."""

    webhook: str
    since_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Prune:
    """What was done with before `done_ms` goes, and whatever is older than `any_ms`."""

    done_ms: int
    any_ms: int


@dataclass(frozen=True, slots=True)
class Due:
    id: str
    attempts: int
    body: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a webhook's outbox stands; times in Unix ms, None when nothing waits."""

    waiting: int
    oldest_at_ms: int | None
    next_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A line of the delivery log."""

    id: str
    type: str
    call_id: str | None
    created_at_ms: int
    state: str
    attempts: int
    next_at_ms: int
    tried_at_ms: int | None
    status: int | None
    error: str | None
