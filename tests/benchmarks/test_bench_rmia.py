"""The speed of RMIA's comparison of records, beside that of every pair: read the ratio, not the seconds.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each runs once, on less, as a test.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from bench.attacks._likelihood import share_beaten
from bench.rng import generator

CANDIDATES, REFERENCE, GAMMA = 5000, 2000, 1.5


def loop(log_x: NDArray[np.float64], log_z: NDArray[np.float64]) -> NDArray[np.float64]:
    """One candidate at a time against all reference records."""
    return np.array([np.mean(one - log_z >= np.log(GAMMA)) for one in log_x])


def kernel(log_x: NDArray[np.float64], log_z: NDArray[np.float64]) -> NDArray[np.float64]:
    return share_beaten(log_x, log_z, GAMMA)


@pytest.mark.benchmark(group="5,000 candidates against 2,000 reference records", min_rounds=3, warmup=False)
@pytest.mark.parametrize("method", [kernel, loop], ids=["kernel", "loop"])
def test_share_beaten(benchmark: BenchmarkFixture, method: object) -> None:
    scale = 1 if benchmark.enabled else 20
    rng = generator(0, "benchmark rmia")
    log_x, log_z = rng.normal(size=CANDIDATES // scale), rng.normal(size=REFERENCE // scale)
    found = benchmark(method, log_x, log_z)
    np.testing.assert_allclose(found[:50], loop(log_x[:50], log_z), atol=1e-12)
