"""The compiled relay against the one in Python: whatever happens to a call, both do the same to the byte."""

import random
import socket
from typing import Any

import pytest

from mediaproxy.calls.plane import Latch, LegId, PlayTone, Release, SetTap, Tap, Tone, WatchCodes
from mediaproxy.limits import MAX_RTP_BYTES
from mediaproxy.media.userspace.leg import Leg
from mediaproxy.native import library
from mediaproxy.rtp.packet import build
from tests.support.planes import (
    AUDIO,
    CALL,
    CALLEE_HOST,
    CALLER_HOST,
    STRANGER_HOST,
    Bench,
    Party,
    bench_of,
    speech,
)

pytestmark = [
    pytest.mark.xdist_group("the very ports"),
    pytest.mark.skipif(
        library() is None, reason="the compiled helper was not built (python -m mediaproxy.native)"
    ),
]

STEPS = 120
TIMES = frozenset({"arrival_ns", "pass_number"})
COMPOUND = bytes.fromhex("80c90001000000a1")


def legs_of(bench: Bench) -> tuple[Leg, Leg]:
    call: tuple[Leg, Leg] = bench.plane._plane._calls[CALL].legs  # type: ignore[union-attr]
    return call


def pump(bench: Bench) -> None:
    """On loopback what was sent is there."""
    bench.plane._plane._relay.exhaust()  # type: ignore[union-attr]


def shapes(rng: random.Random, seq: int, ssrc: int) -> bytes:
    """A packet, nearly always a plain one."""
    stamp = seq * 160 & 0xFFFFFFFF
    said = rng.randbytes(160)
    kind = rng.random()
    if kind < 0.75:
        return build(0, kind < 0.1, seq & 0xFFFF, stamp, ssrc, said)
    header = build(0, False, seq & 0xFFFF, stamp, ssrc, b"")
    return rng.choice(
        [
            build(8, False, seq & 0xFFFF, stamp, ssrc, said[:80]),
            build(96, False, seq & 0xFFFF, stamp, ssrc, said),
            build(101, True, seq & 0xFFFF, stamp, ssrc, bytes([rng.randrange(12), 10, 0, 160])),
            build(101, False, seq & 0xFFFF, stamp, ssrc, bytes([rng.randrange(12), 0x8A, 3, 32])),
            header,
            bytes([0x81]) + header[1:] + said[:4] + said,
            bytes([0xA0]) + header[1:] + said[:40] + bytes([4]),
            bytes([0xA0]) + header[1:] + bytes([200]),
            bytes([0x90]) + header[1:] + bytes([0, 1, 0, 1]) + said[:24],
            said[: rng.randrange(14)],
            header + bytes(MAX_RTP_BYTES - len(header)),
            header + bytes(MAX_RTP_BYTES - len(header) + rng.randrange(1, 900)),
            COMPOUND,
        ]
    )


class Scene:
    """Two parties with two addresses each, and a stranger."""

    def __init__(self, bench: Bench, local: Any) -> None:
        self.bench, self.local = bench, local
        self.homes = [[bench.party(host) for _ in range(2)] for host in (CALLER_HOST, CALLEE_HOST)]
        self.stranger = bench.party(STRANGER_HOST)
        self.at = [0, 0]
        self.seq = [100, 200]

    def send(self, rng: random.Random, leg: LegId, party: Party) -> None:
        for _ in range(rng.choice([1, 1, 2, 5])):
            self.seq[leg] += 1
            party.send(shapes(rng, self.seq[leg], 0xA0 + leg), self.local[leg])

    def heard(self) -> list[list[bytes]]:
        return [drained(party.socket) for party in (*self.homes[0], *self.homes[1], self.stranger)]


def drained(sock: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(4096))
        except BlockingIOError:
            return found
        except ConnectionRefusedError:
            continue


def act(scene: Scene, rng: random.Random) -> None:
    bench, leg = scene.bench, LegId(rng.randrange(2))
    kind = rng.random()
    home = scene.homes[leg][scene.at[leg]]
    if kind < 0.7:
        scene.send(rng, leg, home)
    elif kind < 0.76:
        bench.perform(SetTap(CALL, leg, rng.choice(list(Tap))))
    elif kind < 0.80:
        bench.describe(leg, heard=rng.random() < 0.7)
    elif kind < 0.84:
        scene.at[leg] = rng.randrange(2)
        bench.connect(leg, scene.homes[leg][scene.at[leg]].endpoint, latch=rng.choice(list(Latch)))
    elif kind < 0.88:
        scene.send(rng, leg, rng.choice([scene.homes[leg][1 - scene.at[leg]], scene.stranger]))
    elif kind < 0.91:
        bench.perform(WatchCodes(CALL, leg, rng.choice([None, {"*1": "start"}, {"*2": "stop"}])))
    else:
        bench.counters(leg)


async def transcript(plane: str, seed: int, slots: int) -> tuple[list[Any], int]:
    """Everything that can be seen of a random call, and how often a leg was lent after a step."""
    rng, seen, lent = random.Random(seed), list[Any](), 0
    async with bench_of(plane, slots=slots) as bench:
        scene = Scene(bench, await bench.allocate())
        for leg in LegId:
            bench.connect(leg, scene.homes[leg][0].endpoint)
            bench.describe(leg)
            bench.perform(SetTap(CALL, leg, Tap.PAYLOAD))
        for _ in range(STEPS):
            act(scene, rng)
            pump(bench)
            lent += sum(leg.loan is not None for leg in legs_of(bench))
            seen.append(scene.heard())
            if rng.random() < 0.3:
                seen.append([{k: v for k, v in r.items() if k not in TIMES} for r in bench.records()])
                seen.append(bench.ring.take_dropped())
        seen.append([bench.counters(leg) for leg in LegId])
    return seen, lent


@pytest.mark.parametrize("seed", range(30))
async def test_both_do_the_same(seed: int) -> None:
    slots = 16 if seed % 3 == 0 else 512  # a ring that is full, too
    compiled, lent = await transcript("userspace", seed, slots)
    in_python, never = await transcript("python", seed, slots)
    assert compiled == in_python
    assert lent > STEPS // 3
    assert never == 0


async def test_a_released_leg_leaves_nothing_behind() -> None:
    """Its descriptors are another call's the next moment."""
    async with bench_of("userspace") as bench:
        for generation in (1, 2, 3):
            scene = Scene(bench, await bench.allocate(generation=generation))
            for leg in LegId:
                bench.connect(leg, scene.homes[leg][0].endpoint)
                bench.describe(leg)
            for number in range(3):
                for leg in LegId:
                    scene.homes[leg][0].send(speech(number), scene.local[leg])
                pump(bench)
            a, b = legs_of(bench)
            assert a.loan is not None
            assert b.loan is not None
            fast = a.loan
            assert fast._view[a.lent_at : a.lent_at + 64].tobytes() != bytes(64)
            bench.perform(Release(CALL))
            assert (a.loan, b.loan) == (None, None)
            assert fast._view[a.lent_at : a.lent_at + 64].tobytes() == bytes(64)
            assert [leg.packets for leg in (a, b)] == [3, 3]


async def test_a_sound_of_ours_calls_a_leg_back() -> None:
    async with bench_of("userspace") as bench:
        scene = Scene(bench, await bench.allocate())
        for leg in LegId:
            bench.connect(leg, scene.homes[leg][0].endpoint)
            bench.describe(leg)
        for number in range(4):
            for leg in LegId:
                scene.homes[leg][0].send(speech(number), scene.local[leg])
            pump(bench)
        a, b = legs_of(bench)
        assert b.loan is not None
        bench.perform(PlayTone(CALL, LegId.A, Tone.STARTED))
        scene.homes[1][0].send(speech(4), scene.local[1])
        pump(bench)
        assert b.loan is None  # what the caller hears is changed
        assert b.packets == 5
        assert a.audio == AUDIO


async def test_when_the_last_packet_came_is_known_of_a_lent_leg() -> None:
    async with bench_of("userspace") as bench:
        scene = Scene(bench, await bench.allocate())
        for leg in LegId:
            bench.connect(leg, scene.homes[leg][0].endpoint)
        stamps = []
        for number in range(4):
            for leg in LegId:
                scene.homes[leg][0].send(speech(number), scene.local[leg])
            pump(bench)
            stamps.append(legs_of(bench)[0].heard_ns)
        assert legs_of(bench)[0].loan is not None
        assert stamps == sorted(set(stamps))
        assert bench.counters(LegId.A).packets == 4
        assert legs_of(bench)[0].heard_ns == stamps[-1]
