"""KID's jackknife interval holds the population's distance, known exactly for Gaussian features."""

from __future__ import annotations

import math

import numpy as np
import pytest
from score_models import Floats
from simulated import Coverage

from bench.metrics.kernel_distance import SCALE, kernel_distance
from bench.rng import generator

pytestmark = pytest.mark.study

D = 16


def third_moment(mean: Floats, spread: float) -> Floats:
    """E[x x x] ``(D, D, D)`` of a normal x with covariance ``spread^2`` times the identity (Isserlis)."""
    eye = spread**2 * np.eye(D)
    moment: Floats = np.einsum("i,j,k->ijk", mean, mean, mean)
    for order in ("i,jk->ijk", "j,ik->ijk", "k,ij->ijk"):
        moment = moment + np.einsum(order, mean, eye)
    return moment


def expected_kernel(a: tuple[Floats, float], b: tuple[Floats, float]) -> float:
    """E[(<x, y> / D + 1)^3] for independent x and y, by the moments of each."""
    (mu, s), (nu, t) = a, b
    second = float(((np.outer(mu, mu) + s**2 * np.eye(D)) * (np.outer(nu, nu) + t**2 * np.eye(D))).sum())
    third = float((third_moment(mu, s) * third_moment(nu, t)).sum())
    return 1 + 3 * float(mu @ nu) / D + 3 * second / D**2 + third / D**3


def population_kid(a: tuple[Floats, float], b: tuple[Floats, float]) -> float:
    return SCALE * (expected_kernel(a, a) + expected_kernel(b, b) - 2 * expected_kernel(a, b))


REAL = (np.full(D, 0.4), 1.0)
MODELS = {
    "equal": REAL,
    "shifted by .1": (np.full(D, 0.5), 1.0),
    "shifted by .5": (np.full(D, 0.9), 1.0),
    "half the spread": (np.full(D, 0.4), 0.5),
}


@pytest.mark.parametrize(("n", "runs"), [(500, 1000), (1500, 300)])
@pytest.mark.parametrize("name", MODELS)
def test_kid(name: str, n: int, runs: int) -> None:
    model, found, values = MODELS[name], Coverage(), []
    truth = population_kid(model, REAL)
    for run in range(runs):
        rng = generator(run, "kid study", name, n)
        samples, holdout = (mu + s * rng.standard_normal((n, D)) for mu, s in (model, REAL))
        measured = kernel_distance(samples, holdout)
        found.add(truth, measured.low, measured.high)
        values.append(measured.kid)
    print(f"KID | n = {n:>5,} | {name:15s} | true {truth:8.3f} | {found}")
    assert abs(np.mean(values) - truth) <= 4 * np.std(values) / math.sqrt(runs)  # unbiased
    assert found.within(0.92)
