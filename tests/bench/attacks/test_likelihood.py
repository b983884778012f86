"""The arithmetic of likelihood ratios, against scipy and against loops over models and records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, log_expit

from bench.attacks import _likelihood as likelihood
from bench.errors import InputError
from bench.rng import generator

RNG = generator(0, "likelihood tests")
VALUES = 3 * RNG.normal(size=(7, 40)) + 5 * RNG.normal(size=40) + 100
TRAINED = RNG.random((7, 40)) < 0.5
TRAINED[0], TRAINED[1] = True, False
TRAINED[:, 0], TRAINED[:, 1], TRAINED[:, 2], TRAINED[:, 3] = False, True, np.arange(7) < 1, np.arange(7) < 6


def looped_means(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    columns = zip(values.T, mask.T, strict=True)
    return np.array([np.mean([v for v, m in zip(*pair, strict=True) if m] or [np.nan]) for pair in columns])


def test_centred_takes_each_models_mean() -> None:
    levels = np.arange(7)[:, None] * 10.0
    np.testing.assert_allclose(likelihood.centred(VALUES + levels), likelihood.centred(VALUES), atol=1e-10)
    np.testing.assert_allclose(likelihood.centred(np.array([1.0, 2.0, 6.0])), [-2, -1, 3])


def test_standardised_by_hand() -> None:
    base = np.array([True, True, True, True, False])
    found = likelihood.standardised(np.array([1.0, 2.0, 4.0, 9.0, 12.0]), base)
    np.testing.assert_allclose(found, (np.array([1, 2, 4, 9, 12]) - 3) / 2.5)  # |-2| + |-1| + 1 + 6 over 4


def test_no_offset_and_no_scale_counts_once_standardised() -> None:
    base = np.arange(40) % 3 > 0
    plain = likelihood.standardised(VALUES[0], base)
    np.testing.assert_allclose(likelihood.standardised(1e-6 * VALUES[0] - 40, base), plain, rtol=1e-6, atol=1e-6)


def test_where_the_base_is_constant_the_unit_is_that_of_all_values() -> None:
    values, base = np.array([0.0, 0.0, 0.0, 5.0]), np.array([True, True, True, False])
    np.testing.assert_allclose(likelihood.standardised(values, base), [0, 0, 0, 4])


@pytest.mark.parametrize("values", [np.full(5, 0.1), np.full(5, 0.1) + 1e-17 * np.arange(5), np.zeros(5)])
def test_constant_values_become_nothing(values: NDArray[np.float64]) -> None:
    assert likelihood.standardised(values, np.ones(5, dtype=bool)).tolist() == [0] * 5


def test_means_where_there_are_any() -> None:
    np.testing.assert_allclose(likelihood.mean_where(VALUES, TRAINED), looped_means(VALUES, TRAINED))
    assert np.isnan(likelihood.mean_where(VALUES, TRAINED)[0])


def test_logarithms_of_means() -> None:
    logs = -np.abs(VALUES)
    np.testing.assert_allclose(
        likelihood.log_mean_where(logs, TRAINED), np.log(looped_means(np.exp(logs), TRAINED)), rtol=1e-10
    )
    far = likelihood.log_mean_where(logs - 1e5, TRAINED)  # whose exponentials are 0
    np.testing.assert_allclose(far + 1e5, likelihood.log_mean_where(logs, TRAINED), rtol=1e-6)


def test_a_record_that_lacks_in_or_out_is_moved_by_the_average_shift() -> None:
    inside, outside = likelihood.in_and_out(VALUES, TRAINED)
    ins, outs = looped_means(VALUES, TRAINED), looped_means(VALUES, ~TRAINED)
    shift = np.nanmean(ins - outs)
    np.testing.assert_allclose(inside[0], outs[0] + shift)
    np.testing.assert_allclose(outside[1], ins[1] - shift)
    np.testing.assert_allclose(inside[2:], ins[2:])
    np.testing.assert_allclose(outside[2:], outs[2:])


def test_where_no_record_has_both_the_shift_is_between_all_values() -> None:
    values, trained = np.array([[1.0, 2.0, 10.0, 13.0]]), np.array([[False, False, True, True]])
    inside, outside = likelihood.in_and_out(values, trained)
    assert inside.tolist() == [11, 12, 10, 13]
    assert outside.tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize("trained", [np.zeros_like(TRAINED), np.ones_like(TRAINED)])
def test_without_any_in_or_out_there_is_no_shift(trained: NDArray[np.bool_]) -> None:
    with pytest.raises(InputError, match="trained on some of the records and not on others, got none of one kind"):
        likelihood.in_and_out(VALUES, trained)
    with pytest.raises(InputError, match="got none of one kind"):
        likelihood.log_marginal_online(-np.abs(VALUES), trained)


def test_variances_are_unbiased_and_pooled_within_records() -> None:
    found = likelihood.variances(VALUES, TRAINED)
    squares, free = 0.0, 0
    for r in range(40):
        values = VALUES[TRAINED[:, r], r]
        if len(values) < 2:
            assert np.isnan(found.own[r])
            continue
        np.testing.assert_allclose(found.own[r], np.var(values, ddof=1))
        squares, free = squares + np.var(values) * len(values), free + len(values) - 1
    assert found.pooled == pytest.approx(squares / free)
    assert np.flatnonzero(np.isnan(found.own)).tolist()[:2] == [0, 2]


def test_variance_to_use() -> None:
    first, second = likelihood.variances(VALUES, TRAINED), likelihood.variances(VALUES, ~TRAINED)
    pooled = likelihood.variance_of(first, second, VALUES, pooled=True)
    assert pooled.tolist() == [first.pooled] * 40
    own = likelihood.variance_of(first, second, VALUES, pooled=False)
    assert own[[0, 2]].tolist() == [first.pooled] * 2
    several = np.isfinite(first.own)
    assert several.sum() > 20
    np.testing.assert_allclose(own[several], first.own[several])
    once = likelihood.variances(VALUES, np.eye(7, 40, dtype=bool))
    assert once.pooled is None
    assert likelihood.variance_of(once, second, VALUES, pooled=True).tolist() == [second.pooled] * 40
    np.testing.assert_allclose(likelihood.variance_of(once, once, VALUES, pooled=True), VALUES.var())


def test_ties_have_the_least_variance_and_constants_have_one() -> None:
    values = np.array([[0.0, 1.0], [0.0, 3.0]])
    both = likelihood.variances(values, np.ones((2, 2), dtype=bool))
    found = likelihood.variance_of(both, both, values, pooled=False)
    np.testing.assert_allclose(found, [1e-6 * values.var(), 2])
    assert likelihood.spread(np.full((3, 4), 0.3)) == 1


def test_log_ratio_is_that_of_normal_densities() -> None:
    s, mean_in, mean_out = RNG.normal(size=(3, 50)) * 10
    var_in, var_out = RNG.uniform(0.1, 9, (2, 50))
    expected = stats.norm.logpdf(s, mean_in, var_in**0.5) - stats.norm.logpdf(s, mean_out, var_out**0.5)
    np.testing.assert_allclose(likelihood.log_ratio(s, mean_in, var_in, mean_out, var_out), expected, rtol=1e-9)


def test_log_logistic() -> None:
    u = np.array([-1e6, -800, -3, 0, 3, 800, 1e6])
    np.testing.assert_allclose(likelihood.log_logistic(u), log_expit(u), rtol=1e-12)


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
def test_log_marginal(a: float) -> None:
    p = np.array([1e-12, 0.2, 1.0])
    np.testing.assert_allclose(
        likelihood.log_marginal(np.log(p), a), np.log(((1 + a) * p + (1 - a)) / 2), rtol=1e-12, atol=1e-15
    )


def test_log_marginal_of_what_is_all_but_impossible() -> None:
    assert likelihood.log_marginal(np.array([-1e5]), 0.5)[0] == pytest.approx(np.log(0.25))
    assert likelihood.log_marginal(np.array([-1e5]), 1.0)[0] == pytest.approx(-1e5)


@pytest.mark.parametrize("given", [None, 0.0, 0.25, 1.0])
def test_log_marginal_online(given: float | None) -> None:
    """Record 0 was trained on by no shadow, and record 1 by all."""
    p = expit(VALUES - 100 + TRAINED)
    found = np.exp(likelihood.log_marginal_online(np.log(p), TRAINED, given))
    p_in, p_out = looped_means(p, TRAINED), looped_means(p, ~TRAINED)
    both = ~np.isnan(p_in + p_out)
    a = given if given is not None else np.mean(1 - p_in[both]) / np.mean(1 - p_out[both])
    assert 0 <= a <= 1
    np.testing.assert_allclose(found[2:], (p_in + p_out)[2:] / 2)
    np.testing.assert_allclose(found[0], (p_out[0] + a * p_out[0] + 1 - a) / 2)
    lacking = 0.0 if a == 0 else np.clip((p_in[1] - 1 + a) / a, 0, p_in[1])
    np.testing.assert_allclose(found[1], (p_in[1] + lacking) / 2)


def test_log_marginal_online_where_no_record_has_both() -> None:
    p, trained = np.array([[0.2, 0.4, 0.9, 0.7]]), np.array([[False, False, True, True]])
    a = 0.2 / 0.7
    expected = [(0.2 * (1 + a) + 1 - a) / 2, (0.4 * (1 + a) + 1 - a) / 2, (0.9 + (a - 0.1) / a) / 2, 0.7 / 2]
    np.testing.assert_allclose(np.exp(likelihood.log_marginal_online(np.log(p), trained)), expected)


@settings(deadline=None)
@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=30),
    st.lists(st.integers(-20, 20), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_shares_are_those_of_every_pair(x: list[int], z: list[int], gamma: int) -> None:
    """Powers of two, so that ties are exact."""
    found = likelihood.share_beaten(np.array(x) * np.log(2), np.array(z) * np.log(2), 1.0)
    assert found.tolist() == [sum(2.0**a / 2.0**b >= 1 for b in z) / len(z) for a in x]
    half = np.log(2) / 2  # between the powers, no rounding decides
    found = likelihood.share_beaten(np.array(x) * np.log(2) + half, np.array(z) * np.log(2), 2.0**gamma)
    assert found.tolist() == [sum(2.0 ** (a + 0.5 - b) >= 2.0**gamma for b in z) / len(z) for a in x]
