"""Holds a row of the call log against the call that its parties had."""

from collections.abc import Mapping, Sequence
from typing import Any

from mediaproxy.loadtest.recordings import RATE, Span

TOLERANCE_MS = 100  # between our answer and BYE, and the proxy's hearing of them


def check_row(
    row: Mapping[str, Any],
    duration_ms: float,
    policy: str,
    spans: Sequence[Span],
    rate: int = RATE,
    unsure_ms: float = 0.0,
) -> list[str]:
    """What is wrong with the row of a call that lasted `duration_ms` and recorded `spans`.

    Its answer may have reached the proxy up to `unsure_ms` after we gave it.
    """
    faults = [
        f"{key} is {row[key]!r} instead of {wanted!r}"
        for key, wanted in (("state", "ended"), ("disposition", "answered"), ("ended_by", "caller"))
        if row[key] != wanted
    ]
    if not -TOLERANCE_MS - unsure_ms <= row["duration_ms"] - duration_ms <= TOLERANCE_MS:
        faults.append(f"duration is {row['duration_ms']} ms instead of {duration_ms:.0f}")
    recorded = sum(end - start for start, end in spans)
    if row["recorded_ms"] != recorded * 1000 // rate:
        faults.append(f"recorded_ms is {row['recorded_ms']} instead of {recorded * 1000 // rate}")
    if policy == "off":
        return faults if row["recording"] is None else [*faults, "recorded, although the policy is off"]
    if row["recording"] is None:
        return [*faults, "no recording"]
    return faults + _check_recording(row, spans, recorded, rate)


def _check_recording(row: Mapping[str, Any], spans: Sequence[Span], recorded: int, rate: int) -> list[str]:
    recording = row["recording"]
    wanted = {
        "state": "finished",
        "result": "complete" if spans else "none",
        "sample_rate": rate,
        "recorded_samples": recorded,
    }
    faults = [
        f"recording.{key} is {recording[key]!r} instead of {value!r}"
        for key, value in wanted.items()
        if recording[key] != value
    ]
    if recording["duration_samples"] * 1000 // rate != row["duration_ms"]:
        faults.append(f"{recording['duration_samples']} samples, but {row['duration_ms']} ms")
    found = [(interval["start_sample"], interval["end_sample"]) for interval in recording["intervals"]]
    if found != list(spans):
        faults.append(f"intervals are {found} instead of {list(spans)}")
    return faults
