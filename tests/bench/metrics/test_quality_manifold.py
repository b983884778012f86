"""Density and coverage against a naive loop and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.manifold import density_coverage
from bench.rng import generator


def draw(n: int, d: int, seed: int) -> NDArray[np.float64]:
    return generator(seed, "test").standard_normal((n, d))


def naive(samples: NDArray[np.float64], real: NDArray[np.float64], k: int) -> tuple[float, float]:
    inside = np.zeros((len(real), len(samples)), dtype=bool)
    for i, centre in enumerate(real):
        others = sorted(np.linalg.norm(centre - other) for j, other in enumerate(real) if j != i)
        for j, sample in enumerate(samples):
            inside[i, j] = np.linalg.norm(centre - sample) < others[k - 1]
    return inside.sum() / (k * len(samples)), sum(row.any() for row in inside) / len(real)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_equals_the_loop(k: int, scale: float) -> None:
    samples, real = draw(40, 3, 0) * scale, draw(40, 3, 1)
    assert density_coverage(samples, real, k) == pytest.approx(naive(samples, real, k), abs=1e-12)


def test_a_copy_of_the_real_records_has_density_and_coverage_one() -> None:
    real = draw(100, 20, 2)
    assert density_coverage(real[::-1].copy(), real) == (1.0, 1.0)


def test_equal_distributions_have_the_expected_coverage() -> None:
    # A ball misses all n samples when its k nearest of the pooled 2 n - 1 others are real: the expectation of
    # Naeem et al., ICML 2020, section 3.2.
    n, k = 100, 5
    expected = 1 - np.prod([(n - 1 - i) / (2 * n - 1 - i) for i in range(k)])
    found = [density_coverage(draw(n, 4, 10 + 2 * t), draw(n, 4, 11 + 2 * t), k) for t in range(30)]
    density, coverage = np.mean(found, axis=0)
    assert coverage == pytest.approx(expected, abs=0.01)
    assert density == pytest.approx(1, abs=0.1)


def test_one_repeated_record_covers_almost_nothing() -> None:
    real = draw(100, 20, 3)
    _, coverage = density_coverage(np.repeat(real[:1], 100, axis=0), real)
    assert coverage < 0.4
    far = np.full((100, 20), 50.0)
    assert density_coverage(far, real) == (0.0, 0.0)


def test_a_common_offset_changes_nothing() -> None:
    samples, real = draw(60, 10, 4), draw(60, 10, 5)
    assert density_coverage(samples + 1e8, real + 1e8) == density_coverage(samples, real)


def test_unequal_sides_and_too_few_records_are_refused() -> None:
    with pytest.raises(InputError, match=r"same n on both sides, got \(10, 4\) and \(11, 4\)"):
        density_coverage(draw(10, 4, 0), draw(11, 4, 0))
    with pytest.raises(InputError, match="got 5 records and k = 5"):
        density_coverage(draw(5, 4, 0), draw(5, 4, 1))
