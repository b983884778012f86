"""The speed of latent searches, beside that of scipy's for one candidate at a time: read the ratio, not the seconds.

``pytest tests/benchmarks --benchmark-enable`` compares them; without it each runs once, on less, as a test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.optimize import minimize

import bench.attacks._latent_search as module
from bench.attacks._latent_search import LatentLoss, SearchOptions
from bench.attacks._lbfgs import lbfgs
from bench.attacks._powell import powell
from bench.devices import Device
from bench.records import Schema
from bench.release import Release, View
from bench.rng import generator, torch_generator
from targets.dcgan import DCGAN
from targets.training import set_mode

GREY, LATENT = Schema("image", (1, 28, 28)), 20
CANDIDATES, SEARCHES = 64, 40  # points per candidate; Powell's takes one round instead

Method = Callable[[LatentLoss, NDArray[np.float64], int], NDArray[np.float64]]


@cache
def view() -> View:
    target = DCGAN(latent=LATENT)
    networks = target.build(GREY, torch_generator(0, "weights"))
    with torch.no_grad():
        for weights in networks["generator"][0].parameters():
            weights.mul_(3)  # fresh ones give all but the same image everywhere, and searches end at once
    set_mode(networks, train=False)
    return View("white_box", GREY, Device(), None, lambda: Release(target, networks, GREY, Device()))


def problem(n: int) -> tuple[LatentLoss, NDArray[np.float64]]:
    rng = generator(0, "benchmark latent search")
    x = rng.uniform(-1, 1, (n, *GREY.shape)).astype(np.float32)
    return LatentLoss(view(), x, None, (LATENT,), SearchOptions()), rng.normal(size=(n, LATENT))


def batched_lbfgs(loss: LatentLoss, start: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    return lbfgs(loss.slopes, start, points).loss


def scipys_lbfgs(loss: LatentLoss, start: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    def one(z: NDArray[np.float64], i: int) -> tuple[float, NDArray[np.float64]]:
        value, slope = loss.slopes(z[None], np.array([i]))
        return float(value[0]), slope[0]

    options = {"maxfun": points, "ftol": 1e-7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MULTIPLE", 1)  # a loop has no company whose rounding it must keep to
        searches = [
            minimize(one, z, args=(i,), jac=True, method="L-BFGS-B", options=options) for i, z in enumerate(start)
        ]
    return np.array([search.fun for search in searches])


def batched_powell(loss: LatentLoss, start: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    return powell(loss.values, start, 1).loss


def scipys_powell(loss: LatentLoss, start: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    def one(z: NDArray[np.float64], i: int) -> float:
        return float(loss.values(z[None], np.array([i]))[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MULTIPLE", 1)
        searches = [minimize(one, z, args=(i,), method="Powell", options={"maxiter": 1}) for i, z in enumerate(start)]
    return np.array([float(search.fun) for search in searches])


def compare(benchmark: BenchmarkFixture, method: Method, reference: Method, rtol: float) -> None:
    loss, start = problem(CANDIDATES if benchmark.enabled else 3)
    found = benchmark.pedantic(method, (loss, start, SEARCHES), rounds=1)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(found[:2], reference(loss, start[:2], SEARCHES), rtol=rtol)


@pytest.mark.benchmark(group="L-BFGS in 20 dimensions for 64 candidates")
@pytest.mark.parametrize("method", [batched_lbfgs, scipys_lbfgs], ids=["batched", "loop"])
def test_lbfgs(benchmark: BenchmarkFixture, method: Method) -> None:
    compare(benchmark, method, scipys_lbfgs, rtol=0.05)


@pytest.mark.benchmark(group="a round of Powell in 20 dimensions for 64 candidates")
@pytest.mark.parametrize("method", [batched_powell, scipys_powell], ids=["batched", "loop"])
def test_powell(benchmark: BenchmarkFixture, method: Method) -> None:
    compare(benchmark, method, scipys_powell, rtol=1e-3)
