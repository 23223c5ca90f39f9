"""What happened on the SIP sockets, as plain integers."""

from dataclasses import dataclass


@dataclass(slots=True)
class TransportCounters:
    received: int = 0  # messages that could be parsed
    sent: int = 0
    malformed: int = 0  # messages that could not
    malformed_answered: int = 0  # of these, requests that were answered 4xx or 5xx
    keep_alives: int = 0
    send_failed: int = 0  # the system refused; the transaction is told
    send_dropped: int = 0  # the socket's buffer was full; repetition mends it
    streams_broken: int = 0  # connections closed for bad framing
    slow_closed: int = 0  # connections closed because the peer did not read
    idle_closed: int = 0
    connections_refused: int = 0  # more than we keep at once
    connect_failed: int = 0
    handshakes_failed: int = 0  # TLS that was not agreed on, or not in time, whoever began
    wrong_protocol: int = 0  # plain bytes to TLS, or TLS to a TCP port
    captured: int = 0  # copies that went to the capture server
    capture_failed: int = 0  # copies that it did not take: gone
