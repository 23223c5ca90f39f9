"""The demands on speed, each held against what this run measured."""

from tests.bench import ours, rtpengine
from tests.bench.results import Bar, Results

_MOST_RATIOS = {200: 1.0, 500: 0.95, 1_000: 0.9}  # of rtpengine's CPU per packet, by calls
_MORE_DELAY_MS = 0.3  # than rtpengine, in the median
_DELAY_CALLS = 200  # more of them fill the cores of a small machine
_MOST_WORKERS_RATIO = 1.1
_MOST_TOGGLE_MS = 20.0
_MOST_DELAY_MS = 5.0
_MOST_KB = 44.0
_MOST_SIGNALLING_US = 300.0
_MOST_CORE_PERCENT = 6.0
_MOST_RECORDER_KB = 20.0
_MOST_FLAC_S = 3.0
_LEAST_VERIFY = 500.0


def judge(results: Results) -> list[Bar]:
    bars: list[Bar] = []
    for calls in results.levels():
        bars += [*_relaying(results, calls), *_peer(results, calls), *_workers(results, calls)]
    bars += [*_toggles(results), *_memory(results)]
    if results.signalling_us is not None:
        took = results.signalling_us
        demand = f"an INVITE parsed, routed and re-sent in ≤ {_MOST_SIGNALLING_US:.0f} µs of CPU"
        bars.append(Bar(demand, f"{took:.0f} µs", took <= _MOST_SIGNALLING_US))
    return [*bars, *_recording(results), *_masters(results)]


def _recording(results: Results) -> list[Bar]:
    cost = results.recording
    if cost is None:
        return []
    parts = f"place {cost.place:.1f}, take {cost.take:.1f}, hand out {cost.hand_out + cost.flush:.1f}"
    return [
        Bar(
            f"{cost.calls} recorded calls, from ring to files, in ≤ {_MOST_CORE_PERCENT:.0f} % of a core",
            f"{cost.core_percent:.1f} % ({parts}, write {cost.threads:.1f})",
            cost.core_percent <= _MOST_CORE_PERCENT,
        ),
        Bar(
            f"the recorder takes ≤ {_MOST_RECORDER_KB:.0f} KB a call",
            f"{cost.recorder_kb:.1f} KB; with the spool and its files {cost.with_spool_kb:.1f}",
            cost.recorder_kb <= _MOST_RECORDER_KB,
        ),
    ]


def _masters(results: Results) -> list[Bar]:
    masters = results.masters
    if masters is None:
        return []
    return [
        Bar(
            f"{masters.seconds} s of stereo to FLAC, decoded again, in ≤ {_MOST_FLAC_S:.0f} s of CPU",
            f"{masters.flac_cpu_s:.2f} s",
            masters.flac_cpu_s <= _MOST_FLAC_S,
        ),
        Bar(
            f"verifying ≥ {_LEAST_VERIFY:.0f} × real time",
            f"{masters.verify_wav:.0f} × (WAV), {masters.verify_flac:.0f} × (FLAC)",
            min(masters.verify_wav, masters.verify_flac) >= _LEAST_VERIFY,
        ),
    ]


def _relaying(results: Results, calls: int) -> list[Bar]:
    mine = [round_ for name in (ours.NAME, ours.NAME_IN_PYTHON) for round_ in results.of(name, calls)]
    if not mine:
        return []
    lost = sum(round_.lost + round_.altered for round_ in mine)
    files = sum(round_.files for round_ in mine)
    expected = sum(round_.files_expected for round_ in mine)
    sound = all(round_.sound for round_ in mine)
    bars = [
        Bar(
            f"{calls} calls: no packet lost or altered by us",
            f"{lost}" if sound else "the generator failed",
            sound and lost == 0,
        ),
        Bar(
            f"{calls} calls: every recording verified sample by sample",
            f"{files} of {expected}",
            files == expected,
        ),
    ]
    if calls <= _DELAY_CALLS and results.of(ours.NAME, calls):
        p999_ms = results.median_delays(ours.NAME, calls)[2] / 1000
        demand = f"{calls} calls: added delay p99.9 ≤ {_MOST_DELAY_MS:.0f} ms"
        bars.append(Bar(demand, f"{p999_ms:.2f} ms", p999_ms <= _MOST_DELAY_MS))
    return bars


def _peer(results: Results, calls: int) -> list[Bar]:
    medians, most = results.medians(calls), _MOST_RATIOS.get(calls)
    if most is None or not {ours.NAME, rtpengine.NAME} <= set(medians):
        return []
    ratio = medians[ours.NAME] / medians[rtpengine.NAME]
    working = all(
        round_.faultless and round_.files == round_.files_expected
        for round_ in results.of(rtpengine.NAME, calls)
    )
    lame = "" if working else ", but the peer itself lost packets"
    bars = [
        Bar(
            f"{calls} calls: CPU per relayed packet ≤ {most} × rtpengine",
            f"{ratio:.2f} ×{lame}",
            ratio <= most and working,
        )
    ]
    if calls <= _DELAY_CALLS:
        delays = [results.median_delays(name, calls)[0] for name in (ours.NAME, rtpengine.NAME)]
        more_ms = (delays[0] - delays[1]) / 1000
        demand = f"{calls} calls: added delay p50 ≤ rtpengine's + {_MORE_DELAY_MS} ms"
        bars.append(Bar(demand, f"{more_ms:+.2f} ms{lame}", more_ms <= _MORE_DELAY_MS and working))
    return bars


def _workers(results: Results, calls: int) -> list[Bar]:
    rounds, medians = results.of(ours.NAME_WITH_WORKERS, calls), results.medians(calls)
    if not rounds:
        return []
    ratio = medians[ours.NAME_WITH_WORKERS] / medians[ours.NAME]
    lost = sum(round_.lost + round_.altered for round_ in rounds)
    whole = all(round_.sound and round_.files == round_.files_expected for round_ in rounds)
    return [
        Bar(
            f"{calls} calls: CPU per packet, {ours.WORKERS} workers ≤ {_MOST_WORKERS_RATIO} × one process",
            f"{ratio:.2f} ×, {lost} lost" + ("" if whole else ", not every recording whole"),
            ratio <= _MOST_WORKERS_RATIO and lost == 0 and whole,
        )
    ]


def _toggles(results: Results) -> list[Bar]:
    return [
        Bar(
            f"a toggle by API at {each.calls} calls{f' on {each.workers} workers' if each.workers else ''} "
            f"in effect within {_MOST_TOGGLE_MS:.0f} ms p99",
            f"{each.p99_effect_ms:.1f} ms (answered, journalled: {each.p99_ms:.1f} ms)",
            each.p99_effect_ms <= _MOST_TOGGLE_MS,
        )
        for each in results.toggles
    ]


def _memory(results: Results) -> list[Bar]:
    return [
        Bar(
            f"resident memory per recording call ≤ {_MOST_KB:.0f} KB ({memory.calls} calls)",
            f"{memory.kb_per_call:.1f} KB, {memory.files} of {memory.calls} files whole",
            memory.kb_per_call <= _MOST_KB and memory.files == memory.calls,
        )
        for memory in results.memory
    ]
