"""SIP over TLS from end to end: recorded calls, names that are proven or not, certificates that change."""

import asyncio
import contextlib
import signal

import pytest

from tests.support.baresip import Baresip
from tests.support.certificates import Authority, client_context, server_context
from tests.support.patience import seen
from tests.support.proxy import run_command
from tests.support.recorded import check_finished, check_verified
from tests.support.rtp_oracle import PCMU
from tests.support.sip_wire import TcpWire, Tls, host_port, uri_of
from tests.support.softphone import connect
from tests.support.speech import share_at, speech_codes, tone, window_likeness

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"
CARRIER = "sip.carrier.example"
HUM_HZ = 440


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "certificates")


class World:
    """A proxy that speaks TLS with carrier and alice; the carrier must show its certificate."""

    def __init__(self, server, authority):
        net = self.net = server.net
        self.server, self.authority = server, authority
        self.sips = (net.proxy[0], 15061)
        self.alice_at = (net.alice[0], 15081)  # one above UDP, as baresip has it
        self.issue()
        config = server.config
        config["sip"]["listen"].append(f"tls:{host_port(self.sips)}")
        config["sip"]["tls"] = {
            "certificate": str(authority.folder / "proxy.pem"), "key": str(authority.folder / "proxy.key"),
            "ca": str(authority.ca),
        }  # fmt: skip
        config["trunks"][0] |= {
            "address": f"tls:{net.carrier[0]}:15071", "tls_name": CARRIER, "client_certificate": True,
        }  # fmt: skip
        config["agents"][0]["contact"] = f"sip:alice@{host_port(self.alice_at)};transport=tls"

    def issue(self):
        """A new certificate in the place of the proxy's."""
        return self.authority.issue("proxy", self.sips[0])

    def tls(self, name, *names, authority=None):
        own = (authority or self.authority).issue(name, *names)
        return Tls(server_context(own), client_context(self.authority.ca, own))

    @property
    def anonymous(self):
        own = self.authority.issue("nobody", "nobody.example")
        return Tls(server_context(own), client_context(self.authority.ca))

    async def carrier(self, cast, tls, host=""):
        phone = await cast.phone(
            "carrier", (host or self.net.carrier[0], 15071), proxy=self.sips, transport="tls", tls=tls
        )
        await phone.wire.connect()
        return phone

    async def alice(self, cast, tls=None):
        tls = tls or self.tls("alice", self.alice_at[0])
        return await cast.phone("alice", self.alice_at, proxy=self.sips, transport="tls", tls=tls)

    async def shown(self):
        """The certificate that a new connection is shown (DER)."""
        context = client_context(self.authority.ca)
        _, writer = await asyncio.open_connection(*self.sips, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        await writer.wait_closed()
        return shown


@pytest.fixture
def world(make_proxy, authority):
    made = World(make_proxy(start=False), authority)
    made.server.start()
    return made


async def refused(phone, number, status):
    out = phone.invite(number)
    out.ack(await out.expect(status))


async def test_a_recorded_call_while_certificates_change(world, casts):
    cast, server = casts(world.server), world.server
    carrier = await world.carrier(cast, world.tls("carrier", CARRIER))
    alice, api = await world.alice(cast), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    invite = pair.callee.invite
    assert invite.get("Via").startswith(f"SIP/2.0/TLS {host_port(world.sips)}")
    assert uri_of(invite.get("Contact")) == f"sip:{host_port(world.sips)};transport=tls"
    assert pair.caller.target == f"sip:{host_port(world.sips)};transport=tls"
    before = await world.shown()
    world.issue()
    server.signal(signal.SIGHUP)
    await seen(lambda: "configuration_reloaded" in server.log)
    assert await world.shown() != before
    heard = len(alice.media.received)
    await seen(lambda: len(alice.media.received) > heard + 10)
    await pair.hush()
    pair.callee.send(pair.callee.request("BYE"))
    await pair.caller.hung_up()
    await pair.callee.expect(200)
    for phone in (carrier, alice):
        assert isinstance(phone.wire, TcpWire)
        assert not phone.wire.closed
    assert (carrier.wire.connections, alice.wire.connections) == (0, 1)
    row = await api.ended((await api.call_of(pair.caller.call_id))["id"])
    assert (row["trunk"], row["agent"], row["ended_by"]) == ("carrier", "alice", "callee")
    spans, _, _ = check_finished(server, row)
    assert spans == [(0, row["recording"]["duration_samples"])]
    check_verified(server, row)


async def test_a_call_to_the_carrier_that_proves_its_name(world, casts):
    cast = casts(world.server)
    tls = world.tls("carrier", CARRIER)
    carrier = await cast.phone("carrier", (world.net.carrier[0], 15071), transport="tls", tls=tls)
    alice = await world.alice(cast)
    await alice.wire.connect()
    pair = await connect(alice, carrier, "+4930123", speak=False)
    await pair.hang_up()
    pair.callee.phone.calls.clear()
    again = await connect(carrier, alice, ON_DEMAND, speak=False)  # it is the carrier on our connection too
    await again.hang_up()
    assert carrier.wire.connections == 1


async def test_a_broken_certificate_leaves_the_old_one_in_use(world, casts):
    before = await world.shown()
    (world.authority.folder / "proxy.pem").write_text("broken")
    world.server.signal(signal.SIGHUP)
    await seen(lambda: "configuration_not_reloaded" in world.server.log)
    assert "sip.tls.certificate" in world.server.log
    assert await world.shown() == before
    metrics = (await casts(world.server).api().client.get("/metrics")).text
    assert 'mediaproxy_alarms_total{event="configuration_not_reloaded"} 1.0' in metrics


async def test_who_shows_the_carrier_s_certificate_is_the_carrier(world, casts):
    cast = casts(world.server)
    alice = await world.alice(cast)
    nobody = await world.carrier(cast, world.anonymous)
    await refused(nobody, ON_DEMAND, 403)
    other = await world.carrier(cast, world.tls("other", "other.example"), world.net.host(7))
    await refused(other, ON_DEMAND, 403)
    udp = await cast.carrier()  # from the carrier's address: that alone proves nothing any more
    await refused(udp, ON_DEMAND, 403)
    elsewhere = await world.carrier(cast, world.tls("carrier", CARRIER), world.net.host(9))
    pair = await connect(elsewhere, alice, ON_DEMAND, speak=False)
    await pair.hang_up()


async def test_a_forged_certificate_does_not_come_in(world, casts, tmp_path):
    forged = Authority(tmp_path / "forger").issue("carrier", CARRIER)
    phone = await casts(world.server).phone(
        "carrier", (world.net.carrier[0], 15071), proxy=world.sips, transport="tls",
        tls=Tls(server_context(forged), client_context(world.authority.ca, forged)),
    )  # fmt: skip
    with contextlib.suppress(OSError):  # in TLS 1.3 the client is told later
        await phone.wire.connect()
        phone.invite(ON_DEMAND)
    await seen(lambda: "sip_peer_refused" in world.server.log)
    assert "its certificate is refused" in world.server.log
    assert (await casts(world.server).api().get("/v1/calls"))["calls"] == []


@pytest.mark.parametrize("how", ["another name", "another authority"])
async def test_an_agent_that_proves_nothing_is_not_called(world, casts, tmp_path, how):
    cast = casts(world.server)
    carrier = await world.carrier(cast, world.tls("carrier", CARRIER))
    forger = Authority(tmp_path / "forger")
    tls = world.tls("alice", world.net.host(99)) if how == "another name" else None
    alice = await world.alice(cast, tls or world.tls("alice", world.alice_at[0], authority=forger))
    await refused(carrier, ON_DEMAND, 503)
    await alice.nothing_rings()
    assert "its certificate is" in world.server.log


async def test_sips_stays_sips_on_both_legs(make_proxy, authority, casts):
    world = World(make_proxy(start=False), authority)
    world.server.config["agents"][0]["contact"] = f"sips:alice@{host_port(world.alice_at)}"
    world.server.start()
    cast = casts(world.server)
    carrier = await world.carrier(cast, world.tls("carrier", CARRIER))
    alice = await world.alice(cast)
    out = carrier.dialog(ON_DEMAND)
    out.target = out.target.replace("sip:", "sips:")
    out.send(out.request("INVITE", carrier.sdp()))
    rang = await alice.ring()
    assert rang.invite.uri == f"sips:alice@{host_port(world.alice_at)}"
    assert uri_of(rang.invite.get("Contact")) == f"sips:{host_port(world.sips)}"
    assert uri_of((await out.expect(180)).get("Contact")) == f"sips:{host_port(world.sips)}"
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    out.ack(await out.expect(486))


async def test_check_names_what_is_wrong_with_a_certificate(make_proxy, authority):
    world = World(make_proxy(start=False), authority)
    authority.issue("proxy", world.sips[0], days=-1)
    done = run_command("serve", "--check", "--config", str(world.server.write_config()))
    assert done.returncode == 2
    assert "sip.tls.certificate" in done.stderr
    assert "expired on" in done.stderr


@pytest.mark.usefixtures("needs_baresip")
async def test_baresip_to_baresip(make_proxy, authority, casts, tmp_path, corpora_path, rtp_range):
    """Telephones whose TLS is not Python's; the certificate changes in mid-call. baresip connects from
    127.0.0.1: by its certificate alone it is the carrier."""
    world = World(make_proxy(start=False), authority)
    server = world.server
    server.config["trunks"][0]["latch"] = server.config["agents"][0]["latch"] = "always"
    server.start()
    words = PCMU.decode(speech_codes(corpora_path, 10, 30))
    its, hers = authority.issue("carrier", CARRIER), authority.issue("alice", world.alice_at[0])
    carrier = Baresip(tmp_path / "carrier", "outside", server.net.carrier, words, rtp_range(), its)
    alice = Baresip(tmp_path / "alice", "alice", server.net.alice, tone(HUM_HZ, 30), rtp_range(), hers)
    api = casts(server).api()
    async with carrier, alice:
        await carrier.command("dial", f"sip:{ON_DEMAND}@{host_port(world.sips)}")
        await carrier.event("CALL_ESTABLISHED")
        await alice.event("CALL_ESTABLISHED")
        await asyncio.sleep(1.0)
        call = (await api.get("/v1/calls", state="answered"))["calls"][0]["id"]
        await api.toggle(call, "start")
        world.issue()
        server.signal(signal.SIGHUP)
        await seen(lambda: "configuration_reloaded" in server.log)
        await asyncio.sleep(1.5)
        await api.toggle(call, "stop")
        await asyncio.sleep(0.3)
        await carrier.command("hangup")
        await alice.event("CALL_CLOSED")
        row = await api.ended(call)
    ((start, end),), one, two = check_finished(server, row)
    assert end - start > 8_000
    assert (sorted(window_likeness(one[start:end], words, 0.25)) or [0.0])[-1] > 0.97
    assert share_at(two[(start + end) // 2 - 800 : (start + end) // 2 + 800], HUM_HZ) > 0.95
    check_verified(server, row)
