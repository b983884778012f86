"""Per-record training without an effective clip is plain training on the same batches, step after step.

Single gradients are compared elsewhere; here it is the weights that the optimiser makes of them.
"""

from __future__ import annotations

import pytest
import torch
from dp_cases import request

from defenses.base import Defense
from defenses.clip_only import ClipOnly
from targets.base import Target, to_tensors
from targets.dcgan import DCGAN
from targets.ddpm import DDPM
from targets.trainee import match_layout
from targets.training import train
from targets.vae import VAE


class PoissonOnly(Defense):
    """Draws batches as private training does, and updates as plain training does."""

    name = "poisson_only"

    def poisson(self) -> bool:
        return True


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
@pytest.mark.parametrize(
    "target",
    [
        DCGAN(steps=12, batch_size=8, width=4, latent=5),
        VAE(steps=12, batch_size=8, width=4, latent=3),
        DDPM(steps=12, batch_size=8, width=4),
    ],
    ids=lambda target: target.name,
)
def test_without_a_clip_it_is_plain_training(target: Target, mode: str) -> None:
    plain = train(request(target, PoissonOnly()))
    private = train(request(target, ClipOnly(max_grad_norm=1e9, mode=mode)))
    start = to_tensors(train(request(type(target).from_spec({**target.spec(), "steps": 0}))).networks)
    found, wanted = to_tensors(private.networks), to_tensors(plain.networks)
    # Only weights: of a bias in front of a normalisation the gradient is rounding alone, which Adam blows up.
    weights = [name for name in sorted(wanted) if wanted[name].dim() > 1 and not torch.equal(wanted[name], start[name])]
    assert weights
    for name in weights:
        gone, apart = wanted[name] - start[name], wanted[name] - found[name]
        assert float(apart.norm()) < 0.1 * float(gone.norm()), name


@pytest.mark.parametrize("fused", [True, False])
def test_a_gradient_in_another_layout_moves_its_own_weight(fused: bool) -> None:
    weight = torch.nn.Parameter(torch.zeros(4, 3, 2, 2).contiguous(memory_format=torch.channels_last))
    optimizer = torch.optim.SGD([weight], lr=1.0, fused=fused)
    gradient = torch.arange(48.0).reshape(4, 3, 2, 2)
    weight.grad = gradient.clone()
    match_layout(optimizer)
    assert weight.grad.stride() == weight.stride()
    optimizer.step()
    assert torch.equal(weight.detach(), -gradient)
