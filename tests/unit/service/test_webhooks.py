"""From an event to its receiver, over whatever it takes: real HTTP, a real log, and a clock of ours."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mediaproxy.calllog import LoggedCall
from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.outbox import DELIVERED, GIVEN_UP, WAITING, Delivery, Prune
from mediaproxy.service.courier import RETRY_S
from mediaproxy.service.events import EventStream
from mediaproxy.service.webhooks import DAY_MS, KEEP_ANY_MS, KEEP_DONE_MS, Webhooks
from mediaproxy.webhooks.hook import Hook
from mediaproxy.webhooks.post import parse_url
from tests.support.alarms import Alarms
from tests.support.call_rows import START_MS, call_id, call_row, ended_call
from tests.support.receiver import BROKEN, HANGS, HANGS_UP, OK, Receiver, is_signed, receiver

KEY = bytes(range(32))


@dataclass
class World:
    log: CallLog
    webhooks: Webhooks
    events: EventStream
    now_ms: list[int] = field(default_factory=list)

    def end(self, number: int, type: str = "call.ended") -> None:
        call = ended_call(number)
        self.events.publish(type, call.id, logged=LoggedCall(call))
        self.log.put_call(call)

    async def pass_ms(self, ms: int) -> None:
        self.now_ms[0] += ms
        for courier in self.webhooks._couriers.values():
            courier.wake()

    async def deliveries(self, name: str = "crm") -> list[Delivery]:
        return await self.log.deliveries(name, 1_000)

    async def until_tried(self, attempts: int, name: str = "crm") -> list[Delivery]:
        """Until every message was posted so often."""
        async with asyncio.timeout(10):
            while True:
                found = await self.deliveries(name)
                if found and all(each.attempts >= attempts for each in found):
                    return found
                await asyncio.sleep(0.005)


def hook(server: Receiver, *events: str, name: str = "crm") -> Hook:
    return Hook(name, parse_url(server.url, allow_private=True), KEY, events or ("call.ended",))


@asynccontextmanager
async def world(folder: Path, *hooks: Hook, timeout_s: float = 0.3) -> AsyncIterator[World]:
    now_ms = [START_MS]
    log = await CallLog.open(f"sqlite:///{folder}/log.sqlite", on_alarm=Alarms())
    webhooks = Webhooks(hooks, log, lambda: now_ms[0], timeout_s=timeout_s)
    events = EventStream(run="run", now_ms=lambda: now_ms[0], find=lambda call: None)
    events.listen(webhooks.tell)
    try:
        yield World(log, webhooks, events, now_ms)
    finally:
        await webhooks.close()
        await log.close()


async def test_an_event_arrives_signed_and_as_the_stream_tells_it(tmp_path: Path) -> None:
    async with receiver() as server, world(tmp_path, hook(server)) as made:
        made.webhooks.start()
        made.end(1)
        made.end(2, "call.answered")  # nobody wants it
        (delivery,) = await made.until_tried(1)
        assert (delivery.state, delivery.status, delivery.error) == (DELIVERED, 204, None)
        ((_, headers, body),) = server.requests
        assert headers["webhook-id"] == delivery.id == "run-1"
        assert headers["webhook-timestamp"] == str(START_MS // 1_000)
        assert is_signed(KEY, headers, body)
        (event, _) = made.events.read(1, 2) or []
        assert body.decode() == event.text()
        assert json.loads(body)["call"]["id"] == call_id(1)


async def test_whatever_goes_wrong_nothing_is_lost(tmp_path: Path) -> None:
    """A receiver that answers 500, hangs, hangs up, talks nonsense, and works now and then."""
    answers = [BROKEN, HANGS, HANGS_UP, b"nonsense\r\n\r\n", b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", OK]
    async with (
        receiver(lambda number: answers[number % 6] if number < 90 else OK) as server,
        world(tmp_path, hook(server), timeout_s=0.1) as made,
    ):
        made.webhooks.start()
        for number in range(30):
            made.end(number)
        for wait_s in (0, *RETRY_S):
            await made.pass_ms(wait_s * 1_000)
            async with asyncio.timeout(20):
                while True:
                    found = await made.deliveries()
                    due = [one for one in found if one.state == WAITING and one.next_at_ms <= made.now_ms[0]]
                    if len(found) == 30 and not due:
                        break
                    await asyncio.sleep(0.005)
            if all(one.state == DELIVERED for one in found):
                break
        assert {one.state for one in found} == {DELIVERED}
        assert {one.id for one in found} == set(server.taken) == {f"run-{n}" for n in range(1, 31)}
        assert all(is_signed(KEY, headers, body) for _, headers, body in server.requests)
        bodies = {(headers["webhook-id"], body) for _, headers, body in server.requests}
        assert len(bodies) == 30  # tried again it is the same message


async def test_what_waits_outlives_the_process(tmp_path: Path) -> None:
    async with receiver() as server:
        async with world(tmp_path, hook(server)) as made:
            made.end(1)
        assert server.requests == []
        async with world(tmp_path, hook(server)) as again:
            again.webhooks.start()
            await server.until(lambda: bool(server.taken))
            assert await again.log.call(call_id(1)) is not None


async def test_a_message_is_written_with_the_row_that_it_tells_of(tmp_path: Path) -> None:
    async with receiver() as server, world(tmp_path, hook(server)) as made:
        made.end(1)
        batch = made.log._backlog.take(200)
        assert [key.kind for key in batch] == ["message", "call"]


async def test_after_days_it_is_given_up(tmp_path: Path) -> None:
    async with receiver(lambda _: BROKEN) as server, world(tmp_path, hook(server)) as made:
        made.webhooks.start()
        made.end(1)
        waits = []
        for attempt, wait_s in enumerate((*RETRY_S, 0), 1):
            (delivery,) = await made.until_tried(attempt)
            waits.append(delivery.next_at_ms - made.now_ms[0])
            assert delivery.status == 500
            await made.pass_ms(wait_s * 1_000)
        assert waits == [*(wait_s * 1_000 for wait_s in RETRY_S), 0]
        assert 2 * DAY_MS < sum(RETRY_S) * 1_000 < 4 * DAY_MS
        (delivery,) = await made.deliveries()
        assert delivery.state == GIVEN_UP
        assert made.webhooks.counters.given_up == 1
        await made.pass_ms(DAY_MS)
        await made.log.outlook("crm")
        assert len(server.requests) == len(RETRY_S) + 1


async def test_one_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    """Neither a call's row nor another webhook."""
    async with (
        receiver(lambda _: HANGS) as deaf,
        receiver() as server,
        world(tmp_path, hook(deaf, name="deaf"), hook(server), timeout_s=30) as made,
    ):
        made.webhooks.start()
        for number in range(40):
            made.end(number)
        await deaf.until(lambda: len(deaf.requests) == 8)
        await server.until(lambda: len(server.taken) == 40)
        assert await made.log.started(call_row(99))
        assert made.log.counters.late == 0
        assert len(deaf.requests) == 8  # no more at once


async def test_a_replay_posts_it_again_with_its_id(tmp_path: Path) -> None:
    async with receiver() as server, world(tmp_path, hook(server)) as made:
        made.webhooks.start()
        made.end(1)
        await made.until_tried(1)
        await made.pass_ms(1_000)
        made.end(2)
        await server.until(lambda: len(server.taken) == 2)
        await made.until_tried(1)
        assert await made.webhooks.replay("crm", START_MS + 1) == 1
        await server.until(lambda: len(server.taken) == 3)
        assert await made.webhooks.replay("crm", START_MS) == 2
        await server.until(lambda: len(server.taken) == 5)
        assert sorted(server.taken) == ["run-1", "run-1", "run-2", "run-2", "run-2"]
        assert len({body for _, headers, body in server.requests if headers["webhook-id"] == "run-2"}) == 1
        assert await made.webhooks.replay("none", START_MS) is None


async def test_how_it_stands(tmp_path: Path) -> None:
    async with receiver(lambda _: BROKEN) as server, world(tmp_path, hook(server, "call.*")) as made:
        made.webhooks.start()
        made.end(1)
        await made.until_tried(1)
        async with asyncio.timeout(10):
            while made.webhooks._age_s() != 0 or not made.webhooks._waiting():
                await asyncio.sleep(0.005)
        await made.pass_ms(4_000)
        assert made.webhooks._age_s() == 4.0
        (state,) = await made.webhooks.states()
        assert (state.name, state.origin, state.events) == (
            "crm",
            server.url.removesuffix("/hook"),
            ("call.*",),
        )
        assert (state.outlook.waiting, state.outlook.oldest_at_ms) == (1, START_MS)
        assert [one.status for one in state.deliveries] == [500]


async def test_what_is_done_with_goes_after_a_while(tmp_path: Path) -> None:
    async with receiver() as server, world(tmp_path, hook(server)) as made:
        made.end(1)
        made.webhooks.start()
        await made.until_tried(1)
        await made.webhooks.close()
        made.now_ms[0] += DAY_MS
        made.end(2)

        async def left_at(now_ms: int) -> list[str]:
            made.log.prune(Prune(now_ms - KEEP_DONE_MS, now_ms - KEEP_ANY_MS))
            return [one.id for one in await made.deliveries()]

        assert await left_at(START_MS + KEEP_DONE_MS) == ["run-2", "run-1"]
        assert await left_at(START_MS + KEEP_DONE_MS + DAY_MS + 1) == ["run-2"]
        assert await left_at(START_MS + KEEP_ANY_MS + DAY_MS + 1) == []


@pytest.mark.parametrize(
    ("wanted", "type", "wants"),
    [
        ("*", "call.ended", True),
        ("call.*", "call.ended", True),
        ("call.*", "recording.completed", False),
        ("call.ended", "call.ended", True),
        ("call.end", "call.ended", False),
    ],
)
def test_which_events_it_wants(wanted: str, type: str, wants: bool) -> None:
    assert Hook("crm", parse_url("https://a.example"), KEY, (wanted,)).wants(type) is wants


async def test_while_the_log_cannot_write_nothing_is_posted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiver() as server, world(tmp_path, hook(server)) as made:
        made.end(1)
        assert len(await made.deliveries()) == 1

        async def fails(*_: object) -> None:
            raise OSError

        with monkeypatch.context() as away:
            away.setattr("mediaproxy.calllog.log.write", fails)
            made.webhooks.start()
            await server.until(lambda: bool(server.taken))
            for _ in range(5):
                await made.pass_ms(1)
                await asyncio.sleep(0.01)
            assert len(server.requests) == 1
        (delivery,) = await made.until_tried(1)
        assert delivery.state == DELIVERED
        assert len(server.requests) == 1
