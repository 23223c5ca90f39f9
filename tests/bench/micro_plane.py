"""The plane alone, in this process: bursts of packets through real sockets, without waiting for any."""

import asyncio
import socket
import time

import numpy as np

from mediaproxy.calls.plane import (
    Allocate,
    Allocated,
    Codec,
    Connect,
    Describe,
    Latch,
    LegId,
    PlaneEvent,
    Release,
    Remote,
    SetTap,
    Tap,
)
from mediaproxy.ids import CallId
from mediaproxy.loadtest import wire
from mediaproxy.loadtest.mmsg import ReceiveBatch, SendBatch, open_socket
from mediaproxy.loadtest.schedule import CALLEE_HOST, CALLER_HOST
from mediaproxy.media.plane import PlaneSettings
from mediaproxy.media.userspace import UserspacePlane
from mediaproxy.net import Endpoint, Family
from mediaproxy.recording.ring import PacketRing

_Sockets = tuple[socket.socket, socket.socket]

_HOST = "127.0.0.13"
_CALLS = 50
_BURSTS = 200
_WARM_UP = 20
_PATIENCE_S = 5.0


async def measure(tap: Tap, *, compiled: bool = True) -> float:
    """CPU microseconds of relaying one packet, beyond sending it and taking it off a socket."""
    relayed_us = await through_plane(tap, compiled=compiled)
    return relayed_us - await without_plane()


async def through_plane(tap: Tap, *, compiled: bool) -> float:
    """With sending it and taking it off a socket."""
    ring, events = PacketRing(), list[PlaneEvent]()

    def empty() -> None:
        ring.take()
        ring.free()

    addresses = {Family.IPV4: _HOST}
    plane = UserspacePlane(
        PlaneSettings(addresses, addresses, range(20_000, 21_000), compiled=compiled),
        on_event=events.append, ring=ring, on_pressure=empty,
    )  # fmt: skip
    sockets = (open_socket(CALLER_HOST), open_socket(CALLEE_HOST))
    try:
        for number in range(_CALLS):
            plane.perform(Allocate(CallId(f"{number}"), number + 1))
        await asyncio.sleep(0.05)
        targets = [_connect(plane, event, sockets, tap) for event in events if isinstance(event, Allocated)]
        return await _bursts(sockets, [target for pair in targets for target in pair])
    finally:
        for number in range(_CALLS):
            plane.perform(Release(CallId(f"{number}")))
        plane.close()
        for sock in sockets:
            sock.close()


def _connect(plane: UserspacePlane, event: Allocated, sockets: _Sockets, tap: Tap) -> list[tuple[str, int]]:
    for leg in LegId:
        host, port = sockets[leg].getsockname()
        remote = Remote(Endpoint(host, port), Endpoint(host, port + 1))
        plane.perform(Connect(event.call, leg, remote, Latch.AUTO, host))
        plane.perform(Describe(event.call, leg, {0: Codec("PCMU", 8000)}))
        plane.perform(SetTap(event.call, leg, tap))
    return [(local.host, local.port) for local in event.local]


async def without_plane() -> float:
    """The same straight from one socket to another."""
    sockets = (open_socket(CALLER_HOST), open_socket(CALLEE_HOST))
    try:
        there = [sockets[(number + 1) % 2].getsockname() for number in range(2 * _CALLS)]
        return await _bursts(sockets, there)
    finally:
        for sock in sockets:
            sock.close()


async def _bursts(sockets: _Sockets, targets: list[tuple[str, int]]) -> float:
    """Send a packet to each target at once, again and again, and wait for all of them each time."""
    batch, received = SendBatch(targets[0::2] + targets[1::2]), ReceiveBatch(4096)
    streams = np.arange(len(targets), dtype=np.int64)
    table = wire.payload_table()
    began = 0.0
    for index in range(_BURSTS + _WARM_UP):
        if index == _WARM_UP:
            began = time.process_time()
        wire.fill(batch.packets, streams, index, table)
        batch.send(sockets[0].fileno(), 0, _CALLS)
        batch.send(sockets[1].fileno(), _CALLS, 2 * _CALLS)
        await _take_all(received, sockets, len(targets))
    return (time.process_time() - began) / (_BURSTS * len(targets)) * 1e6


async def _take_all(received: ReceiveBatch, sockets: _Sockets, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while received.count < count:
        await asyncio.sleep(0)
        for sock in sockets:
            received.receive(sock.fileno())
        if time.monotonic() > deadline:
            raise RuntimeError(f"{received.count} of {count} packets came through")
    received.clear()
