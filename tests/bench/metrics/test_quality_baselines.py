"""The PCA line."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from bench.errors import InputError
from bench.metrics.baselines import pca_gaussian
from bench.rng import generator


def digits() -> NDArray[np.float32]:
    """1,797 real digits as floats in [-1, 1], ``(n, 1, 8, 8)``."""
    x, _ = load_digits(return_X_y=True)
    return np.asarray(x / 8 - 1, dtype=np.float32).reshape(-1, 1, 8, 8)


def test_draws_have_the_shape_and_range_of_the_reference() -> None:
    drawn = pca_gaussian(digits(), 30, generator(0, "pca"))
    assert drawn.shape == (30, 1, 8, 8)
    assert drawn.dtype == np.float32
    assert np.abs(drawn).max() <= 1


def test_moments_are_those_of_the_kept_components() -> None:
    # Small values, so that clipping changes nothing.
    reference = digits()[:500] * np.float32(0.1)
    drawn = pca_gaussian(reference, 20_000, generator(1, "pca"), components=8).reshape(20_000, -1).astype(np.float64)
    flat = reference.reshape(500, -1).astype(np.float64)
    fitted = PCA(8, svd_solver="full").fit(flat)
    kept = fitted.components_.T * fitted.explained_variance_ @ fitted.components_
    np.testing.assert_allclose(drawn.mean(axis=0), flat.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), kept, atol=5e-2 * kept.max())
    assert np.linalg.matrix_rank(drawn - drawn.mean(axis=0), tol=1e-3) == 8


def test_fewer_records_than_components_are_enough() -> None:
    drawn = pca_gaussian(digits()[:5], 10, generator(2, "pca"))
    assert np.isfinite(drawn).all()


def test_the_generator_decides_the_draws() -> None:
    first, same, other = (pca_gaussian(digits()[:50], 4, generator(seed, "pca")) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_unusable_references_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2 reference records, got 1"):
        pca_gaussian(digits()[:1], 3, generator(0, "pca"))
    with pytest.raises(InputError, match=r"finite reference records in \[-1, 1\]"):
        pca_gaussian(np.full((5, 3), 200, dtype=np.uint8), 3, generator(0, "pca"))
    with pytest.raises(InputError, match="finite reference records"):
        pca_gaussian(np.full((5, 3), np.nan), 3, generator(0, "pca"))
