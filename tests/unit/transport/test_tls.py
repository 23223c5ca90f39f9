"""SIP over TLS on real sockets: who is let in, who is reached, and what becomes of everybody else."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from mediaproxy.errors import Unavailable
from mediaproxy.net import Endpoint
from mediaproxy.sip.outputs import RequestReceived, ResponseReceived, TransportFailed
from mediaproxy.transport import connections, tcp
from mediaproxy.transport.certificates import NOT_PLAIN, NOT_TLS, WRONG_NAME, TlsFiles, contexts
from tests.support.certificates import Authority, client_context
from tests.support.sip_build import request_in
from tests.unit.transport.nodes import LOCAL, LOCAL6, WAIT_S, Node, options, until

OPTIONS = request_in("OPTIONS", via="SIP/2.0/TLS 127.0.0.1").encode()
Told = list[tuple[str, Endpoint, str, int]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def ours(authority: Authority) -> TlsFiles:
    return authority.issue("proxy", "127.0.0.1", "::1", "proxy.example")


@asynccontextmanager
async def node(files: TlsFiles, *, ask: bool = False, local: Endpoint = LOCAL) -> AsyncIterator[Node]:
    made = Node(contexts=contexts(files, ask_clients=ask))
    await made.transport.start([("tls", local), ("tcp", local)])
    try:
        yield made
    finally:
        await made.transport.stop()


async def ask(there: Node, context: ssl.SSLContext, data: bytes = OPTIONS) -> tuple[bytes, bytes]:
    """What is answered to `data` on a new connection, and the certificate that was shown (DER)."""
    reader, writer = await asyncio.open_connection(*there.endpoint("tls"), ssl=context)
    try:
        writer.write(data)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
        return answer, writer.get_extra_info("ssl_object").getpeercert(True)
    finally:
        writer.close()


@pytest.mark.parametrize("local", [LOCAL, LOCAL6])
async def test_a_request_and_its_response(ours: TlsFiles, local: Endpoint) -> None:
    async with node(ours, local=local) as here, node(ours, local=local) as there:
        flow = here.transport.flow_to("tls", there.endpoint("tls"), (local.host,))
        assert flow is not None
        here.send(options(60_000), flow)
        event = await there.event()
        assert isinstance(event, RequestReceived)
        assert event.flow.transport == "tls"
        assert event.flow.names == ()
        assert str(event.request.via).startswith("SIP/2.0/TLS ")
        assert isinstance(await here.event(), ResponseReceived)
        there.send(options(), event.flow)  # the flow that came in is a way back
        received = await here.event()
        assert isinstance(received, RequestReceived)
        assert received.flow.names == ("127.0.0.1", "::1", "proxy.example")
        assert isinstance(await there.event(), ResponseReceived)
        here.send(options(call_id="d"), flow)
        await there.event()
        assert here.transport.connections == there.transport.connections == 1
        assert here.transport.counters.handshakes_failed == there.transport.counters.handshakes_failed == 0


async def test_messages_wait_for_the_handshake_in_order(ours: TlsFiles) -> None:
    async with node(ours) as here, node(ours) as there:
        flow = here.transport.flow_to("tls", there.endpoint("tls"), ("proxy.example",))
        assert flow is not None
        for number in range(20):
            here.send(options(call_id=str(number)), flow)
        heard = [await there.event() for _ in range(20)]
        assert [e.request.call_id for e in heard if isinstance(e, RequestReceived)] == [*map(str, range(20))]
        assert there.transport.connections == 1


async def test_keep_alives_and_what_comes_with_the_handshake(ours: TlsFiles) -> None:
    async with node(ours) as there:
        answer, _ = await ask(there, client_context(ours.ca), b"\r\n\r\n" + OPTIONS)
        assert answer.startswith(b"\r\nSIP/2.0 200 OK\r\n")  # the pong first
        assert there.transport.counters.keep_alives == 1
        await until(lambda: there.transport.connections == 0)


@pytest.mark.parametrize("names", [["other.example"], ["*.example"], ["sip:x@sip.example"], []])
async def test_a_good_certificate_of_another_name_gets_nothing(
    authority: Authority, ours: TlsFiles, names: list[str]
) -> None:
    theirs = authority.issue("theirs", *names, subject="somebody")
    async with node(ours) as here, node(theirs) as there:
        flow = here.transport.flow_to("tls", there.endpoint("tls"), ("sip.example",))
        assert flow is not None
        here.send(options(), flow)
        assert isinstance(await here.event(), TransportFailed)
        assert here.told[0][2] == f"{WRONG_NAME} sip.example"
        assert here.transport.counters.handshakes_failed == 1
        await until(lambda: here.transport.connections + there.transport.connections == 0)
        assert there.events.empty()


@pytest.mark.parametrize(
    "names", [["SIP.example"], ["sip:sip.example"], ["other.example", "sip.example"], []]
)
async def test_every_kind_of_name_that_proves_it(
    authority: Authority, ours: TlsFiles, names: list[str]
) -> None:
    theirs = authority.issue("theirs", *names, subject="sip.example")
    async with node(ours) as here, node(theirs) as there:
        flow = here.transport.flow_to("tls", there.endpoint("tls"), ("sip.example",))
        assert flow is not None
        here.send(options(), flow)
        assert isinstance(await here.event(), ResponseReceived)


async def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, ours: TlsFiles) -> None:
    theirs = Authority(tmp_path / "b").issue("theirs", "127.0.0.1")
    async with node(ours) as here, node(theirs) as there:
        flow = here.transport.flow_to("tls", there.endpoint("tls"))
        assert flow is not None
        here.send(options(), flow)
        assert isinstance(await here.event(), TransportFailed)
        assert here.told[0][2].startswith("its certificate is refused: ")
        await until(lambda: there.transport.counters.handshakes_failed == 1)


async def test_a_connection_is_used_again_for_what_its_peer_proved_alone(ours: TlsFiles) -> None:
    async with node(ours) as here, node(ours) as there:
        for number, name in enumerate(("proxy.example", "127.0.0.1", "evil.example")):
            flow = here.transport.flow_to("tls", there.endpoint("tls"), (name,))
            assert flow is not None
            here.send(options(call_id=str(number)), flow)
            expected = TransportFailed if name == "evil.example" else ResponseReceived
            assert isinstance(await here.event(), expected)
        await until(lambda: there.transport.connections == 1)
        assert here.transport.counters.handshakes_failed == 1


async def test_a_client_s_certificate_is_its_name(authority: Authority, ours: TlsFiles) -> None:
    carrier = authority.issue("carrier", "sip.carrier.example")
    async with node(ours, ask=True) as there:
        for own, names in ((carrier, ("sip.carrier.example",)), (None, ())):
            await ask(there, client_context(ours.ca, own))
            event = await there.event()
            assert isinstance(event, RequestReceived)
            assert event.flow.names == names


async def test_a_client_s_bad_certificate_is_refused(tmp_path: Path, ours: TlsFiles) -> None:
    forged = Authority(tmp_path / "b").issue("carrier", "sip.carrier.example")
    async with node(ours, ask=True) as there:
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await ask(there, client_context(ours.ca, forged))
        assert there.transport.counters.handshakes_failed == 1
        assert there.events.empty()
        await until(lambda: there.transport.connections == 0)


async def test_new_certificates_are_for_new_connections_and_old_ones_live_on(
    authority: Authority, ours: TlsFiles
) -> None:
    trusting = client_context(ours.ca)
    async with node(ours) as there:
        reader, writer = await asyncio.open_connection(*there.endpoint("tls"), ssl=trusting)
        _, before = await ask(there, trusting)
        there.transport.renew(contexts(authority.issue("proxy", "127.0.0.1"), ask_clients=False))
        _, after = await ask(there, trusting)
        assert before != after
        writer.write(OPTIONS)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200")
        assert writer.get_extra_info("ssl_object").getpeercert(True) == before
        writer.close()


async def test_plain_bytes_on_a_tls_port(ours: TlsFiles) -> None:
    async with node(ours) as there:
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*there.endpoint("tls"))
            writer.write(OPTIONS)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await asyncio.wait_for(reader.readuntil(b"SIP/2.0"), WAIT_S)
            writer.close()
        assert there.transport.counters.wrong_protocol == 3
        ((transport, _, reason, untold),) = there.told  # one line a second, however many there are
        assert (transport, reason, untold) == ("tls", NOT_TLS, 0)
        assert (await ask(there, client_context(ours.ca)))[0].startswith(b"SIP/2.0 200")


async def test_tls_on_a_tcp_port(ours: TlsFiles) -> None:
    async with node(ours) as there:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*there.endpoint("tcp"), ssl=client_context(ours.ca))
        assert there.transport.counters.wrong_protocol == 1
        assert there.told[0][2] == NOT_PLAIN
        await until(lambda: there.transport.connections == 0)


async def test_tls_wanted_of_who_speaks_none_fails_at_once(ours: TlsFiles) -> None:
    async with node(ours) as here, node(ours) as there:
        flow = here.transport.flow_to("tls", there.endpoint("tcp"))
        assert flow is not None
        here.send(options(), flow)
        assert isinstance(await here.event(), TransportFailed)


async def test_who_is_slow_to_shake_hands_is_closed(ours: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_S", 0.05)
    async with node(ours) as there:
        reader, writer = await asyncio.open_connection(*there.endpoint("tls"))
        await until(lambda: there.transport.connections == 1)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), WAIT_S)
        assert there.transport.counters.handshakes_failed == 1
        assert there.transport.connections == 0
        writer.close()


async def test_who_shakes_hands_counts_already(ours: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_SIP_CONNECTIONS", 1)
    async with node(ours) as there:
        _, first = await asyncio.open_connection(*there.endpoint("tls"))
        await until(lambda: there.transport.connections == 1)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(*there.endpoint("tls"), ssl=client_context(ours.ca))
        assert there.transport.counters.connections_refused == 1
        first.close()


async def test_a_peer_that_does_not_read_is_closed(ours: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "MAX_SIP_UNSENT_BYTES", 100_000)
    async with node(ours) as there:
        _, writer = await asyncio.open_connection(
            *there.endpoint("tls"), ssl=client_context(ours.ca), limit=1
        )
        writer.write(OPTIONS)
        event = await there.event()
        assert isinstance(event, RequestReceived)
        for number in range(2_000):
            there.send(options(60_000, str(number)), event.flow)
            if there.transport.counters.slow_closed:
                break
        await until(lambda: there.transport.connections == 0)
        assert there.transport.counters.slow_closed == 1
        writer.transport.abort()


async def test_older_tls_is_refused(ours: TlsFiles) -> None:
    old = client_context(ours.ca)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with node(ours) as there:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(there, old)
        assert there.transport.counters.handshakes_failed == 1


async def test_stopping_in_the_middle_of_a_handshake_leaves_nothing(ours: TlsFiles) -> None:
    with closing(socket.create_server(LOCAL)) as silent:
        async with node(ours) as here:
            flow = here.transport.flow_to("tls", Endpoint(*silent.getsockname()))
            assert flow is not None
            here.send(options(), flow)
            _, writer = await asyncio.open_connection(*here.endpoint("tls"))
            await until(lambda: here.transport.connections == 1)
        writer.close()


async def test_stopping_before_a_handshake_began_leaves_nothing(ours: TlsFiles) -> None:
    async with node(ours) as here:
        with socket.create_server(LOCAL) as listening:
            peer = socket.create_connection(listening.getsockname())
            accepted, _ = listening.accept()
        here.transport._connections._accept(accepted, LOCAL)  # as the listener does, and in the same tick
        await here.transport.stop()
        assert accepted.fileno() < 0
        peer.close()


async def test_handshakes_too_take_a_source_s_places(ours: TlsFiles) -> None:
    async with node(ours) as here:
        here.transport._connections._most_per_source = 2
        halves = [await asyncio.open_connection(*here.endpoint("tls")) for _ in range(2)]
        await until(lambda: here.transport.connections == 2)
        reader, third = await asyncio.open_connection(*here.endpoint("tls"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        assert here.transport.counters.connections_refused == 1
        for _, writer in halves:
            writer.close()
        await until(lambda: here.transport.connections == 0)
        here.transport._connections._most_per_source = 1  # a handshake's place becomes its connection's
        answer, _ = await ask(here, client_context(ours.ca))
        assert answer.startswith(b"SIP/2.0 200")
        await until(lambda: here.transport.connections == 0)
        assert not here.transport._connections._accepted_from
        third.close()


async def test_no_listener_without_certificates() -> None:
    with pytest.raises(Unavailable, match=r"no certificate: set \[sip.tls\]"):
        await Node().transport.start([("tls", LOCAL)])
