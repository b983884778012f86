"""How often an interval holds the truth, counted over simulated data sets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from score_models import Floats, ScoreModel

from bench.metrics.intervals import interval_columns
from bench.metrics.privacy import Statistics, accuracy_of
from bench.metrics.roc import Bools, threshold_counts, weighted_auc
from bench.rng import generator


@dataclass
class Coverage:
    """Shares of simulated data sets.

    Attributes:
        held: for each data set, whether the interval held the truth.
        below, above: whether the truth lay below or above it.
        widths: of the intervals.
    """

    held: list[bool] = field(default_factory=list)
    below: list[bool] = field(default_factory=list)
    above: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def add(self, truth: float, low: float, high: float) -> None:
        self.held.append(low <= truth <= high)
        self.below.append(truth < low)
        self.above.append(truth > high)
        self.widths.append(high - low)

    @property
    def share(self) -> float:
        return float(np.mean(self.held))

    @property
    def error(self) -> float:
        """Standard error of ``share`` from the number of data sets, at a true share of .95."""
        return math.sqrt(0.95 * 0.05 / len(self.held))

    def within(self, least: float, most: float = 1.0) -> bool:
        """Whether the share lies between the two, but for twice the error of so many data sets."""
        return least - 2 * self.error <= self.share <= most + 2 * self.error

    def __str__(self) -> str:
        return (
            f"{self.share:.3f} +- {self.error:.3f} (truth below {np.mean(self.below):.3f}, above "
            f"{np.mean(self.above):.3f}; mean width {np.mean(self.widths):.3f}; {len(self.held)} data sets)"
        )


def auc_and_accuracy(scores: Floats, membership: Bools, weights: NDArray[Any]) -> dict[str, Floats]:
    counts = threshold_counts(scores, membership, weights)
    return {"auc": weighted_auc(scores, membership, weights), "accuracy": accuracy_of(counts)}


def only_auc(scores: Floats, membership: Bools, weights: NDArray[Any]) -> dict[str, Floats]:
    return {"auc": weighted_auc(scores, membership, weights)}


def only_tpr(scores: Floats, membership: Bools, weights: NDArray[Any]) -> dict[str, Floats]:
    return {"tpr_at_1pct_fpr": threshold_counts(scores, membership, weights).tpr_at_fpr(0.01)[0]}


def of_records(
    model: ScoreModel,
    sizes: tuple[int, int],
    runs: int,
    statistics: Statistics,
    truths: Mapping[str, float],
    resamples: int = 400,
) -> dict[str, Coverage]:
    """Coverage of the intervals over records, a model's scores drawn anew for each data set."""
    m, n = sizes
    member = np.arange(m + n) < m
    found = {name: Coverage() for name in truths}
    drawn: Iterable[Floats] = model.draw(generator(0, "study", model.name, m, n), runs, m, n)
    for run, scores in enumerate(drawn):
        columns = interval_columns(scores[None], member, statistics, run, resamples, "study")
        for name, truth in truths.items():
            low, high = columns[f"{name}_low"], columns[f"{name}_high"]
            assert low is not None
            assert high is not None
            found[name].add(truth, low, high)
    return found
