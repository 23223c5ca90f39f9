"""The hot path: passes over all ready sockets, forwarding first and tapping second.

A pass asks the epoll descriptor once and reads each ready socket once, so a socket in a flood gets no
more turns than the others. A pass that finds nothing ready is the ring's drain mark. A socket that
never falls silent for `_FLOOD_PASSES` passes is left alone until the next sweep: its kernel buffer
overflows, other calls' media and the drain mark go on. The socket beside a line, to which nobody but
strangers sends, is left alone after `_STRANGERS` of their packets already: a flood costs little.

A leg whose source is locked has a *line*: its RTP socket is connected, so whatever is read from it is the
party's, once what came before that is read. Every other RTP socket is *open*: sources are checked there.

Per packet: no exception, no formatting, no object beyond the address that the read returns.

Where the compiled helper was built, a leg whose last packet needed nothing but copying is lent to `lines`,
which does the same with the next ones; everything else still comes here.
"""

import select
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from socket import socket
from time import monotonic_ns
from typing import Any, Final

from mediaproxy.limits import MAX_RTP_BYTES
from mediaproxy.media.ports import Source
from mediaproxy.media.userspace.leg import Action, Leg
from mediaproxy.media.userspace.lines import FastLines, fast_lines
from mediaproxy.recording.ring import PacketRing
from mediaproxy.rtp.packet import HEADER, HEADER_BYTES, PLAIN, SEQUENCE, SEQUENCE_AT, payload_bounds
from mediaproxy.rtp.rtcp import is_rtcp, renumber_reports

_PASSES: Final = 32  # per wake-up, then the loop's other tasks have their turn
_FLOOD_PASSES: Final = 640  # more than a socket's buffer holds
_STRANGERS: Final = 64  # refused packets of one socket that are read between two sweeps
_READY_SPARE: Final = 64
_BLANK: Final = bytes(MAX_RTP_BYTES + 1)

_TAP_HEADER: Final = int(Action.TAP_HEADER)
_TAP_PAYLOAD: Final = int(Action.TAP_PAYLOAD)
_DETOUR: Final = int(Action.DETOUR)
_RTCP: Final = int(Action.RTCP)

Receive = Callable[[bytearray], tuple[int, Source]]
Detour = Callable[[Leg, bytearray, int, int, int, int], None]
"""(leg, packet, size, payload start, payload end, arrival ns): relays what needs more than copying."""


class Relay:
    """Reads, checks, forwards, taps. It owns the epoll descriptor and one packet buffer."""

    def __init__(
        self, ring: PacketRing, on_pressure: Callable[[], None], detour: Detour, *, compiled: bool = True
    ) -> None:
        self._ring = ring
        self._on_pressure = on_pressure
        self._detour = detour
        self._epoll = select.epoll()
        self._lines: dict[int, Leg] = {}  # by descriptor, as the two that follow
        self._open: dict[int, tuple[Leg, Receive]] = {}
        self._rtcp_legs: dict[int, Leg] = {}
        self._tables: tuple[dict[int, Any], ...] = (self._lines, self._open, self._rtcp_legs)
        self._emptying: set[int] = set()  # open ones that become lines once they were seen empty
        self._buffer = bytearray(MAX_RTP_BYTES + 1)  # the byte more tells what is too long
        view = memoryview(self._buffer)
        self._view = view
        self._views = tuple(view[:size] for size in range(MAX_RTP_BYTES + 1))
        self._fast = fast_lines(ring, self._buffer) if compiled else None
        self._busy_passes = 0
        self._unseen: set[int] = set()  # descriptors that may hold what came before `_searching_ns`
        self._searching_ns = 0
        self._suspects: set[int] = set()
        self._muted: list[int] = []
        self._strange: dict[int, int] = {}  # refused packets since the last sweep, by descriptor

    def fileno(self) -> int:
        """Readable when a socket is: the one descriptor that the loop watches."""
        return self._epoll.fileno()

    def add(self, leg: Leg) -> None:
        self._listen(leg, leg.pair.rtp)
        self._rtcp_legs[leg.pair.rtcp.fileno()] = leg
        self._epoll.register(leg.pair.rtcp, select.EPOLLIN)

    def remove(self, leg: Leg) -> None:
        """Before the sockets are closed. Idempotent."""
        leg.recall()
        leg.other.recall()
        for sock in (leg.pair.rtp, leg.pair.others, leg.pair.rtcp):
            if sock is not None:
                self._forget(sock.fileno())

    def reconsider(self, leg: Leg) -> None:
        """Whom the leg hears may have changed: a line to somebody else is none."""
        leg.recall()
        if leg.source is None and self._lines.pop(leg.pair.rtp.fileno(), None) is not None:
            self._open[leg.pair.rtp.fileno()] = leg, leg.pair.rtp.recvfrom_into

    def _listen(self, leg: Leg, sock: socket) -> None:
        self._open[sock.fileno()] = leg, sock.recvfrom_into
        self._epoll.register(sock, select.EPOLLIN)

    def _forget(self, descriptor: int) -> None:
        if not any(table.pop(descriptor, None) for table in self._tables):
            return
        self._emptying.discard(descriptor)
        if descriptor in self._muted:
            self._muted.remove(descriptor)
        else:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        self._epoll.close()

    def wake(self) -> None:
        """Something is ready, or it is time to look: passes until nothing is, within bounds."""
        for _ in range(_PASSES):
            if self._pass():
                return

    def turn(self) -> None:
        """One read of every ready socket: for those who are about to keep the loop for longer."""
        self._pass()

    def exhaust(self) -> None:
        """Relay and tap all that has arrived so far; bounded only as a flood is."""
        for _ in range(_FLOOD_PASSES):
            if self._pass():
                return

    def sweep(self) -> None:
        """As `wake`, and muted sockets get another chance. To be called every 20 ms."""
        for descriptor in self._muted:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._muted.clear()
        self._strange.clear()
        self.wake()

    def _pass(self) -> bool:
        """One read of every ready socket. True: none was."""
        ring, now = self._ring, monotonic_ns()
        ring.begin_pass(now)
        ready = self._ready()
        if self._emptying:
            self._make_lines(ready)
        if not ready:
            ring.end_pass(emptied=True)
            self._busy_passes = 0
            self._unseen.clear()
            return True
        if self._fast is None:
            self._read(ready)
        else:
            self._read_fast(self._fast)
        self._view[:] = _BLANK  # nobody's last words stay here
        ring.end_pass(emptied=False)
        if ring.pressed:
            self._on_pressure()
        self._busy_passes += 1
        if self._busy_passes > _PASSES:
            self._look_for_empty(ready, now)
        if self._busy_passes >= _FLOOD_PASSES:
            self._hunt(ready)
        return False

    def _look_for_empty(self, ready: list[int], now_ns: int) -> None:
        """Under load no pass finds all sockets empty at once, but what is not ready is empty: once each
        was found so, nothing older than the beginning of that search waits anywhere."""
        descriptors = set(ready)
        self._unseen &= descriptors
        if not self._unseen:
            self._ring.found_empty_since(self._searching_ns)
            self._unseen, self._searching_ns = descriptors, now_ns

    def _ready(self) -> list[int]:
        """The descriptors of sockets that can be read."""
        at_most = 3 * len(self._rtcp_legs) + _READY_SPARE
        if self._fast is not None:
            self._fast.poll(self._epoll.fileno(), at_most)
            return self._fast.ready()
        return [descriptor for descriptor, _ in self._epoll.poll(0, at_most)]

    def _read_fast(self, fast: FastLines) -> None:
        """The same as `_read`, which gets what is not lent."""
        while (descriptor := fast.read()) >= 0:
            leg, size = self._lines[descriptor], fast.size
            leg.recall()
            leg.receive = partial(_received, size)  # it is in the buffer already
            try:
                self._read([descriptor])
            finally:
                leg.receive = leg.pair.rtp.recv_into
        if left := fast.left():
            self._read(left)

    def _read(self, ready: list[int]) -> None:
        lines, buffer, views, view = self._lines, self._buffer, self._views, self._view
        put, put_header = self._ring.put, self._ring.put_header
        clock, unpack, number = monotonic_ns, HEADER.unpack_from, SEQUENCE.pack_into
        lend = None if self._fast is None else self._fast.lend
        for descriptor in ready:
            leg = lines.get(descriptor)
            if leg is not None:
                try:
                    size = leg.receive(buffer)
                except OSError:
                    continue  # an ICMP error, or a datagram with a wrong checksum was all there was
            else:
                received = self._receive_openly(descriptor)
                if received is None:
                    continue
                leg, size = received
            now = clock()
            if size > MAX_RTP_BYTES:
                leg.oversize += 1
                continue
            action = leg.actions[buffer[1]]
            if action == _RTCP:
                self._relay_rtcp(leg, size)
                continue
            if buffer[0] == PLAIN and size >= HEADER_BYTES:
                start, end = HEADER_BYTES, size
            else:
                bounds = payload_bounds(buffer, size)
                if bounds is None:
                    leg.malformed += 1
                    continue
                start, end = bounds
            leg.packets += 1
            leg.last_ns = now
            if action == _DETOUR:
                self._detour(leg, buffer, size, start, end, now)
                continue
            if leg.target is None:
                continue  # the other party has not said where
            fields = unpack(buffer)
            if leg.renumbering is not None:
                number(buffer, SEQUENCE_AT, leg.renumbering.forward(fields[4], fields[2]))
            try:
                leg.send(views[size])
            except OSError as error:
                if not leg.send_again(views[size], error):
                    continue
            leg.relayed += 1
            leg.last = fields
            if action == _TAP_PAYLOAD:
                _, second, seq, timestamp, ssrc = fields
                put(
                    leg.generation, leg.id, second & 0x7F, second >> 7, ssrc, seq, timestamp, now,
                    view[start:end],
                )  # fmt: skip
            elif action == _TAP_HEADER:
                _, second, seq, timestamp, ssrc = fields
                put_header(
                    leg.generation, leg.id, second & 0x7F, second >> 7, ssrc, seq, timestamp, now, end - start
                )  # fmt: skip
            if lend is not None and leg.goes_straight and descriptor in lines:
                lend(descriptor, leg)

    def _receive_openly(self, descriptor: int) -> tuple[Leg, int] | None:
        """A packet for the hot path from where anybody may send; None when there is none."""
        found = self._open.get(descriptor)
        if found is None:
            self._receive_rtcp(descriptor)
            return None
        leg, receive = found
        try:
            size, source = receive(self._buffer)
        except OSError:
            return None
        if source != leg.source and not self._admit(leg, source, size, monotonic_ns()):
            if leg.pair.others is not None and leg.pair.others.fileno() == descriptor:
                self._bear(descriptor)
            return None
        return leg, size

    def _bear(self, descriptor: int) -> None:
        """One more stranger at a socket to which the party itself does not send any more."""
        count = self._strange[descriptor] = self._strange.get(descriptor, 0) + 1
        if count == _STRANGERS:
            self._mute(descriptor)

    def _admit(self, leg: Leg, source: Source, size: int, now_ns: int) -> bool:
        """Whether a packet from other than the locked source is the leg's party's after all.

        A valid RTP packet may lock the source; a refused one is counted for what it is first of all.
        """
        if not leg.latching.may_be(source, now_ns):
            leg.wrong_source += 1
            return False
        buffer = self._buffer
        if size <= MAX_RTP_BYTES and leg.actions[buffer[1]] != _RTCP and payload_bounds(buffer, size):
            self._lock(leg, source)
        return True

    def _lock(self, leg: Leg, source: Source) -> None:
        knew_others = leg.pair.others is not None
        leg.lock(source)
        if leg.narrowed == source:
            self._emptying.add(leg.pair.rtp.fileno())
        if leg.pair.others is not None and not knew_others:
            self._listen(leg, leg.pair.others)

    def _make_lines(self, ready: list[int]) -> None:
        """What is not ready is empty: from now on only the party's packets come to it."""
        for descriptor in self._emptying.difference(ready):
            self._emptying.remove(descriptor)
            leg, _ = self._open[descriptor]
            if leg.source == leg.narrowed:
                self._lines[descriptor] = leg
                del self._open[descriptor]

    def _receive_rtcp(self, descriptor: int) -> None:
        leg = self._rtcp_legs.get(descriptor)
        if leg is None:
            return
        try:
            size, source = leg.pair.rtcp.recvfrom_into(self._buffer)
        except OSError:
            return
        if size > MAX_RTP_BYTES:
            leg.oversize += 1
        elif not is_rtcp(self._buffer, size):
            leg.malformed += 1
        elif not leg.latching.learn_rtcp(source):
            leg.wrong_source += 1
        else:
            self._take_rtcp(leg, size)

    def _relay_rtcp(self, leg: Leg, size: int) -> None:
        """RTCP on the RTP port (RFC 5761)."""
        if is_rtcp(self._buffer, size):
            self._take_rtcp(leg, size)
        else:
            leg.malformed += 1

    def _take_rtcp(self, leg: Leg, size: int) -> None:
        """Valid RTCP, from whom we hear: forward first, then read."""
        leg.rtcp += 1
        self._forward_rtcp(leg, size)
        leg.receive_rtcp(self._views[size], monotonic_ns())

    def _forward_rtcp(self, leg: Leg, size: int) -> None:
        """To where the other party hears RTCP: on its RTP port if it multiplexes, else beside it."""
        other = leg.other
        remote = other.latching.remote
        mux = remote is not None and remote.rtcp_mux
        outlet = other.pair.rtp if mux else other.pair.rtcp
        destination = other.destination if mux else other.latching.rtcp_destination
        if destination is None:
            return
        if other.renumbering is not None:
            renumber_reports(self._views[size], other.renumbering.backward)
        try:
            outlet.sendto(self._views[size], destination)
        except ConnectionRefusedError:  # of a packet before this one: see Leg.send_again
            with suppress(OSError):
                outlet.sendto(self._views[size], destination)
        except OSError:
            leg.send_failed += 1

    def _hunt(self, ready: list[int]) -> None:
        """Mute what was ready in two passes running, long after anything's backlog is read."""
        now = set(ready)
        if self._busy_passes > _FLOOD_PASSES:
            for descriptor in now & self._suspects:
                if any(descriptor in table for table in self._tables) and descriptor not in self._muted:
                    self._mute(descriptor)
        self._suspects = now

    def _mute(self, descriptor: int) -> None:
        """Until the next sweep."""
        self._epoll.unregister(descriptor)
        self._muted.append(descriptor)


def _received(size: int, buffer: bytearray) -> int:
    """As a socket whose packet somebody else has read into the buffer."""
    return size
