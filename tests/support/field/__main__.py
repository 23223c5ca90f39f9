"""The table: `python -m tests.support.field [--calls N] [--seconds N] [CLASS…]`."""

import argparse
import statistics

from tests.support.field.classes import run
from tests.support.field.conditions import CLASSES
from tests.support.field.judging import Truth

HEAD = (
    "class                          calls  intervals  worst leak  calls >5 ms"
    "  missing   error p50    worst  moves  slips"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.field", description=__doc__)
    parser.add_argument("--calls", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("classes", nargs="*", help="parts of names")
    asked = parser.parse_args()
    print(HEAD)
    for name, conditions in CLASSES.items():
        if asked.classes and not any(part in name for part in asked.classes):
            continue
        seconds = max(asked.seconds, 420) if conditions.long_mutes else asked.seconds
        print(row(name, run(conditions, asked.calls, seconds, seed=asked.seed)), flush=True)


def row(name: str, truth: Truth) -> str:
    error = statistics.median(truth.errors) if truth.errors else 0.0
    wrong = f"  {truth.not_zero} SAMPLES OUTSIDE" if truth.not_zero else ""
    return (
        f"{name:30} {truth.calls:5} {truth.intervals:10} {truth.worst_leak_ms:8.1f} ms"
        f" {truth.leaking_calls:12} {truth.missing_percent:7.3f} % {error:8.2f} ms"
        f" {truth.worst_error_ms:5.0f} ms {truth.reanchors:6} {truth.slips:6}{wrong}"
    )


main()
