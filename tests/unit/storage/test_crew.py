"""As many threads as there is work, and none when there is none."""

import threading

from mediaproxy.storage.crew import Crew


def threads(name: str) -> int:
    return sum(each.name == name for each in threading.enumerate())


def test_no_more_work_at_once_than_there_are_places_and_all_of_it_is_done() -> None:
    let_go, at_work = threading.Event(), threading.Semaphore(0)
    done: list[int] = []

    def perform(item: int) -> None:
        at_work.release()
        assert let_go.wait(10)
        done.append(item)

    crew: Crew[int] = Crew("test-crew", perform, 3)
    for item in range(10):
        crew.submit(item)
    for _ in range(3):
        assert at_work.acquire(timeout=10)
    assert threads("test-crew") == 3
    assert not at_work.acquire(timeout=0.02)
    working = [each for each in threading.enumerate() if each.name == "test-crew"]
    let_go.set()
    for each in working:
        each.join(10)
    assert sorted(done) == list(range(10))
    assert threads("test-crew") == 0
    crew.submit(10)  # the next one starts anew
    for each in threading.enumerate():
        if each.name == "test-crew":
            each.join(10)
    assert done[-1] == 10
