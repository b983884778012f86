"""Spectral normalisation: the largest singular value of each weight, against numpy's decomposition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import SCHEMA, AutoEncoder, Private, context, request, rows, tiny
from numpy.typing import NDArray
from opacus.validators import ModuleValidator
from pydantic import ValidationError
from torch import nn

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, disturb
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Schema
from bench.rng import torch_generator
from defenses.base import Defense, adapt_all, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.gradient_penalty import GradientPenalty
from defenses.spectral_norm import SpectralNorm
from defenses.weight_norm import WeightNorm
from targets.base import Networks, Target, from_tensors, to_tensors
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.training import build_networks, set_mode, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

LAYERS = (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)
Matrix = NDArray[np.float64]


def layers(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, LAYERS)]


def matrix(layer: nn.Module, weight: torch.Tensor, out: int | None = None) -> Matrix:
    """One row per output channel, which is dimension 1 of a transposed convolution's weight, 0 of the others."""
    place = (1 if isinstance(layer, nn.ConvTranspose2d) else 0) if out is None else out
    return np.moveaxis(weight.detach().double().numpy(), place, 0).reshape(weight.shape[place], -1)


def original(layer: nn.Module) -> torch.Tensor:
    return dict(layer.named_parameters())["parametrizations.weight.original"]


def vectors(layer: nn.Module) -> tuple[Matrix, Matrix]:
    found = dict(layer.named_buffers())
    u, v = (found[f"parametrizations.weight.0.{name}"].double().numpy().copy() for name in ("_u", "_v"))
    return u, v


def largest(values: Matrix) -> float:
    return float(np.linalg.svd(values, compute_uv=False)[0])


@pytest.mark.parametrize("role", ["discriminator", "generator"])
def test_weights_are_divided_by_their_largest_singular_value(role: str) -> None:
    target, defense = tiny(average=None), SpectralNorm(roles=[role])
    plain = target.build(SCHEMA, torch_generator(0, "weights", "dcgan"))[role][0]
    networks = build_networks(target, (defense,), context(target))
    set_mode(networks, train=True)
    (network,) = networks[role]
    for _ in range(100):
        network(rows(2) if role == "discriminator" else torch.zeros(2, 5))
    set_mode(networks, train=False)
    transposed = 0
    for layer, before in zip(layers(network), layers(plain), strict=True):
        weight, raw = layer.weight, original(layer)
        assert torch.equal(raw, before.weight)  # type: ignore[arg-type]
        effective = matrix(layer, weight)  # type: ignore[arg-type]
        assert largest(effective) == pytest.approx(1, rel=1e-3)
        np.testing.assert_allclose(effective, matrix(layer, raw) / largest(matrix(layer, raw)), rtol=1e-3, atol=1e-6)
        if isinstance(layer, nn.ConvTranspose2d):  # by its input channels it would be another matrix
            transposed += abs(largest(matrix(layer, weight, out=0)) - 1) > 0.01  # type: ignore[arg-type]
    assert transposed == sum(isinstance(layer, nn.ConvTranspose2d) for layer in layers(network))
    assert (transposed > 0) == (role == "generator")


@pytest.mark.parametrize("iterations", [1, 3])
def test_each_pass_in_training_makes_so_many_power_iterations(iterations: int) -> None:
    target, defense = tiny(), SpectralNorm(power_iterations=iterations)
    networks = build_networks(target, (defense,), context(target))
    (judge,) = networks["discriminator"]
    found = layers(judge)
    with torch.no_grad():
        for place, layer in enumerate(found):  # other weights, so that the vectors are of no use
            original(layer).normal_(generator=torch.Generator().manual_seed(place))
    before = [vectors(layer) for layer in found]
    judge.train()(rows(3))
    judge.eval()(rows(3))
    for layer, (u, v) in zip(found, before, strict=True):
        raw = matrix(layer, original(layer))
        for _ in range(iterations):  # algorithm 1, with the paper's u and v
            u = raw @ v
            u /= np.linalg.norm(u)
            v = raw.T @ u
            v /= np.linalg.norm(v)
        for ours, theirs in zip(vectors(layer), (u, v), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(matrix(layer, layer.weight), raw / (u @ raw @ v), rtol=1e-3, atol=1e-6)  # type: ignore[arg-type]


def test_after_training_the_released_weights_are_normalised() -> None:
    result = train(request(tiny(steps=40), SpectralNorm()))
    found = layers(result.networks["discriminator"][0])
    for layer in found:
        assert largest(matrix(layer, layer.weight)) == pytest.approx(1, abs=0.02)  # type: ignore[arg-type]
    undefended = layers(train(request(tiny(steps=40))).networks["discriminator"][0])
    assert any(abs(largest(matrix(layer, layer.weight)) - 1) > 0.2 for layer in undefended)  # type: ignore[arg-type]


AVERAGES = [
    (tiny(steps=40, learning_rate=0.05, average=0.5), "generator", ["generator"]),
    (DDPM(width=8, steps=40, batch_size=8, learning_rate=0.05, decay=0.5), "average", ["denoiser", "average"]),
]


@pytest.mark.parametrize(("target", "role", "roles"), AVERAGES, ids=str)
def test_averaged_weights_are_normalised_too(
    target: Target, role: str, roles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pass in training goes through them."""

    def furthest() -> float:
        (network,) = train(request(target, SpectralNorm(roles=roles))).networks[role]
        network = getattr(network, "average", network)
        return max(abs(largest(matrix(layer, layer.weight)) - 1) for layer in layers(network))  # type: ignore[arg-type]

    followed = furthest()
    monkeypatch.setattr(SpectralNorm, "after_step", Defense.after_step)
    left = furthest()
    assert followed < 0.15
    assert left > 2 * followed


def test_a_loaded_release_has_the_trained_weights() -> None:
    target, defense = tiny(), SpectralNorm()
    trained = train(request(target, defense)).networks
    stored = to_tensors(trained)
    rebuilt = build_networks(target, (defense,), context(target, seed=9))  # other vectors, other weights
    from_tensors(rebuilt, stored)
    set_mode(rebuilt, train=False)
    for first, second in zip(*(layers(n["discriminator"][0]) for n in (trained, rebuilt)), strict=True):
        assert torch.equal(first.weight, second.weight)
    judged = [networks["discriminator"][0](rows(5)) for networks in (trained, rebuilt)]
    assert torch.equal(judged[0], judged[1])
    after = to_tensors(rebuilt)
    assert all(torch.equal(stored[name], after[name]) for name in stored)  # judging moved nothing


def test_the_start_follows_the_seed_and_leaves_the_global_generator_alone() -> None:
    target = tiny()

    def start(global_seed: int, seed: int = 0, **options: Any) -> Matrix:
        networks = build_networks(target, (), context(target))
        disturb(global_seed)
        before = torch.get_rng_state()
        SpectralNorm(**options).adapt_networks(networks, context(target, seed=seed))
        assert torch.equal(before, torch.get_rng_state())
        return np.concatenate([vectors(layer)[1] for layer in layers(networks["discriminator"][0])])

    first = start(0)
    assert np.array_equal(first, start(1))
    assert not np.array_equal(first, start(0, seed=1))
    assert not np.array_equal(first, start(0, power_iterations=2))


@pytest.mark.parametrize("last", [DPSGD(noise_multiplier=1.0), ClipOnly()], ids=repr)
def test_per_record_clipping_after_it_is_refused(last: Defense) -> None:
    assert stack_refuses((SpectralNorm(), last), tiny(), SCHEMA) == (
        f"{last.name} clips each record's gradient, but under spectral_norm every pass in training moves the power "
        "iteration's vectors, and Opacus gathers no gradient per record of layers with such buffers (its validator "
        "lets them pass, its hooks refuse them)"
    )


def test_the_reason_for_that_holds() -> None:
    networks = build_networks(tiny(), (SpectralNorm(),), context(tiny()))
    assert ModuleValidator.validate(networks["discriminator"][0], strict=False) == []
    with pytest.raises(IncompatibleError, match=r"per-record gradients are not possible in dcgan: .*buffers"):
        Private(tiny(), (SpectralNorm(),))


def test_unknown_roles_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"spectral_norm: expected roles among .* of dcgan, got \['critic'\]"):
        train(request(tiny(), SpectralNorm(roles=["critic"])))


def test_a_network_without_layers_is_refused() -> None:
    networks: Networks = {"encoder": (nn.Sequential(nn.Flatten(), nn.LayerNorm(4)),)}
    with pytest.raises(IncompatibleError, match=r"spectral_norm finds no layer to normalise in \['encoder'\]"):
        SpectralNorm(roles=["encoder"]).adapt_networks(networks, context(AutoEncoder()))


def test_a_layer_that_starts_at_zero_is_refused() -> None:
    head = nn.Linear(4, 2)
    nn.init.zeros_(head.weight)
    networks: Networks = {"encoder": (nn.Sequential(nn.Linear(4, 4), head),)}
    with pytest.raises(IncompatibleError, match=r"not all 0, got ParametrizedLinear of shape \(2, 4\)"):
        SpectralNorm(roles=["encoder"]).adapt_networks(networks, context(AutoEncoder()))


@pytest.mark.parametrize("options", [{"power_iterations": 0}, {"roles": []}], ids=str)
def test_other_options_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        SpectralNorm(**options)


@pytest.mark.parametrize("stack", [(GradientPenalty(),), (Dropout(),)], ids=str)
def test_it_stacks_with_what_follows(stack: tuple[Defense, ...]) -> None:
    assert stack_refuses((SpectralNorm(), *stack), tiny(), SCHEMA) is None
    assert train(request(tiny(), SpectralNorm(), *stack)).status == "completed"


def test_after_weight_norm_it_normalises_the_normed_weight() -> None:
    networks = adapt_all((WeightNorm(), SpectralNorm()), build_networks(tiny(), (), context(tiny())), context(tiny()))
    networks["discriminator"][0].eval()
    for layer in layers(networks["discriminator"][0]):
        assert largest(matrix(layer, layer.weight)) == pytest.approx(1, rel=0.05)  # type: ignore[arg-type]


def test_bf16_training_completes_with_vectors_in_float32() -> None:
    result = train(replace(request(tiny(steps=20), SpectralNorm()), device=Device(precision="bf16")))
    assert result.status == "completed"
    for layer in layers(result.networks["discriminator"][0]):
        assert {buffer.dtype for buffer in layer.buffers()} == {torch.float32}
        assert largest(matrix(layer, layer.weight)) == pytest.approx(1, abs=0.03)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "schema", "roles"),
    [
        (DCGAN(width=4, latent=4), GREY, ["discriminator"]),
        (DCGAN(width=4, latent=4, conditional=True), GREY, ["discriminator", "generator"]),
        (DCGANVAE(width=4, latent=4, feature_level=1), GREY, ["discriminator"]),
        (WGANGP(width=4, latent=4, critic_steps=2), GREY, ["discriminator"]),
        (BEGAN(width=8), GREY, ["discriminator"]),
        (VAE(width=4, latent=4), GREY, ["encoder", "decoder"]),
        (DDPM(width=8, sampling_steps=3), GREY, ["denoiser", "average"]),
        (CTGAN(width=8, latent=4), MIXED, ["discriminator"]),
    ],
    ids=str,
)
def test_contract(target: Target, schema: Schema, roles: list[str]) -> None:
    assert not any(check_defense(SpectralNorm(roles=roles), target=target, schema=schema).values())
