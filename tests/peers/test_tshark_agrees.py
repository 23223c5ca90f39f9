"""tshark, which knows nothing of us, finds our SIP well-formed, our RTP without loss, our digits whole."""

import asyncio
import re
import shutil
import subprocess

import pytest

from tests.support.softphone import connect

ON_DEMAND = "+15550100"


@pytest.fixture
async def capture(proxy, tmp_path):
    """A running capture of all that the proxy's address sends and gets; gives the file."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed (apt: tshark)")
    path = tmp_path / "wire.pcap"
    with (tmp_path / "tshark.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "timeout", "30", "tshark", "-i", "lo", "-f", f"udp and host {proxy.net.proxy[0]}",
            "-w", str(path),
            stdout=log, stderr=log,
        )  # fmt: skip
    for _ in range(100):
        if path.exists():
            break
        if process.returncode is not None:
            pytest.skip("tshark may not capture here (needs root)")
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    yield path
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def read(path, proxy, *options):
    """tshark's reading of the capture, every port that is not SIP taken for RTP."""
    await asyncio.sleep(1.0)
    decode = ["-d", "udp.port==15060,sip", "-d", "udp.port==20000-29999,rtp"]
    done = await asyncio.to_thread(
        subprocess.run,
        ["tshark", "-r", str(path), *decode, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def streams_from(listing, host):
    """(packets, lost) of each RTP stream that `host` sent."""
    found = re.findall(rf"^ *[\d.]+ +[\d.]+ +{re.escape(host)} .*?(\d+) +(-?\d+) \(", listing, re.M)
    return [(int(packets), int(lost)) for packets, lost in found]


async def test_tshark_sees_a_clean_call(proxy, cast, capture):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND)
    call = (await api.call_of(pair.caller.call_id))["id"]
    await api.toggle(call, "start")
    await asyncio.sleep(0.4)
    await alice.media.dial("*2")
    await asyncio.sleep(0.4)
    await alice.media.dial("9")
    await asyncio.sleep(0.4)
    await pair.hush()
    await asyncio.sleep(0.05)
    await pair.hang_up()
    listing = await read(capture, proxy, "-q", "-z", "rtp,streams")
    ours = streams_from(listing, proxy.net.proxy[0])
    assert len(ours) == 2, listing
    assert all(packets > 50 and lost == 0 for packets, lost in ours), listing
    assert await read(capture, proxy, "-Y", "_ws.malformed") == ""
    events = await read(
        capture, proxy, "-o", "rtpevent.event_payload_type_value:101",
        "-Y", f"rtpevent && ip.src=={proxy.net.proxy[0]}",
        "-T", "fields", "-e", "rtpevent.event_id", "-e", "rtpevent.end_of_event",
    )  # fmt: skip
    seen = [line.split() for line in events.splitlines()]
    assert {event for event, _ in seen} == {"9"}, events
    assert sum(end in {"1", "True"} for _, end in seen) == 3, events
