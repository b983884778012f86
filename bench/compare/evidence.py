"""How sure a difference between two boards is: training runs and records, with few runs or one.

The question is whether NEW would differ from BASE again if both were trained once more. Its scale is the variance from
one training run to the next, which two runs hardly show: Student's t with so few degrees of freedom would miss a leak
of .4. So the variance is moderated (Smyth, Stat. Appl. Genet. Mol. Biol. 2004, section 3): with s0 the spread that is
expected of this figure, counted as d0 degrees of freedom, and s^2 the variance seen within BASE and within NEW on
d = S_B + S_N - 2 degrees of freedom,

    v = (d0 s0^2 + d s^2) / (d0 + d),    t with d0 + d degrees of freedom.

BASE and NEW share one variance here because that is what an unchanged defense has, and it is the unchanged defense that
must not be accused. With one run on each side d = 0: only the expected spread is left, and a larger difference is
demanded. Runs of one seed are *not* paired: after a change of the defense they part ways within a few steps, and taking
them for independent is the safe side of what they may have in common.

Records enter as in the intervals of the board: half the 95 % interval is sqrt(t^2 v (1/S_B + 1/S_N) + z^2 w), w the
variance of the difference over records. Since runs on the same records differ by some of it already, it is counted
partly twice, and the test errs towards "same".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.compare.measures import SPREAD_DF, Figure

_LEVEL = 0.025  # one-sided level of a 95 % interval's ends
_SMALLEST_P = 1e-12
_STEPS = 60  # of the bisection; halves the exponent each time


@dataclass(frozen=True)
class Evidence:
    """One figure on both boards.

    Attributes:
        base_runs, new_runs: the figure of each training run.
        over_records: variance of the difference of the two means over records, given these trained models.
        identical: whether both boards hold the very same measurements, so that there is nothing to test.
    """

    base_runs: tuple[float, ...]
    new_runs: tuple[float, ...]
    over_records: float = 0.0
    identical: bool = False

    @property
    def base(self) -> float:
        """Mean over the runs of BASE."""
        return float(np.mean(self.base_runs))

    @property
    def new(self) -> float:
        """Mean over the runs of NEW."""
        return float(np.mean(self.new_runs))

    @property
    def difference(self) -> float:
        """NEW less BASE."""
        return 0.0 if self.identical else self.new - self.base


@dataclass(frozen=True)
class Judged:
    """What the evidence says of a difference.

    Attributes:
        low, high: 95 % interval of NEW - BASE over training runs and records, not adjusted for other comparisons.
        p_rise, p_fall: one-sided p-values of "NEW is not larger" and "NEW is not smaller".
        spread: standard deviation from run to run that was used.
    """

    low: float
    high: float
    p_rise: float
    p_fall: float
    spread: float


def judge(evidence: Evidence, figure: Figure) -> Judged:
    """The difference's interval and p-values."""
    if evidence.identical:
        return Judged(0.0, 0.0, 1.0, 1.0, 0.0)
    spread, df = run_spread(evidence, figure)
    runs = spread * math.sqrt(1 / len(evidence.base_runs) + 1 / len(evidence.new_runs))
    records = math.sqrt(evidence.over_records)
    d = evidence.difference
    half = _half_width(_LEVEL, runs, records, df)
    p = _p_value(abs(d), runs, records, df)
    return Judged(d - half, d + half, *((p, 1 - p) if d >= 0 else (1 - p, p)), spread)


def run_spread(evidence: Evidence, figure: Figure) -> tuple[float, int]:
    """The moderated standard deviation between training runs, and its degrees of freedom."""
    runs = (np.array(evidence.base_runs), np.array(evidence.new_runs))
    expected = figure.spread or 0.0
    if figure.relative:
        # Never below what records alone could move it by: an unbiased distance may be 0 or less.
        expected *= max(_level(evidence.base, evidence.new), math.sqrt(evidence.over_records))
    seen = sum(float(((side - side.mean()) ** 2).sum()) for side in runs)
    df = SPREAD_DF + sum(len(side) - 1 for side in runs)
    return math.sqrt((SPREAD_DF * expected**2 + seen) / df), df


def _level(base: float, new: float) -> float:
    """What a share is a share of: the geometric mean, so that five times as much is as far as a fifth."""
    return math.sqrt(base * new) if base * new > 0 else abs(base + new) / 2


def least_difference(evidence: Evidence, figure: Figure, level: float) -> float:
    """The smallest difference whose one-sided p-value is ``level``, given the spread that was seen."""
    if evidence.identical:
        return 0.0
    spread, df = run_spread(evidence, figure)
    runs = spread * math.sqrt(1 / len(evidence.base_runs) + 1 / len(evidence.new_runs))
    return _half_width(level, runs, math.sqrt(evidence.over_records), df)


def jackknife_variance(lows: Sequence[float], highs: Sequence[float]) -> float:
    """Variance over records of a mean over runs, from the 95 % interval of each run.

    The runs share their holdout, so their errors move together by an unknown amount; whatever it is, the standard
    deviation of the mean is at most the mean of the standard deviations.
    """
    return float(np.mean([(high - low) / (2 * 1.959963984540054) for low, high in zip(lows, highs, strict=True)])) ** 2


def _half_width(level: float, runs: float, records: float, df: int) -> float:
    """How large a difference has this one-sided p-value."""
    from scipy.special import ndtri, stdtrit

    return math.hypot(float(stdtrit(df, 1 - level)) * runs, float(ndtri(1 - level)) * records)


def _p_value(difference: float, runs: float, records: float, df: int) -> float:
    """The one-sided level at which the half width is the difference, in (0, .5]; by bisection of its logarithm."""
    if difference <= 0 or (runs == 0 and records == 0):
        return 0.5 if difference <= 0 else _SMALLEST_P
    low, high = math.log(_SMALLEST_P), math.log(0.5)
    if _half_width(_SMALLEST_P, runs, records, df) <= difference:
        return _SMALLEST_P
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _half_width(math.exp(middle), runs, records, df) > difference:
            low = middle
        else:
            high = middle
    return math.exp(high)
