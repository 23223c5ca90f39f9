"""A disk that fails thousands of recordings at once: all are told of in time, and no tick is long for it."""

from collections.abc import Iterator

from mediaproxy.clock import NS_PER_MS, NS_PER_S
from mediaproxy.ids import RecordingId
from mediaproxy.service.standstill import LOOK_NS, TELLING_NS, Change, Standstills
from tests.support.recordings import recording_id

TICK_NS = 40 * NS_PER_MS
NAMES = [recording_id(n) for n in range(1, 1_001)]
FULL = "storage_full"


class Disk:
    """What is wrong with it, and who asks."""

    def __init__(self) -> None:
        self.troubles: dict[RecordingId, str] = {}
        self.opened = list(NAMES)
        self.now_ns = 1 << 50
        self.standstills = Standstills(lambda: next(iter(self.troubles.values()), None), self.troubles.get)
        self.standstills.changes(self.now_ns, self._opened)

    def _opened(self) -> Iterator[RecordingId]:
        return iter(self.opened)

    def fail(self, names: list[RecordingId]) -> None:
        self.troubles.update(dict.fromkeys(names, FULL))

    def tick(self) -> list[Change]:
        self.now_ns += TICK_NS
        return self.standstills.changes(self.now_ns, self._opened)

    def ticks(self, duration_ns: int) -> list[list[Change]]:
        return [self.tick() for _ in range(duration_ns // TICK_NS + 1)]

    def told(self, duration_ns: int) -> list[Change]:
        return [change for each in self.ticks(duration_ns) for change in each]


def test_all_are_told_in_time_and_a_few_at_a_time() -> None:
    disk = Disk()
    for healed in (False, True):
        if healed:
            disk.troubles.clear()
        else:
            disk.fail(NAMES)
        told = disk.ticks(LOOK_NS + TELLING_NS + TICK_NS)
        changes = [change for each in told for change in each]
        assert changes == [Change(name, None if healed else FULL) for name in NAMES]
        assert max(map(len, told)) <= 2 * len(NAMES) * TICK_NS // TELLING_NS
        assert not any(disk.ticks(NS_PER_S))


def test_one_alone_is_told_at_once() -> None:
    disk = Disk()
    disk.fail(NAMES[:1])
    assert disk.told(LOOK_NS) == [Change(NAMES[0], FULL)]
    disk.troubles.clear()
    assert disk.told(LOOK_NS) == [Change(NAMES[0], None)]


def test_what_was_over_before_it_was_told_is_not_told() -> None:
    disk = Disk()
    disk.fail(NAMES)
    failing = disk.told(LOOK_NS + 10 * TICK_NS)
    assert 0 < len(failing) < len(NAMES)
    disk.troubles.clear()
    later = disk.told(LOOK_NS + TELLING_NS + TICK_NS)
    failing += [change for change in later if change.reason is not None]
    restored = [change for change in later if change.reason is None]
    assert len(failing) < len(NAMES)
    assert [change.recording for change in restored] == [change.recording for change in failing]


def test_those_that_fail_while_others_are_told_are_told_too() -> None:
    disk = Disk()
    disk.fail(NAMES[:500])
    told = disk.told(LOOK_NS + TELLING_NS // 2)
    disk.fail(NAMES[500:])
    told += disk.told(LOOK_NS + 2 * TELLING_NS)
    assert [change.recording for change in told] == NAMES


def test_nobody_is_told_of_a_closed_gate() -> None:
    disk = Disk()
    disk.opened = NAMES[:1]
    disk.fail(NAMES[:2])
    assert disk.told(NS_PER_S) == [Change(NAMES[0], FULL)]
    disk.opened = []  # and of the end it is told whether it is closed by then or not
    disk.troubles.clear()
    assert disk.told(NS_PER_S) == [Change(NAMES[0], None)]
