"""KID against torch-fidelity, a naive loop, and the literal leave-one-out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch_fidelity.metric_kid import kid_features_to_metric

from bench.errors import InputError
from bench.metrics.kernel_distance import kernel_distance
from bench.rng import generator


def draw(n: int, d: int, seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    return generator(seed, "test").standard_normal((n, d)) + shift


def naive(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The unbiased estimate pair by pair; the sides may differ in number."""

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within_x = [kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    within_y = [kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    cross = [kernel(a, b) for a in x for b in y]
    return 1000 * float(np.mean(within_x) + np.mean(within_y) - 2 * np.mean(cross))


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_equals_torch_fidelity_with_one_subset_of_all_records(shift: float) -> None:
    x, y = draw(120, 40, 0), draw(120, 40, 1, shift)
    found = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=1, kid_subset_size=120, verbose=False
    )
    assert kernel_distance(x, y).kid == pytest.approx(1000 * found["kernel_inception_distance_mean"], rel=1e-9)


def test_equals_the_pairwise_loop() -> None:
    x, y = draw(12, 5, 2), draw(12, 5, 3, 0.5)
    assert kernel_distance(x, y).kid == pytest.approx(naive(x, y), rel=1e-10)


def test_interval_equals_the_literal_leave_one_out() -> None:
    x, y = draw(14, 6, 4), draw(14, 6, 5, 0.4)
    without_x = np.array([naive(np.delete(x, i, axis=0), y) for i in range(14)])
    without_y = np.array([naive(x, np.delete(y, i, axis=0)) for i in range(14)])
    found = kernel_distance(x, y)
    np.testing.assert_allclose(found.without_x, without_x, rtol=1e-9)
    np.testing.assert_allclose(found.without_y, without_y, rtol=1e-9)
    variance = sum(13 / 14 * ((w - w.mean()) ** 2).sum() for w in (without_x, without_y))
    assert found.high - found.kid == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)
    assert found.kid - found.low == pytest.approx(found.high - found.kid, rel=1e-9)


def expected_kernel(first: float, second: float, d: int) -> float:
    """E (<a, b> / d + 1)^3 of independent a ~ N(first, I) and b ~ N(second, I), by the moments of <a, b>."""
    m, p, q = first * second * d, first**2 * d, second**2 * d
    z2, z3 = m**2 + p + q + d, m**3 + 3 * m * p + 3 * m * (q + d + 2)
    return z3 / d**3 + 3 * z2 / d**2 + 3 * m / d + 1


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_value_is_unbiased_and_the_interval_covers_the_true_distance(shift: float) -> None:
    d, trials = 8, 300
    kernels = expected_kernel(0, 0, d) + expected_kernel(shift, shift, d) - 2 * expected_kernel(0, shift, d)
    truth = 1000 * kernels
    found = [
        kernel_distance(draw(60, d, 1000 + 2 * trial), draw(60, d, 1001 + 2 * trial, shift)) for trial in range(trials)
    ]
    values = np.array([f.kid for f in found])
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(trials)
    # 95 % asked; 300 trials have a standard error of 1.3 points.
    assert np.mean([f.low <= truth <= f.high for f in found]) >= 0.91


def test_float32_features_are_computed_in_float64() -> None:
    x, y = draw(60, 300, 6).astype(np.float32), draw(60, 300, 7).astype(np.float32)
    assert kernel_distance(x, y).kid == kernel_distance(x.astype(np.float64), y.astype(np.float64)).kid


@given(seed=st.integers(0, 1000), n=st.integers(3, 12), d=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_sides_and_order_do_not_matter(seed: int, n: int, d: int) -> None:
    x, y = draw(n, d, seed), draw(n, d, seed + 1, 0.5)
    found, swapped = kernel_distance(x, y), kernel_distance(y[::-1], x)
    assert swapped.kid == pytest.approx(found.kid, rel=1e-9, abs=1e-6)
    assert swapped.low == pytest.approx(found.low, rel=1e-9, abs=1e-6)


def test_unequal_sides_are_refused() -> None:
    with pytest.raises(InputError, match=r"same n on both sides, got \(10, 4\) and \(11, 4\)"):
        kernel_distance(draw(10, 4, 0), draw(11, 4, 0))
    with pytest.raises(InputError, match="at least 3 records on each side, got 2"):
        kernel_distance(draw(2, 4, 0), draw(2, 4, 1))
