"""The traffic's own processes: one sends, one receives; both note what and when (`notes`).

    python -m mediaproxy.loadtest.generator PLAN.json    (sockets are inherited)

Lines on stdin, each a JSON list: ["begin", SPEECH, …], ["stop"]; its end ends the traffic. Lines on
stdout: the monotonic nanosecond of cycle 0; the cycle in which a stop took effect.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from mediaproxy.loadtest import wire
from mediaproxy.loadtest.mmsg import precise_sleeps
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.notes import ARRIVED, SENT, Notes
from mediaproxy.loadtest.schedule import Speech, Stream
from mediaproxy.loadtest.sender import Sender
from mediaproxy.loadtest.sink import Sink

_POLL_NS = 10_000_000  # seldom: the sink wakes by the clock, so the proxy never pays for waking it
_NOTE_CYCLES = 25
_NOTE_NS = _NOTE_CYCLES * wire.PTIME_NS
_QUIET_NS = 1_000_000_000  # the sink goes when nothing came for so long after the last was sent
_PATIENCE_NS = 10_000_000_000  # and in any case this long after it
_AHEAD_NS = 100_000_000


class Orders:
    """What the load test asks of us, line by line, without ever waiting for it."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._partial = b""
        self.ended = False

    def take(self) -> list[list[Any]]:
        with suppress(BlockingIOError):
            while chunk := os.read(self._fd, 1 << 20):
                self._partial += chunk
            self.ended = True
        lines, _, self._partial = self._partial.rpartition(b"\n")
        return [json.loads(line) for line in lines.splitlines()]


def send(sender: Sender, notes: Notes, start_ns: int) -> None:
    """Cycle after cycle until nobody can ask for more."""
    orders = Orders(sys.stdin.fileno())
    cycle = 0
    while not orders.ended:
        for what, *given in orders.take():
            if what == "begin":
                sender.begin([speech(each) for each in given], cycle)
            else:
                sender.stop(cycle)
                print(cycle, flush=True)  # noqa: T201 - the reply
        notes.add(sender.send(cycle, start_ns + cycle * wire.PTIME_NS)[None, :])
        cycle += 1
        if cycle % _NOTE_CYCLES == 0:
            notes.write()
        time.sleep(max(start_ns + cycle * wire.PTIME_NS - time.monotonic_ns(), 0) / 1e9)
    notes.write()


def receive(sink: Sink, notes: Notes, sender_ended: int) -> None:
    """Until nothing comes any more after the sender's end (that of the file `sender_ended`)."""
    waiting = Orders(sender_ended)
    next_ns = last_ns = noted_ns = time.monotonic_ns()
    end_ns = None
    while end_ns is None or next_ns < min(max(end_ns, last_ns) + _QUIET_NS, end_ns + _PATIENCE_NS):
        next_ns = max(next_ns + _POLL_NS, time.monotonic_ns())
        time.sleep(max(next_ns - time.monotonic_ns(), 0) / 1e9)
        arrivals = sink.poll()
        if arrivals is not None:
            last_ns = next_ns
            notes.add(arrivals)
        if next_ns > noted_ns + _NOTE_NS:
            notes.write()
            noted_ns = next_ns
            waiting.take()
            end_ns = next_ns if waiting.ended and end_ns is None else end_ns
    notes.write()


def speech(given: list[Any]) -> Speech:
    """From its JSON."""
    number, host, port, first, packets, pause, dialled = given
    digits = tuple((index, digit) for index, digit in dialled)
    return Speech(Stream(number, host, port), first, packets, (pause[0], pause[1]), digits)


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    directory, sockets, payload_type = Path(plan["directory"]), plan["sockets"], plan["payload_type"]
    sender = Sender(sockets, Network(**plan["network"]), payload_type)
    sink = Sink(sockets, payload_type)
    precise_sleeps()
    began_ns = time.process_time_ns()
    ended, ends = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ends)
        _stay_on(plan["cores"][-1:])
        receive(sink, Notes(directory, ARRIVED), ended)
        _tell(directory / "sink.json", time.process_time_ns(), sink.kernel_ns)
        os._exit(0)
    os.close(ended)
    _stay_on(plan["cores"][:1])
    start_ns = time.monotonic_ns() + _AHEAD_NS
    print(start_ns, flush=True)  # noqa: T201 - the reply
    send(sender, Notes(directory, SENT), start_ns)
    figures = {"sent": sender.sent, "unsent": sender.unsent, "late_ms": sender.late_ns / 1e6}
    _tell(directory / "sender.json", time.process_time_ns() - began_ns, sender.kernel_ns, **figures)
    os.close(ends)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def _stay_on(cores: list[int]) -> None:
    if cores:
        os.sched_setaffinity(0, cores)


def _tell(path: Path, cpu_ns: int, kernel_ns: int, **figures: float) -> None:
    path.write_text(json.dumps({"own_s": (cpu_ns - kernel_ns) / 1e9, "kernel_s": kernel_ns / 1e9, **figures}))


if __name__ == "__main__":
    main()
