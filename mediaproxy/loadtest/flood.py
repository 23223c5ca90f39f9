"""A stranger who floods one media port: well-formed RTP as fast as was asked for, from nobody's address.

    python -m mediaproxy.loadtest.flood PACKETS_A_SECOND [HOST]

Lines on stdin: "HOST PORT", the port from now on; its end ends the flood. On stdout at the end: how many
packets were sent.
"""

import ipaddress
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np

from mediaproxy.loadtest import wire
from mediaproxy.loadtest.mmsg import SendBatch, names, precise_sleeps
from mediaproxy.net import Endpoint

STRANGER = "127.0.0.66"
_EVERY_NS = 2_000_000
_MOST_BEHIND_NS = 50_000_000  # what could not be sent in time is left out
_END_S = 5.0


class Flood:
    """The process of it; `sent` is known once it ended."""

    def __init__(self, packets_a_second: int) -> None:
        self._rate = packets_a_second
        self._process: subprocess.Popen[str] | None = None
        self.sent = 0

    def aim(self, at: Endpoint) -> None:
        """At this port from now on."""
        if self._process is None:
            host = [STRANGER] if ipaddress.ip_address(at.host).is_loopback else []
            command = [sys.executable, "-m", __name__, str(self._rate), *host]
            self._process = subprocess.Popen(  # noqa: S603 - this module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{at.host} {at.port}\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """May wait for as long as a process takes to end."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            self.sent = int(process.communicate(timeout=_END_S)[0])
        finally:
            process.kill()
            process.wait()


def flood(packets_a_second: int, sock: socket.socket, orders: int) -> int:
    """Until `orders`, a pipe, ends; how many packets were sent."""
    os.set_blocking(orders, False)
    batch = SendBatch([("0.0.0.0", 0)] * max(packets_a_second * _EVERY_NS // 1_000_000_000, 1))  # noqa: S104
    count = len(batch.packets)
    index = np.arange(count)
    table = wire.payload_table()
    every_ns = count * 1_000_000_000 // packets_a_second
    sent, aimed, next_ns = 0, False, time.monotonic_ns()
    while True:
        with suppress(BlockingIOError):
            said = os.read(orders, 1 << 16)
            if not said:
                return sent
            host, port = said.decode().splitlines()[-1].split()
            batch.names[:] = names([(host, int(port))])
            aimed = True
        if aimed:
            wire.fill(batch.packets, np.zeros(count, dtype=np.int64), index, table)
            sent += batch.send(sock.fileno(), 0, count)
            index += count
        next_ns = max(next_ns + every_ns, time.monotonic_ns() - _MOST_BEHIND_NS)
        time.sleep(max(next_ns - time.monotonic_ns(), 0) / 1e9)


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((sys.argv[2] if len(sys.argv) > 2 else "", 0))
        precise_sleeps()
        print(flood(int(sys.argv[1]), sock, sys.stdin.fileno()))  # noqa: T201 - the reply


if __name__ == "__main__":
    main()
