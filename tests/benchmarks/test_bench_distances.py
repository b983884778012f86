"""The speed of nearest distances, beside that of a loop over the candidates: read the ratio, not the seconds.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each runs once, on less, as a test.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from bench.devices import Device
from bench.distances import nearest
from bench.rng import generator

CANDIDATES, SAMPLES, PIXELS = 1000, 4000, 784


def loop(x: NDArray[np.float32], s: NDArray[np.float32]) -> NDArray[np.float64]:
    """One candidate at a time, as most published code does it."""
    return np.array([np.sqrt(np.min(np.sum((s - row) ** 2, axis=1))) for row in x])


def kernel(x: NDArray[np.float32], s: NDArray[np.float32]) -> NDArray[np.float64]:
    return nearest(x, s, Device())[0][:, 0]


@pytest.mark.benchmark(group="nearest of 4,000 samples for 1,000 candidates of 784 pixels", min_rounds=3, warmup=False)
@pytest.mark.parametrize("method", [kernel, loop], ids=["kernel", "loop"])
def test_nearest(benchmark: BenchmarkFixture, method: object) -> None:
    scale = 1 if benchmark.enabled else 20
    rng = generator(0, "benchmark distances")
    x = rng.random((CANDIDATES // scale, PIXELS), dtype=np.float32)
    s = rng.random((SAMPLES // scale, PIXELS), dtype=np.float32)
    found = benchmark(method, x, s)
    np.testing.assert_allclose(found[:5], loop(x[:5], s), rtol=1e-4)
