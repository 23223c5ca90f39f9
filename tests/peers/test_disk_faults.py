"""A disk that fills, turns read-only, hangs, or leaves no descriptor: no call feels it, no sample is lost,
everybody is told, and recording goes on in place."""

import asyncio
import json
import resource
import time
import tomllib
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket

from mediaproxy.loadtest import run as loadtest
from mediaproxy.loadtest.plan import Plan, Record
from tests.support.counts import count
from tests.support.file_systems import fill, free, freezing_disk, read_only, small_disk
from tests.support.proxy import run_command
from tests.support.recorded import check_finished
from tests.support.rtp_oracle import check_track, offset_of
from tests.support.softphone import connect

AUTOMATIC, ON_DEMAND, OFF = "+15550101", "+15550100", "+15550102"
TOLD_S = 5.0
MOST_P99_US = 10_000
LONG_LIVED = 10  # descriptors below that are the process's own, and never free


class Events:
    """What the event stream said since the test began."""

    def __init__(self):
        self.heard = []

    def types(self, recording):
        return [each["type"] for each in self.heard if each["recording_id"] == recording]

    async def until(self, recording, kind, seconds=TOLD_S):
        end = time.monotonic() + seconds
        while kind not in self.types(recording):
            assert time.monotonic() < end, f"no {kind}: {self.types(recording)}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(server, token="adm"):
    events = Events()
    url = f"ws://{server.config['api']['listen']}/v1/events"
    headers = {"Authorization": f"Bearer {token}"}
    async with connect_websocket(url, additional_headers=headers) as socket:

        async def hear():
            async for message in socket:
                events.heard.append(json.loads(message))

        task = asyncio.create_task(hear())
        try:
            yield events
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def on_small_disk(tmp_path, make_proxy, casts):
    """A server whose recordings lie on 192 MB of their own, its peers, and what it tells."""
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk"))

        async def start(**changes):
            server = make_proxy({"storage.directory": str(disk / "rec")} | changes)
            return disk, server, casts(server), await stack.enter_async_context(listening(server))

        yield start


async def state_of(api, call):
    return await api.get(f"/v1/calls/{call}/recording")


async def until_state(api, call, wanted, seconds=TOLD_S):
    end = time.monotonic() + seconds
    while (recording := await state_of(api, call))["state"] != wanted:
        assert time.monotonic() < end, recording
        await asyncio.sleep(0.05)
    return recording


async def metric(server, name):
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://{server.config['api']['listen']}/metrics")).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


async def hang_up(api, pair):
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    return (await api.call_of(pair.caller.call_id))["id"]


def check_nothing_lost(server, row, pair):
    """Both legs' every sample from the answer on is in its place, and every packet was relayed as it came."""
    spans, *tracks = check_finished(server, row)
    length = row["recording"]["duration_samples"]
    assert spans == [(0, length)]
    for track, phone in zip(tracks, (pair.caller.phone, pair.callee.phone), strict=True):
        offset = offset_of(track, phone.media.said(), (0, length))
        end = min(length, offset + len(phone.media.said()))
        check_track(track, phone.media.said(), [(max(0, offset), end)])
    check_relayed(pair)
    assert run_command("verify", str(server.storage)).returncode == 0


def check_relayed(pair):
    one, two = pair.caller.phone.media, pair.callee.phone.media
    assert [k.raw for k in two.received] == [k.raw for k in one.sent]
    assert [k.raw for k in one.received] == [k.raw for k in two.sent]


async def test_a_disk_that_fills_and_is_freed_costs_nothing(on_small_disk):
    disk, server, cast, events = await on_small_disk()
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(fill, disk)  # the telephones speak on meanwhile
    recording = await until_state(api, call, "failing")
    assert recording["reasons"] == ["storage_full"]
    await events.until(recording["id"], "recording.failing")
    assert await metric(server, "mediaproxy_spool_failing") == 1
    assert (await api.client.get("/readyz")).status_code == 200
    await asyncio.sleep(1.5)
    await asyncio.to_thread(free, disk)
    assert (await until_state(api, call, "recording"))["reasons"] == []
    await events.until(recording["id"], "recording.restored")
    await asyncio.sleep(0.5)
    row = await api.ended(await hang_up(api, pair))
    check_nothing_lost(server, row, pair)
    assert await metric(server, "mediaproxy_spool_lost_samples") == 0
    failing = next(each for each in events.heard if each["type"] == "recording.failing")
    assert (failing["recording"]["state"], failing["reason"]) == ("failing", "storage_full")


async def test_what_ends_on_a_full_disk_is_published_when_it_is_freed(on_small_disk):
    disk, server, cast, _ = await on_small_disk()
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(fill, disk)  # the telephones speak on meanwhile
    await asyncio.sleep(0.5)
    call = await hang_up(api, pair)
    await asyncio.sleep(1.0)
    recording = await state_of(api, call)
    assert (recording["state"], recording["result"]) == ("finished", None)
    assert recording["recorded_samples"] == recording["duration_samples"]
    await asyncio.to_thread(free, disk)
    check_nothing_lost(server, await api.ended(call), pair)


async def test_what_ends_on_a_read_only_disk_is_published_when_it_is_writable_again(on_small_disk):
    _, server, cast, _ = await on_small_disk()
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.5)
    with read_only(server.storage):
        call = await hang_up(api, pair)
        await asyncio.sleep(1.0)
        assert (await state_of(api, call))["result"] is None
    check_nothing_lost(server, await api.ended(call), pair)


async def test_a_call_that_begins_on_a_read_only_disk_is_recorded_from_its_answer_on(on_small_disk):
    _, server, cast, events = await on_small_disk()
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    with read_only(server.storage):
        pair = await connect(carrier, alice, AUTOMATIC)
        call = (await api.call_of(pair.caller.call_id))["id"]
        recording = await until_state(api, call, "failing")
        assert recording["reasons"] == ["storage_error"]
        await events.until(recording["id"], "recording.failing")
        await asyncio.sleep(0.5)
    await until_state(api, call, "recording")
    await events.until(recording["id"], "recording.restored")
    await events.until(recording["id"], "recording.started")
    check_nothing_lost(server, await api.ended(await hang_up(api, pair)), pair)


async def test_a_start_is_refused_while_it_cannot_be_kept_and_a_stop_never(on_small_disk):
    _, server, cast, _ = await on_small_disk()
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    with read_only(server.storage):
        pair = await connect(carrier, alice, ON_DEMAND)
        call = (await api.call_of(pair.caller.call_id))["id"]
        refused = await api.client.post(f"/v1/calls/{call}/recording/start")
        assert refused.status_code == 503
        assert (await state_of(api, call))["state"] == "inactive"
        assert not (await api.toggle(call, "stop"))["changed"]
    await asyncio.sleep(1.0)
    started = await api.toggle(call, "start")
    await asyncio.sleep(0.5)
    stopped = await api.toggle(call, "stop")
    row = await api.ended(await hang_up(api, pair))
    spans, *_ = check_finished(server, row)
    assert spans == [(started["effective_sample"], stopped["effective_sample"])]
    check_relayed(pair)


async def test_without_a_free_descriptor_calls_go_on_and_are_published_later(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await api.call_of(pair.caller.call_id)  # nobody new can reach the API afterwards
    await asyncio.sleep(0.5)
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (LONG_LIVED, limits[1]))
    call = await hang_up(api, pair)
    await asyncio.sleep(1.0)
    assert (await state_of(api, call))["result"] is None
    assert (await api.client.get("/metrics")).text.count("mediaproxy_spool_failing 1.0") == 1
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    check_nothing_lost(server, await api.ended(call), pair)


async def test_whoever_comes_while_no_descriptor_is_free_is_served_afterwards(make_proxy, casts):
    """Neither a new call nor a new connection finds one; the call that lives notices nothing."""
    server = make_proxy()
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    await asyncio.sleep(0.5)
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (LONG_LIVED, limits[1]))
    await carrier.invite(AUTOMATIC).expect(503)
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        waiting = asyncio.create_task(client.get(f"http://{server.config['api']['listen']}/healthz"))
        await asyncio.sleep(1.0)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        assert (await waiting).status_code == 200
    check_nothing_lost(server, await api.ended(await hang_up(api, pair)), pair)
    row = await api.ended(await hang_up(api, await connect(carrier, alice, AUTOMATIC)))
    assert row["recording"]["result"] == "complete"


async def test_new_calls_are_refused_while_they_could_not_be_kept(on_small_disk):
    disk, _, cast, _ = await on_small_disk(**{"recording.on_recorder_failure": "refuse_new"})
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    await asyncio.to_thread(fill, disk)  # the telephones speak on meanwhile
    end = time.monotonic() + TOLD_S
    while (ready := await api.client.get("/readyz")).status_code == 200:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert ready.status_code == 503
    assert "storage_full" in ready.json()["detail"]
    for number in (AUTOMATIC, ON_DEMAND):
        refused = await carrier.invite(number).expect(503)
        assert int(refused.get("Retry-After")) > 0
    unrecorded = await connect(carrier, alice, OFF)
    await asyncio.sleep(0.2)
    await hang_up(api, unrecorded)
    check_relayed(unrecorded)
    await asyncio.to_thread(free, disk)
    while (await api.client.get("/readyz")).status_code != 200:
        assert time.monotonic() < end + TOLD_S
        await asyncio.sleep(0.05)
    row = await api.ended(await hang_up(api, await connect(carrier, alice, AUTOMATIC)))
    assert row["recording"]["result"] == "complete"


@pytest.mark.timeout(300)
async def test_a_disk_that_hangs_delays_no_packet_and_loses_no_sample(tmp_path, alone):
    """A real file system, frozen: whatever writes to it hangs in the kernel."""
    calls, hang_s, talk_s = count((40, 6.0, 12.0), full=(200, 30.0, 42.0))
    directory = tmp_path / "load"
    directory.mkdir()
    talking, seen = asyncio.Event(), []

    def tell(what, done, _):
        if what == "talking" and done >= 2:
            talking.set()

    async def freeze(disk):
        await talking.wait()
        await asyncio.to_thread(disk.freeze)
        try:
            began = time.monotonic()
            async with api_of(directory) as api:
                while time.monotonic() < began + hang_s:
                    await asyncio.sleep(1.0)
                    rows = (await api.get("/v1/calls?limit=500")).json()["calls"]
                    seen.append((time.monotonic() - began, {row["recording"]["state"] for row in rows}))
        finally:
            await asyncio.to_thread(disk.thaw)

    with freezing_disk(directory / "recordings", tmp_path / "image", 64 + calls * 4) as disk:
        freezing = asyncio.create_task(freeze(disk))
        outcome = await loadtest.run(Plan(calls, 20.0, talk_s, Record.ALL, 1), directory, tell)
        await freezing
        log = (directory / "serve.log").read_text()
    assert outcome.good, outcome.faults[:10]
    assert outcome.audit.recordings == calls
    assert {"failing"} in [states for at, states in seen if at <= TOLD_S]
    assert "storage_hung" in log
    assert "recording_restored" in log
    [p99] = outcome.delays.percentiles([99], 3, 2 + hang_s)
    assert p99 <= MOST_P99_US, f"{p99:.0f} us while the disk hung"


@asynccontextmanager
async def api_of(directory):
    config = tomllib.loads((directory / "mediaproxy.toml").read_text())
    headers = {"Authorization": f"Bearer {config['api']['tokens'][0]['token']}"}
    base = f"http://{config['api']['listen']}"
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as client:
        yield client
