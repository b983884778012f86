"""Dropout: the masks' statistics, their seeds, and where there are none."""

from __future__ import annotations

import pytest
import torch
from dp_cases import AutoEncoder, context, rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.devices import Device
from bench.errors import IncompatibleError
from defenses.dropout import Dropout, add_dropout
from targets.base import Draw, Networks
from targets.nets.dropout import SeededDropout
from targets.training import build_networks, set_mode


@given(rate=st.floats(0.05, 0.95), seed=st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_values_are_dropped_at_the_rate_and_the_rest_scaled_up(rate: float, seed: int) -> None:
    n = 20_000
    layer = SeededDropout(rate, Draw(Device(), seed, "test")).train()
    x = torch.linspace(1, 2, n)
    y = layer(x)
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / (1 - rate))
    assert abs(int(kept.sum()) - n * (1 - rate)) < 5 * (n * rate * (1 - rate)) ** 0.5
    # Neighbours are dropped independently of each other.
    centred = kept.double() - kept.double().mean()
    correlation = float((centred[1:] * centred[:-1]).mean() / centred.square().mean())
    assert abs(correlation) < 5 / n**0.5


def test_in_eval_mode_it_is_the_identity_and_draws_nothing() -> None:
    draw = Draw(Device(), 0, "test")
    layer, before = SeededDropout(0.5, draw).eval(), draw.generator.get_state()
    x = rows(3)
    assert layer(x) is x
    assert torch.equal(before, draw.generator.get_state())


def test_masks_follow_the_seed_alone() -> None:
    def judged(seed: int, global_seed: int) -> torch.Tensor:
        target = tiny()
        networks = build_networks(target, (Dropout(),), context(target))  # the same weights each time
        own = build_networks(target, (Dropout(),), context(target, seed=seed))
        for mine, other in zip(networks["discriminator"][0].modules(), own["discriminator"][0].modules(), strict=True):
            if isinstance(mine, SeededDropout) and isinstance(other, SeededDropout):
                mine.draw = other.draw
        set_mode(networks, train=True)
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            return torch.cat([networks["discriminator"][0](rows(6)) for _ in range(2)])

    first = judged(0, 0)
    assert torch.equal(first, judged(0, 1))
    assert not torch.equal(first, judged(1, 0))
    assert not torch.equal(first[:6], first[6:])  # fresh masks at every pass


def test_two_dropouts_of_one_stack_have_masks_of_their_own() -> None:
    target = tiny()
    networks = build_networks(target, (Dropout(rate=0.5), Dropout(rate=0.4)), context(target))
    layers = [m for m in networks["discriminator"][0].modules() if isinstance(m, SeededDropout)]
    draws = {id(m.draw): m.draw for m in layers}
    assert sorted({m.rate for m in layers}) == [0.4, 0.5]
    first, second = (draw.uniform(1000) for draw in draws.values())
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.15


def test_every_activation_is_followed_by_one_and_eval_output_is_unchanged() -> None:
    target = tiny()
    plain, dropped = (build_networks(target, stack, context(target)) for stack in ((), (Dropout(),)))
    set_mode(plain, train=False)
    set_mode(dropped, train=False)
    (judge,) = dropped["discriminator"]
    activations = sum(isinstance(m, nn.LeakyReLU) for m in judge.modules())
    assert sum(isinstance(m, SeededDropout) for m in judge.modules()) == activations == 2
    assert torch.equal(plain["discriminator"][0](rows(4)), judge(rows(4)))
    assert not any(isinstance(m, SeededDropout) for m in dropped["generator"][0].modules())


def test_nested_activations_are_found() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.ModuleDict({"a": nn.GELU()})), nn.SiLU())
    assert add_dropout(module, 0.5, Draw(Device(), 0, "test")) == 3
    assert sum(isinstance(m, SeededDropout) for m in module.modules()) == 3


def test_unknown_roles_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"dropout: expected roles among .* of dcgan, got \['critic'\]"):
        build_networks(tiny(), (Dropout(roles=["critic"]),), context(tiny()))


def test_a_network_without_activations_is_refused() -> None:
    networks: Networks = {"encoder": (nn.Sequential(nn.Flatten(), nn.Linear(120, 1)),)}
    with pytest.raises(IncompatibleError, match=r"dropout finds no activation to follow in \['encoder'\]"):
        Dropout(roles=["encoder"]).adapt_networks(networks, context(AutoEncoder()))
