"""Epsilon by an independent accountant: dp-accounting's privacy loss distributions."""

from __future__ import annotations

from functools import cache

import dp_accounting  # type: ignore[import-untyped]
from dp_accounting.pld import PLDAccountant  # type: ignore[import-untyped]
from dp_accounting.pld.privacy_loss_distribution import from_laplace_mechanism  # type: ignore[import-untyped]


@cache
def gaussian_epsilon(rate: float, sigma: float, steps: int, delta: float) -> float:
    """Epsilon of the Poisson-sampled Gaussian for adding or removing one record, by composing its PLD."""
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=2e-4)
    step = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(sigma))
    return float(accountant.compose(step, steps).get_epsilon(delta))


def laplace_epsilon_by_pld(scale: float, counts: int, delta: float, interval: float) -> float:
    """Epsilon of so many Laplace mechanisms of sensitivity 1; the finer the interval, the closer to the truth."""
    once = from_laplace_mechanism(scale, sensitivity=1, value_discretization_interval=interval)
    return float(once.self_compose(counts).get_epsilon_for_delta(delta))
