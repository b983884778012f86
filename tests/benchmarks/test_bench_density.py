"""The speed of kernel densities, beside that of a loop over the candidates: read the ratio, not the seconds.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each runs once, on less, as a test. The loop is
in float64, as the kernel is, and over the same values.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.special import logsumexp

from bench.attacks._density import kernel_log_density
from bench.devices import Device
from bench.rng import generator

CANDIDATES, SAMPLES = 1000, 4000
BANDWIDTH = 0.8

Values = NDArray[np.float64]


def loop(x: Values, s: Values) -> Values:
    """One candidate at a time, as most published code does it."""
    constant = np.log(len(s)) + x.shape[1] * np.log(BANDWIDTH * np.sqrt(2 * np.pi))
    return np.array([logsumexp(-np.sum((s - row) ** 2, axis=1) / (2 * BANDWIDTH**2)) - constant for row in x])


def kernel(x: Values, s: Values) -> Values:
    return kernel_log_density(x, s, BANDWIDTH, Device())


@pytest.mark.parametrize("dimensions", [32, 784])
@pytest.mark.benchmark(group="kernels of 4,000 samples at 1,000 candidates", min_rounds=3, warmup=False)
@pytest.mark.parametrize("method", [kernel, loop], ids=["kernel", "loop"])
def test_kernel_log_density(benchmark: BenchmarkFixture, method: object, dimensions: int) -> None:
    scale = 1 if benchmark.enabled else 20
    rng = generator(0, "benchmark density")
    x, s = (rng.normal(size=(n // scale, dimensions)) for n in (CANDIDATES, SAMPLES))
    found = benchmark(method, x, s)
    np.testing.assert_allclose(found[:5], loop(x[:5], s), rtol=1e-9)
