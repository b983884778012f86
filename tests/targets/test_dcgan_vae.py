"""The VAE-GAN: each network's loss against the paper's formulas, written out record by record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import one_hot

from bench.contracts import check_target
from bench.contracts.tiny import tiny_records, tiny_request
from bench.devices import Device
from bench.records import Schema
from bench.rng import torch_generator
from defenses.base import TrainingContext, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Networks, Target, parameters
from targets.dcgan_vae import DCGANVAE
from targets.nets.conv import discriminator
from targets.nets.vae import features_and_logit
from targets.training import set_mode, train

SCHEMA = Schema("image", (1, 10, 12), 3)
ROWS, SIZE, LATENT = 3, 4, 3
LEVELS = {1: 2, 2: 5}  # level -> layers of the discriminator below the next convolution or the head


class Given(Draw):
    """Known normal values, told apart by how many are asked for, and known labels."""

    def __init__(self) -> None:
        super().__init__(Device(), 0, "unused")

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=torch_generator(9, shape[0]))

    def labels(self, n: int, schema: Schema) -> torch.Tensor:
        return torch.arange(n) % 3


def tiny(**options: Any) -> DCGANVAE:
    return DCGANVAE(
        **{"width": 4, "latent": LATENT, "average": None, "stretch": 1.0, "steps": 3, "batch_size": SIZE, **options}
    )


def build(target: Target, scale: float = 3.0) -> Networks:
    networks = target.build(SCHEMA, torch_generator(0, "weights"))
    with torch.no_grad():
        for p in parameters(networks, target.roles):
            p.mul_(scale)
    set_mode(networks, train=True)
    return networks


def batch() -> Batch:
    records = tiny_records(SCHEMA, ROWS)
    assert records.labels is not None
    return Batch(torch.from_numpy(records.floats()), torch.from_numpy(records.labels), SIZE, SCHEMA)


def plain(networks: Networks, role: str) -> nn.Module:
    """The network itself, without what gives it labels."""
    module = networks[role][0]
    return module if isinstance(module, nn.Sequential) else module.get_submodule("network")


def told(x: torch.Tensor, label: torch.Tensor | None) -> torch.Tensor:
    """One row with its label written beside it by hand."""
    if label is None:
        return x
    hot = one_hot(label, 3).float()
    if x.dim() == 4:
        hot = hot.reshape(1, 3, 1, 1) * torch.ones(1, 3, *x.shape[2:])
    return torch.cat([x, hot.reshape(1, 3, *hot.shape[2:])], dim=1)


def by_hand(target: DCGANVAE, networks: Networks) -> dict[str, tuple[list[float], list[float]]]:
    """Private and public losses of each network, one row after the other, in the paper's terms."""
    o, rows = target.options, batch()
    encoder, generator, judge = (plain(networks, role) for role in ("encoder", "generator", "discriminator"))
    assert isinstance(judge, nn.Sequential)
    cut = LEVELS[o.feature_level]

    def log_real(x: torch.Tensor) -> float:
        return float(torch.sigmoid(judge(x).double()).log())

    def log_fake(x: torch.Tensor) -> float:
        return float((1 - torch.sigmoid(judge(x).double())).log())

    private: dict[str, list[float]] = {role: [] for role in target.roles}
    public: dict[str, list[float]] = {role: [] for role in target.roles}
    with torch.no_grad():
        for i in range(ROWS):
            assert rows.labels is not None
            label = rows.labels[i] if o.conditional else None
            x = rows.x[i : i + 1]
            mean, log_variance = encoder(told(x, label))[:, :LATENT], encoder(told(x, label))[:, LATENT:]
            deviation = torch.exp(0.5 * log_variance)
            z = mean + deviation * Given().normal(ROWS, LATENT)[i]
            copy = told(torch.tanh(generator(told(z, label))), label)
            real = told(x, label)
            similar = Normal(judge[:cut](copy), 1.0).log_prob(judge[:cut](real)).sum()
            similar -= Normal(torch.zeros_like(judge[:cut](real)), 1.0).log_prob(torch.tensor(0.0)).sum()
            prior = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum()
            private["encoder"].append(float(o.beta * prior - similar))
            private["generator"].append(float(-o.gamma * similar) - log_real(copy))
            private["discriminator"].append(-log_real(real) - log_fake(copy))
        for i in range(SIZE):
            label = Given().labels(SIZE, SCHEMA)[i] if o.conditional else None
            drawn = told(torch.tanh(generator(told(Given().normal(SIZE, LATENT)[i : i + 1], label))), label)
            public["generator"].append(-log_real(drawn))
            public["discriminator"].append(-log_fake(drawn))
    return {role: (private[role], public[role]) for role in target.roles}


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("level", [1, 2])
def test_each_loss_is_the_papers(level: int, conditional: bool) -> None:
    target = tiny(feature_level=level, gamma=0.7, beta=1.3, conditional=conditional)
    networks = build(target)
    wanted = by_hand(target, networks)
    for phase in target.phases():
        found = target.losses(phase, networks, batch(), Given())
        private, public = wanted[phase.name]
        assert found.private is not None
        np.testing.assert_allclose(found.private.detach().numpy(), private, rtol=1e-4)
        if public:
            assert found.public is not None
            np.testing.assert_allclose(found.public.detach().numpy(), public, rtol=1e-4)
        else:
            assert found.public is None


def test_every_network_is_updated_by_its_own_loss() -> None:
    target = tiny()
    networks = build(target)
    assert [(phase.name, phase.roles) for phase in target.phases()] == [
        (role, (role,)) for role in ("discriminator", "encoder", "generator")
    ]
    for phase in target.phases():
        loss = target.losses(phase, networks, batch(), Given()).total()
        gradients = torch.autograd.grad(loss, parameters(networks, phase.roles), allow_unused=True)
        assert all(g is not None and g.abs().max() > 0 for g in gradients if g is not None and g.dim() > 1)
        assert sum(g is not None for g in gradients) == len(gradients)


def test_the_adversary_does_not_reach_the_encoder() -> None:
    target = tiny()
    networks = build(target)
    for phase in target.phases():
        if phase.name != "encoder":
            loss = target.losses(phase, networks, batch(), Given()).total()
            found = torch.autograd.grad(loss, parameters(networks, ["encoder"]), allow_unused=True)
            assert set(found) == {None}


@pytest.mark.parametrize("defense", [DPSGD(noise_multiplier=1.0), ClipOnly()], ids=repr)
def test_private_training_is_refused_with_the_reason(defense: Any) -> None:
    reason = stack_refuses([defense], tiny(), SCHEMA)
    assert reason is not None
    assert "its three networks have a loss each, so a record would enter three clipped updates per step" in reason


def context(target: Target) -> TrainingContext:
    return TrainingContext(target, SCHEMA, 24, 3, SIZE, 0, Device(), tiny_records(SCHEMA, 2))


@pytest.mark.parametrize("level", [1, 2])
def test_features_are_what_the_next_layer_reads(level: int) -> None:
    network, x = discriminator((1, 10, 12), 4, "group"), batch().x
    features, logits = features_and_logit(network, x, None, level)
    torch.testing.assert_close(features, network[: LEVELS[level]](x).flatten(1))
    torch.testing.assert_close(logits, network(x)[:, 0])
    assert not [m for m in network.modules() if m._forward_pre_hooks]


@pytest.mark.parametrize("defense", [Dropout(), WeightNorm()], ids=repr)
def test_features_of_a_defended_discriminator(defense: Any) -> None:
    target = tiny()
    plainly = build(target)
    x = batch().x
    wanted = features_and_logit(plainly["discriminator"][0], x, None, 2)
    changed = defense.adapt_networks(plainly, context(target))
    set_mode(changed, train=False)
    for a, b in zip(features_and_logit(changed["discriminator"][0], x, None, 2), wanted, strict=True):
        torch.testing.assert_close(a, b)
    assert train(tiny_request(target, (defense,), SCHEMA)).status == "completed"


def test_a_level_that_is_not_there_is_refused() -> None:
    assert tiny(feature_level=2).refuses(SCHEMA) is None
    reason = tiny(feature_level=3).refuses(SCHEMA)
    assert reason == (
        "dcgan_vae has 2 levels for images of 10x12, so it cannot compare features of level 3; "
        "give a smaller feature_level"
    )


@pytest.mark.parametrize("side", range(8, 65))
def test_levels_are_counted_as_they_are_built(side: int) -> None:
    from targets.nets.conv import pyramid

    levels, schema = len(pyramid(side, 8)) - 1, Schema("image", (1, side, 8))
    assert tiny(feature_level=levels).refuses(schema) is None
    assert tiny(feature_level=levels + 1).refuses(schema) is not None


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (Schema("table", (7,)), "dcgan_vae models image records, not table records"),
        (Schema("image", (1, 7, 8)), "dcgan_vae is built for images of 8 to 64 pixels a side, got 7x8; resize them"),
    ],
    ids=str,
)
def test_what_it_refuses(schema: Schema, reason: str) -> None:
    assert tiny(feature_level=1).refuses(schema) == reason


def test_contract_of_a_conditional_one() -> None:
    report = check_target(tiny(conditional=True, feature_level=1))
    assert {rule: reason for rule, reason in report.items() if reason} == {}


def test_each_network_may_have_a_step_size_of_its_own() -> None:
    target = tiny(learning_rate=1e-3, discriminator_learning_rate=2e-3, encoder_learning_rate=3e-3)
    networks = build(target)
    rates = {p.name: target.optimizer(p, parameters(networks, p.roles)).param_groups[0]["lr"] for p in target.phases()}
    assert rates == {"discriminator": 2e-3, "encoder": 3e-3, "generator": 1e-3}
    target = tiny(learning_rate=1e-3, discriminator_learning_rate=None)
    rates = {p.name: target.optimizer(p, parameters(networks, p.roles)).param_groups[0]["lr"] for p in target.phases()}
    assert rates == {"discriminator": 1e-3, "encoder": 1e-3, "generator": 1e-3}


@pytest.mark.parametrize("preset", list(DCGANVAE.presets))
def test_presets_are_options_that_build(preset: str) -> None:
    target = DCGANVAE(**{**DCGANVAE.presets[preset], "width": 4})
    assert target.build(SCHEMA, torch_generator(0, "weights")).keys() == set(target.roles)
