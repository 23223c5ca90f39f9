"""A recording tells the truth about time and consent, whatever the network and the loop do."""

import numpy as np
import pytest

from tests.support.lanes import COMPILED_OR_NOT
from tests.support.oracle import Network, any_group, frame_map, intervals_of, judge, turns
from tests.support.recorded_calls import Desk

GROUP = 8  # calls that share a loop
GROUPS = 5  # loops a test
TESTS = 25  # 25 * 5 * 8 = 1,000 calls


def wrongs(
    seed: int,
    network: Network | None = None,
    *,
    calls: int = GROUP,
    toggles: int | None = None,
    stalls: list[tuple[int, int]] | None = None,
) -> list[str]:
    group, rng = any_group(seed, calls, network, toggles)
    desk = Desk(group, failing=0.1 if network is None else 0, seed=seed)
    results = desk.run(turns(rng, group, stalls))
    found = []
    for call in group:
        wrong = judge(call, results[call.number], desk.stamps)
        if wrong:
            picture = frame_map(results[call.number].frames, intervals_of(call))
            found.append(f"seed {seed}, call {call.number}: " + "\n  ".join(wrong) + "\n" + picture)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", range(TESTS))
def test_any_network_any_toggles_and_two_stalls_leave_a_true_recording(number: int) -> None:
    for seed in range(number * GROUPS, (number + 1) * GROUPS):
        found = wrongs(seed)
        assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_stall_of_two_seconds_loses_no_audio(seed: int) -> None:
    """24 calls bring far more than a ring of 1,024 slots holds: it is drained within the pass too."""
    clean = Network(jitter_ms=20, duplicated=0.02, ptimes=(20,))
    found = wrongs(2_000 + seed, clean, calls=24, toggles=0, stalls=[(3_000 + 137 * seed, 2_000)])
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_moves_no_offset_does(seed: int) -> None:
    """Loss, wraps, mutes, changes of SSRC, codec and packet time are no reason to re-anchor."""
    calm = Network(loss=0.1, duplicated=0.1, ssrc_changes=1, codec_changes=1, ptimes=(10, 20, 60), mutes=1)
    found = wrongs(4_000 + seed, calm, stalls=[])
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
@pytest.mark.parametrize("seed", range(6))
def test_the_fast_lane_changes_nothing(seed: int, compiled: bool) -> None:
    """Files, intervals and every counter are the same with all packets going through the rule."""
    network = [None, Network(), Network(loss=0.02, jitter_ms=30), Network(ptimes=(10, 20, 30))][seed % 4]
    outcomes = []
    for fast in (True, False):
        group, rng = any_group(3_000 + seed, 12, network)
        desk = Desk(group, fast=fast, compiled=compiled, seed=seed)
        desk.run(turns(rng, group))
        outcomes.append((desk.files, [desk.finished[call.number] for call in group]))
    (fast_files, fast_ends), (slow_files, slow_ends) = outcomes
    for number, file in fast_files.items():
        difference = np.flatnonzero(np.frombuffer(file, "<i2") != np.frombuffer(slow_files[number], "<i2"))
        assert not len(difference), f"call {number} differs from frame {difference[0] // 2} on"
    for fast_end, slow_end in zip(fast_ends, slow_ends, strict=True):
        assert fast_end.streams == slow_end.streams
        assert fast_end.intervals == slow_end.intervals
        assert fast_end.reasons == slow_end.reasons
