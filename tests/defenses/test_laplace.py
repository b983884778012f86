"""The accountant of Laplace noise on counts, against closed forms, simulation and dp-accounting."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from accountants import laplace_epsilon_by_pld
from scipy import integrate, optimize, stats

from defenses._laplace import dominating_losses, laplace_epsilon, laplace_rdp_epsilon, laplace_scale_for

# (scale, counts, delta, grid interval of the independent accountant)
SETTINGS = [
    (0.2, 2, 1e-9, 1e-3),
    (0.5, 6, 1e-5, 1e-3),
    (1.0, 2, 1e-5, 1e-4),
    (1.0, 40, 1e-3, 1e-3),
    (2.0, 100, 1e-6, 1e-3),
    (3.0, 1, 1e-4, 1e-4),
    (5.0, 20, 1e-5, 1e-4),
    (10.0, 2, 1e-5, 1e-4),
    (20.0, 200, 1e-5, 1e-4),
    (20.0, 2000, 1e-9, 1e-4),
    (20.0, 200, 0.3, 1e-4),
    (50.0, 1000, 1e-3, 1e-4),
    (100.0, 20_000, 1e-5, 1e-3),
    (300.0, 192_000, 1e-5, 1 / 1500),
    (1000.0, 50_000, 1e-6, 1 / 4000),
    (5e4, 1000, 1e-6, 1e-6),
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_epsilon_agrees_with_an_independent_accountant(setting: tuple[float, int, float, float]) -> None:
    scale, counts, delta, _ = setting
    found, truth = laplace_epsilon(scale, counts, delta), laplace_epsilon_by_pld(*setting)
    assert truth - 1e-3 <= found <= truth * 1.005 + 1e-3
    assert found <= counts / scale
    assert laplace_rdp_epsilon(scale, counts, delta) >= found


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-4, 0.02])
def test_one_count_spends_what_the_closed_form_says(scale: float, delta: float) -> None:
    """delta = 1 - exp((epsilon - 1/b) / 2) for epsilon from 0 to 1/b (Balle, Barthe and Gaboardi, 2018, theorem 3)."""
    exact = max(0.0, 1 / scale + 2 * math.log(1 - delta))
    assert exact - 1e-9 <= laplace_epsilon(scale, 1, delta) <= exact + 2e-3 * exact + 1e-9


@pytest.mark.parametrize(("scale", "counts"), [(1.0, 7), (4.0, 60), (0.2, 3)])
def test_epsilon_is_that_of_simulated_losses(scale: float, counts: int) -> None:
    noise = np.random.Generator(np.random.PCG64(0)).laplace(0, scale, (100_000, counts))
    losses = ((np.abs(noise - 1) - np.abs(noise)) / scale).sum(axis=1)
    simulated = optimize.brentq(lambda e: np.maximum(0, 1 - np.exp(e - losses)).mean() - 0.05, 0, counts / scale)
    assert laplace_epsilon(scale, counts, 0.05) == pytest.approx(simulated, rel=0.01)


@pytest.mark.parametrize(("scale", "cells"), [(0.1, 50), (1.0, 1), (1.0, 8), (30.0, 3)])
def test_the_grid_dominates_the_pair_and_is_a_pair_itself(scale: float, cells: int) -> None:
    p = dominating_losses(scale, cells)
    loss = np.linspace(-1 / scale, 1 / scale, 2 * cells + 1)
    assert p.min() >= 0
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p @ np.exp(-loss) == pytest.approx(1, abs=1e-12)  # the other distribution of the pair
    for epsilon in np.linspace(-1 / scale, 1 / scale, 101):
        above = loss > epsilon
        delta = float(p[above] @ (1 - np.exp(epsilon - loss[above])))
        exact = hockey_stick(scale, float(epsilon))
        assert delta >= exact - 1e-12
        if np.abs(loss - epsilon).min() < 1e-12:
            assert delta == pytest.approx(exact, abs=1e-12)


def hockey_stick(scale: float, epsilon: float) -> float:
    """The integral of (p - exp(epsilon) q)+ for Laplace(0, b) and Laplace(1, b), by its single crossing point."""
    crossing = (1 - epsilon * scale) / 2  # p exceeds exp(epsilon) q left of it
    p, q = stats.laplace(0, scale), stats.laplace(1, scale)
    return float(p.cdf(crossing) - math.exp(epsilon) * q.cdf(crossing))


@pytest.mark.parametrize("scale", [0.5, 2.0, 40.0])
def test_the_renyi_bound_is_the_integrals(scale: float) -> None:
    def divergence(order: float) -> float:
        def integrand(x: float) -> float:  # of p^order q^(1 - order), over its largest value
            return math.exp(((1 - order) - order * abs(x) - (1 - order) * abs(x - 1)) / scale) / (2 * scale)

        parts = [(-60 * scale, 0), (0, 1), (1, 1 + 60 * scale)]
        total = sum(integrate.quad(integrand, *part)[0] for part in parts)
        return (math.log(total) + (order - 1) / scale) / (order - 1)

    orders = np.concatenate([np.linspace(1.01, 4, 80), np.geomspace(4, 500, 80)])
    by_integral = min(50 * divergence(order) + math.log(1e5) / (order - 1) for order in orders)
    assert laplace_rdp_epsilon(scale, 50, 1e-5) == pytest.approx(by_integral, rel=3e-3)


def test_no_counts_spend_nothing_and_more_counts_or_less_noise_spend_more() -> None:
    assert (laplace_epsilon(1.0, 0, 1e-5), laplace_rdp_epsilon(1.0, 0, 1e-5)) == (0.0, 0.0)
    by_counts = [laplace_epsilon(30.0, counts, 1e-5) for counts in (1, 2, 8, 100, 3000, 100_000)]
    by_scale = [laplace_epsilon(scale, 100, 1e-5) for scale in (300.0, 30.0, 5.0, 1.0, 0.3)]
    for found in (by_counts, by_scale):
        assert all(b > a for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("scale", "counts"), [(0.01, 1000), (0.05, 192_000), (1.0, 1_000_000), (3000.0, 12_800_000), (1e6, 10_000_000)]
)
def test_extreme_settings_lie_between_the_mean_loss_and_the_renyi_bound(scale: float, counts: int) -> None:
    mean = counts * (math.exp(-1 / scale) - 1 + 1 / scale)  # the divergence of order 1
    epsilon = laplace_epsilon(scale, counts, 1e-6)
    deviation = math.sqrt(2 * mean) if scale > 10 else 0.0
    assert mean + 3 * deviation < epsilon < laplace_rdp_epsilon(scale, counts, 1e-6) or epsilon == counts / scale


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1.0, 8.0, 50.0])
@pytest.mark.parametrize("counts", [1, 64, 20_000])
def test_the_scale_found_spends_the_budget_and_not_more(epsilon: float, counts: int) -> None:
    spent = laplace_epsilon(laplace_scale_for(epsilon, 1e-5, counts), counts, 1e-5)
    assert 0.99 * epsilon <= spent <= epsilon
