"""SIPp as carrier and as agent, with recorded speech one way and its echo the other."""

import asyncio
import shutil

import pytest

from tests.support.recorded import check_finished, check_verified
from tests.support.rtp_oracle import PCMU, check_track
from tests.support.sipp import Sipp
from tests.support.speech import PCMU_FILE

ON_DEMAND, AUTOMATIC = "+15550100", "+15550101"
EDGE = 320  # samples: in doubt silence, as late as SIPp, which sends by a coarse clock, lets a packet be
STREAM_ENDS = 480  # samples: SIPp stops to speak before it hangs up

pytestmark = pytest.mark.usefixtures("needs_sipp")


@pytest.fixture
def speech(corpora_path, tmp_path):
    """The folder that SIPp plays from, and what it will say."""
    shutil.copy(corpora_path / PCMU_FILE, tmp_path / "speech.ul")
    return tmp_path, PCMU.decode((tmp_path / "speech.ul").read_bytes())


def caller(folder, local, proxy, number, user, milliseconds):
    return Sipp(
        folder, "uac_speak", local, proxy.sip, service=number, keys={"from_user": user},
        options=("-d", str(milliseconds)),
    )  # fmt: skip


async def the_live_call(api, number):
    for _ in range(60):
        rows = (await api.get("/v1/calls", state="answered", to=number))["calls"]
        if rows:
            return rows[0]["id"]
        await asyncio.sleep(0.05)
    raise AssertionError("no call was answered")


def check_speech(track, said, spans):
    """Inside the spans the track is the speech at one offset, until the stream's end; gives the offset."""
    until_the_end = spans[-1][1] == len(track)
    offsets = check_track(track, said, spans, tail_slack=STREAM_ENDS if until_the_end else EDGE)
    assert len(set(offsets)) == 1
    return offsets[0]


async def test_a_carrier_s_speech_and_its_echo_are_recorded(proxy, cast, speech):
    folder, said = speech
    api, net = cast.api(), proxy.net
    async with Sipp(folder, "uas_answer", net.alice, echo=True) as agent:
        await caller(folder, net.carrier, proxy, AUTOMATIC, "carrier", 6000).run()
        assert (await agent.finish()).successful == 1
    row = (await api.get("/v1/calls", limit=1))["calls"][0]
    row = await api.ended(row["id"])
    spans, one, two = check_finished(proxy, row)
    assert spans == [(0, len(one))]
    assert len(one) == pytest.approx(48000, abs=1200)
    there = check_speech(one, said, spans)
    back = check_speech(two, said, spans)
    assert abs(there) < 800
    assert abs(back - there) < 400, "the echo lies where the speech does"
    check_verified(proxy, row)


async def test_an_agent_s_speech_is_on_channel_two(proxy, cast, speech):
    """Agent → carrier; the carrier echoes, so both channels hold the agent's words."""
    folder, said = speech
    api, net, number = cast.api("ali"), proxy.net, "+4930777"
    async with Sipp(folder, "uas_answer", net.carrier, echo=True) as carrier:
        calling = caller(folder, net.alice, proxy, number, "alice", 5000)
        await calling.start()
        call = await the_live_call(api, number)
        edges = []
        for action in ("start", "pause", "resume", "stop"):
            await asyncio.sleep(0.9)
            edges.append((await api.toggle(call, action))["effective_sample"])
        await calling.finish()
        await carrier.finish()
    row = await api.ended(call)
    assert (row["direction"], row["agent"], row["trunk"]) == ("outbound", "alice", "carrier")
    spans, one, two = check_finished(proxy, row)
    assert spans == list(zip(edges[::2], edges[1::2], strict=True))
    check_speech(two, said, spans)
    check_speech(one, said, spans)
    check_verified(proxy, row)
