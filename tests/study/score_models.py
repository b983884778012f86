"""Populations of attack scores with known figures, for the simulations of coverage."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm, t

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]


@dataclass(frozen=True)
class ScoreModel:
    """Members' and non-members' scores, each by how it is drawn and by P(score > u) and P(score >= u).

    Attributes:
        auc: the population's AUC.
        grid: float64 ``(k,)``, the values that scores take; empty where they are continuous.
    """

    name: str
    members: Draw
    nonmembers: Draw
    above_m: Callable[[float], float]
    above_n: Callable[[float], float]
    auc: float
    grid: tuple[float, ...] = ()

    def draw(self, rng: np.random.Generator, runs: int, m: int, n: int) -> Floats:
        """Scores ``(runs, m + n)``, members first."""
        return np.concatenate([self.members(rng, (runs, m)), self.nonmembers(rng, (runs, n))], axis=1)

    def accuracy(self, m: int, n: int) -> float:
        """TPR where the highest m of m + n scores are called members, atoms split evenly."""

        def surplus(u: float) -> float:
            return m * self.above_m(u) + n * self.above_n(u) - m

        if not self.grid:
            return self.above_m(float(brentq(surplus, -1e3, 1e3)))
        cuts = [*self.grid, math.inf]
        low = max(i for i, u in enumerate(self.grid) if surplus(u - 1e-9) >= 0)
        here, above = cuts[low] - 1e-9, cuts[low + 1] - 1e-9
        part = -surplus(above) / (surplus(here) - surplus(above))
        return self.above_m(above) + part * (self.above_m(here) - self.above_m(above))

    def tpr(self, fpr: float) -> float:
        """Largest TPR with FPR <= ``fpr``; for continuous scores."""
        return self.above_m(float(brentq(lambda u: self.above_n(u) - fpr, -1e3, 1e3)))


def normal(auc: float, spread: float = 1.0, name: str = "") -> ScoreModel:
    """Normal scores; members' standard deviation is ``spread``, non-members' 1."""
    d = math.sqrt(1 + spread**2) * float(norm.ppf(auc))
    return ScoreModel(
        name or f"normal, AUC {auc}",
        lambda rng, size: d + spread * rng.standard_normal(size),
        lambda rng, size: rng.standard_normal(size),
        lambda u: float(norm.sf(u, d, spread)),
        lambda u: float(norm.sf(u)),
        auc,
    )


def log_normal() -> ScoreModel:
    """exp(normal), members three times as spread out: an ROC curve with a hook."""
    base = normal(0.6, 1.7)
    return ScoreModel(
        "lognormal, unequal, AUC .6",
        lambda rng, size: np.exp(base.members(rng, size)),
        lambda rng, size: np.exp(base.nonmembers(rng, size)),
        lambda u: base.above_m(math.log(max(u, 1e-300))),
        lambda u: base.above_n(math.log(max(u, 1e-300))),
        base.auc,
    )


def heavy_tails() -> ScoreModel:
    """Student's t with 2 degrees of freedom, members shifted by 1."""
    auc = float(quad(lambda u: t.sf(u - 1, 2) * t.pdf(u, 2), -np.inf, np.inf)[0])
    return ScoreModel(
        f"Student t, 2 df, AUC {auc:.2f}",
        lambda rng, size: 1 + rng.standard_t(2, size),
        lambda rng, size: rng.standard_t(2, size),
        lambda u: float(t.sf(u - 1, 2)),
        lambda u: float(t.sf(u, 2)),
        auc,
    )


def few_memorised() -> ScoreModel:
    """One member in ten stands out by 4, the rest not at all: the worst case of a generator that copies a few."""
    share, d = 0.1, 4.0
    return ScoreModel(
        "1 member in 10 memorised, AUC .55",
        lambda rng, size: rng.standard_normal(size) + d * (rng.random(size) < share),
        lambda rng, size: rng.standard_normal(size),
        lambda u: float((1 - share) * norm.sf(u) + share * norm.sf(u, d)),
        lambda u: float(norm.sf(u)),
        0.5 * (1 - share) + share * float(norm.cdf(d / math.sqrt(2))),
    )


def ties() -> ScoreModel:
    """Six values, as of an attack that counts: members' chances lean to the higher ones."""
    p_m, p_n = np.array([30, 24, 18, 12, 9, 7]) / 100, np.array([40, 26, 16, 9, 6, 3]) / 100
    values = np.arange(6.0)
    auc = float(sum(p_m[i] * (p_n[:i].sum() + p_n[i] / 2) for i in range(6)))

    def drawer(p: Floats) -> Draw:
        return lambda rng, size: rng.choice(values, size=size, p=p)

    return ScoreModel(
        f"six values, AUC {auc:.2f}",
        drawer(p_m),
        drawer(p_n),
        lambda u: float(p_m[values > u].sum()),
        lambda u: float(p_n[values > u].sum()),
        auc,
        tuple(values),
    )


def all_models() -> list[ScoreModel]:
    """What attacks' scores look like."""
    return [
        *(normal(auc) for auc in (0.5, 0.6, 0.75, 0.9)),
        heavy_tails(),
        ties(),
        log_normal(),
        few_memorised(),
    ]
