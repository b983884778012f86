"""Weight normalisation: a length times a direction, equal to the plain weight at the start."""

from __future__ import annotations

import pytest
import torch
from dp_cases import SCHEMA, AutoEncoder, context, request, rows, tiny
from torch import nn

from bench.errors import IncompatibleError
from bench.rng import torch_generator
from defenses.weight_norm import WeightNorm
from targets.base import Networks
from targets.training import build_networks, train

LAYERS = (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)


def layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, LAYERS)]


@pytest.mark.parametrize("role", ["discriminator", "generator"])
def test_the_weight_is_length_times_direction_per_output(role: str) -> None:
    target, defense = tiny(), WeightNorm(roles=[role])
    plain = target.build(SCHEMA, torch_generator(0, "weights", "dcgan"))[role][0]
    trained = train(request(target, defense)).networks[role][0]
    fresh = build_networks(target, (defense,), context(target))[role][0]
    assert len(layers(fresh)) == len(layers(plain)) >= 2
    for at_start, after, before in zip(layers(fresh), layers(trained), layers(plain), strict=True):
        torch.testing.assert_close(at_start.weight, before.weight, rtol=1e-6, atol=1e-8)
        state = dict(after.named_parameters())
        length, direction = (state[f"parametrizations.weight.original{i}"].detach() for i in (0, 1))
        # One length per output channel: dimension 1 of a transposed convolution, 0 of the others.
        out = 1 if isinstance(after, nn.ConvTranspose2d) else 0
        assert length.numel() == length.shape[out] == direction.shape[out]
        effective = after.weight.detach().double()  # type: ignore[operator]
        for channel in range(direction.shape[out]):
            v = direction.select(out, channel).double()
            expected = float(length.flatten()[channel]) * v / v.norm()
            torch.testing.assert_close(effective.select(out, channel), expected, rtol=1e-5, atol=1e-8)
        assert not torch.equal(after.weight, before.weight)  # type: ignore[arg-type]


def test_it_touches_the_named_roles_only_and_the_output_stays_at_the_start() -> None:
    target = tiny()
    plain = build_networks(target, (), context(target))
    normed = build_networks(target, (WeightNorm(),), context(target))
    assert plain["generator"][0].state_dict().keys() == normed["generator"][0].state_dict().keys()
    assert plain["discriminator"][0].state_dict().keys() != normed["discriminator"][0].state_dict().keys()
    torch.testing.assert_close(plain["discriminator"][0](rows(5)), normed["discriminator"][0](rows(5)))


def test_unknown_roles_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"expected roles among \['discriminator', 'generator'\].*got \['crit'"):
        train(request(tiny(), WeightNorm(roles=["discriminator", "crit"])))


def test_a_network_without_layers_is_refused() -> None:
    networks: Networks = {"encoder": (nn.Sequential(nn.Flatten(), nn.LayerNorm(4)),)}
    with pytest.raises(IncompatibleError, match=r"weight_norm finds no layer to normalise in \['encoder'\]"):
        WeightNorm(roles=["encoder"]).adapt_networks(networks, context(AutoEncoder()))
