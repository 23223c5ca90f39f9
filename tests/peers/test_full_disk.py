"""A disk that fills in mid-call: nothing opens that cannot be kept, everything closes, the call goes on."""

import asyncio

import pytest

from tests.support import file_systems
from tests.support.file_systems import fill
from tests.support.softphone import connect

ON_DEMAND = "+15550100"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 192 MB of its own."""
    with file_systems.small_disk(tmp_path / "disk") as folder:
        yield folder


async def test_a_full_disk_refuses_to_open_but_not_to_close(small_disk, make_proxy, casts):
    server = make_proxy({"storage.directory": str(small_disk / "rec")})
    cast = casts(server)
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await asyncio.sleep(0.3)
    fill(small_disk)
    for _ in range(20):
        refused = await api.client.post(f"/v1/calls/{call}/recording/start")
        if refused.status_code == 503:
            break
        await api.client.post(f"/v1/calls/{call}/recording/stop")
    assert refused.status_code == 503, refused.text
    assert (await api.get(f"/v1/calls/{call}/recording"))["state"] != "recording"
    (small_disk / "filler").unlink()
    assert (await api.toggle(call, "start"))["durable"] is True
    await asyncio.sleep(0.3)
    fill(small_disk)
    stopped = await api.toggle(call, "stop")
    assert stopped["changed"]
    assert (await api.get(f"/v1/calls/{call}/recording"))["state"] == "inactive"
    await asyncio.sleep(0.3)
    (small_disk / "filler").unlink()
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    row = await api.ended(call)
    assert row["disposition"] == "answered"
    assert [k.raw for k in alice.media.received] == [k.raw for k in carrier.media.sent]


def test_a_disk_that_is_full_at_the_start_is_one_line(small_disk, make_proxy):
    fill(small_disk)
    server = make_proxy({"storage.directory": str(small_disk / "rec")}, start=False)
    server.spawn()
    code = server.wait(20)
    lines = [line for line in server.log.splitlines() if line.strip()]
    assert (code in {1, 2}, len(lines)) == (True, 1), server.log
    assert str(small_disk) in lines[0]
