"""Which part of divided records holds a member: how often an attack names the right one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.metrics.intervals import MIN_SEEDS, seed_half_width


@dataclass(frozen=True)
class PartReading:
    """How well an attack names the part (the client, the pair, the discriminator's records) of each member.

    Attributes:
        accuracy: share of the members whose part is named, mean over training runs.
        low, high: 95 % for so many members, by Wilson's interval; runs share their members and add none.
        chance: share of the members in the largest part, mean over runs: what always naming it gets. With even parts
            it is 1 / parts.
        parts: how many there are.
        members: how many members were judged.
        seed_low, seed_high: 95 % over training runs; None below 3 of them.
    """

    accuracy: float
    low: float
    high: float
    chance: float
    parts: int
    members: int
    seed_low: float | None = None
    seed_high: float | None = None


def read_parts(truth: NDArray[np.int64], named: NDArray[np.int64]) -> PartReading | None:
    """Accuracy over members; None where nobody is named at all.

    Args:
        truth: ``(runs, n)``, the part of each candidate; -1: not a member.
        named: ``(runs, n)``, the attack's word; -1: none.

    >>> read_parts(np.array([[0, 0, 1, 1, -1]]), np.array([[0, 0, 1, 0, 1]])).accuracy
    0.75
    """
    members = truth >= 0
    if not members.any() or not (named[members] >= 0).any():
        return None
    accuracies, chances, counts = [], [], []
    for row, word, inside in zip(truth, named, members, strict=True):
        accuracies.append(float((row[inside] == word[inside]).mean()))
        shares = np.bincount(row[inside]) / inside.sum()
        chances.append(float(shares.max()))
        counts.append(int(inside.sum()))
    accuracy, n = float(np.mean(accuracies)), min(counts)
    interval = binomtest(round(accuracy * n), n).proportion_ci(0.95, method="wilson")
    low, high = float(interval.low), float(interval.high)
    over_runs: dict[str, float] = {}
    if len(accuracies) >= MIN_SEEDS:
        half = seed_half_width(np.array(accuracies))
        over_runs = {
            "seed_low": max(0.0, accuracy - math.hypot(half, accuracy - low)),
            "seed_high": min(1.0, accuracy + math.hypot(half, high - accuracy)),
        }
    parts = int(truth.max()) + 1
    return PartReading(accuracy, low, high, float(np.mean(chances)), parts, n, **over_runs)
