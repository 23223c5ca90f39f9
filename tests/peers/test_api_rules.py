"""Every rule of the API: who may, in which order it is judged, and what is always there."""

import asyncio
import hashlib
import io
import re
import uuid
import wave

import pytest

from tests.support.recorded import CALL_KEYS, RECORDING_KEYS, check_finished
from tests.support.softphone import connect

ON_DEMAND, AUTOMATIC, OFF = "+15550100", "+15550101", "+15550102"
NOBODY = "01930000-0000-7000-8000-000000000000"
PROBLEM_KEYS = {"type", "title", "status", "detail"}


async def problem(api, method, path, status, **options):
    """The response, which must be a problem of this status."""
    response = await api.client.request(method, path, **options)
    assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
    assert response.headers["content-type"].startswith("application/problem+json")
    body = response.json()
    assert body.keys() >= PROBLEM_KEYS
    assert body["status"] == status
    return response


def toggle_path(call, action="start"):
    return f"/v1/calls/{call}/recording/{action}"


async def an_unanswered_call(carrier, alice, number=ON_DEMAND):
    out = carrier.invite(number)
    rang = await alice.ring()
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    out.ack(await out.expect(486))
    return out


async def test_errors_are_judged_in_the_order_of_the_contract(proxy, cast):
    """401, 404, 403 not yours, 409, 403 not enabled: each with everything after it wrong as well."""
    carrier, alice, admin = await cast.carrier(), await cast.alice(), cast.api()
    none, wrong, bob, ali = (cast.api(t) for t in (None, "nonsense", "bo", "ali"))
    out = carrier.invite(OFF)
    rang = await alice.ring()
    call = (await admin.call_of(out.call_id))["id"]
    for action in ("start", "stop", "pause", "resume"):
        path = toggle_path(call, action)
        for api in (none, wrong):
            await problem(api, "POST", toggle_path(NOBODY, action), 401)
            await problem(api, "POST", path, 401)
        await problem(bob, "POST", toggle_path(NOBODY, action), 404)
        await problem(ali, "POST", toggle_path("no-uuid", action), 404)
        await problem(bob, "POST", path, 403)
        await problem(ali, "POST", path, 409)
    answering = asyncio.create_task(rang.answer())
    out.ack(await out.expect(200))
    await answering
    for action in ("start", "stop", "pause", "resume"):
        await problem(bob, "POST", toggle_path(call, action), 403)
        await problem(ali, "POST", toggle_path(call, action), 403)
        await problem(admin, "POST", toggle_path(call, action), 403)
    out.send(out.request("BYE"))
    await rang.hung_up()
    await out.expect(200)
    await admin.ended(call)
    await problem(admin, "POST", toggle_path(call), 409)
    await problem(none, "POST", toggle_path(call), 401)


@pytest.mark.parametrize(
    "path", ["/v1/calls", f"/v1/calls/{NOBODY}", f"/v1/recordings/{NOBODY}", f"/v1/recordings/{NOBODY}/audio"]
)
async def test_reading_needs_a_token(proxy, cast, path):
    await problem(cast.api(None), "GET", path, 401)
    await problem(cast.api("nonsense"), "GET", path, 401)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/calls/{}", "/v1/calls/{}/recording", "/v1/recordings/{}", "/v1/recordings/{}/audio",
        "/v1/recordings/{}/manifest",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [NOBODY, "not-a-uuid", "..%2f..%2fetc%2fpasswd"])
async def test_what_is_not_there_is_404(proxy, cast, path, name):
    assert await cast.api().status("GET", path.format(name)) == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/metrics"])
async def test_no_token_is_needed_on_loopback_for(proxy, cast, path):
    assert await cast.api(None).status("GET", path) == 200


async def test_the_description_names_every_call(proxy, cast):
    paths = (await cast.api(None).get("/openapi.json"))["paths"]
    shapes = {re.sub(r"\{\w+\}", "{}", path) for path in paths}
    assert {
        "/v1/calls", "/v1/calls/{}", "/v1/calls/{}/recording", "/v1/recordings/{}",
        "/v1/recordings/{}/audio", "/v1/recordings/{}/manifest",
    } <= shapes  # fmt: skip
    assert any(path.startswith("/v1/calls/{}/recording/") for path in shapes)


async def test_an_idempotency_key_gets_the_stored_reply(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND, speak=False)
    call = (await api.call_of(pair.caller.call_id))["id"]
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = await api.toggle(call, "start", **key)
    stopped = await api.toggle(call, "stop", **key)
    await asyncio.sleep(0.05)
    assert stopped["changed"], "the same key on another path is another request"
    assert await api.toggle(call, "start", **key) == first
    assert (await api.get(f"/v1/calls/{call}/recording"))["state"] == "inactive"
    again = await api.toggle(call, "start", **{"Idempotency-Key": str(uuid.uuid4())})
    assert again["changed"]
    assert again["effective_sample"] > first["effective_sample"]
    await pair.hang_up()
    await api.ended(call)


async def test_many_clicks_at_once_are_one_start(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api("ali")
    pair = await connect(carrier, alice, ON_DEMAND, speak=False)
    call = (await api.call_of(pair.caller.call_id))["id"]
    replies = await asyncio.gather(*(api.toggle(call, "start") for _ in range(8)))
    assert sorted(r["changed"] for r in replies) == [False] * 7 + [True]
    assert len({r["effective_sample"] for r in replies}) == 1
    await pair.hang_up()
    assert len((await api.ended(call))["recording"]["intervals"]) == 1


async def test_an_administrator_may_toggle_every_call(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, ON_DEMAND, speak=False)
    call = (await api.call_of(pair.caller.call_id))["id"]
    assert (await api.toggle(call, "start"))["changed"]
    await asyncio.sleep(0.05)
    await pair.hang_up()
    (interval,) = (await api.ended(call))["recording"]["intervals"]
    assert interval["started_by"] == {"means": "api", "user": "admin"}


async def test_live_audio_is_409_and_published_audio_has_ranges(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    pair = await connect(carrier, alice, AUTOMATIC)
    live = await api.call_of(pair.caller.call_id)
    path = f"/v1/recordings/{live['recording']['id']}/audio"
    assert live["recording"]["result"] is None
    early = await problem(api, "GET", path, 409)
    assert early.headers["retry-after"] == "1"
    await asyncio.sleep(0.6)
    await pair.hush()
    await pair.hang_up()
    row = await api.ended(live["id"])
    check_finished(proxy, row)
    whole = await api.wav(row["recording"]["id"])
    assert whole == proxy.published(row["recording"]["id"]).read_bytes()
    head = await api.client.get(path)
    assert head.headers["etag"].strip('"') == hashlib.sha256(whole).hexdigest()
    assert head.headers["accept-ranges"] == "bytes"
    for spec, want in (("0-99", whole[:100]), ("100-", whole[100:]), ("-50", whole[-50:])):
        part = await api.client.get(path, headers={"Range": f"bytes={spec}"})
        assert (part.status_code, part.content) == (206, want), spec
        first = len(whole) - 50 if spec == "-50" else int(spec.split("-")[0])
        assert part.headers["content-range"] == f"bytes {first}-{first + len(want) - 1}/{len(whole)}"
    beyond = await api.client.get(path, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    with wave.open(io.BytesIO(whole)) as file:
        assert file.getnframes() == row["recording"]["duration_samples"]
    manifest = await api.get(path.replace("/audio", "/manifest"))
    assert manifest["master"]["sha256"] == hashlib.sha256(whole).hexdigest()
    assert (await api.client.get(path, params={"format": "odd"})).status_code == 422


async def test_keys_are_there_whatever_the_call(proxy, cast):
    carrier, alice, api = await cast.carrier(), await cast.alice(), cast.api()
    lost = carrier.invite("+19990001")
    lost.ack(await lost.expect(404))
    busy = await an_unanswered_call(carrier, alice)
    pair = await connect(carrier, alice, AUTOMATIC, speak=False)
    for call in (lost, busy, pair.caller):
        row = await api.call_of(call.call_id)
        assert row.keys() >= CALL_KEYS, CALL_KEYS - row.keys()
        assert await api.get(f"/v1/calls/{row['id']}") == (
            row if row["state"] == "ended" else AnythingLike(row)
        )
    recording = (await api.call_of(pair.caller.call_id))["recording"]
    assert recording.keys() >= RECORDING_KEYS
    assert recording["intervals"][0]["end_sample"] is None
    assert recording["intervals"][0]["ended_by"] is None
    await pair.hang_up()


class AnythingLike:
    """Equal to a live row that has grown in the meantime."""

    def __init__(self, row):
        self.row = row

    def __eq__(self, other):
        grows = {"duration_ms", "recorded_ms", "recording"}
        return {k: v for k, v in self.row.items() if k not in grows} == {
            k: v for k, v in other.items() if k not in grows
        }

    __hash__ = None


async def test_filters_are_exact_and_pages_join_without_a_seam(make_proxy, casts):
    server = make_proxy()
    cast = casts(server)
    carrier, alice, bob, api = await cast.carrier(), await cast.alice(), await cast.bob(), cast.api()
    calls = [await an_unanswered_call(carrier, alice, n) for n in (ON_DEMAND, AUTOMATIC, OFF, ON_DEMAND)]
    outward = bob.invite("+4930999")
    rang = await carrier.ring()
    rang.reply(rang.invite, 486)
    await rang.expect("ACK")
    outward.ack(await outward.expect(486))
    calls.append(outward)
    rows = [await api.call_of(c.call_id) for c in calls]
    ids = [r["id"] for r in rows]
    live = await connect(carrier, alice, ON_DEMAND, speak=False)
    live_id = (await api.call_of(live.caller.call_id))["id"]

    async def found(**query):
        answer = await api.get("/v1/calls", **query)
        assert answer.keys() >= {"calls", "next_cursor"}
        return [r["id"] for r in answer["calls"]]

    newest_first = [live_id, *reversed(ids)]
    assert await found() == newest_first
    assert await found(state="live") == [live_id]
    assert await found(state="answered") == [live_id]
    assert await found(state="ended") == newest_first[1:]
    assert await found(agent="bob") == [ids[4]]
    assert await found(to=ON_DEMAND) == [live_id, ids[3], ids[0]]
    assert await found(to="+1555010") == []
    assert await found(**{"from": "bob"}) == [ids[4]]
    assert await found(sip_call_id=calls[1].call_id) == [ids[1]]
    assert await found(state="ended", to=AUTOMATIC) == [ids[1]]
    assert await found(since=rows[2]["started_at"], state="ended") == [ids[4], ids[3], ids[2]]
    assert set(await found(until=rows[2]["started_at"])) in ({*ids[:2]}, {*ids[:3]})
    pages, cursor = [], None
    while True:
        page = await api.get("/v1/calls", limit=2, **({"cursor": cursor} if cursor else {}))
        pages += [r["id"] for r in page["calls"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == newest_first
    await live.hang_up()


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"state": "odd"}, {"since": "yesterday"}, {"cursor": "?"}],
)
async def test_an_impossible_query_names_its_field(proxy, cast, query):
    response = await problem(cast.api(), "GET", "/v1/calls", 422, params=query)
    assert next(iter(query)) in response.text


async def test_what_belongs_to_later_work_is_not_there(proxy, cast):
    api = cast.api()
    for method, path in (("DELETE", f"/v1/recordings/{NOBODY}"), ("POST", f"/v1/recordings/{NOBODY}/redact")):
        assert await api.status(method, path) in {404, 405}
