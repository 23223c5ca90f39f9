"""Every plane: ports are taken and given back, silence is noticed, nothing leaks."""

import socket
import time

import pytest

from mediaproxy.calls.plane import (
    Allocate,
    Allocated,
    AllocationFailed,
    LegCounters,
    LegId,
    MediaTimedOut,
    Release,
    Released,
    Tap,
    WatchMedia,
)
from mediaproxy.errors import Misuse
from mediaproxy.ids import CallId
from mediaproxy.net import Endpoint, Family
from tests.support.planes import (
    CALL,
    PLANE_HOST,
    PLANES,
    PORTS,
    bench_of,
    connected,
    speech,
    until,
)

A, B = LegId.A, LegId.B

pytestmark = [
    pytest.mark.parametrize("plane", PLANES),
    pytest.mark.xdist_group("the very ports"),  # two processes would hold them from each other
]


async def test_each_leg_gets_an_even_port_of_the_range_and_the_odd_one_above(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        assert len(set(local)) == 2
        for endpoint in local:
            assert endpoint.port in PORTS
            assert endpoint.port % 2 == 0
            for port in (endpoint.port, endpoint.port + 1):
                with (
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
                    pytest.raises(OSError, match="in use"),
                ):
                    probe.bind((PLANE_HOST, port))


async def test_ports_of_another_process_are_passed_over(plane: str) -> None:
    first = 31_400 + 20 * list(PLANES).index(plane)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind((PLANE_HOST, first + 3))
        async with bench_of(plane, ports=range(first, first + 8)) as bench:
            local = await bench.allocate()
            assert {endpoint.port for endpoint in local} == {first, first + 4}


async def test_when_ports_run_out_allocation_fails_and_takes_none(plane: str) -> None:
    async with bench_of(plane, ports=range(31_310, 31_316)) as bench:
        first = await bench.allocate()
        bench.perform(Allocate(CallId("second"), 2))
        failed = await bench.event(AllocationFailed)
        assert failed.call == "second"
        assert bench.plane.counters(CallId("second")) is None
        bench.perform(Release(CallId("second")))
        bench.perform(Release(CALL))
        await bench.event(Released)
        # What the failed one had taken is free again too: the pool is a queue.
        again = await bench.allocate()
        assert {endpoint.port for endpoint in (*first, *again)} == {31_310, 31_312, 31_314}


async def test_a_family_without_an_address_fails(plane: str) -> None:
    async with bench_of(plane, ports=range(31_320, 31_324), hosts={Family.IPV4: PLANE_HOST}) as bench:
        bench.perform(Allocate(CALL, 1, (Family.IPV4, Family.IPV6)))
        await bench.event(AllocationFailed)
        await bench.allocate()  # both pairs are still there


async def test_asking_twice_is_our_mistake(plane: str) -> None:
    async with bench_of(plane) as bench:
        await bench.allocate()
        with pytest.raises(Misuse):
            bench.perform(Allocate(CALL, 1))


async def test_a_released_call_says_its_counters_once_and_is_silent(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        call.send(A, speech(1))
        await call.hears(B, 1)
        bench.perform(Release(CALL), Release(CALL))
        released = await bench.event(Released)
        assert released.legs == (LegCounters(packets=1, relayed=1), LegCounters())
        assert bench.plane.counters(CALL) is None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(call.local[A])  # nobody listens there any more
        bench.perform(Release(CALL))
        await bench.allocate(CallId("next"), 2)
        assert not any(isinstance(event, Released) for event in bench.events)


async def test_a_late_sender_of_the_last_call_is_not_heard_by_the_next(plane: str) -> None:
    async with bench_of(plane, ports=range(31_330, 31_342), quarantine_s=60) as bench:
        first = await connected(bench)
        first.send(A, speech(1))
        await first.hears(B, 1)
        bench.perform(Release(CALL))
        second = await connected(bench, CallId("second"), 2)
        assert not {endpoint.port for endpoint in first.local} & {endpoint.port for endpoint in second.local}
        bench.tap(Tap.PAYLOAD, CallId("second"))
        first.send(A, speech(2))
        second.send(A, speech(3))
        assert await second.hears(B, 1) == [speech(3)]
        assert [record["generation"] for record in bench.records()] == [2]
        # The rest is in quarantine or taken.
        bench.perform(Release(CallId("second")))
        third = await bench.allocate(CallId("third"), 3)
        assert not {e.port for e in third} & {e.port for e in (*first.local, *second.local)}
        bench.perform(Allocate(CallId("fourth"), 4))
        await bench.event(AllocationFailed)


@pytest.mark.slow
async def test_silence_on_both_legs_is_told_once_and_media_on_one_leg_prevents_it(plane: str) -> None:
    async with bench_of(plane) as bench:
        call = await connected(bench)
        silent = CallId("silent")
        await connected(bench, silent, 2)
        started = time.monotonic()
        bench.perform(WatchMedia(CALL, 0.5), WatchMedia(silent, 0.5))
        sent = 0

        async def speak() -> None:
            nonlocal sent
            sent += 1
            call.send(A, speech(sent))
            await call.hears(B, sent)

        await until(lambda: bool(bench.events), speak)
        assert bench.events == [MediaTimedOut(silent)]
        assert 0.5 <= time.monotonic() - started < 1.0
        await until(lambda: len(bench.events) == 2)
        assert bench.events[1] == MediaTimedOut(CALL)


@pytest.mark.slow
async def test_nobody_is_told_of_silence_when_nobody_waits(plane: str) -> None:
    async with bench_of(plane) as bench:
        await connected(bench)
        other = CallId("other")
        await connected(bench, other, 2)
        bench.perform(WatchMedia(CALL, 0.1), WatchMedia(CALL, 0), WatchMedia(other, 0.3))
        assert (await bench.event(MediaTimedOut)).call == other
        assert bench.events == []


async def test_events_never_come_from_inside_an_operation(plane: str) -> None:
    async with bench_of(plane) as bench:
        bench.perform(Allocate(CALL, 1), Release(CALL))
        assert bench.events == []
        await bench.event(Allocated)
        await bench.event(Released)


async def test_closing_twice_is_harmless_and_ends_every_call(plane: str) -> None:
    async with bench_of(plane) as bench:
        local = await bench.allocate()
        await bench.plane.close()
        await bench.plane.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(local[0])


@pytest.mark.slow
async def test_thousands_of_calls_leave_nothing_behind(plane: str) -> None:
    async with bench_of(plane) as bench:
        await connected(bench, CallId("standing"), 1)
        before = bench.plane.descriptors()
        for n in range(2000):
            call = CallId(f"call-{n}")
            bench.perform(Allocate(call, n))
            bench.connect(A, Endpoint("127.0.0.2", 9), call=call)
            bench.perform(Release(call))
        await until(lambda: len(bench.events) == 4000)
        assert sum(isinstance(event, Allocated) for event in bench.events) == 2000
        assert bench.plane.descriptors() == before
