"""CPU of one INVITE: parsed, routed, its SDP anchored, sent on. No socket, no database.

python -m tests.bench.invite_cpu
"""

import os
import time
from statistics import median

from mediaproxy.calls.model import Target
from mediaproxy.calls.plane import Allocate, Allocated
from mediaproxy.calls.proxy import Proxy
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.outputs import Transmit
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.transactions import TransactionLayer
from tests.support.phone import PROXY
from tests.support.plans import CARRIER, PLAN

CALLS = 3_000
ROUNDS = 3
INVITE = """INVITE sip:+15550100@127.0.0.1:15060 SIP/2.0\r
Via: SIP/2.0/UDP 127.0.0.2:15070;branch=z9hG4bK-{n}\r
Max-Forwards: 70\r
From: "Carol C" <sip:+15550199@carrier.example>;tag=tag{n}\r
To: <sip:+15550100@127.0.0.1:15060>\r
Call-ID: call{n}@127.0.0.2\r
CSeq: 1 INVITE\r
Contact: <sip:carrier@127.0.0.2:15070>\r
User-Agent: bench/1.0\r
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE\r
Supported: timer, 100rel, path\r
P-Asserted-Identity: <sip:+15550199@carrier.example>\r
Session-Expires: 1800\r
Content-Type: application/sdp\r
Content-Length: {length}\r
\r
"""
SDP = (
    "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0 8 9 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
    "a=ptime:20\r\na=sendrecv\r\n"
)


def one_round() -> float:
    """Microseconds of CPU for an INVITE."""
    proxy = Proxy(
        PLAN,
        random=os.urandom,
        wall_offset_ns=lambda: 0,
        layer=TransactionLayer(random_bytes=os.urandom),
        listeners=[Target("udp", PROXY)],
    )
    flow = Flow("udp", PROXY, CARRIER)
    messages = [(INVITE.format(n=n, length=len(SDP)) + SDP).encode() for n in range(CALLS)]
    local = (Endpoint("127.0.0.1", 20000), Endpoint("127.0.0.1", 20002))
    sent = 0
    begin = time.process_time_ns()
    for n, data in enumerate(messages):
        now_ns = n * 1_000_000
        proxy.receive_message(parse_message(data), flow, now_ns=now_ns)
        for output in proxy.drain():
            if isinstance(output, Allocate):
                proxy.receive_plane_event(Allocated(output.call, local), now_ns=now_ns)
        sent += sum(isinstance(output, Transmit) for output in proxy.drain())
        proxy.next_deadline()
    spent_us = (time.process_time_ns() - begin) / 1_000
    assert sent == CALLS
    return spent_us / CALLS


if __name__ == "__main__":
    print(f"{median(one_round() for _ in range(ROUNDS)):.0f} µs of CPU for an INVITE (at most 300)")
