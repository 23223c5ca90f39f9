"""Nodes on real loopback sockets: a transaction layer on a transport each."""

import asyncio
import time
from collections.abc import Callable

from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import Event, Output, RequestReceived, Transmit
from mediaproxy.sip.responses import respond
from mediaproxy.sip.transactions import TransactionLayer
from mediaproxy.transport.certificates import Contexts
from mediaproxy.transport.sip_transport import SipTransport
from tests.support.sip_build import numbered_bytes

LOCAL = Endpoint("127.0.0.1", 0)
LOCAL6 = Endpoint("::1", 0)
WAIT_S = 5.0


class Node:
    """A transaction layer on a transport; answers every request with 200 and keeps its events."""

    def __init__(self, contexts: Contexts | None = None) -> None:
        self.layer = TransactionLayer(random_bytes=numbered_bytes())
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.transport: SipTransport[Output] = SipTransport(
            self.layer, self.take, contexts=contexts, on_unfit=lambda *told: self.told.append(told)
        )
        self.told: list[tuple[str, Endpoint, str, int]] = []
        self.answering = True

    def take(self, output: Output) -> None:
        assert not isinstance(output, Transmit)
        self.events.put_nowait(output)
        if isinstance(output, RequestReceived) and self.answering:
            response = respond(output.request, 200, tag="node")
            self.layer.send_response(output.transaction, response, now_ns=time.monotonic_ns())

    def send(self, request: Request, flow: Flow) -> None:
        self.layer.send_request(request, flow, now_ns=time.monotonic_ns())
        self.transport.settle()

    async def event(self) -> Event:
        return await asyncio.wait_for(self.events.get(), WAIT_S)

    def endpoint(self, transport: str) -> Endpoint:
        return next(endpoint for kind, endpoint in self.transport.endpoints if kind == transport)


def options(size: int = 0, call_id: str = "c") -> Request:
    headers = Headers.of(
        ("From", "<sip:a@b>;tag=1"), ("To", "<sip:b@c>"), ("Call-ID", call_id), ("CSeq", "1 OPTIONS")
    )
    return Request("OPTIONS", "sip:b@c", headers, b"x" * size)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.001)
