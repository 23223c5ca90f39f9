"""The results as tables: a title, headings and rows of text, for the terminal and the report alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.results import Results


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(results: Results) -> Iterator[Table]:
    """Every table that has something to show."""
    for table in (_bars, _rounds, _conditions, _memory, _toggles, _micro):
        made = table(results)
        if made.rows:
            yield made


def _bars(results: Results) -> Table:
    rows = tuple((bar.demand, bar.measured, "met" if bar.passed else "MISSED") for bar in results.bars)
    return Table("Demands", ("demand", "measured", "verdict"), rows)


def _rounds(results: Results) -> Table:
    rows = [
        (
            round_.proxy,
            str(round_.calls),
            f"{round_.packets:,}",
            f"{round_.cpu_us_per_packet:.2f}",
            f"{round_.cores * 100:.1f} %",
            *(f"{delay:,.0f}" for delay in round_.delay_us),
            str(round_.lost),
            f"{round_.files}/{round_.files_expected}",
        )
        for round_ in results.rounds
    ]
    for calls in results.levels():
        medians = results.medians(calls)
        reference = medians.get("rtpengine")
        for proxy, median in medians.items():
            ratio = f"{median / reference:.2f} × rtpengine" if reference else ""
            delays = (f"{delay:,.0f}" for delay in results.median_delays(proxy, calls))
            rows.append((f"{proxy}, median", str(calls), "", f"{median:.2f}", ratio, *delays, "", ""))
    headings = (
        "proxy",
        "calls",
        "packets",
        "CPU µs/packet",
        "of a core",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "max µs",
    )
    return Table(
        "Relaying and recording", (*headings, "lost", "files"), tuple(rows),
        "One row a round, in the order in which they ran. Delay: from before the send call to the kernel's"
        " arrival stamp at the receiver. CPU: user and system time of all the proxy's processes and threads.",
    )  # fmt: skip


def _conditions(results: Results) -> Table:
    rows = tuple(
        (
            round_.proxy,
            f"{round_.generator_us_per_packet:.1f}",
            f"{round_.generator_late_ms:.1f}",
            f"{max(round_.others_cores, 0) * 100:.0f} %",
            f"{round_.stolen_cores * 100:.0f} %",
            "yes" if round_.sound else "NO",
            "; ".join(round_.faults[:3]),
        )
        for round_ in results.rounds
    )
    headings = ("proxy", "generator µs/packet", "latest send ms", "others' CPU", "stolen", "sound", "faults")
    return Table("Conditions of each round", headings, rows)


def _memory(results: Results) -> Table:
    rows = tuple(
        (
            str(memory.calls),
            f"{memory.idle.resident_bytes / 1e6:.1f} → {memory.loaded.resident_bytes / 1e6:.1f} MB",
            f"{memory.kb_per_call:.1f} KB",
            f"{memory.idle.descriptors} → {memory.loaded.descriptors}",
            f"{memory.descriptors_per_call:.1f}",
            f"{memory.idle.threads} → {memory.loaded.threads}",
            f"{memory.idle.tasks} → {memory.loaded.tasks}",
            f"{memory.files}/{memory.calls}",
        )
        for memory in results.memory
    )
    headings = ("calls", "memory", "a call", "descriptors", "a call", "threads", "tasks", "files")
    return Table("What recording calls hold, idle after a warm-up → at most", headings, rows)


def _toggles(results: Results) -> Table:
    rows = tuple(
        (
            f"{toggles.calls}, {toggles.workers} workers" if toggles.workers else str(toggles.calls),
            str(toggles.toggles),
            f"{toggles.p50_ms:.1f}",
            f"{toggles.p99_ms:.1f}",
            f"{toggles.largest_ms:.1f}",
            f"{toggles.p99_effect_ms:.1f}",
            str(toggles.lost),
        )
        for toggles in results.toggles
    )
    headings = ("calls talking", "toggles", "p50 ms", "p99 ms", "max ms", "in effect p99 ms", "packets lost")
    return Table("Toggling a recording by API, journalled, under load", headings, rows)


def _micro(results: Results) -> Table:
    rows = tuple(
        (micro.name, f"{micro.microseconds:.2f}", f"{micro.yardsticks:.3f}", micro.note)
        for micro in results.micro
    )
    return Table(
        "Single operations",
        ("operation", "µs", "yardsticks", ""),
        rows,
        "A yardstick is one json.loads of a fixed 2 kB in the same run: such ratios hold between machines.",
    )
