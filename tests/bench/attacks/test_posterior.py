"""The posterior of membership against closed forms and a naive isotonic regression, and whether it is calibrated."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from bench.attacks._posterior import (
    DECIMALS,
    NARROWEST,
    REFINEMENT,
    Posterior,
    bandwidth,
    bayes,
    brier,
    cross_fitted,
    fit_posterior,
    refined,
)
from bench.metrics.roc import auc
from bench.rng import generator

Values = NDArray[np.float64]


def drawn(n: int, mean: float, seed: int) -> Values:
    return generator(seed, "posterior tests").normal(mean, 1, n)


def known(n: int, shift: float = 1.5, seed: int = 0) -> tuple[Values, Values]:
    """u of members, N(-shift, 1), and of twice as many non-members, N(0, 1)."""
    return drawn(n, -shift, 2 * seed), drawn(2 * n, 0, 2 * seed + 1)


def law(u: Values, prior: float, shift: float = 1.5) -> Values:
    """P(member | u) of those two in closed form: a logistic function of u."""
    return expit(np.log(prior / (1 - prior)) - shift * u - shift**2 / 2)


@pytest.mark.parametrize("prior", [0.1, 1 / 3, 0.5, 0.9])
def test_posterior_of_gaussians_is_a_logistic_function(prior: float) -> None:
    """The share of members among the records that it is fitted on, a third, must not show."""
    posterior = fit_posterior(*known(20_000), prior)
    for u in known(2000, seed=9):  # of members, and of non-members: where records are
        assert np.abs(posterior(u) - law(u, prior)).mean() < 0.01
    u = np.linspace(-2.5, 1, 50)
    assert np.abs(posterior(u) - law(u, prior)).max() < 0.03


def test_bayes_rule_by_hand() -> None:
    members, nonmembers, prior, width = np.array([-1.0, 0.5]), np.array([0.0, 1.0, 3.0]), 0.3, 0.7
    u = np.linspace(-4, 5, 7)
    f1, f0 = (norm.pdf(u[:, None], v, width).mean(axis=1) for v in (members, nonmembers))
    wanted = 1 - (1 - prior) * f0 / (prior * f1 + (1 - prior) * f0)
    np.testing.assert_allclose(bayes(u, members, nonmembers, prior, width), wanted, rtol=1e-8)


def test_bayes_rule_where_both_densities_underflow() -> None:
    found = bayes(np.array([-1e4, 1e4]), np.array([-1.0]), np.array([1.0]), 0.5, 0.1)
    assert found.tolist() == [1, 0]


def pooled(values: list[float], weights: list[float]) -> list[float]:
    """The best never-rising sequence: neighbours that rise are replaced by their weighted mean, until none does."""
    blocks = [([v], [w]) for v, w in zip(values, weights, strict=True)]
    while True:
        means = [float(np.average(v, weights=w)) for v, w in blocks]
        rising = [i for i in range(len(means) - 1) if means[i] < means[i + 1]]
        if not rising:
            return [mean for mean, (v, _) in zip(means, blocks, strict=True) for _ in v]
        i = rising[0]
        blocks[i : i + 2] = [(blocks[i][0] + blocks[i + 1][0], blocks[i][1] + blocks[i + 1][1])]


def test_it_is_the_best_that_never_rises() -> None:
    members, nonmembers = known(15, shift=0)
    posterior = fit_posterior(members, nonmembers, 0.4)
    assert (np.diff(posterior.probabilities) <= 1e-12).all()
    u = posterior.knots
    raw = bayes(u, members, nonmembers, 0.4, bandwidth(members, nonmembers))
    assert (np.diff(raw) > 0).any()
    both = np.concatenate([members, nonmembers])
    weights = np.repeat([0.4 / 15, 0.6 / 30], [15, 30])
    both = np.round(both, DECIMALS)
    assert np.array_equal(u, np.unique(both))
    # Few records, many quantiles: each record is a knot, and weighs as much as it occurs.
    wanted = pooled(raw.tolist(), [float(weights[both == value].sum()) for value in u])
    np.testing.assert_allclose(posterior.probabilities, wanted, atol=5e-3)


def test_values_that_differ_by_rounding_alone_are_one_knot() -> None:
    u = 1 + np.arange(40) * 1e-16
    posterior = fit_posterior(u, u + 1e-15, 0.3)
    assert np.isfinite(posterior.probabilities).all()
    np.testing.assert_allclose(posterior(np.array([0.0, 1.0, 2.0])), 0.3)


def test_beyond_all_that_is_known_it_stays() -> None:
    posterior = Posterior(np.array([0.0, 1.0]), np.array([0.8, 0.2]))
    np.testing.assert_allclose(posterior(np.array([-9.0, 0.0, 0.25, 1.0, 9.0])), [0.8, 0.8, 0.65, 0.2, 0.2])


@pytest.mark.parametrize("value", [0.0, -7.0])
def test_u_that_is_the_same_for_all_leaves_the_prior(value: float) -> None:
    found = fit_posterior(np.full(20, value), np.full(30, value), 0.25)(np.array([value, value - 1, value + 1]))
    np.testing.assert_allclose(found, 0.25)


def test_bandwidth_is_silverman_s_within_each_kind() -> None:
    members, nonmembers = known(500, shift=40)
    within = np.concatenate([members + 40, nonmembers])
    wanted = 0.9 * min(within.std(), np.subtract(*np.quantile(within, [0.75, 0.25])) / 1.34) * 500**-0.2
    assert bandwidth(members, nonmembers) == pytest.approx(wanted, rel=0.02)
    assert bandwidth(np.zeros(5), np.ones(9)) == NARROWEST


def test_brier_by_hand() -> None:
    assert brier(np.array([1.0, 0.5]), np.array([0.0, 0.0, 0.3]), 0.2) == pytest.approx(0.2 * 0.125 + 0.8 * 0.03)
    assert brier(np.full(4, 0.2), np.full(3, 0.2), 0.2) == pytest.approx(0.2 * 0.8)


def test_cross_fitting_is_calibrated_on_models_it_has_not_seen() -> None:
    prior, models = 0.4, [known(800, seed=seed) for seed in range(4)]
    inside, outside = cross_fitted(models, prior)
    assert (len(inside), len(outside)) == (3200, 6400)
    u_in, u_out = (np.concatenate(values) for values in zip(*models, strict=True))
    best = brier(law(u_in, prior), law(u_out, prior), prior)
    assert best - 0.001 < brier(inside, outside, prior) < best + 0.005 < prior * (1 - prior)
    # Of the records that are given about p, a share of about p are members.
    p, truth = np.concatenate([inside, outside]), np.repeat([1.0, 0.0], [3200, 6400])
    weight = np.repeat([prior / 3200, (1 - prior) / 6400], [3200, 6400])
    for low in np.arange(0, 1, 0.2):
        these = (p >= low) & (p < low + 0.2)
        assert np.average(truth[these], weights=weight[these]) == pytest.approx(
            np.average(p[these], weights=weight[these]), abs=0.05
        )


def test_cross_fitting_finds_nothing_where_nothing_is() -> None:
    prior, models = 0.4, [known(800, shift=0, seed=seed) for seed in range(3)]
    assert brier(*cross_fitted(models, prior), prior) == pytest.approx(prior * (1 - prior), abs=0.005)


def test_each_model_is_judged_by_the_others_alone() -> None:
    """A model whose members are plain to see, and one whose u says nothing."""
    plain, silent = (np.full(20, -1.0), np.full(20, 1.0)), (np.zeros(20), np.zeros(30))
    inside, outside = cross_fitted([plain, silent], 0.3)
    np.testing.assert_allclose(inside[:20], 0.3)  # by what the silent one teaches
    np.testing.assert_allclose(outside[:20], 0.3)
    own = fit_posterior(*plain, 0.3)
    assert own(plain[0]).min() > 0.99
    np.testing.assert_array_equal(inside[20:], own(silent[0]))


def test_refined_probabilities_are_in_the_order_of_u() -> None:
    members, nonmembers = known(200, shift=0.3)
    u = np.concatenate([members, nonmembers, np.array([-1e6, -1e3, 1e3, 1e6])])
    plain = fit_posterior(members, nonmembers, 0.3)(u)
    found = refined(plain, u, nonmembers)
    assert len(np.unique(plain)) < 0.9 * len(u)  # plateaus
    assert np.array_equal(np.argsort(-found), np.argsort(u))
    assert np.abs(found - plain).max() <= REFINEMENT
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_a_plateau_costs_auc_and_its_refinement_does_not() -> None:
    members, nonmembers = known(40, shift=1)
    u, membership = np.concatenate([members, nonmembers]), np.repeat([True, False], [40, 80])
    few = Posterior(np.array([-0.6, -0.4]), np.array([0.9, 0.1]))
    assert auc(few(u), membership) < auc(-u, membership) - 0.02
    assert auc(refined(few(u), u, nonmembers), membership) == auc(-u, membership)


def test_equal_u_stay_equal() -> None:
    found = refined(np.array([0.5, 0.5, 0.5]), np.array([1.0, 1.0, 0.0]), np.zeros(4))
    assert found[0] == found[1] < found[2]
