# SPDX-License-Identifier: MIT
"""
How often a case that fails only at times must be repeated. Of the doubt that is left to the whole
bisection (1 - confidence), one half goes to the rate that was measured on BAD having been luck, the
other one is shared by the steps.
"""

from __future__ import annotations

import math


def tail(bad: int, runs: int, rate: float) -> float:
    """The probability of at least so many bad ones among independent runs."""
    # summed in logarithms: binomial coefficients of thousands of runs are no floats
    if rate <= 0:
        return float(bad == 0)
    if rate >= 1:
        return 1.0
    return min(1.0, sum(math.exp(
        math.lgamma(runs + 1) - math.lgamma(k + 1) - math.lgamma(runs - k + 1)
        + k * math.log(rate) + (runs - k) * math.log1p(-rate)) for k in range(bad, runs + 1)))


def lowest_rate(bad: int, runs: int, doubt: float) -> float:
    """The lower end of Clopper and Pearson's interval: the true rate is lower with this doubt only."""
    if bad == 0:
        return 0.0
    low, high = 0.0, bad / runs
    for _ in range(60):
        middle = (low + high) / 2
        if tail(bad, runs, middle) < doubt:
            low = middle
        else:
            high = middle
    return low


def highest_rate(runs: int, doubt: float) -> float:
    """What a rate can be at most if none of so many runs was bad."""
    return 1 - doubt ** (1 / runs)


def rounds_needed(rate: float, doubt: float) -> int:
    """So many good runs of what is bad at this rate are seen with this probability at most."""
    return max(1, math.ceil(math.log(doubt) / math.log1p(-rate))) if 0 < rate < 1 else 1


def rounds_for_each(bad: int, runs: int, confidence: float, steps: int) -> tuple[int, float]:
    """How often each step is to be repeated, and the rate for which that is enough."""
    doubt = (1 - confidence) / 2
    rate = lowest_rate(bad, runs, doubt)
    return rounds_needed(rate, doubt / max(1, steps)), rate
