"""The live recordings of one media loop: what is known of each, and how it stands at a moment."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from mediaproxy.calllog.rows import RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording import journal
from mediaproxy.recording.manifest import Participant
from mediaproxy.recording.recorder import Recorder, Status
from mediaproxy.recording.states import State
from mediaproxy.service import rows

RECORDING = State.RECORDING.value


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of all recordings."""

    sample_rate: int | Literal["best"]
    keep_unrecorded: bool
    record_on_hold: bool
    confirmation_tone: bool
    format: str = "wav"


@dataclass(slots=True)
class Live:
    """One recording from the answer of its call until it is published."""

    call: CallRecord
    answered: CallAnswered
    row: RecordingRow  # as armed; positions are asked of the recorder
    held: bool = False
    barred: bool = False  # whoever is on the call may not be recorded
    present: tuple[Participant, ...] | None = None  # who was on it so far; None: as its header says
    ended_ns: int | None = None
    opening: asyncio.Task[bool] | None = None  # an opening that is being journalled
    closed_as: State = State.INACTIVE  # what it is until that opening is durable
    policys: asyncio.Task[bool] | None = None  # the policy's own opening, until it is durable and told
    certain: asyncio.Future[bool] | None = None  # whether that opening was meant at all
    asking: set[asyncio.Task[None]] = field(default_factory=set)  # redactions on their way to the disk

    @property
    def id(self) -> RecordingId:
        return self.row.id

    @property
    def generation(self) -> int:
        return self.answered.generation

    @property
    def over(self) -> bool:
        """Whether its call has ended; the file may still be under way."""
        return self.ended_ns is not None

    async def opening_settled(self) -> None:
        """Until no opening waits for its journal, or for being certain."""
        if self.opening is not None:
            await asyncio.wait({self.opening})


class Lives:
    """By call, by generation as recorder and ring name them, and by recording."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._by_call: dict[CallId, Live] = {}
        self._by_generation: dict[int, Live] = {}
        self._by_id: dict[RecordingId, Live] = {}

    def __len__(self) -> int:
        return len(self._by_call)

    def __iter__(self) -> Iterator[Live]:
        return iter(self._by_call.values())

    def __contains__(self, call: CallId) -> bool:
        return call in self._by_call

    def __getitem__(self, call: CallId) -> Live:
        return self._by_call[call]

    def get(self, call: CallId) -> Live | None:
        return self._by_call.get(call)

    def of(self, generation: int) -> Live:
        return self._by_generation[generation]

    def add(self, live: Live) -> None:
        self._by_call[live.call.id] = self._by_generation[live.generation] = self._by_id[live.id] = live

    def remove(self, live: Live) -> None:
        del self._by_call[live.call.id], self._by_generation[live.generation], self._by_id[live.id]

    def named(self, recording: RecordingId) -> Live | None:
        return self._by_id.get(recording)

    def recording(self) -> Iterator[RecordingId]:
        """Those that everyone is told to be recording; for the price of a look at each."""
        for live in self._by_call.values():
            settled = live.opening is None and not live.over
            if settled and self._recorder.state(live.generation) is State.RECORDING:
                yield live.id

    def status(self, live: Live, now_ns: int) -> Status | None:
        """As the recorder has it at `now_ns`; nothing moves after the call's end."""
        return self._recorder.status(live.generation, now_ns if live.ended_ns is None else live.ended_ns)

    def row(self, live: Live, now_ns: int) -> RecordingRow:
        """As everyone is told: an opening that is not durable yet has not happened."""
        status = self.status(live, now_ns)
        if status is None:
            return live.row
        row = rows.live_row(live.row, status, ended=live.over)
        if live.opening is not None and row.state == RECORDING:
            return rows.unopened(row, live.closed_as)
        return row


def header(live: Live, settings: Settings) -> journal.Header:
    """What the journal says first, and what repair has to know."""
    record, policy = live.call, live.answered.policy
    return journal.Header(
        recording_id=live.id,
        call_id=record.id,
        sip_call_id=record.sip_call_id,
        answered_at_ms=record.answered_at_ms or record.started_at_ms,
        sample_rate=live.row.sample_rate,
        policy=policy.policy.value,
        pausable=policy.pausable,
        consent="required" if policy.consent_required else "none",
        keep_unrecorded=settings.keep_unrecorded,
        participants=rows.participants(live.answered, record, live.row.sample_rate),
        format=settings.format,
        keep_days=policy.keep_days,
    )
