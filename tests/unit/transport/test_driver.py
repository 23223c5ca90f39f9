"""The driver: drain after every input, one timer, never a deadline too early."""

import asyncio
from collections.abc import Callable

import pytest

from mediaproxy.transport.driver import Driver
from tests.support.virtual_loop import VirtualTimeLoop, run_virtually


class Alarm:
    """A sans-IO protocol of the least kind: says the time at each of its deadlines."""

    def __init__(self, *deadlines: float) -> None:
        self.deadlines = sorted(deadlines)
        self.seen: list[float] = []
        self.outputs: list[str] = []

    def handle_timer(self, *, now: float) -> None:
        self.seen.append(now)
        while self.deadlines and self.deadlines[0] <= now:
            self.outputs.append(f"{self.deadlines.pop(0):.1f}")

    def next_deadline(self) -> float | None:
        return self.deadlines[0] if self.deadlines else None

    def drain(self) -> list[str]:
        outputs, self.outputs = self.outputs, []
        return outputs


def virtual_clock() -> Callable[[], int]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop.time_ns


def test_deadlines_are_met_in_order() -> None:
    async def main() -> tuple[list[str], list[float]]:
        alarm, told = Alarm(3600.0, 1.0, 2.0), list[str]()
        driver = Driver(alarm, told.append, clock_ns=virtual_clock())
        driver.settle()
        await asyncio.sleep(4000)
        driver.close()
        return told, alarm.seen

    told, seen = run_virtually(main())
    assert told == ["1.0", "2.0", "3600.0"]
    assert seen == pytest.approx([1.0, 2.0, 3600.0])


def test_an_earlier_deadline_moves_the_timer_and_a_later_one_waits_its_turn() -> None:
    async def main() -> list[str]:
        alarm, told = Alarm(10.0), list[str]()
        driver = Driver(alarm, told.append, clock_ns=virtual_clock())
        driver.settle()
        alarm.deadlines = [5.0]
        driver.settle()
        await asyncio.sleep(6)
        assert told == ["5.0"]
        alarm.deadlines = [8.0]
        driver.settle()
        alarm.deadlines = [9.0]  # put off: the timer at 8 fires for nothing
        driver.settle()
        await asyncio.sleep(2.5)
        assert told == ["5.0"]
        await asyncio.sleep(1)
        driver.close()
        return told

    assert run_virtually(main()) == ["5.0", "9.0"]


def test_a_clock_that_lags_behind_the_timer_still_reaches_the_deadline() -> None:
    async def main() -> list[float]:
        alarm = Alarm(1.0)
        driver = Driver(alarm, print, clock_ns=lambda: 999_400_000)
        driver.settle()
        await asyncio.sleep(2)
        driver.close()
        return alarm.seen

    assert run_virtually(main()) == [1.0]


def test_an_input_within_an_output_is_drained_after_it() -> None:
    async def main() -> list[str]:
        alarm, told = Alarm(), list[str]()

        def tell(output: str) -> None:
            told.append(output)
            if output == "a":
                alarm.outputs.append("c")
                driver.settle()

        driver = Driver(alarm, tell, clock_ns=virtual_clock())
        alarm.outputs = ["a", "b"]
        driver.settle()
        driver.close()
        return told

    assert run_virtually(main()) == ["a", "b", "c"]


def test_a_failing_output_leaves_the_timer_armed() -> None:
    async def main() -> list[str]:
        alarm, told = Alarm(1.0), list[str]()

        def tell(output: str) -> None:
            if output == "bad":
                raise RuntimeError("bad")
            told.append(output)

        driver = Driver(alarm, tell, clock_ns=virtual_clock())
        alarm.outputs = ["bad"]
        with pytest.raises(RuntimeError):
            driver.settle()
        await asyncio.sleep(2)
        driver.close()
        return told

    assert run_virtually(main()) == ["1.0"]


def test_closed_it_does_nothing() -> None:
    async def main() -> list[str]:
        alarm, told = Alarm(1.0), list[str]()
        driver = Driver(alarm, told.append, clock_ns=virtual_clock())
        driver.settle()
        driver.close()
        alarm.outputs = ["a"]
        driver.settle()
        await asyncio.sleep(2)
        return told

    assert run_virtually(main()) == []


def test_an_output_that_cannot_be_performed_takes_no_other_with_it() -> None:
    async def main() -> list[str]:
        alarm, told = Alarm(), list[str]()

        def perform(output: str) -> None:
            if output == "bad":
                raise ValueError(output)
            told.append(output)

        driver = Driver(alarm, perform, clock_ns=virtual_clock())
        alarm.outputs = ["one", "bad", "two", "three"]
        with pytest.raises(ValueError, match="bad"):
            driver.settle()
        await asyncio.sleep(1)
        driver.close()
        return told

    assert run_virtually(main()) == ["one", "two", "three"]
