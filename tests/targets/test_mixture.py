"""A mixture of generators: who makes what, with which latents, and what flows back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from bench.devices import Device
from bench.rng import torch_generator
from targets.base import Draw
from targets.nets.average import Averaged
from targets.nets.labels import WithLabels
from targets.nets.mixture import Mixture, assigned


def latents(n: int, width: int = 3, seed: int = 0) -> torch.Tensor:
    return Draw(Device(), seed, "test mixture").normal(n, width)


def linear(inputs: int, outputs: int, seed: int) -> nn.Linear:
    layer, rng = nn.Linear(inputs, outputs), torch_generator(seed, "test mixture")
    for p in layer.parameters():
        nn.init.normal_(p, generator=rng)
    return layer


@pytest.mark.parametrize("n", [2, 3, 7])
def test_each_makes_an_equal_share_from_standard_normal_latents(n: int) -> None:
    rows = 60_000
    z = latents(rows)
    chosen, own = assigned(z, n)
    shares = np.bincount(chosen.numpy(), minlength=n) / rows
    assert len(shares) == n
    assert np.abs(shares - 1 / n).max() < 5 * math.sqrt((1 - 1 / n) / n / rows)
    for number in range(n):  # whichever was chosen, its first coordinate is normal, and independent of the others
        first = own[chosen == number, 0].double().numpy()
        assert stats.kstest(first, "norm").pvalue > 1e-3
        assert abs(np.corrcoef(first, own[chosen == number, 1].numpy())[0, 1]) < 5 / math.sqrt(len(first))
    assert torch.equal(own[:, 1:], z[:, 1:])
    assert own.dtype == z.dtype


@pytest.mark.parametrize("n", [2, 5])
def test_the_mapping_is_the_inverse_of_choosing_a_generator_and_its_latent(n: int) -> None:
    wanted = torch.linspace(-5, 5, 101, dtype=torch.float64)
    for number in range(n):
        z = torch.from_numpy(stats.norm.ppf((number + stats.norm.cdf(wanted.numpy())) / n))
        chosen, own = assigned(z[:, None], n)
        assert (chosen == number).all()
        torch.testing.assert_close(own[:, 0], wanted, rtol=1e-8, atol=1e-8)


def test_one_generator_gets_the_latents_as_they_are() -> None:
    z = latents(500)
    chosen, own = assigned(z, 1)
    assert not chosen.any()
    torch.testing.assert_close(own, z, rtol=1e-5, atol=1e-6)


def test_the_slope_is_that_of_the_closed_form() -> None:
    n, z = 3, latents(200).double().requires_grad_()
    _, own = assigned(z, n)
    own[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    before, after = z.detach()[:, 0].numpy(), own.detach()[:, 0].numpy()
    assert z.grad is not None
    np.testing.assert_allclose(z.grad[:, 0].numpy(), n * stats.norm.pdf(before) / stats.norm.pdf(after), rtol=1e-6)


def test_rows_are_those_of_a_loop_and_gradients_flow() -> None:
    makers = [linear(3, 2, seed) for seed in range(3)]
    z = latents(40).requires_grad_()
    made = Mixture(makers)(z)
    chosen, own = assigned(z, 3)
    expected = torch.stack([makers[int(c)](row) for c, row in zip(chosen, own, strict=True)])
    torch.testing.assert_close(made, expected)
    assert set(chosen.tolist()) == {0, 1, 2}
    made.square().sum().backward()
    assert z.grad is not None
    assert bool((z.grad != 0).all())


def test_one_row_alone_is_the_row_among_others() -> None:
    mixture = Mixture([linear(3, 2, seed) for seed in range(4)])
    z = latents(9)
    torch.testing.assert_close(torch.cat([mixture(row[None]) for row in z]), mixture(z))


def test_labels_go_with_their_rows() -> None:
    makers = [WithLabels(linear(5, 2, seed), 2) for seed in range(2)]
    z, labels = latents(20), torch.arange(20) % 2
    chosen, own = assigned(z, 2)
    expected = torch.stack([makers[int(c)](own[i][None], labels[i][None])[0] for i, c in enumerate(chosen)])
    torch.testing.assert_close(Mixture(makers)(z, labels), expected)


def test_averages_inside_are_used_in_evaluation_mode() -> None:
    makers = [Averaged(linear(3, 2, seed), 0.5) for seed in range(2)]
    with torch.no_grad():
        for maker in makers:
            maker.network.bias.add_(1)  # type: ignore[operator]
    mixture, z = Mixture(makers), latents(10)
    torch.testing.assert_close(mixture.train()(z), mixture.eval()(z) + 1)


@pytest.mark.parametrize("extreme", [8.5, 40.0, 1e30, math.inf])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_search_may_go_astray_without_harm(extreme: float, sign: int) -> None:
    z = torch.tensor([[sign * extreme, 0.3]]).requires_grad_()
    chosen, own = assigned(z, 3)
    assert int(chosen) == (0 if sign < 0 else 2)
    assert 6 < sign * float(own.detach()[0, 0]) < 8
    own.sum().backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())


def test_a_latent_that_is_no_number_keeps_its_row() -> None:
    z = latents(4)
    z[1, 0] = math.nan
    made = Mixture([linear(3, 2, seed) for seed in range(2)])(z)
    assert torch.isnan(made).all(dim=1).tolist() == [False, True, False, False]


def test_no_rows_make_no_rows() -> None:
    assert Mixture([linear(3, 2, seed) for seed in range(2)])(latents(0)).shape == (0, 2)
