"""The speed of perturbed copies, beside a loop of scipy's over images: read the ratio, not the seconds.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each runs once, on less, as a test.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import ndimage

from bench.attacks._augment import rotated, shifted
from bench.rng import generator

IMAGES, SHAPE, DEGREES = 512, (1, 28, 28), 16.0

Images = NDArray[np.float32]
Perturb = Callable[[Images, NDArray[np.int64]], Images]


def shift_kernel(x: Images, moves: NDArray[np.int64]) -> Images:
    return shifted(x, moves, -moves)


def shift_loop(x: Images, moves: NDArray[np.int64]) -> Images:
    return np.stack(
        [
            ndimage.shift(image, (0, move, -move), order=0, mode="nearest", prefilter=False)
            for image, move in zip(x, moves, strict=True)
        ]
    )


def rotation_kernel(x: Images, moves: NDArray[np.int64]) -> Images:
    return rotated(x, DEGREES)


def rotation_loop(x: Images, moves: NDArray[np.int64]) -> Images:
    return np.stack([ndimage.rotate(i, DEGREES, axes=(1, 2), reshape=False, order=1, mode="nearest")[::1] for i in x])


def compare(benchmark: BenchmarkFixture, method: Perturb, loop: Perturb) -> None:
    rng = generator(0, "benchmark augment")
    x = rng.uniform(-1, 1, (IMAGES if benchmark.enabled else 8, *SHAPE)).astype(np.float32)
    moves = rng.integers(-3, 4, len(x))
    found = benchmark(method, x, moves)
    np.testing.assert_allclose(found[:5], loop(x[:5], moves[:5]), atol=1e-4)


@pytest.mark.benchmark(group="512 images of 28x28, each shifted by its own pixels", min_rounds=3, warmup=False)
@pytest.mark.parametrize("method", [shift_kernel, shift_loop], ids=["kernel", "loop"])
def test_shift(benchmark: BenchmarkFixture, method: Perturb) -> None:
    compare(benchmark, method, shift_loop)


@pytest.mark.benchmark(group="512 images of 28x28, rotated", min_rounds=3, warmup=False)
@pytest.mark.parametrize("method", [rotation_kernel, rotation_loop], ids=["kernel", "loop"])
def test_rotation(benchmark: BenchmarkFixture, method: Perturb) -> None:
    compare(benchmark, method, rotation_loop)
