"""Media workers: calls go as they do without, and one that dies takes nobody else's call with it."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.recorded import check_finished, check_verified
from tests.support.rtp_oracle import RATE_HZ, check_track
from tests.support.softphone import connect, media_of

ON_DEMAND, AUTOMATIC, BOBS = "+15550100", "+15550101", "+15550102"
TWO_WORKERS = {"media.workers": 2, "routes.2.agent": "bob", "routes.2.recording": "automatic"}
LOST_AT_MOST = RATE_HZ


def workers_of(server):
    """The pids of the processes that relay."""
    found = []
    for each in psutil.Process(server.pid).children():
        with suppress(psutil.NoSuchProcess):  # also a zombie
            if "mediaproxy.service.worker" in each.cmdline():
                found.append(each.pid)
    return found


def worker_with(server, port):
    """Who has bound this UDP port."""
    for pid in workers_of(server):
        bound = psutil.Process(pid).net_connections("udp")
        if any(each.laddr.port == port for each in bound):
            return pid
    raise AssertionError(f"nobody has bound {port}")


def worker_of(server, pair):
    return worker_with(server, media_of(pair.caller.answer_sdp)[1])


async def two_calls(cast):
    """From two telephones of the carrier, to alice and to bob; each on a worker of its own."""
    carrier, alice, bob = await cast.carrier(), await cast.alice(), await cast.bob()
    host, port = cast.server.net.carrier
    other = await cast.phone("carrier", (host, port + 1))
    return await connect(carrier, alice, AUTOMATIC), await connect(other, bob, BOBS)


def heard_all(pair):
    """Every packet that one said the other one heard, in its order."""
    for one, two in ((pair.caller, pair.callee), (pair.callee, pair.caller)):
        heard = [packet.raw for packet in two.media.received]
        assert heard == [packet.raw for packet in one.media.sent]


async def until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.05)


async def test_a_worker_that_is_killed_ends_its_own_calls_alone(make_proxy, casts):
    server = make_proxy(TWO_WORKERS)
    cast = casts(server)
    api = cast.api()
    dying, living = await two_calls(cast)
    first, second = workers_of(server)
    victim = worker_of(server, dying)
    assert {victim, worker_of(server, living)} == {first, second}
    rows = [await api.call_of(pair.caller.call_id) for pair in (dying, living)]
    await asyncio.sleep(2.5)
    os.kill(victim, signal.SIGKILL)
    killed_ns = time.monotonic_ns()
    for end in (dying.caller, dying.callee):
        bye = await end.hung_up()
        assert bye.get("Reason") == 'Q.850;cause=41;text="Temporary failure"'
    assert time.monotonic_ns() - killed_ns < 1e9
    await dying.hush()

    row = await api.ended(rows[0]["id"])
    assert (row["disposition"], row["ended_by"]) == ("interrupted", "us")
    spans, *tracks = check_finished(server, row, "recovered")
    passed = (killed_ns - dying.callee.answered_ns) * RATE_HZ // 10**9
    [(start, end)] = spans
    assert start == 0
    assert passed - LOST_AT_MOST - 800 <= end <= passed + 800
    assert passed - 800 <= row["recording"]["duration_samples"] <= passed + 4_000
    for track, phone in zip(tracks, (dying.caller, dying.callee), strict=True):
        check_track(track, phone.media.said(), spans, head_slack=800, tail_slack=LOST_AT_MOST)
    check_verified(server, row)

    again = await connect(dying.caller.phone, dying.callee.phone, AUTOMATIC, speak=False)
    assert worker_of(server, again) == worker_of(server, living)  # nobody else takes calls yet
    await again.hang_up()
    await until(lambda: len(workers_of(server)) == 2)
    assert victim not in workers_of(server)

    await living.hush()
    await asyncio.sleep(0.2)
    heard_all(living)
    await living.hang_up()
    row = await api.ended(rows[1]["id"])
    assert row["disposition"] == "answered"
    check_finished(server, row)
    assert server.log.count("media_worker_died") == 1
    metrics = (await api.client.get("/metrics")).text
    assert 'mediaproxy_alarms_total{event="media_worker_died"} 1.0' in metrics
    assert 'mediaproxy_recordings_total{result="recovered"} 1.0' in metrics
    assert list((server.storage / "live").iterdir()) == []


async def test_a_worker_that_hangs_is_replaced(make_proxy, casts):
    server = make_proxy(TWO_WORKERS)
    cast = casts(server)
    dying, living = await two_calls(cast)
    victim = worker_of(server, dying)
    await asyncio.sleep(1.5)
    os.kill(victim, signal.SIGSTOP)
    await dying.caller.hung_up(10)
    await dying.callee.hung_up(10)
    await dying.hush()
    await until(lambda: victim not in workers_of(server) and len(workers_of(server)) == 2)
    await living.hush()
    await asyncio.sleep(0.2)
    heard_all(living)
    await living.hang_up()
    row = await cast.api().ended((await cast.api().call_of(dying.caller.call_id))["id"])
    check_finished(server, row, "recovered")


async def test_without_a_worker_calls_are_refused_until_there_is_one(make_proxy, casts):
    server = make_proxy({"media.workers": 1})
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    os.kill(workers_of(server)[0], signal.SIGKILL)
    await until(lambda: "media_worker_died" in server.log)
    refused = carrier.invite(ON_DEMAND)
    refused.ack(await refused.expect(503))
    await until(lambda: "media_worker_replaced" in server.log)
    deadline = time.monotonic() + 10
    ringing = asyncio.create_task(alice.ring(20))
    while True:  # the ports rest from the last worker's calls
        call = carrier.invite(ON_DEMAND)
        final = await call.expect(180, 503)
        if final.status == 180:
            break
        call.ack(final)
        assert time.monotonic() < deadline, "no worker takes calls"
        await asyncio.sleep(0.3)
    rang = await ringing
    answering = asyncio.create_task(rang.answer(speak=False))
    call.ack(await call.expect(200), speak=False)
    await answering
    await call.hang_up()
    await rang.hung_up()


async def test_workers_that_die_at_once_are_not_started_again_and_again(make_proxy):
    server = make_proxy({"media.workers": 1})
    begun = time.monotonic()
    while time.monotonic() - begun < 4.0:
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)
    assert 2 <= server.log.count("media_worker_died") <= 6
    assert server.alive


async def test_no_worker_outlives_a_proxy_that_is_killed(make_proxy, casts):
    server = make_proxy(TWO_WORKERS)
    cast = casts(server)
    dying, _ = await two_calls(cast)
    await asyncio.sleep(1.5)
    workers = workers_of(server)
    server.kill()
    await until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 3.0)
    await dying.hush()
    server.start()
    row = await cast.api().ended((await cast.api().call_of(dying.caller.call_id))["id"])
    assert row["disposition"] == "interrupted"
    check_finished(server, row, "recovered")


@pytest.mark.parametrize("to_all", [False, True], ids=["the proxy", "all of its processes"])
async def test_sigterm_lets_calls_be_finished_and_leaves_no_process(make_proxy, casts, to_all):
    """Also when a service manager or a terminal tells all of them."""
    server = make_proxy(TWO_WORKERS)
    cast = casts(server)
    one, two = await two_calls(cast)
    row = await cast.api().call_of(one.caller.call_id)
    workers = workers_of(server)
    await asyncio.sleep(0.5)
    for pid in [*workers, server.pid] if to_all else [server.pid]:
        os.kill(pid, signal.SIGTERM)
    await asyncio.sleep(0.5)
    for pair in (one, two):
        await pair.hush()
        await pair.hang_up()
    assert await asyncio.to_thread(server.wait, 12) == 0, server.log
    assert not any(psutil.pid_exists(pid) for pid in workers)
    assert "media_worker_died" not in server.log
    server.start()
    check_finished(server, await cast.api().get(f"/v1/calls/{row['id']}"))


async def test_ports_and_memory_of_workers_are_their_own(make_proxy, casts):
    server = make_proxy(TWO_WORKERS)
    cast = casts(server)
    pairs = await two_calls(cast)
    ports = [{media_of(end.answer_sdp or end.invite.sdp)[1] for end in (p.caller, p.callee)} for p in pairs]
    halves = [{port >= 25_000 for port in each} for each in ports]
    assert halves == [{False}, {True}]
    for pid in workers_of(server):
        limits = Path(f"/proc/{pid}/limits").read_text()
        core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0  # not dumpable
    for pair in pairs:
        await pair.hush()
        await pair.hang_up()
