"""The noise of a private step, and what a whole private training leaves behind."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import AutoEncoder, Mode, Private, context, request, rows, tiny
from opacus.optimizers import DPOptimizer
from scipy import stats

from defenses.base import Defense
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.none import NoDefense
from defenses.weight_norm import WeightNorm
from targets.base import Target
from targets.training import build_networks, train

SIGMA, CLIP = 1.7, 0.6


def noise_of(target: Target, n: int, steps: int, before: tuple[Defense, ...] = ()) -> torch.Tensor:
    """The noise of several steps, ``(steps, parameters)``, in units of the gradient that is applied."""
    noisy = Private(target, before, clip=CLIP, noise=SIGMA)
    quiet = Private(target, before, clip=CLIP)
    return torch.stack([noisy.summed(rows(n)) - quiet.summed(rows(n)) for _ in range(steps)]) / noisy.size


@pytest.mark.parametrize("n", [0, 5])
@pytest.mark.parametrize(
    ("target", "before"),
    [(tiny(), ()), (tiny(), (WeightNorm(),)), (AutoEncoder(batch_size=8), ())],
    ids=str,
)
def test_noise_has_the_accounted_deviation_on_every_coordinate(
    target: Target, before: tuple[Defense, ...], n: int
) -> None:
    noise = noise_of(target, n, 40, before).double().numpy()
    std = SIGMA * CLIP / 8
    assert noise.std() == pytest.approx(std, rel=6 / np.sqrt(2 * noise.size))
    assert stats.kstest(noise.ravel() / std, "norm").pvalue > 1e-3
    # On each coordinate: no parameter is left out or scaled.
    per_coordinate = (noise**2).sum(axis=0) / std**2
    worst = 1e-4 / noise.shape[1]
    assert stats.chi2.sf(per_coordinate.max(), len(noise)) > worst
    assert stats.chi2.cdf(per_coordinate.min(), len(noise)) > worst
    # Between steps and between coordinates: fresh draws.
    steps = np.corrcoef(noise)[np.triu_indices(len(noise), 1)]
    assert abs(steps).max() < 6 / np.sqrt(noise.shape[1])


def test_noise_follows_the_seed_and_is_never_shared_between_models() -> None:
    def first(target: Target, seed: int = 0, noise: float = SIGMA, clip: float = CLIP) -> torch.Tensor:
        drawn = Private(target, clip=clip, noise=noise, seed=seed).summed(rows(0)) / (noise * clip)
        return drawn - Private(target, clip=clip, seed=seed).summed(rows(0)) / (noise * clip)

    def alike(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([a, b]))[0, 1])

    one = first(tiny())
    assert alike(one, first(tiny())) == pytest.approx(1, abs=1e-5)
    bound = 5 / np.sqrt(len(one))
    for other in (
        first(tiny(), seed=1),
        first(tiny(), noise=2.0),
        first(tiny(), clip=0.5),
        first(tiny(learning_rate=1e-3)),
    ):
        assert abs(alike(one, other)) < bound


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
@pytest.mark.parametrize("before", [(), (WeightNorm(roles=["encoder", "decoder"]),)], ids=str)
def test_an_empty_batch_changes_the_weights_and_the_next_one_is_exact(before: tuple[Defense, ...], mode: Mode) -> None:
    target = AutoEncoder(batch_size=8)
    private, fresh = Private(target, before, mode=mode), Private(target, before, mode=mode)
    for _ in range(2):
        assert float(private.summed(rows(0)).abs().max()) == 0
    assert torch.equal(private.summed(rows(5)), fresh.summed(rows(5)))
    assert float(Private(target, before, mode=mode, noise=1.0).summed(rows(0)).std()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("target", [tiny(steps=9), AutoEncoder(steps=9, batch_size=8)], ids=repr)
@pytest.mark.parametrize(("n", "expected"), [(30, 30), (1, 4000)], ids=["full", "empty"])
def test_one_accounted_step_and_one_noise_per_training_step(
    target: Target, n: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    for name in ("clip_and_accumulate", "add_noise", "step"):
        original = getattr(DPOptimizer, name)

        def counted(self: Any, *given: Any, _name: str = name, _original: Any = original, **more: Any) -> Any:
            calls.update([_name])
            return _original(self, *given, **more)

        monkeypatch.setattr(DPOptimizer, name, counted)
    result = train(request(target, DPSGD(noise_multiplier=1.0, delta=1e-4), n=n, expected=expected))
    assert calls == {"clip_and_accumulate": 9, "add_noise": 9, "step": 9}
    assert result.claim is not None
    assert (result.claim.steps, result.steps_done) == (9, 9)
    assert result.claim.sample_rate == pytest.approx(8 / expected)


def test_the_generator_learns_from_a_private_discriminator_as_from_any_other() -> None:
    """With a discriminator that stands still, the private run's generator is the undefended one's."""
    target = tiny(steps=5, discriminator_learning_rate=1e-30)
    plain = train(request(target, NoDefense()))
    private = train(request(target, DPSGD(noise_multiplier=1.0)))
    assert torch.equal(
        next(plain.networks["discriminator"][0].parameters()), next(private.networks["discriminator"][0].parameters())
    )
    for a, b in zip(
        plain.networks["generator"][0].parameters(), private.networks["generator"][0].parameters(), strict=True
    ):
        assert torch.equal(a, b)
    assert np.array_equal(plain.history["grad_norm/generator"], private.history["grad_norm/generator"])


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
def test_a_trained_private_network_is_the_architecture_it_was(mode: Mode) -> None:
    for before in ((), (WeightNorm(),)):
        target, defense = tiny(), DPSGD(noise_multiplier=1.0, mode=mode)
        (judge,) = train(request(target, *before, defense)).networks["discriminator"]
        fresh = build_networks(target, (*before, defense), context(target))
        fresh["discriminator"][0].load_state_dict(judge.state_dict(), strict=True)
        assert all(getattr(p, "grad_sample", None) is None for p in judge.parameters())
        x = rows(4)
        fresh["discriminator"][0].eval()
        assert torch.equal(fresh["discriminator"][0](x), judge(x))


def test_hooks_and_functorch_train_alike() -> None:
    # Without noise, which two configurations never share.
    found = [train(request(tiny(norm="none"), ClipOnly(mode=mode))) for mode in ("hooks", "functorch")]
    first, second = (dict(r.networks["discriminator"][0].named_parameters()) for r in found)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-3, atol=1e-5)
