"""The SIP transport on real loopback sockets, on asyncio and on uvloop."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from mediaproxy.errors import Unavailable
from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.outputs import RequestReceived, ResponseReceived, TransportFailed
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import respond
from mediaproxy.transport import connections, tcp
from tests.support.sip_build import request_in
from tests.unit.transport.nodes import LOCAL, LOCAL6, WAIT_S, Node, options, until


@asynccontextmanager
async def node(*listeners: tuple[str, Endpoint]) -> AsyncIterator[Node]:
    made = Node()
    await made.transport.start(listeners or [("udp", LOCAL), ("tcp", LOCAL)])
    try:
        yield made
    finally:
        await made.transport.stop()
        await made.transport.stop()  # idempotent


@pytest.mark.parametrize("local", [LOCAL, LOCAL6])
@pytest.mark.parametrize("kind", ["udp", "tcp"])
async def test_a_request_and_its_response(kind: str, local: Endpoint) -> None:
    async with node((kind, local)) as here, node((kind, local)) as there:
        flow = here.transport.flow_to(kind, there.endpoint(kind))
        assert flow is not None
        before = time.monotonic_ns()
        here.send(options(), flow)
        event = await there.event()
        assert isinstance(event, RequestReceived)
        assert before < event.arrived_ns < time.monotonic_ns()
        assert event.flow.local == there.endpoint(kind)
        assert event.flow.remote.host == local.host
        assert event.request.via.sent_by == (local.host, here.endpoint(kind).port)
        response = await here.event()
        assert isinstance(response, ResponseReceived)
        assert response.response.status == 200


async def test_a_connection_is_used_again_and_for_both_ways() -> None:
    async with node() as here, node() as there:
        flow = here.transport.flow_to("tcp", there.endpoint("tcp"))
        assert flow is not None
        here.send(options(), flow)
        received = await there.event()
        assert isinstance(received, RequestReceived)
        await here.event()
        here.send(options(call_id="d"), flow)
        await there.event()
        await here.event()
        there.send(options(), received.flow)  # the flow that came in is a way back
        assert isinstance(await here.event(), RequestReceived)
        assert isinstance(await there.event(), ResponseReceived)
        assert here.transport.connections == there.transport.connections == 1


async def test_messages_wait_for_their_connection_in_order() -> None:
    async with node() as here, node() as there:
        flow = here.transport.flow_to("tcp", there.endpoint("tcp"))
        assert flow is not None
        for number in range(20):
            here.send(options(call_id=str(number)), flow)
        names = []
        for _ in range(20):
            event = await there.event()
            assert isinstance(event, RequestReceived)
            names.append(event.request.call_id)
        assert names == [str(number) for number in range(20)]
        assert there.transport.connections == 1


async def test_every_split_of_a_stream_gives_the_same_messages() -> None:
    data = request_in("OPTIONS", via="SIP/2.0/TCP 127.0.0.1").encode()
    async with node(("tcp", LOCAL)) as there:
        reader, writer = await asyncio.open_connection(*there.endpoint("tcp"))
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(data), 7):
            writer.write(data[:cut])
            await asyncio.sleep(0)
            writer.write(data[cut:] + b"\r\n\r\n")
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"SIP/2.0 200")
            assert await reader.readexactly(2) == b"\r\n"  # the pong
        writer.close()
        await writer.wait_closed()
        await until(lambda: there.transport.connections == 0)
        assert there.transport.counters.keep_alives == len(range(1, len(data), 7))


async def test_a_refused_connection_is_told_to_its_transactions() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(LOCAL)  # bound and not listening
        async with node() as here:
            flow = here.transport.flow_to("tcp", Endpoint(*taken.getsockname()))
            assert flow is not None
            here.send(options(), flow)
            assert isinstance(await here.event(), TransportFailed)
            assert here.transport.counters.connect_failed == 1
            assert len(here.layer) == 0


@pytest.mark.parametrize(
    "flow",
    [
        Flow("udp", Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 9)),  # no such listener
        Flow("tls", Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 9)),
    ],
)
async def test_what_cannot_be_sent_is_told(flow: Flow) -> None:
    async with node() as here:
        here.send(options(), flow)
        assert isinstance(await here.event(), TransportFailed)


async def test_a_datagram_too_large_to_send_is_told() -> None:
    async with node() as here:
        flow = here.transport.flow_to("udp", Endpoint("127.0.0.1", 9))
        assert flow is not None
        here.send(options(66_000), flow)
        assert isinstance(await here.event(), TransportFailed)
        assert here.transport.counters.send_failed == 1


async def test_malformed_datagrams_are_counted_and_answered_when_they_can_be() -> None:
    async with node() as there:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer:
            peer.setblocking(False)
            peer.bind(LOCAL)
            loop = asyncio.get_running_loop()
            good = request_in("OPTIONS", via="SIP/2.0/UDP 10.0.0.1;rport").encode()
            bad = good.replace(b"70", b"x")
            for data in (b"\x00\x01garbage", b"\r\n\r\n", bad):
                peer.sendto(data, there.endpoint("udp"))
            answer = await asyncio.wait_for(loop.sock_recv(peer, 4096), WAIT_S)
            assert answer.startswith(b"SIP/2.0 400 Bad Request\r\n")
            counters = there.transport.counters
            assert (counters.malformed, counters.malformed_answered, counters.keep_alives) == (2, 1, 1)
            peer.sendto(
                request_in("OPTIONS", via="SIP/2.0/UDP 10.0.0.1;rport").encode(), there.endpoint("udp")
            )
            assert (await asyncio.wait_for(loop.sock_recv(peer, 4096), WAIT_S)).startswith(b"SIP/2.0 200")


async def test_a_malformed_message_on_a_stream_is_answered_and_the_stream_goes_on() -> None:
    good = request_in("OPTIONS", via="SIP/2.0/TCP 127.0.0.1").encode()
    async with node(("tcp", LOCAL)) as there:
        reader, writer = await asyncio.open_connection(*there.endpoint("tcp"))
        writer.write(good.replace(b"Max-Forwards: 70", b"Max-Forwards: x") + good)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 400")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200")
        writer.close()
        await writer.wait_closed()


async def test_bad_framing_is_answered_and_ends_the_connection() -> None:
    good = request_in("OPTIONS", via="SIP/2.0/TCP 127.0.0.1").encode()
    async with node(("tcp", LOCAL)) as there:
        reader, writer = await asyncio.open_connection(*there.endpoint("tcp"))
        writer.write(good.replace(b"Content-Length: 0", b"Content-Length: 0\r\nl: 7") + good)
        assert (await asyncio.wait_for(reader.read(), WAIT_S)).count(b"SIP/2.0 400") == 1
        writer.close()
        await writer.wait_closed()
        assert there.transport.counters.streams_broken == 1
        assert there.events.empty()


async def test_a_peer_that_does_not_read_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_SIP_UNSENT_BYTES", 100_000)
    async with node(("tcp", LOCAL)) as there:
        with closing(socket.create_connection(there.endpoint("tcp"))) as peer:
            peer.sendall(request_in("OPTIONS", via="SIP/2.0/TCP 127.0.0.1").encode())
            event = await there.event()
            assert isinstance(event, RequestReceived)
            for number in range(400):
                there.send(options(60_000, str(number)), event.flow)
                if there.transport.counters.slow_closed:
                    break
            await until(lambda: there.transport.connections == 0)
            assert there.transport.counters.slow_closed == 1
            assert there.layer.counters.transport_errors == 1


async def test_more_connections_than_we_keep_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_SIP_CONNECTIONS", 1)
    async with node(("tcp", LOCAL)) as there:
        _, first = await asyncio.open_connection(*there.endpoint("tcp"))
        await until(lambda: there.transport.connections == 1)
        reader, second = await asyncio.open_connection(*there.endpoint("tcp"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), WAIT_S)
        assert there.transport.counters.connections_refused == 1
        for writer in (first, second):
            writer.close()


async def test_what_is_idle_or_half_sent_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_S", 0.01)
    monkeypatch.setattr(connections, "PARTIAL_S", 0.02)
    async with node(("tcp", LOCAL)) as there:
        reader, half = await asyncio.open_connection(*there.endpoint("tcp"))
        _, quiet = await asyncio.open_connection(*there.endpoint("tcp"))
        half.write(b"INVITE ")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), WAIT_S)
        assert there.transport.connections == 1  # the other may be quiet for much longer
        monkeypatch.setattr(connections, "IDLE_S", 0.02)
        await until(lambda: there.transport.connections == 0)
        assert there.transport.counters.idle_closed == 2
        for writer in (half, quiet):
            writer.close()


@pytest.mark.parametrize("kind", ["udp", "tcp"])
async def test_a_busy_port_is_one_line_with_a_remedy(kind: str) -> None:
    async with node() as there:
        busy = there.endpoint(kind)
        other = Node()
        with pytest.raises(Unavailable) as caught:
            await other.transport.start([("udp", LOCAL), (kind, busy)])
        assert str(caught.value) == (
            f"cannot listen on {kind}:{busy}: the port is in use: stop what holds it, or change [sip] listen"
        )


async def test_an_address_that_is_not_ours_is_one_line_with_a_remedy() -> None:
    with pytest.raises(Unavailable, match="no such address"):
        await Node().transport.start([("udp", Endpoint("192.0.2.1", 5060))])


async def test_no_flow_to_another_family() -> None:
    async with node() as here:
        assert here.transport.flow_to("udp", LOCAL6) is None
        assert here.transport.flow_to("tcp", LOCAL6) is None


async def test_stopping_while_a_connection_opens_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node() as here:
        flow = here.transport.flow_to("tcp", Endpoint("127.0.0.1", 9))
        assert flow is not None
        here.send(options(), flow)


async def test_a_response_finds_another_way_when_its_connection_is_gone() -> None:
    async with node() as there:
        there.answering = False
        with closing(socket.create_server(LOCAL)) as listening:
            listening.setblocking(False)
            port = listening.getsockname()[1]
            _, writer = await asyncio.open_connection(*there.endpoint("tcp"))
            writer.write(request_in("OPTIONS", via=f"SIP/2.0/TCP 127.0.0.1:{port}").encode())
            event = await there.event()
            assert isinstance(event, RequestReceived)
            writer.close()
            await writer.wait_closed()
            await until(lambda: there.transport.connections == 0)
            response = respond(event.request, 200, tag="x")
            there.layer.send_response(event.transaction, response, now_ns=time.monotonic_ns())
            there.transport.settle()
            loop = asyncio.get_running_loop()
            accepted, _ = await asyncio.wait_for(loop.sock_accept(listening), WAIT_S)
            with closing(accepted):
                data = await asyncio.wait_for(loop.sock_recv(accepted, 4096), WAIT_S)
            assert parse_message(data).start_line == "SIP/2.0 200 OK"
