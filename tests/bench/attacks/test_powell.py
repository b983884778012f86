"""Batched Powell: scipy's path for each candidate, and nothing of its neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import bracket, brent, minimize, rosen

from bench.attacks._lowest import Floats, Places, Values
from bench.attacks._powell import line_search, powell
from bench.rng import generator

N = 12


def quadratics(dimensions: int) -> Values:
    """A quadratic of its own for each candidate."""
    rng = generator(0, "quadratics", dimensions)
    roots, linear = rng.normal(size=(N, dimensions, dimensions)), rng.normal(size=(N, dimensions))
    squares = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(dimensions)
    return lambda z, which: np.einsum("nd,nde,ne->n", z, squares[which], z) / 2 - (linear[which] * z).sum(axis=1)


def rosenbrock(z: Floats, which: Places) -> Floats:
    return np.array([rosen(point) for point in z])


def starts(dimensions: int) -> Floats:
    return 2 * generator(0, "starts", dimensions).normal(size=(N, dimensions))


@pytest.mark.parametrize("iterations", [1, 3, 30])
@pytest.mark.parametrize(
    ("values", "dimensions"),
    [(quadratics(1), 1), (quadratics(2), 2), (quadratics(5), 5), (rosenbrock, 2), (rosenbrock, 5)],
    ids=["quadratics-1", "quadratics-2", "quadratics-5", "rosenbrock-2", "rosenbrock-5"],
)
def test_each_candidate_goes_the_way_that_it_goes_in_scipy(values: Values, dimensions: int, iterations: int) -> None:
    found = powell(values, starts(dimensions), iterations)
    for i, start in enumerate(starts(dimensions)):
        wanted = minimize(
            lambda z, i=i: values(z[None], np.array([i]))[0], start, method="Powell", options={"maxiter": iterations}
        )
        assert found.loss[i] == pytest.approx(float(wanted.fun), rel=1e-4, abs=1e-12)
        if iterations < 30:
            # Bits may differ in the last place between one row and many; before many rounds they have not grown.
            np.testing.assert_allclose(found.z[i], wanted.x, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "f",
    [
        lambda t: (t - 3) ** 2,
        lambda t: (t + 7) ** 2 + 1,
        lambda t: np.cos(t) + 0.01 * t * t,
        lambda t: np.abs(t - 0.3),
        lambda t: (t - 50) ** 4,
        lambda t: np.sin(3 * t) + 0.1 * (t - 2) ** 2,
    ],
)
def test_a_line_search_is_scipys_bracket_and_brents_minimum(f: object) -> None:
    assert callable(f)
    looked: list[float] = []

    def along(t: Floats, rows: Places) -> Floats:
        looked.extend(t.tolist())
        return np.array([f(step) for step in t])

    t, loss = line_search(along, np.array([float(f(0.0))]))
    wanted, lowest, _, evaluations = brent(f, brack=bracket(f)[:3], tol=1e-2, full_output=True)
    assert t[0] == pytest.approx(wanted, rel=1e-9)
    assert loss[0] == pytest.approx(lowest, rel=1e-9, abs=1e-12)
    # brent looks at the three points of a given bracket again; ours knows the loss at 0 from before.
    assert len(looked) == bracket(f)[6] - 1 + evaluations - 3


def test_a_flat_line_is_left_where_it_is_and_one_that_only_falls_is_followed_to_its_best() -> None:
    flat = powell(lambda z, which: np.zeros(len(z)), starts(3), 5)
    np.testing.assert_array_equal(flat.z, starts(3))
    falling = powell(lambda z, which: np.exp(-z[:, 0]), np.zeros((2, 1)), 1)
    assert (falling.loss < 1e-200).all()


def test_losses_that_are_not_finite_count_as_large() -> None:
    def walled(z: Floats, which: Places) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.where(z[:, 0] > 2, np.where(z[:, 1] > 0, np.nan, np.inf), ((z - 1) ** 2).sum(axis=1))

    with np.errstate(all="raise", under="ignore"):
        found = powell(walled, np.array([[-3.0, 0.5], [1.9, -5.0]]), 50)
    np.testing.assert_allclose(found.z, 1, atol=1e-3)


def test_a_candidate_alone_takes_the_same_path_as_among_others() -> None:
    values, start = quadratics(4), starts(4)
    together = powell(values, start, 4)
    for i in range(N):
        alone = powell(lambda z, which, i=i: values(z, np.full(len(z), i)), start[i : i + 1], 4)
        np.testing.assert_allclose(alone.loss[0], together.loss[i], rtol=1e-9)
        assert alone.used[0] == together.used[i]


def test_the_evaluations_are_a_budget_of_each_candidate() -> None:
    """A cheap candidate is done, and its neighbour spends its own to the end of the line in which they run out."""

    def uneven(z: Floats, which: Places) -> Floats:
        return np.where(which == 0, 0.0, np.array([rosen(point) for point in z]))

    whole = powell(uneven, starts(5)[:2], 100)
    cut = powell(uneven, starts(5)[:2], 100, evaluations=60)
    assert whole.used[0] == cut.used[0] < 30
    assert 60 <= cut.used[1] < 100 < whole.used[1]
    assert cut.loss[1] > whole.loss[1]


def test_the_lowest_loss_is_kept_wherever_it_was_seen() -> None:
    seen: list[tuple[int, float]] = []

    def bumpy(z: Floats, which: Places) -> Floats:
        loss = np.sin(40 * z).sum(axis=1) + (z**2).sum(axis=1)
        seen.extend(zip(which.tolist(), loss.tolist(), strict=True))
        return loss

    found = powell(bumpy, starts(3), 3)
    for i in range(N):
        assert found.loss[i] == min(loss for who, loss in seen if who == i)
        assert found.used[i] == sum(who == i for who, _ in seen)
        assert float(bumpy(found.z[i : i + 1], np.array([i]))[0]) == found.loss[i]
