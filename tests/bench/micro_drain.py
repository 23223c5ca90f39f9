"""The recorder alone: packets of many calls from the ring to frames, on an invented clock."""

import time

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId
from mediaproxy.loadtest import wire
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Recorder
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled

PERIOD_MS = 40
_CYCLES = 150  # 20 ms each; those after the first 50 are measured
_WARM_UP = 50
_TOGGLED_CALLS = 200
_AUDIO = {0: Codec("PCMU", 8000)}
_ACTOR = Actor("api", "bench")


def measure(calls: int) -> float:
    """CPU microseconds of draining one packet, with two talking legs a call."""
    recorder, ring = armed_recorder(calls), PacketRing()
    payload = wire.payload_table()[0].tobytes()
    spent_s = 0.0
    for cycle in range(_CYCLES):
        fill_ring(ring, calls, cycle, payload)
        if cycle % (PERIOD_MS // 20) == 0:
            began = time.process_time()
            recorder.drain(ring)
            spent_s += time.process_time() - began if cycle >= _WARM_UP else 0.0
    return spent_s / (2 * calls * (_CYCLES - _WARM_UP)) * 1e6


def measure_toggle(before: int = 0) -> float:
    """CPU microseconds of one toggle in memory, with its journal line settled at once; each call was toggled
    so many times `before`."""
    recorder, ring = armed_recorder(_TOGGLED_CALLS), PacketRing()
    spent_s, count = 0.0, 0
    for generation in range(1, _TOGGLED_CALLS + 1, 10):
        for number in range(before):
            toggle(recorder, generation, number)
    for cycle in range(_CYCLES):
        fill_ring(ring, _TOGGLED_CALLS, cycle, b"\x55" * wire.SAMPLES)
        recorder.drain(ring)
        now_ns = (cycle + 1) * wire.PTIME_NS
        began = time.process_time()
        for generation in range(1, _TOGGLED_CALLS + 1, 10):
            toggle(recorder, generation, now_ns)
            count += 1
        spent_s += time.process_time() - began
    return spent_s / count * 1e6


def toggle(recorder: Recorder, generation: int, now_ns: int) -> None:
    toggled = recorder.toggle(generation, Action.TOGGLE, _ACTOR, now_ns)
    if isinstance(toggled, Toggled) and toggled.tentative:
        recorder.confirm(generation, toggled.number)
    recorder.tap_changes(now_ns)


def armed_recorder(calls: int) -> Recorder:
    """A recorder of `calls` automatic recordings, answered at 0."""
    recorder = Recorder()
    for generation in range(1, calls + 1):
        arm(recorder, generation, 0)
    return recorder


def arm(recorder: Recorder, generation: int, answered_ns: int) -> None:
    """An automatic recording that is durably open."""
    opened = recorder.arm(Arm(generation, answered_ns, RecordingPolicy(Policy.AUTOMATIC)))
    for leg in LegId:
        recorder.describe(generation, leg, _AUDIO)
    if opened is not None:
        recorder.confirm(generation, opened.number)


def fill_ring(ring: PacketRing, calls: int, cycle: int, payload: bytes) -> None:
    """One packet of every leg, spread over four passes, as if they arrived within these 20 ms."""
    for quarter in range(4):
        now_ns = cycle * wire.PTIME_NS + quarter * wire.PTIME_NS // 4
        ring.begin_pass(now_ns)
        for generation in range(1 + quarter, calls + 1, 4):
            for leg in (0, 1):
                ring.put(generation, leg, 0, 0, 2 * generation + leg, cycle, cycle * 160, now_ns, payload)
        ring.end_pass(emptied=True)
