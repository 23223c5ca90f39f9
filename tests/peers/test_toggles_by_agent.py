"""Toggles by who talks: the call that is not on hold is meant, and whoever left it has no say any more."""

from tests.peers.test_dialect import reinvite
from tests.support.softphone import connect

ON_DEMAND = "+15550100"


async def post(api, path):
    return await api.client.post(path)


async def state_of(api, pair):
    return (await api.call_of(pair.caller.call_id))["recording"]["state"]


async def test_an_agents_call_is_found_also_beside_one_on_hold(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice = await cast.carrier(), await cast.alice()
    admin, hers = cast.api(), cast.api("ali")
    assert (await post(hers, "/v1/me/recording/start")).status_code == 404

    first = await connect(carrier, alice, ON_DEMAND)
    reply = await post(hers, "/v1/me/recording/start")
    assert (reply.status_code, reply.json()["state"]) == (200, "recording")
    assert await state_of(admin, first) == "recording"
    assert (await post(admin, "/v1/agents/alice/recording/stop")).json()["changed"]
    assert (await post(cast.api("bo"), "/v1/agents/alice/recording/start")).status_code == 403

    second = await connect(carrier, alice, ON_DEMAND, speak=False)
    several = await post(hers, "/v1/me/recording/start")
    ids = [(await admin.call_of(pair.caller.call_id))["id"] for pair in (first, second)]
    assert several.status_code == 409
    assert sorted(several.json()["calls"]) == sorted(ids)

    await reinvite(first.caller, first.callee, "sendonly", "recvonly")
    assert (await post(hers, "/v1/me/recording/start")).status_code == 200
    assert [await state_of(admin, pair) for pair in (first, second)] == ["inactive", "recording"]

    await second.hang_up()
    await admin.ended(ids[1])
    assert (await post(hers, "/v1/me/recording/start")).status_code == 404
    await reinvite(first.caller, first.callee, "sendrecv", "sendrecv")
    assert (await post(hers, "/v1/me/recording/start")).status_code == 200
    assert await state_of(admin, first) == "recording"
    await first.hang_up()
    await admin.ended(ids[0])
