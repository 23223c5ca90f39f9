"""What is heard of live calls, and where it goes: descriptions and taps one way, samples the other."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from mediaproxy.calls.plane import Describe, LegId, PlaneOperation, SetTap
from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import CallId
from mediaproxy.recording.rates import best_rate
from mediaproxy.recording.recorder import CALLS_AT_ONCE, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.service.live import Live, Lives, Settings
from mediaproxy.storage import Spool

AT_ONCE: Final = 1_024  # records
TURN_NS: Final = 10 * NS_PER_MS  # of work, in whose midst the relay has its turns
HANDED_OUT: Final = CALLS_AT_ONCE  # stretches from one of them to the next


class Taps:
    """From the ring through the recorder to the spool, for all calls of the loop."""

    def __init__(
        self,
        lives: Lives,
        *,
        recorder: Recorder,
        ring: PacketRing,
        spool: Spool,
        perform: Callable[[PlaneOperation], None],
        relay: Callable[[], None],
        settings: Settings,
    ) -> None:
        self._lives = lives
        self._recorder = recorder
        self._ring = ring
        self._spool = spool
        self._perform = perform
        self._relay = relay
        self._settings = settings
        self._rests_until_ns = 0
        self._relieving = False
        self._descriptions: dict[CallId, dict[LegId, Describe]] = {}

    def describe(self, operation: Describe) -> None:
        """What a leg may send from now on; may come before the answer."""
        self._descriptions.setdefault(operation.call, {})[operation.leg] = operation
        if live := self._lives.get(operation.call):
            self.drain()
            self._tell(live, operation)

    def tell_all(self, live: Live) -> None:
        """What is known of its legs, as far as they are to be heard."""
        for description in self._of(live.call.id):
            self._tell(live, description)

    def rate_of(self, call: CallId) -> int:
        """The file's rate, which never changes while the call lives."""
        if self._settings.sample_rate != "best":
            return self._settings.sample_rate
        return best_rate([described.audio for described in self._of(call)])

    def forget(self, call: CallId) -> None:
        self._descriptions.pop(call, None)

    def drain(self) -> None:
        """Take what the ring holds."""
        self.hand_out(self._recorder.drain(self._ring))

    def relieve(self) -> None:
        """The same, but for the call, which comes first: never long at a time, with turns of the relay in
        between, and afterwards as long a rest. What the ring has no room for meanwhile is silence, and
        counted."""
        if self._relieving or time.monotonic_ns() < self._rests_until_ns:
            return  # a turn of the relay found the ring filling up, or it is too soon
        self._relieving = True
        try:
            worked_ns = self._relieve()
        finally:
            self._relieving = False
        self._rests_until_ns = time.monotonic_ns() + worked_ns

    def _relieve(self) -> int:
        """How long it took, the relay's turns not counted."""
        worked_ns, began_ns = 0, time.monotonic_ns()
        while worked_ns < TURN_NS:
            self._recorder.take(self._ring, AT_ONCE)
            more = bool(self._ring.used)
            if not more or self._recorder.lags:
                for number, write in enumerate(self._recorder.write_out(), 1):
                    self._write(write)
                    if number % HANDED_OUT == 0:
                        worked_ns += time.monotonic_ns() - began_ns
                        self._relay()
                        began_ns = time.monotonic_ns()
            worked_ns += time.monotonic_ns() - began_ns
            self._relay()
            began_ns = time.monotonic_ns()
            if not more:
                return worked_ns
        return worked_ns

    def hand_out(self, writes: Iterable[Write]) -> None:
        for write in writes:
            self._write(write)

    def _write(self, write: Write) -> None:
        live = self._lives.of(write.generation)
        if write.frames is None:
            self._spool.extend(live.id, write.end)
        else:
            self._spool.write(live.id, write.start, write.frames)

    def set(self, now_ns: int) -> None:
        """As the gates ask for: to be called after whatever may have moved one, and with every drain."""
        for change in self._recorder.tap_changes(now_ns):
            call = self._lives.of(change.generation).call.id
            for leg in LegId:
                self._perform(SetTap(call, leg, change.tap))

    def _of(self, call: CallId) -> list[Describe]:
        return list(self._descriptions.get(call, {}).values())

    def _tell(self, live: Live, described: Describe) -> None:
        heard = described.heard and (self._settings.record_on_hold or not live.held)
        self._recorder.describe(
            live.generation, described.leg, described.audio, described.digits, heard=heard
        )
