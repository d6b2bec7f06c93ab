# SPDX-License-Identifier: MIT
"""
Whether something takes longer than it did: rank tests over samples, whatever their distribution.

Machines are as fast as their neighbours let them be, so a change must be one under each explanation
that does without it: the machine is as fast as it was, or it is slower by what the medians of the
measurement's own baseline say, or by what the lowest tenths say. Under each, the Mann-Whitney test
must find that samples are larger even if those before are all made FACTOR times as long. That is
the least effect, and the significance, in one. Samples are known by the bucket of their histogram:
each counts as the end of its bucket that speaks against a change.
"""

from __future__ import annotations

import dataclasses
import math
import statistics

from .runs import Case, Distribution, Measurement, Run

ALPHA = 0.01      # of a false alarm in a whole comparison, if samples were independent
FACTOR = 1.25     # of kicks: with what a bucket leaves open, about 1.5
FACTOR_CASES = 2  # of the seconds of whole cases, which have no baseline beside them
LEAST_SAMPLES = 20
LEAST_REPEATS = 10
STEADY = 4        # see is_steady()
HIGH_LIMIT = 10   # most are 5 to 8 (cases/kick_limits.tsv)

Samples = list[tuple[float, int]]  # a value, and how many have it


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became slower or faster: by which factor, and how likely by chance."""
    name: str
    slower: bool
    factor: float
    p: float
    base: str
    new: str


@dataclasses.dataclass(frozen=True)
class Trial:
    """Two sets of samples, as (least, most) each may be, and by what the machine may be slower."""
    name: str
    base: tuple[Samples, Samples]
    new: tuple[Samples, Samples]
    speeds: tuple[float, ...]
    least: float
    text: tuple[str, str]
    medians: tuple[float, float]
    reference: tuple[bool, bool]  # whether base, and new, can be what the other one is judged by


def mann_whitney(first: Samples, second: Samples) -> float:
    """The probability, by chance alone, of second being larger so clearly. With ties; one-sided."""
    n, m = sum(count for _, count in first), sum(count for _, count in second)
    counts: dict[float, list[int]] = {}
    for which, samples in enumerate((first, second)):
        for value, count in samples:
            counts.setdefault(value, [0, 0])[which] += count
    below, u, ties = 0, 0.0, 0
    for value in sorted(counts):
        a, b = counts[value]
        u += b * (below + a / 2)
        below += a
        ties += (a + b) ** 3 - (a + b)
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 1.0
    return statistics.NormalDist().cdf(-(u - n * m / 2 - 0.5) / math.sqrt(variance))


def bounds(d: Distribution) -> tuple[Samples, Samples]:
    """The least and the most that each sample can be: four buckets an octave."""
    ends = [start + (1 << (start.bit_length() - 3)) for start, _ in d.histogram]
    return ([(max(start, d.min), n) for start, n in d.histogram],
            [(min(end, d.max), n) for end, (_, n) in zip(ends, d.histogram)])


def is_judged(m: Measurement) -> bool:
    """A high limit says that a kick may have to wait for something else, as long as that takes."""
    return not m.noisy and m.value.count >= LEAST_SAMPLES and (m.limit or 0) <= HIGH_LIMIT


def is_steady(m: Measurement) -> bool:
    """
    Whether another run may be judged by it: a kick that takes many times its baseline waits for
    something that the baseline does not have (a long instruction, say), and one that takes now this
    and now that would take something else in the next run.
    """
    return m.value.p50 <= STEADY * m.baseline.p50 and m.value.p90 <= STEADY * m.value.p10


def us(ns: float) -> str:
    return f"{ns / 1000:.3g} us"


def kick_trial(name: str, base: Measurement, new: Measurement) -> Trial | None:
    if not (is_judged(base) and is_judged(new)):
        return None
    speeds = (1, new.baseline.p50 / base.baseline.p50, new.baseline.p10 / base.baseline.p10)
    text = [f"{us(m.value.p50)} (beside {us(m.baseline.p50)})" for m in (base, new)]
    return Trial(name, bounds(base.value), bounds(new.value), speeds, FACTOR, (text[0], text[1]),
                 (base.value.p50, new.value.p50), (is_steady(base), is_steady(new)))


def by_name(case: Case) -> dict[str, Measurement]:
    """Of the repeats of a case, those that were measured last."""
    return {m.name: m for record in case.records for m in record.measurements}


def kick_trials(base: Run, new: Run) -> list[Trial]:
    trials = []
    for case in sorted(base.cases.keys() & new.cases.keys()):
        before, after = by_name(base.cases[case]), by_name(new.cases[case])
        for name in sorted(before.keys() & after.keys()):
            title = case if case.endswith(f"/{name}") else f"{case}: {name}"
            trials.append(kick_trial(title, before[name], after[name]))
    return [trial for trial in trials if trial]


def seconds(case: Case) -> list[float]:
    """Of the repeats that came to an end of their own."""
    return [record.seconds for record in case.records
            if record.seconds and record.verdict == "pass"]


def case_trials(base: Run, new: Run) -> list[Trial]:
    """The machine may be slower by what the cases are in the median."""
    pairs = {name: (seconds(base.cases[name]), seconds(new.cases[name]))
             for name in sorted(base.cases.keys() & new.cases.keys())}
    pairs = {name: pair for name, pair in pairs.items() if min(map(len, pair)) >= LEAST_REPEATS}
    medians = {name: (statistics.median(a), statistics.median(b)) for name, (a, b) in pairs.items()}
    speed = statistics.median(b / a for a, b in medians.values()) if pairs else 1
    trials = []
    for name, pair in pairs.items():
        samples: list[Samples] = [[(value, 1) for value in values] for values in pair]
        text = [f"{median * 1000:.3g} ms" for median in medians[name]]
        trials.append(Trial(name, (samples[0],) * 2, (samples[1],) * 2, (1, speed), FACTOR_CASES,
                            (text[0], text[1]), medians[name], (True, True)))
    return trials


def slower_by_chance(before: Samples, after: Samples, speeds: tuple[float, ...],
                     least: float) -> float:
    """By the explanation that is the most likely one."""
    return max(mann_whitney([(value * speed * least, n) for value, n in before], after)
               for speed in speeds)


def judge(trials: list[Trial]) -> list[Verdict]:
    """With Bonferroni's correction: each trial is two tests."""
    verdicts = []
    for t in trials:
        slower = slower_by_chance(t.base[1], t.new[0], t.speeds, t.least) if t.reference[0] else 1
        faster = slower_by_chance(t.new[1], t.base[0], tuple(1 / s for s in t.speeds),
                                  t.least) if t.reference[1] else 1
        p = min(slower, faster)
        if p < ALPHA / (2 * len(trials)):
            ratios = [t.medians[1] / t.medians[0] / speed for speed in t.speeds]
            factor = min(ratios) if slower < faster else 1 / max(ratios)
            verdicts.append(Verdict(t.name, slower < faster, factor, p, *t.text))
    return verdicts
