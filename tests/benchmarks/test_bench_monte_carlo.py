"""The speed of counting samples within a radius, beside a loop over the candidates: read the ratio, not the seconds.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each runs once, on less, as a test. The loop is
in float64, as the kernel is, and over the same values.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from bench.attacks.monte_carlo import count_near
from bench.devices import Device
from bench.rng import generator

CANDIDATES, SAMPLES, PIXELS = 1000, 4000, 784

Values = NDArray[np.float64]


def loop(x: Values, s: Values) -> Values:
    """One candidate at a time, as most published code does it."""
    distances = [np.sqrt(np.sum((s - row) ** 2, axis=1)) for row in x]
    radius = np.median([np.min(row) for row in distances])
    return np.array([np.sum(row < radius) for row in distances], dtype=np.float64)


def kernel(x: Values, s: Values) -> Values:
    return count_near(x, s, Device())[0]


@pytest.mark.benchmark(group="4,000 samples near 1,000 candidates of 784 pixels", min_rounds=3, warmup=False)
@pytest.mark.parametrize("method", [kernel, loop], ids=["kernel", "loop"])
def test_count_near(benchmark: BenchmarkFixture, method: object) -> None:
    scale = 1 if benchmark.enabled else 20
    rng = generator(0, "benchmark monte carlo")
    x, s = (rng.random((n // scale, PIXELS)) for n in (CANDIDATES, SAMPLES))
    found = benchmark(method, x, s)
    if not benchmark.enabled:
        np.testing.assert_array_equal(found, loop(x, s))
