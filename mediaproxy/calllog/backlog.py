"""What waits to be written. Pure: rows in, batches out, nothing forgotten unless counted."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mediaproxy.calllog.outbox import Attempt, Message, Prune, Replay
from mediaproxy.calllog.rows import RecordingRow
from mediaproxy.calls.events import CallRecord

# An int is a heartbeat, in Unix ms.
Row = CallRecord | RecordingRow | Message | Attempt | Replay | Prune | int


class Key(NamedTuple):
    kind: Literal["call", "recording", "heartbeat", "message", "attempt", "replay", "prune"]
    id: str


@dataclass(slots=True)
class Backlog:
    """The newest snapshot of every row that is not stored, oldest first.

    A row that waits is replaced, never doubled, so its length is bounded by the calls and not by how
    often they change; a row beyond `limit` is lost, and counted.
    """

    limit: int
    lost: int = 0
    _waiting: dict[Key, Row] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, key: Key, row: Row) -> bool:
        """False when the row was lost."""
        if key not in self._waiting and len(self._waiting) >= self.limit:
            self.lost += 1
            return False
        self._waiting[key] = row
        return True

    def take(self, most: int) -> dict[Key, Row]:
        """Remove the oldest rows, at most so many."""
        keys = list(self._waiting)[:most]
        return {key: self._waiting.pop(key) for key in keys}

    def give_back(self, batch: dict[Key, Row]) -> None:
        """A batch was not written: its rows are the oldest again, except where a newer one waits."""
        self._waiting = batch | self._waiting
