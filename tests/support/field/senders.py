"""Senders and their network: which packet reaches us when, and when each sample was truly heard."""

import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.support.field.conditions import Conditions
from tests.support.oracle import ALPHABET, MS, NS_PER_SAMPLE, PCMA, PCMU, PERIOD, RATE, symbols

COMFORT_NOISE, DIGITS = 13, 101
PAUSES_S = {"mute": (0.2, 3), "long mute": (120, 180), "hold": (1.2, 10)}
LEAST_DELAY_MS, MOST_DELAY_MS = 5, 100

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PACKET = np.dtype(
    [
        ("reaches", "f8"),  # position on the call clock
        ("payload_type", "i8"),
        ("ssrc", "i8"),
        ("seq", "i8"),
        ("timestamp", "i8"),
        ("first", "i8"),  # index of its first sample in the leg's signal
        ("samples", "i8"),  # 0: no audio
        ("counts", "?"),  # false where nobody could place it (a frozen timestamp)
    ]
)


class Segment(NamedTuple):
    """Packets on end: samples `[first, end)` of the signal, timestamp = index + shift."""

    first: int
    end: int
    ptime: int
    law: int
    ssrc: int
    shift: int
    frozen: bool


@dataclass
class Leg:
    """What a leg sent, as it reaches us, and the truth about it."""

    number: int
    base: int  # where in the oracle's signal its own begins
    begins: float  # position at which sample 0 was spoken
    ratio: float  # samples it speaks a sample of ours
    routes: list[tuple[float, float]]  # (from this position on, delay), ascending
    packets: NDArray[np.void]
    count: int  # samples of its signal

    def heard(self, index: Ints | Floats) -> Floats:
        """Where on the call clock samples reach us when nothing but the path delays them."""
        spoken = self.begins + index / self.ratio
        delays = np.array([delay for _, delay in self.routes])
        since = np.array([at for at, _ in self.routes])
        return np.asarray(spoken + delays[np.searchsorted(since, spoken, side="right") - 1])

    def codes(self, law: int, first: int, samples: int) -> bytes:
        return codes(self.number, law, self.base + first, samples)


_SIGNALS: dict[tuple[int, int], bytes] = {}


def codes(leg: int, law: int, first: int, samples: int) -> bytes:
    """What a leg says, encoded: so many samples of the oracle's signal."""
    if (leg, law) not in _SIGNALS:
        _SIGNALS[leg, law] = ALPHABET[law][symbols(leg, 0, PERIOD + RATE)].tobytes()
    first %= PERIOD
    return _SIGNALS[leg, law][first : first + samples]


def leg(rng: random.Random, number: int, duration: int, conditions: Conditions) -> Leg:
    """One leg of a call of `duration` samples; it speaks beyond both ends."""
    begins = float(rng.choice([-2 * RATE, -rng.randrange(RATE), rng.randrange(RATE)]))
    count = duration + RATE - int(begins)
    ratio = 1 + rng.uniform(-conditions.ppm, conditions.ppm) / 1e6
    if conditions.silent:
        count = 0
    elif conditions.stops:
        count = int(count * rng.uniform(0.3, 0.8))
    routes = _routes(rng, duration, conditions)
    spoken = Leg(number, rng.randrange(PERIOD), begins, ratio, routes, np.zeros(0, PACKET), count)
    spoken.packets = _packets(rng, spoken, conditions)
    return spoken


def _routes(rng: random.Random, duration: int, conditions: Conditions) -> list[tuple[float, float]]:
    delay = rng.uniform(LEAST_DELAY_MS, MOST_DELAY_MS)
    routes = [(-1e12, delay * MS)]
    for at in sorted(rng.uniform(0, duration) for _ in range(conditions.routes)):
        delay = max(delay + rng.uniform(-1, 1) * conditions.route_ms, LEAST_DELAY_MS)
        routes.append((at, delay * MS))
    return routes


# What is sent.


def _segments(rng: random.Random, count: int, conditions: Conditions) -> list[Segment]:
    names = (
        ["mute"] * conditions.mutes + ["long mute"] * conditions.long_mutes + ["hold"] * conditions.holds
        + ["frozen"] * conditions.frozen + ["jump"] * conditions.jumps + ["ssrc"] * conditions.ssrcs
        + ["law"] * conditions.codecs + ["ptime"] * conditions.ptime_changes
    )  # fmt: skip
    events = sorted((rng.randrange(count), name) for name in names) if count else []
    law, ptime = rng.choice([PCMU, PCMA]), rng.choice(conditions.ptimes) * MS
    ssrc, shift, at, found = rng.getrandbits(32), rng.getrandbits(32), 0, []
    for place, name in [*events, (count, "end")]:
        until = max(at, place - (place - at) % ptime)
        found.append(Segment(at, until, ptime, law, ssrc, shift, frozen=False))
        at = until
        if name in ("mute", "long mute", "hold"):
            least, most = PAUSES_S[name]
            pause = int(rng.uniform(least, most) * RATE) // ptime * ptime
            at += pause
            shift -= pause if name == "hold" else 0
        elif name == "frozen":
            end = min(at + rng.randrange(200 * MS, RATE) // ptime * ptime, count)
            found.append(Segment(at, end, ptime, law, ssrc, shift, frozen=True))
            shift -= (end - at) * rng.randrange(2)
            at = end
        elif name == "jump":
            shift = rng.choice([rng.getrandbits(32), shift + rng.randrange(-RATE, RATE)])
        elif name == "ssrc":
            ssrc, shift = rng.getrandbits(32), rng.getrandbits(32)
        elif name == "law":
            law = PCMU + PCMA - law
        elif name == "ptime":
            ptime = rng.choice(conditions.ptimes) * MS
    return [segment for segment in found if segment.first + segment.ptime <= segment.end]


def _packets(rng: random.Random, spoken: Leg, conditions: Conditions) -> NDArray[np.void]:
    """All packets that arrive, in the order of their arrival."""
    blocks: list[NDArray[np.void]] = []
    segments = _segments(rng, spoken.count, conditions)
    for number, segment in enumerate(segments):
        before = segments[number - 1] if number else None
        if conditions.comfort_noise and before is not None and before.end < segment.first:
            blocks.append(_noise(before, segment))
        blocks.append(_voice(segment))
    packets = np.concatenate(blocks) if blocks else np.zeros(0, PACKET)
    if conditions.digits and len(packets):
        packets = _with_digits(rng, packets, conditions)
    for ssrc in np.unique(packets["ssrc"]):
        mine = np.flatnonzero(packets["ssrc"] == ssrc)
        packets["seq"][mine] = (rng.getrandbits(16) + np.arange(len(mine))) & 0xFFFF
    packets["timestamp"] &= 0xFFFFFFFF
    return _arriving(rng, spoken, packets, conditions)


def _voice(segment: Segment) -> NDArray[np.void]:
    first = np.arange(segment.first, segment.end - segment.ptime + 1, segment.ptime)
    block = np.zeros(len(first), PACKET)
    block["payload_type"], block["ssrc"], block["samples"] = segment.law, segment.ssrc, segment.ptime
    block["first"], block["counts"] = first, not segment.frozen
    block["timestamp"] = (segment.first if segment.frozen else first) + segment.shift
    return block


def _noise(before: Segment, after: Segment) -> NDArray[np.void]:
    first = np.arange(before.end, after.first, 200 * MS)
    block = np.zeros(len(first), PACKET)
    block["payload_type"], block["ssrc"] = COMFORT_NOISE, before.ssrc
    block["first"], block["timestamp"] = first, first + before.shift
    return block


def _with_digits(rng: random.Random, packets: NDArray[np.void], conditions: Conditions) -> NDArray[np.void]:
    """Digits of 200 ms, a packet every 20 ms: instead of the voice in its stream, or beside it."""
    own = rng.getrandbits(32)
    for _ in range(conditions.digits):
        at = rng.randrange(len(packets))
        first = packets[at]
        chosen = np.flatnonzero(
            (packets["first"] >= first["first"])
            & (packets["first"] < first["first"] + 200 * MS)
            & (packets["samples"] > 0)
        )
        if conditions.own_digits:
            digits = packets[chosen].copy()
            digits["ssrc"] = own
            digits["payload_type"], digits["samples"], digits["timestamp"] = DIGITS, 0, first["timestamp"]
            packets = np.concatenate([packets, digits])
            packets = packets[np.argsort(packets["first"], kind="stable")]
        else:
            packets["payload_type"][chosen], packets["samples"][chosen] = DIGITS, 0
            packets["timestamp"][chosen] = first["timestamp"]
    return packets


# How it arrives.


def _arriving(
    rng: random.Random, spoken: Leg, packets: NDArray[np.void], conditions: Conditions
) -> NDArray[np.void]:
    numbers = np.random.default_rng(rng.getrandbits(64))
    sent = packets["first"] + packets["samples"]
    leaves = spoken.begins + sent / spoken.ratio
    queue = _queue(rng, spoken.count, leaves, conditions)
    arrival = spoken.heard(sent.astype(np.float64)) + _jitter(rng, numbers, len(packets), conditions) + queue
    for _ in range(conditions.stalls):
        at = rng.uniform(0, spoken.count) + spoken.begins
        length = rng.uniform(0.3, 1.0) * conditions.stall_ms * MS
        held = (arrival >= at) & (arrival < at + length)
        arrival[held] = at + length + np.arange(held.sum()) * 0.1
    queued = queue > 0  # a queue keeps the order
    arrival[queued] = np.maximum.accumulate(arrival[queued])
    packets["reaches"] = arrival
    kept = packets[numbers.random(len(packets)) >= conditions.loss]
    twice = kept[numbers.random(len(kept)) < conditions.duplicated].copy()
    twice["reaches"] += numbers.random(len(twice)) * 50 * MS
    kept = np.concatenate([kept, twice])
    return kept[np.argsort(kept["reaches"], kind="stable")]


def _jitter(rng: random.Random, numbers: np.random.Generator, count: int, conditions: Conditions) -> Floats:
    kind = rng.choice(["none", "even", "tail"]) if conditions.jitter == "any" else conditions.jitter
    most = conditions.jitter_ms * MS * (rng.random() if conditions.jitter == "any" else 1)
    if kind == "even":
        return numbers.random(count) * most
    if kind == "tail":
        return numbers.gamma(1.0, most / 4, count).clip(0, 3 * most)
    if kind == "spikes":
        high = numbers.random(count) < 0.01
        return np.where(high, numbers.random(count) * most, numbers.random(count) * 2 * MS)
    return np.zeros(count)


def _queue(rng: random.Random, count: int, leaves: Floats, conditions: Conditions) -> Floats:
    """Depth of the queues as a packet finds them: they build up, stand, and drain."""
    depth = np.zeros(len(leaves))
    for _ in range(conditions.queues):
        begin, most = rng.uniform(-2 * RATE, count), rng.uniform(0.2, 1) * conditions.queue_ms * MS
        build, stand, drain = (rng.uniform(0.3, 3) * RATE for _ in range(3))
        corners = np.cumsum([begin, build, stand, drain])
        depth = np.maximum(depth, np.interp(leaves, corners, [0, most, most, 0]))
    return depth


def ns(position: float, answered_ns: int) -> int:
    return answered_ns + round(position * NS_PER_SAMPLE)
