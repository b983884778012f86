"""Batched L-BFGS: the minima of scipy's, the best loss and not the last, and nothing of a candidate's neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der

from bench.attacks._lbfgs import Slopes, lbfgs
from bench.attacks._lowest import Floats, Lowest, Places
from bench.rng import generator

N = 12


def quadratics(dimensions: int) -> Slopes:
    rng = generator(0, "quadratics", dimensions)
    roots, linear = rng.normal(size=(N, dimensions, dimensions)), rng.normal(size=(N, dimensions))
    squares = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(dimensions)

    def slopes(z: Floats, which: Places) -> tuple[Floats, Floats]:
        across = np.einsum("nde,ne->nd", squares[which], z)
        return (z * (across / 2 - linear[which])).sum(axis=1), across - linear[which]

    return slopes


def rosenbrock(z: Floats, which: Places) -> tuple[Floats, Floats]:
    return np.array([rosen(point) for point in z]), np.array([rosen_der(point) for point in z])


def starts(dimensions: int) -> Floats:
    return 2 * generator(0, "starts", dimensions).normal(size=(N, dimensions))


@pytest.mark.parametrize("dimensions", [2, 5, 20])
@pytest.mark.parametrize("shape", ["quadratics", "rosenbrock"])
def test_each_candidate_reaches_the_minimum_of_scipy_alone(shape: str, dimensions: int) -> None:
    slopes = quadratics(dimensions) if shape == "quadratics" else rosenbrock
    found, spent = lbfgs(slopes, starts(dimensions), 2000), []
    for i, start in enumerate(starts(dimensions)):

        def one(z: Floats, i: int = i) -> tuple[float, Floats]:
            loss, gradient = slopes(z[None], np.array([i]))
            return float(loss[0]), gradient[0]

        wanted = minimize(one, start, jac=True, method="L-BFGS-B")
        spent.append(wanted.nfev)
        assert found.loss[i] == pytest.approx(float(wanted.fun), rel=1e-4, abs=1e-4)
    assert found.used.mean() < 1.5 * np.mean(spent)  # and as fast: it is no steepest descent


def test_it_is_as_good_as_torchs_on_one_candidate_alone() -> None:
    start = starts(6)
    found = lbfgs(rosenbrock, start, 200)
    for i in range(2):
        z = torch.tensor(start[i], requires_grad=True)
        optimizer = torch.optim.LBFGS([z], max_iter=120, line_search_fn="strong_wolfe")

        def closure(z: torch.Tensor = z, optimizer: torch.optim.Optimizer = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            loss = (100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        assert found.loss[i] <= float(closure().detach()) + 1e-4


def test_a_candidate_alone_takes_the_same_path_as_among_others() -> None:
    slopes, start = quadratics(6), starts(6)
    together = lbfgs(slopes, start, 12)
    for i in range(N):
        alone = lbfgs(lambda z, which, i=i: slopes(z, np.full(len(z), i)), start[i : i + 1], 12)
        np.testing.assert_allclose(alone.loss[0], together.loss[i], rtol=1e-9)
        assert alone.used[0] == together.used[i]


def test_a_search_whose_loss_is_off_scale_does_not_bend_its_neighbours() -> None:
    """What a shared line search gets wrong: one candidate's cliff makes everyone's step small."""

    def uneven(z: Floats, which: Places) -> tuple[Floats, Floats]:
        loss, gradient = rosenbrock(z, which)
        factor = np.where(which == 0, 1e8, 1.0)
        return factor * loss, factor[:, None] * gradient

    with_it, without = lbfgs(uneven, starts(4), 30), lbfgs(rosenbrock, starts(4), 30)
    np.testing.assert_array_equal(with_it.loss[1:], without.loss[1:])


def test_a_kinked_loss_is_brought_down() -> None:
    """Generators with rectifiers are smooth in pieces only."""

    def kinked(z: Floats, which: Places) -> tuple[Floats, Floats]:
        scale = np.arange(1, z.shape[1] + 1)
        return (scale * np.abs(z - 1)).sum(axis=1), scale * np.sign(z - 1)

    found = lbfgs(kinked, starts(4), 400)
    assert (found.loss < 1e-3).all()


def test_the_last_loss_of_an_optimiser_is_not_stored_in_place_of_the_best() -> None:
    """The first steps of a line search overshoot; a budget that ends there must not end with what was seen last."""
    seen: list[tuple[int, float]] = []

    def steep(z: Floats, which: Places) -> tuple[Floats, Floats]:
        loss, gradient = rosenbrock(z, which)
        seen.extend(zip(which.tolist(), loss.tolist(), strict=True))
        return loss, gradient

    found = lbfgs(steep, starts(4), 6)
    last = dict(seen)
    assert any(last[i] > found.loss[i] for i in range(N))
    for i in range(N):
        assert found.loss[i] == min(loss for who, loss in seen if who == i)
        assert rosen(found.z[i]) == found.loss[i]


def test_the_evaluations_are_a_budget_of_each_candidate() -> None:
    found = lbfgs(rosenbrock, starts(5), 9)
    assert (found.used <= 9).all()
    assert found.used.max() == 9
    assert lbfgs(rosenbrock, starts(5), 1).loss == pytest.approx([rosen(z) for z in starts(5)])


def test_a_flat_loss_ends_the_search_at_its_start() -> None:
    found = lbfgs(lambda z, which: (np.ones(len(z)), np.zeros_like(z)), starts(3), 50)
    assert found.used.tolist() == [1] * N
    np.testing.assert_array_equal(found.z, starts(3))


def test_losses_and_gradients_that_are_not_finite_are_walls() -> None:
    def walled(z: Floats, which: Places) -> tuple[Floats, Floats]:
        beyond = z[:, 0] > 2
        loss = np.where(beyond, np.nan, ((z - 1) ** 2).sum(axis=1))
        return loss, np.where(beyond[:, None], np.inf, 2 * (z - 1))

    found = lbfgs(walled, np.array([[-30.0, 5.0], [1.9, -50.0]]), 100)
    np.testing.assert_allclose(found.z, 1, atol=1e-3)


def test_lowest_keeps_the_better_of_what_it_sees() -> None:
    lowest = Lowest(3, 1, 2)
    assert lowest.see(np.array([[1.0], [2.0]]), np.array([0, 2]), np.array([5.0, np.nan])).tolist() == [5, 1e30]
    assert lowest.see(np.array([[3.0], [4.0]]), np.array([2, 0]), np.array([-np.inf, 6.0]))[1] == 6
    assert lowest.z[:, 0].tolist() == [1, 0, 3]
    assert lowest.used.tolist() == [2, 0, 2]
    assert lowest.left(np.array([0, 1])).tolist() == [False, True]
    assert Lowest(2, 1, None).left(np.array([0, 1])).all()
