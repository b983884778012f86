"""Mechanisms whose epsilon is known, as an auditor sees them: coins, and a score for each."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from bench.rng import generator

DELTA = 1e-5
Mechanism = Literal["randomised response", "gaussian", "none", "constant", "some members"]


class Seen(NamedTuple):
    """Coins bool ``(n,)``, scores float64 ``(n,)`` and record ids int64 ``(n,)`` of one run."""

    coins: NDArray[np.bool_]
    scores: NDArray[np.float64]
    ids: NDArray[np.int64]


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Delta of a Gaussian mechanism of sensitivity over deviation ``mu`` (Balle and Wang, ICML 2018, theorem 8)."""
    ratio = epsilon / mu
    return float(norm.cdf(mu / 2 - ratio) - math.exp(epsilon) * norm.cdf(-mu / 2 - ratio))


def gaussian_mu(epsilon: float, delta: float = DELTA) -> float:
    """Sensitivity over deviation at which a Gaussian mechanism is exactly (``epsilon``, ``delta``)-private."""
    return float(brentq(lambda mu: gaussian_delta(mu, epsilon) - delta, 1e-3, 50))


def delta_of(mechanism: Mechanism) -> float:
    """The delta at which the mechanism has its epsilon."""
    return 0.0 if mechanism == "randomised response" else DELTA


def observed(coins: NDArray[np.bool_], mechanism: Mechanism, strength: float, rng: np.random.Generator) -> Seen:
    """What a mechanism releases of each coin.

    Args:
        strength: epsilon; of ``some members`` the share of those that are given away.
    """
    n = len(coins)
    ids = rng.permutation(10 * n)[:n].astype(np.int64)
    if mechanism == "randomised response":
        told = rng.random(n) < 1 / (1 + math.exp(-strength))
        return Seen(coins, np.where(told, coins, ~coins).astype(np.float64), ids)
    if mechanism == "gaussian":
        return Seen(coins, gaussian_mu(strength) * coins + rng.normal(size=n), ids)
    if mechanism == "some members":
        return Seen(coins, rng.normal(size=n) + 8 * (coins & (rng.random(n) < strength)), ids)
    return Seen(coins, rng.normal(size=n) if mechanism == "none" else np.zeros(n), ids)


def one_run(n: int, mechanism: Mechanism, strength: float, run: int) -> Seen:
    """``n`` fair coins, and what a mechanism releases of them."""
    rng = generator(run, "audit mechanism", mechanism, str(strength), n)
    return observed(rng.random(n) < 0.5, mechanism, strength, rng)


def fixed_split(per_class: int, mechanism: Mechanism, strength: float, run: int) -> Seen:
    """As many members as non-members, and what a mechanism releases of them."""
    rng = generator(run, "audit on a fixed split", mechanism, str(strength), per_class)
    return observed(np.arange(2 * per_class) < per_class, mechanism, strength, rng)
