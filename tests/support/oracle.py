"""An oracle for recordings: calls in which every sample says when it was spoken, and by whom.

It knows nothing of the recorder. It invents calls (what each leg says, what the network does to it, when
the loop gets to run, when someone toggles) and judges the resulting file by the requirements alone.

The signal: sample i of a leg spells i in base 63, one digit a sample, three samples a number; the symbol
also says which digit it is, in ascending order on leg A and descending on leg B. The decoded values of
both laws are disjoint, and none is zero. So any few samples of a track tell their time and their leg.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RATE = 8_000
MS = RATE // 1_000
NS_PER_SAMPLE = 125_000
NS_PER_MS = 1_000_000
BASE = 63
PERIOD = 3 * BASE**3
READ_NS = 30_000  # from the beginning of a pass to a packet's stamp
LATE = 200 * MS
TOLERANCE = 20 * MS
SURE = 6  # samples that agree about a time; fewer may be a coincidence of two cut runs
PCMU, PCMA, COMFORT_NOISE = 0, 8, 13
POLICY = -1  # the place of an opening that nobody asked for

Samples = NDArray[np.int64]


# The signal.


def _ulaw(code: int) -> int:
    """G.711, table 2a, from its definition: sign, segment, step."""
    inverted = ~code & 0xFF
    magnitude = (((inverted & 15) * 2 + 33) << (inverted >> 4 & 7)) - 33
    return -4 * magnitude if inverted & 0x80 else 4 * magnitude


def _alaw(code: int) -> int:
    """G.711, table 1a."""
    even = code ^ 0x55
    segment, step = even >> 4 & 7, even & 15
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)
    return 8 * magnitude if even & 0x80 else -8 * magnitude


# Without µ-law's lowest segment its values are odd multiples of 4, and A-law's are multiples of 8.
ALPHABET = {
    PCMU: np.array([c for c in range(256) if _ulaw(c) % 8 == 4][: 3 * BASE], dtype=np.uint8),
    PCMA: np.arange(3 * BASE, dtype=np.uint8),
}
DECODED = {PCMU: _ulaw, PCMA: _alaw}
SYMBOL_OF = np.full(1 << 16, -1, dtype=np.int64)  # by the value's low 16 bits
for _law, _codes in ALPHABET.items():
    for _symbol, _code in enumerate(_codes.tolist()):
        SYMBOL_OF[DECODED[_law](_code) & 0xFFFF] = _symbol
VALUES = {law: np.array([DECODED[law](c) for c in codes.tolist()]) for law, codes in ALPHABET.items()}


def symbols(leg: int, first: int, count: int) -> Samples:
    """What a leg spells from sample `first` of its signal on."""
    index = np.arange(first, first + count) % PERIOD
    number, which = index // 3, index % 3
    digit = number // np.array([1, BASE, BASE**2])[which] % BASE
    spelt: Samples = (which if leg == 0 else -which % 3) * BASE + digit
    return spelt


def read_times(leg: int, track: NDArray[np.int16]) -> Samples:
    """For each sample of a track the index that it spells with its neighbours, or -1."""
    spelt = np.concatenate([SYMBOL_OF[track.view(np.uint16)], [-1, -1, -1]])
    mark, digit = spelt // BASE, spelt % BASE
    which = np.where(spelt < 0, -1, mark if leg == 0 else -mark % 3)
    start = (which[:-3] == 0) & (which[1:-2] == 1) & (which[2:-1] == 2)
    number = digit[:-3] + BASE * digit[1:-2] + BASE**2 * digit[2:-1]
    times = np.full(len(track) + 3, -1)
    for offset in range(3):
        at = np.flatnonzero(start) + offset
        times[at] = 3 * number[start] + offset
    return times[: len(track)]


# What happens.


class Sent(NamedTuple):
    """A packet as it reaches our socket. `spoken` is the call-clock position of its first sample, for
    packets that hold audio; else None."""

    reaches_ns: int
    call: int
    leg: int
    payload_type: int
    ssrc: int
    seq: int
    timestamp: int
    payload: bytes
    spoken: int | None
    network: int  # the network's constant share of its delay, in samples


@dataclass
class Speaker:
    """A leg: what it says from `begins` on, and what became of its packets."""

    leg: int
    base: int  # index of its signal at its first sample
    begins: int  # position of its first sample; negative = before the answer
    values: NDArray[np.int16]
    packets: list[Sent]
    changes: int  # of the SSRC, the network's delay, or whatever else may make streams overlap
    jitter: int
    calm: bool  # every packet takes equally long


class Toggle(NamedTuple):
    at_ns: int
    action: str


@dataclass
class Call:
    """One call; `number` is its place in the group that shares a loop."""

    number: int
    answered_ns: int
    duration: int
    speakers: tuple[Speaker, Speaker]
    toggles: list[Toggle]
    automatic: bool = False
    applied: list[tuple[int, str]] = field(default_factory=list)  # (ns, action), as the loop came to it
    annulled: set[int] = field(
        default_factory=set
    )  # openings by their ns (0: the policy's) that did not last

    @property
    def ended_ns(self) -> int:
        return self.answered_ns + self.duration * NS_PER_SAMPLE + NS_PER_SAMPLE // 2

    def position(self, now_ns: int) -> int:
        return (now_ns - self.answered_ns) * RATE // 1_000_000_000


class Turn(NamedTuple):
    """The loop runs: toggles before or after it reads, then perhaps a drain of the ring."""

    now_ns: int
    packets: list[Sent]
    toggles: list[tuple[Call, str]]
    toggles_first: bool
    drain: bool

    @property
    def toggled_ns(self) -> int:
        return self.now_ns if self.toggles_first else self.now_ns + 2 * READ_NS


@dataclass(frozen=True)
class Network:
    """How bad things are; every chance is for one packet."""

    loss: float = 0.0
    jitter_ms: int = 0
    reordered: float = 0.0
    duplicated: float = 0.0
    ssrc_changes: int = 0
    codec_changes: int = 0
    ptimes: tuple[int, ...] = (20,)
    mutes: int = 0


def any_network(rng: random.Random) -> Network:
    return Network(
        loss=rng.choice([0.0, 0.0, 0.02, rng.uniform(0, 0.3), 0.3]),
        jitter_ms=rng.choice([0, 5, rng.randrange(81), 80]),
        reordered=rng.choice([0.0, 0.01, 0.1]),
        duplicated=rng.choice([0.0, 0.02, 0.2]),
        ssrc_changes=rng.choice([0, 0, 1, 2]),
        codec_changes=rng.choice([0, 0, 1, 3]),
        ptimes=rng.choice([(20,), (20,), (30,), (10, 20), (20, 40, 60), (60,)]),
        mutes=rng.choice([0, 0, 1, 2]),
    )


def speak(
    rng: random.Random, call: int, leg: int, answered_ns: int, duration: int, network: Network
) -> Speaker:
    """One leg's packets of a call, in the order in which they reach us."""
    begins = rng.choice([-2 * RATE, -rng.randrange(RATE), 0, rng.randrange(RATE)])
    count, base = duration - begins + RATE, rng.randrange(PERIOD)
    spelt = symbols(leg, base, count)
    laws = np.zeros(count, dtype=np.int64)
    delay, jitter = rng.randrange(5 * MS, 100 * MS), network.jitter_ms * MS
    events = sorted(
        [(rng.randrange(count), "ssrc") for _ in range(network.ssrc_changes)]
        + [(rng.randrange(count), "law") for _ in range(network.codec_changes)]
        + [(rng.randrange(count), "mute") for _ in range(network.mutes)]
        + [(rng.randrange(count), "ptime") for _ in network.ptimes[1:]]
    )
    law, ptime, at = rng.choice([PCMU, PCMA]), rng.choice(network.ptimes) * MS, 0
    ssrc, seq, stamp = rng.getrandbits(32), _near_wrap(rng, 16), _near_wrap(rng, 32)
    plan = []
    while at + ptime <= count:
        while events and events[0][0] <= at:
            _, event = events.pop(0)
            if event == "ssrc":
                ssrc, seq, stamp = rng.getrandbits(32), _near_wrap(rng, 16), _near_wrap(rng, 32)
            elif event == "law":
                law = PCMU + PCMA - law
            elif event == "ptime":
                ptime = rng.choice(network.ptimes) * MS
            else:
                plan.append((at, 0, COMFORT_NOISE, ssrc, seq, stamp))
                seq += 1
                at += rng.randrange(200 * MS, 3 * RATE)
        if at + ptime > count:
            break
        laws[at : at + ptime] = law
        plan.append((at, ptime, law, ssrc, seq, stamp))
        seq += 1
        at += ptime
    codes = np.where(laws == PCMU, ALPHABET[PCMU][spelt], ALPHABET[PCMA][spelt]).astype(np.uint8).tobytes()
    values = np.where(laws == PCMU, VALUES[PCMU][spelt], VALUES[PCMA][spelt]).astype(np.int16)
    packets = []
    for first, length, kind, ssrc, seq, stamp in plan:
        if rng.random() < network.loss:
            continue
        spoken = begins + first
        payload = codes[first : first + length] if length else b"\x40"
        reaches = answered_ns + (spoken + length + delay + rng.randrange(jitter + 1)) * NS_PER_SAMPLE
        packets.append(
            Sent(
                reaches, call, leg, kind, ssrc, seq & 0xFFFF, (stamp + first) & 0xFFFFFFFF, payload,
                spoken if length else None, delay,
            )
        )  # fmt: skip
    packets = list(_reordered(rng, sorted(packets), network.reordered))
    packets += list(_duplicates(rng, packets, network.duplicated))
    calm = jitter == 0 and network.reordered == 0
    return Speaker(leg, base, begins, values, sorted(packets), network.ssrc_changes, jitter, calm)


def _reordered(rng: random.Random, packets: list[Sent], chance: float) -> Iterator[Sent]:
    """Some packets come behind one of the five after them, where those are near."""
    for at, packet in enumerate(packets):
        after = packets[min(at + rng.randrange(1, 6), len(packets) - 1)]
        near = after.ssrc == packet.ssrc and after.reaches_ns - packet.reaches_ns <= 150 * NS_PER_MS
        if rng.random() < chance and near and after.spoken is not None:
            packet = packet._replace(reaches_ns=after.reaches_ns + 1)
        yield packet


def _duplicates(rng: random.Random, packets: list[Sent], chance: float) -> Iterator[Sent]:
    for packet in packets:
        if rng.random() < chance:
            yield packet._replace(reaches_ns=packet.reaches_ns + rng.randrange(100 * NS_PER_MS))


def _near_wrap(rng: random.Random, bits: int) -> int:
    """Half of all starts wrap within the call."""
    span = 1 << bits
    return (
        span - rng.randrange(min(span, 20 * RATE if bits == 32 else 1_000))
        if rng.random() < 0.5
        else rng.randrange(span)
    )


def any_call(
    rng: random.Random, number: int, network: Network | None = None, toggles: int | None = None
) -> Call:
    """A call with 3 to 8 toggles; with none of them it is recorded from its answer on."""
    answered_ns = rng.randrange(1 << 40) + 5_000_000_000
    duration = rng.randrange(8 * RATE, 14 * RATE)
    automatic = toggles == 0 or rng.random() < 0.2
    speakers = [speak(rng, number, leg, answered_ns, duration, network or any_network(rng)) for leg in (0, 1)]
    count = rng.randrange(3, 9) if toggles is None else toggles
    times = sorted(rng.randrange(duration) for _ in range(count))
    recording, planned = automatic, []
    for at in times:
        action = rng.choice(["stop", "pause"] if recording else ["start", "resume"])
        planned.append(Toggle(answered_ns + at * NS_PER_SAMPLE + rng.randrange(NS_PER_SAMPLE), action))
        recording = not recording
    return Call(number, answered_ns, duration, (speakers[0], speakers[1]), planned, automatic)


def any_group(
    seed: int, calls: int, network: Network | None = None, toggles: int | None = None
) -> tuple[list[Call], random.Random]:
    """Calls that share a loop, answered at nearly the same time."""
    rng = random.Random(seed)
    group = [any_call(rng, number, network, toggles) for number in range(calls)]
    return [_moved(call, 10_000_000_000 + rng.randrange(200_000_000)) for call in group], rng


def _moved(call: Call, answered_ns: int) -> Call:
    by = answered_ns - call.answered_ns
    call.answered_ns = answered_ns
    call.toggles = [Toggle(t.at_ns + by, t.action) for t in call.toggles]
    for speaker in call.speakers:
        speaker.packets = [p._replace(reaches_ns=p.reaches_ns + by) for p in speaker.packets]
    return call


def turns(
    rng: random.Random, calls: list[Call], stalls: list[tuple[int, int]] | None = None
) -> Iterator[Turn]:
    """The loop's life from the first answer to the last end. Two stalls of a second unless told otherwise
    (as `(begin, length)` in ms after the first answer)."""
    begin = min(call.answered_ns for call in calls)
    end = max(call.ended_ns for call in calls)
    if stalls is None:
        stalls = [(rng.randrange(0, 14_000), 1_000) for _ in range(2)]
    waiting = sorted(p for call in calls for speaker in call.speakers for p in speaker.packets)
    waiting = [p for p in waiting if calls[p.call].answered_ns <= p.reaches_ns]
    demands = sorted((t.at_ns, call.number, t.action) for call in calls for t in call.toggles)
    tick, drain_every = rng.choice([1, 2, 5, 10]) * NS_PER_MS, rng.choice([20, 40, 100]) * NS_PER_MS
    at, now, drained = 0, begin, begin
    while now < end:
        step = now + tick + rng.randrange(NS_PER_MS)
        for first, length in stalls:
            if now < begin + first * NS_PER_MS <= step:
                step += length * NS_PER_MS
        now = step
        first = at
        while at < len(waiting) and waiting[at].reaches_ns <= now:
            at += 1
        due = []
        while demands and demands[0][0] <= now:
            _, number, action = demands.pop(0)
            if now < calls[number].ended_ns:
                due.append((calls[number], action))
        drain = now - drained >= drain_every
        drained = now if drain else drained
        yield Turn(now, waiting[first:at], due, rng.random() < 0.5, drain)


# The judgement.


@dataclass
class Result:
    """What was recorded of a call: frames as (n, 2) in the order of the legs."""

    frames: NDArray[np.int16]
    intervals: list[tuple[int, int]]
    reanchors: dict[tuple[int, int], int]  # by (leg, SSRC)
    slips: dict[tuple[int, int], int]


@dataclass
class Stamps:
    """When the loop read each packet: what the recorder can know of its arrival."""

    read_ns: dict[tuple[int, int, int, int, int], list[int]] = field(default_factory=dict)

    def note(self, packet: Sent, now_ns: int) -> None:
        key = (packet.call, packet.leg, packet.ssrc, packet.seq, packet.timestamp)
        self.read_ns.setdefault(key, []).append(now_ns)

    def of(self, packet: Sent) -> list[int]:
        key = (packet.call, packet.leg, packet.ssrc, packet.seq, packet.timestamp)
        return self.read_ns.get(key, [])


def intervals_of(call: Call) -> list[tuple[int, int]]:
    """What the toggles ask for, by the contract's table."""
    opened: tuple[int, int] | None = (0, POLICY) if call.automatic else None  # (position, place)
    found = []
    for place, (now_ns, action) in enumerate([*call.applied, (call.ended_ns, "stop")]):
        at = min(call.position(now_ns), call.duration)
        if action in ("start", "resume") and opened is None:
            opened = (at, place)
        elif action in ("stop", "pause") and opened is not None:
            found.append((opened[0], at, opened[1]))
            opened = None
    return [(start, end) for start, end, by in found if start < end and by not in call.annulled]


def judge(call: Call, result: Result, stamps: Stamps) -> list[str]:
    """Everything that is wrong with a recording, in words; empty when it tells the truth."""
    wrong = []
    wanted = intervals_of(call)
    if result.intervals != wanted:
        wrong.append(f"intervals {result.intervals} instead of {wanted}")
    if len(result.frames) != call.duration:
        wrong.append(f"{len(result.frames)} frames instead of {call.duration}")
        return wrong
    outside = np.ones(call.duration, dtype=bool)
    for start, end in wanted:
        outside[start:end] = False
    leaked = np.flatnonzero(outside & result.frames.any(axis=1))
    if len(leaked):
        wrong.append(f"{len(leaked)} frames are not zero outside the intervals, the first at {leaked[0]}")
    for speaker in call.speakers:
        track = np.ascontiguousarray(result.frames[:, speaker.leg])
        wrong += [
            f"leg {'AB'[speaker.leg]}: {text}"
            for text in _judge_track(call, speaker, track, wanted, result, stamps)
        ]
    return wrong


def _judge_track(
    call: Call,
    speaker: Speaker,
    track: NDArray[np.int16],
    intervals: list[tuple[int, int]],
    result: Result,
    stamps: Stamps,
) -> Iterator[str]:
    brought = _by_position(speaker)
    lag, unknown = _lags(speaker, brought, track, _transits(call, speaker, stamps))
    if len(unknown):
        yield f"{len(unknown)} samples are none of its own, the first at {unknown[0]}"
    zeros = np.concatenate([[0], np.cumsum(track == 0)])
    missing, moved, overlap = 0, 0, 0
    for start, end in intervals:
        seen: dict[int, dict[int, int]] = {}  # SSRC -> lag -> samples
        heard = np.flatnonzero(track[start:end]) + start
        heard = heard[~np.isin(heard, unknown)]
        if len(heard):
            origin = heard - lag[heard] - speaker.begins
            inside = (origin >= 0) & (origin < len(brought))
            which = np.where(inside, brought[np.clip(origin, 0, len(brought) - 1)], -1)
            if (which < 0).any():
                yield f"samples at {heard[which < 0][0]} were never sent"
            pieces, counts = np.unique(
                which[which >= 0] << 32 | lag[heard][which >= 0] + (1 << 31), return_counts=True
            )
            for piece, count in zip(pieces.tolist(), counts.tolist(), strict=True):
                packet, value = speaker.packets[piece >> 32], (piece & 0xFFFFFFFF) - (1 << 31)
                reads = [call.position(ns + READ_NS) for ns in stamps.of(packet)]
                if not any(start <= at <= end + LATE for at in reads):
                    yield f"[{start}, {end}) holds a packet read at {reads}"
                lags = seen.setdefault(packet.ssrc, {})
                lags[value] = lags.get(value, 0) + count
        delay = speaker.packets[0].network if speaker.packets else 0
        for ssrc, lags in seen.items():
            seen[ssrc] = lags = {lag: count for lag, count in lags.items() if count >= SURE}
            moved += max(len(lags) - 1, 0)
            unseen = _unseen(speaker, ssrc, stamps)
            overlap += unseen
            slack = speaker.jitter + TOLERANCE + unseen
            for value in lags:
                if not -TOLERANCE <= value - delay <= slack:
                    yield f"an offset is {(value - delay) / MS} ms off in [{start}, {end}), not {slack / MS}"
        missing += _missing(call, speaker, zeros, (start, end), seen, delay, stamps)
    reanchors = sum(count for (leg, _), count in result.reanchors.items() if leg == speaker.leg)
    slips = sum(count for (leg, _), count in result.slips.items() if leg == speaker.leg)
    if moved > reanchors + slips:
        yield f"{moved} moves of an offset, {reanchors} and {slips} slips counted"
    if speaker.calm and reanchors and _longest_wait(speaker, stamps) <= TOLERANCE:
        yield f"{reanchors} moves of an offset, and nothing else moved"
    excused = overlap + (speaker.changes * len(intervals) + reanchors) * (speaker.jitter + TOLERANCE)
    if missing > excused:
        yield f"{missing} samples that arrived are missing, {excused} excused"


def _unseen(speaker: Speaker, ssrc: int, stamps: Stamps) -> int:
    """How long even the first packets of a stream waited to be read: nobody can tell that from a delay."""
    reached: dict[tuple[int, int], int] = {}
    read: dict[tuple[int, int], int] = {}
    for packet in speaker.packets:
        if packet.ssrc == ssrc and packet.spoken is not None and stamps.of(packet):
            reached.setdefault((packet.seq, packet.timestamp), packet.reaches_ns)
            read.setdefault((packet.seq, packet.timestamp), stamps.of(packet)[0])
    held = min(read.values()) + 300 * NS_PER_MS
    return min(at - reached[key] for key, at in read.items() if at <= held) // NS_PER_SAMPLE


def _longest_wait(speaker: Speaker, stamps: Stamps) -> int:
    """How long a packet waited at most until the loop read it."""
    waits = [stamps.of(packet)[0] - packet.reaches_ns for packet in speaker.packets if stamps.of(packet)]
    return max(waits, default=0) // NS_PER_SAMPLE


def _missing(
    call: Call, speaker: Speaker, zeros: Samples, interval: tuple[int, int],
    seen: dict[int, dict[int, int]], delay: int, stamps: Stamps,
) -> int:  # fmt: skip
    """Samples of packets that were read in time, and yet are silent."""
    start, end = interval
    missing, reads = 0, _reads(call, speaker, stamps)
    for packet in speaker.packets:
        if packet.spoken is None:
            continue
        low, high = packet.spoken + delay - TOLERANCE, packet.spoken + delay + speaker.jitter + TOLERANCE
        if high + len(packet.payload) <= start or low >= end:
            continue
        deadline = min(end + LATE, call.duration - 1)  # with the call the recording ends
        read = [call.position(ns + READ_NS) for ns in stamps.of(packet)[:1]]
        if not any(start < at <= deadline for at in read):
            continue
        lags = seen.get(packet.ssrc)
        if lags:
            own = read[0] - packet.spoken - len(packet.payload)
            early, late = _doubt(reads[packet.ssrc], read[0], own)
            first = [max(packet.spoken + lag, start + max(lag - early, 0)) for lag in lags]
            last = [min(packet.spoken + lag + len(packet.payload), end - max(late - lag, 0)) for lag in lags]
            missing += min(int(zeros[b] - zeros[a]) if a < b else 0 for a, b in zip(first, last, strict=True))
        elif low >= start and high + len(packet.payload) <= end:
            missing += len(packet.payload)
    return missing


def _reads(call: Call, speaker: Speaker, stamps: Stamps) -> dict[int, list[tuple[int, int]]]:
    """When each audio packet of an SSRC was read, and by how much it would stand late then."""
    reads: dict[int, list[tuple[int, int]]] = {}
    for packet in speaker.packets:
        if packet.spoken is None:
            continue
        for now_ns in stamps.of(packet):
            at = call.position(now_ns + READ_NS)
            reads.setdefault(packet.ssrc, []).append((at, at - packet.spoken - len(packet.payload)))
    return reads


def _doubt(reads: list[tuple[int, int]], at: int, own: int) -> tuple[int, int]:
    """What the network showed when a packet was read that was delayed by `own`: the least delay of ten
    seconds (what was held with it tells too), and that of the last quarter of a second at least."""
    near = [(read, delay) for read, delay in reads if at - 10 * RATE <= read <= at + RATE // 2]
    recent = [delay for read, delay in near if at - RATE // 4 <= read < at]
    return min(delay for _, delay in near), min([own, *recent])


def _by_position(speaker: Speaker) -> Samples:
    """For each sample that was spoken the packet that brought it, or -1."""
    brought = np.full(len(speaker.values), -1)
    for number, packet in enumerate(speaker.packets):
        if packet.spoken is not None:
            first = packet.spoken - speaker.begins
            brought[first : first + len(packet.payload)] = number
    return brought


def _transits(call: Call, speaker: Speaker, stamps: Stamps) -> list[int]:
    """By how much each packet would stand late if its last sample lay where it was read."""
    return [
        call.position(now_ns + READ_NS) - packet.spoken - len(packet.payload)
        for packet in speaker.packets
        if packet.spoken is not None
        for now_ns in stamps.of(packet)
    ]


def _lags(
    speaker: Speaker, brought: Samples, track: NDArray[np.int16], transits: list[int]
) -> tuple[Samples, Samples]:
    """How late each sample stands against when it was spoken; and the samples that can't be explained.

    A time is believed when six neighbours agree (`SURE`); the few between them must continue one of these
    runs, the nearest if they can, for where two streams overlap single samples are left of one of them; or
    they are the end of a packet that an interval's start cut off.
    """
    at = np.arange(len(track))
    read = read_times(speaker.leg, track)
    times = (read - speaker.base) % PERIOD
    lag = at - speaker.begins - times
    readable = (read >= 0) & (times < len(speaker.values))
    run = np.concatenate([[0], np.cumsum(~(readable[1:] & readable[:-1] & (lag[1:] == lag[:-1])))])
    known = readable & (np.bincount(run)[run] >= SURE)
    known[known] = brought[times[known]] >= 0  # a neighbour of a run may continue it by chance
    open_ = np.flatnonzero((track != 0) & ~known)
    if not len(open_):
        return lag, open_
    before = np.maximum.accumulate(np.where(known, at, -1))[open_]
    after = np.minimum.accumulate(np.where(known, at, len(track))[::-1])[::-1][open_]
    nearer = np.where(open_ - before <= after - open_, before, after)
    sure = np.unique(lag[known]).tolist()
    plausible = [value for value in np.unique(lag[readable]).tolist() if abs(value) <= RATE]
    guesses = [_of(lag, near) for near in (nearer, before, after)]
    guesses += [np.full(len(open_), value) for value in sure + plausible + transits]
    left = np.ones(len(open_), dtype=bool)
    for guess in guesses:
        origin = open_ - guess - speaker.begins
        fits = left & (origin >= 0) & (origin < len(speaker.values))
        fits[fits] = (speaker.values[origin[fits]] == track[open_[fits]]) & (brought[origin[fits]] >= 0)
        lag[open_[fits]] = guess[fits]
        left &= ~fits
        if not left.any():
            break
    return lag, open_[left]


def _of(lag: Samples, at: Samples) -> Samples:
    """The lags at these places, and one that explains nothing where there is none."""
    return np.where((at >= 0) & (at < len(lag)), lag[np.clip(at, 0, len(lag) - 1)], -PERIOD)


def frame_map(frames: NDArray[np.int16], intervals: list[tuple[int, int]], ms: int = 20) -> str:
    """A picture of a file: for each 20 ms `A`, `B`, `X` (both) or `_`; lower case when not full; and
    below it what should be open."""
    step, legs, gate = ms * MS, [], []
    for at in range(0, len(frames), step):
        block = frames[at : at + step] != 0
        a, b = block[:, 0], block[:, 1]
        letter = {(0, 0): "_", (1, 0): "A", (0, 1): "B", (1, 1): "X"}[int(a.any()), int(b.any())]
        legs.append(letter if (a | b).all() else letter.lower())
        gate.append("=" if any(s < at + step and e > at for s, e in intervals) else " ")
    lines = []
    for first in range(0, len(legs), 100):
        lines += [f"{first * ms / 1000:6.1f} " + "".join(legs[first : first + 100])]
        lines += ["       " + "".join(gate[first : first + 100])]
    return "\n".join(lines)
