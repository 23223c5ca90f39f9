"""kill -9 of a loaded proxy, again and again: nothing acknowledged is lost, and at most a second of audio."""

import random

import pytest

from tests.support.counts import FULL, count
from tests.support.crash_rounds import (
    Losses,
    Scene,
    Told,
    check_as_they_lie,
    check_intervals,
    check_journals,
    check_sound,
    configuration,
)
from tests.support.proxy import Json, changed, run_command
from tests.support.recorded import check_row
from tests.support.rtp_oracle import RATE_HZ

ROUNDS = count(20, full=200)
AT_SEA = RATE_HZ // 4  # how well we know when the proxy was answered, and when it died


def lost_of(told: Told, row: Json) -> int | None:
    """Samples that an open recording lacks, of a call that lived when the proxy was killed."""
    recording = row["recording"]
    if told.hung_up or told.in_doubt or not told.open:
        return None
    ends = [i["end_sample"] for i in recording["intervals"]]
    began = told.acknowledged[-1][0]
    return told.passed - max([began, *ends])


def check_call(scene: Scene, told: Told, row: Json, lying: dict[str, int], losses: Losses) -> None:
    recording = row["recording"]
    assert row["state"] == "ended"
    assert recording["result"] in {"none", "complete", "recovered", "degraded"}, row
    assert told.hung_up or (row["disposition"], row["ended_by"]) == ("interrupted", "us"), row
    bound = told.passed - told.certain + AT_SEA
    if not told.hung_up:
        missing = told.passed - lying[told.recording]
        assert missing <= bound, (told, row)
        (losses.lying if told.open else losses.silent).append(missing)
    if (lost := lost_of(told, row)) is not None:
        assert lost <= bound, (told, row)
        losses.repaired.append(lost)
    check_row(row)
    spans = check_intervals(told, row)
    if recording["result"] == "none":
        return
    assert recording["duration_samples"] >= lying.get(told.recording, 0)
    tracks = scene.server.tracks(row)
    for track, call in zip(tracks, (told.pair.caller, told.pair.callee), strict=True):
        check_sound(track, call.media.said(), spans, told.certain)


@pytest.mark.timeout(7_200 if FULL else 400)
async def test_kills_of_a_loaded_proxy(make_proxy, alone):
    server = make_proxy(start=False)
    server.config = changed(server.config, configuration(server.net))
    losses = Losses()
    scene = Scene(server)
    scene.restart()
    results: dict[str, int] = {}
    try:
        for seed in range(ROUNDS):
            await scene.play(random.Random(seed))
            lying = check_as_they_lie(server.storage / "live")
            check_journals(server.storage / "live", scene.told)
            losses.starts_s.append(scene.restart())
            for told in scene.told:
                row = await scene.api.ended(told.call)
                results[row["recording"]["result"]] = results.get(row["recording"]["result"], 0) + 1
                check_call(scene, told, row, lying, losses)
            assert list((server.storage / "live").iterdir()) == []
    finally:
        await scene.close()
    server.stop()
    server.check_log()
    print(f"\n{ROUNDS} kills, {results}: {losses}")
    assert losses.lying
    assert losses.repaired
    verified = run_command("verify", str(server.storage), timeout=300)
    assert verified.returncode == 0, verified.stdout + verified.stderr
