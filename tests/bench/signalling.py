"""What an INVITE costs in the core: from the bytes that came to the bytes that go on, without I/O."""

import gc
import random
import time
from ipaddress import IPv4Network
from itertools import count
from statistics import median

from mediaproxy.calls.model import Agent, Plan, Policy, RecordingPolicy, Route, Target, Trunk
from mediaproxy.calls.plane import Allocate, Allocated
from mediaproxy.calls.proxy import Proxy
from mediaproxy.net import Endpoint
from mediaproxy.service.collector import Collector
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.outputs import Transmit
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.transactions import TransactionLayer
from tests.bench.samples import invite

_CALLS = 400
_REPEATS = 5
_CARRIER = Endpoint("127.0.0.2", 15070)
_AGENT = Endpoint("127.0.0.3", 15080)
_HERE = Endpoint("127.0.0.1", 15060)
_FLOW = Flow("udp", _HERE, _CARRIER)
_PLAN = Plan(
    domain="pbx.example",
    trunks=(Trunk("carrier", Target("udp", _CARRIER), (IPv4Network("127.0.0.2/32"),)),),
    agents=(Agent("alice", "sip:alice@127.0.0.3:15080", Target("udp", _AGENT)),),
    routes=(
        Route("trunk:carrier", "+15550100", agent="alice"),
        Route("trunk:carrier", "+15550101", agent="alice", recording=RecordingPolicy(Policy.AUTOMATIC)),
    ),
)


def measure() -> float:
    """CPU microseconds for one INVITE parsed, routed and re-sent: the median of several spans.

    With the collector set as the server sets it; the calls of one span are not cleared away in the next.
    """
    thresholds = gc.get_threshold()
    Collector().settle()
    try:
        return median(_span_us() for _ in range(_REPEATS))
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def _span_us() -> float:
    messages = [invite(number) for number in range(_CALLS)]
    chance = random.Random(1)
    proxy = Proxy(
        _PLAN,
        random=chance.randbytes,
        wall_offset_ns=lambda: 10**18,
        layer=TransactionLayer(random_bytes=chance.randbytes),
        listeners=(Target("udp", _HERE),),
    )
    ports = count(20_000, 2)
    gc.collect()
    clock_ns = time.monotonic_ns()
    began = time.process_time()
    resent = sum(_receive(proxy, message, ports, clock_ns) for message in messages)
    took = time.process_time() - began
    if resent != _CALLS:
        raise RuntimeError(f"{resent} of {_CALLS} INVITEs were re-sent")
    return took / _CALLS * 1e6


def _receive(proxy: Proxy, message: bytes, ports: "count[int]", now_ns: int) -> int:
    """Give the proxy an INVITE, and the ports it asks for; how many INVITEs it sent to the agent."""
    proxy.receive_message(parse_message(message), _FLOW, now_ns=now_ns)
    resent = 0
    while outputs := proxy.drain():
        for output in outputs:
            if isinstance(output, Allocate):
                local = (Endpoint("127.0.0.1", next(ports)), Endpoint("127.0.0.1", next(ports)))
                proxy.receive_plane_event(Allocated(output.call, local), now_ns=now_ns)
            elif isinstance(output, Transmit):
                resent += output.flow.remote == _AGENT and output.data.startswith(b"INVITE ")
    return resent
