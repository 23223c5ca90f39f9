"""The userspace plane: performs operations, owns the calls' legs, the timers and the loop's reader."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

from mediaproxy.calls.plane import (
    Allocate,
    Allocated,
    AllocationFailed,
    Connect,
    Describe,
    LegCounters,
    LegId,
    MediaTimedOut,
    PlaneEvent,
    PlaneOperation,
    PlayAnnouncement,
    PlayTone,
    Release,
    Released,
    SetTap,
    StopAnnouncement,
    WatchCodes,
    WatchMedia,
)
from mediaproxy.clock import NS_PER_S
from mediaproxy.errors import Misuse, Unavailable
from mediaproxy.ids import CallId
from mediaproxy.media.plane import Capability, PlaneSettings
from mediaproxy.media.ports import PortPair, PortPool
from mediaproxy.media.userspace.detour import Detour
from mediaproxy.media.userspace.leg import Leg
from mediaproxy.media.userspace.relay import Relay
from mediaproxy.media.userspace.sounding import EARLY_NS
from mediaproxy.net import Endpoint, Family
from mediaproxy.recording.ring import PacketRing

_SWEEP_S: Final = 0.02
_SILENCE_SWEEPS: Final = 10  # looking at every call costs more than a sweep


@dataclass(slots=True)
class _Call:
    legs: tuple[Leg, Leg]
    timeout_ns: int = 0  # 0: nobody waits for media
    watched_from_ns: int = 0

    def silent_since_ns(self) -> int:
        return max(self.watched_from_ns, self.legs[0].heard_ns, self.legs[1].heard_ns)


class UserspacePlane:
    """See `media.plane.Plane`. To be built inside the loop that it relays on."""

    capabilities: Final = frozenset(Capability)

    def __init__(
        self,
        settings: PlaneSettings,
        *,
        on_event: Callable[[PlaneEvent], None],
        ring: PacketRing,
        on_pressure: Callable[[], None],
    ) -> None:
        """`on_pressure` is called when the ring is more than half full: drain it at once."""
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._advertise = settings.advertise
        self._pools = {
            family: PortPool(host, family, settings.ports, quarantine_s=settings.quarantine_s)
            for family, host in settings.bind.items()
        }
        self._calls: dict[CallId, _Call] = {}
        self._detour = Detour(ring, self._emit, self._rearm)
        self._relay = Relay(ring, on_pressure, self._detour.relay, compiled=settings.compiled)
        self._loop.add_reader(self._relay.fileno(), self._relay.wake)
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._sweeps = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns: int | None = None
        self._closed = False

    def __len__(self) -> int:
        """The calls that have ports."""
        return len(self._calls)

    def perform(self, operation: PlaneOperation) -> None:
        if isinstance(operation, Allocate):
            return self._allocate(operation)
        call = self._calls.get(operation.call)
        if call is None:
            return None
        for each in call.legs:
            each.recall()
        match operation:
            case Connect(leg=leg):
                call.legs[leg].connect(operation, monotonic_ns())
                self._relay.reconsider(call.legs[leg])
                self._reconsider(call)
            case Describe(leg=leg):
                call.legs[leg].describe(operation)
                self._reconsider(call)
            case SetTap(leg=leg, tap=tap):
                call.legs[leg].tap = tap
                call.legs[leg].refresh_actions()
            case WatchCodes(leg=leg, codes=codes):
                self._detour.watch(call.legs[leg], codes or {}, monotonic_ns())
            case PlayTone(leg=leg, tone=tone):
                self._detour.player.play_tone(call.legs[leg], tone, monotonic_ns())
            case PlayAnnouncement(leg=leg, number=number, sound=sound):
                self._detour.player.announce(call.legs[leg], number, sound, monotonic_ns())
            case StopAnnouncement(leg=leg):
                self._detour.player.stop(call.legs[leg])
            case WatchMedia(timeout_s=timeout_s):
                call.timeout_ns, call.watched_from_ns = round(timeout_s * NS_PER_S), monotonic_ns()
            case Release():
                self._relay.exhaust()  # what arrived before the end is of the call, also after a stall
                self._release(operation.call)
                self._emit(Released(operation.call, (call.legs[0].counters(), call.legs[1].counters())))
        return None

    def turn(self) -> None:
        """Relay what waits now: to be called in the midst of whatever keeps the loop for a millisecond."""
        self._relay.turn()

    def counters(self, call: CallId) -> tuple[LegCounters, LegCounters] | None:
        known = self._calls.get(call)
        return None if known is None else (known.legs[0].counters(), known.legs[1].counters())

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for call in tuple(self._calls):
            self._release(call)
        self._loop.remove_reader(self._relay.fileno())
        self._relay.close()
        for handle in (self._sweep_handle, self._timer):
            if handle is not None:
                handle.cancel()

    # Calls.

    def _allocate(self, operation: Allocate) -> None:
        if operation.call in self._calls or self._closed:
            raise Misuse("ports were asked for twice, or of a closed plane")
        try:
            pairs = self._take(operation.families)
        except Unavailable as unavailable:
            return self._emit(AllocationFailed(operation.call, str(unavailable)))
        a, b = (
            Leg(operation.call, leg, operation.generation, operation.families[leg], pairs[leg])
            for leg in LegId
        )
        a.couple(b)
        b.couple(a)
        self._calls[operation.call] = _Call((a, b))
        self._relay.add(a)
        self._relay.add(b)
        if self._sweep_handle is None:
            self._sweep_handle = self._loop.call_later(_SWEEP_S, self._sweep)
        self._emit(Allocated(operation.call, (self._local(a), self._local(b))))
        return None

    def _take(self, families: tuple[Family, Family]) -> tuple[PortPair, PortPair]:
        """Both pairs or none."""
        now_ns = monotonic_ns()
        first = self._pool(families[0]).take(now_ns)
        try:
            return first, self._pool(families[1]).take(now_ns)
        except Unavailable:
            self._pool(families[0]).give_back(first, now_ns)
            raise

    def _pool(self, family: Family) -> PortPool:
        pool = self._pools.get(family)
        if pool is None:
            raise Unavailable(f"media has no {family.name} address")
        return pool

    def _local(self, leg: Leg) -> Endpoint:
        return Endpoint(self._advertise[leg.family], leg.pair.port)

    def _release(self, call: CallId) -> None:
        for leg in self._calls.pop(call).legs:
            self._detour.forget(leg)
            self._relay.remove(leg)
            self._pools[leg.family].give_back(leg.pair, monotonic_ns())

    def _reconsider(self, call: _Call) -> None:
        for leg in call.legs:
            self._detour.player.reconsider(leg, monotonic_ns())

    def _emit(self, event: PlaneEvent) -> None:
        self._loop.call_soon(self._on_event, event)

    # Time.

    def _sweep(self) -> None:
        self._sweep_handle = None
        self._relay.sweep()
        self._sweeps += 1
        if self._sweeps % _SILENCE_SWEEPS == 0:
            self._find_silent(monotonic_ns())
        if self._calls:
            self._sweep_handle = self._loop.call_later(_SWEEP_S, self._sweep)

    def _find_silent(self, now_ns: int) -> None:
        for call_id, call in self._calls.items():
            if call.timeout_ns and now_ns - call.silent_since_ns() >= call.timeout_ns:
                call.timeout_ns = 0
                self._emit(MediaTimedOut(call_id))

    def _rearm(self) -> None:
        deadline_ns = self._detour.next_deadline_ns()
        if deadline_ns == self._timer_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns, self._timer = deadline_ns, None
        if deadline_ns is not None:
            delay_s = max(deadline_ns - monotonic_ns(), 0) / NS_PER_S
            self._timer = self._loop.call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._timer = self._timer_ns = None
        self._detour.handle_timer(monotonic_ns() + EARLY_NS)
        self._rearm()
