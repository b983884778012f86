"""The convolutional pyramids: shapes at every size, records kept apart, weights from the named generator."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from bench.devices import Device
from bench.records import Schema
from bench.rng import torch_generator
from targets.base import Draw
from targets.dcgan import DCGAN
from targets.nets.conv import discriminator, generator, initialise, pyramid, stretched_tanh

SIDES = st.integers(8, 64)


@given(height=SIDES, width=SIDES)
@settings(max_examples=200, deadline=None)
def test_pyramid_halves_each_side_until_neither_is_above_four(height: int, width: int) -> None:
    sizes = pyramid(height, width)
    assert sizes[0] == (height, width)
    assert max(sizes[-1]) <= 4
    assert min(sizes[-1]) >= 3
    assert len(sizes) - 1 == math.ceil(math.log2(max(height, width) / 4))
    for large, small in pairwise(sizes):
        for a, b in zip(large, small, strict=True):
            assert b == (math.ceil(a / 2) if a > 4 else a)


@given(height=SIDES, width=SIDES, channels=st.sampled_from([1, 3]), norm=st.sampled_from(["group", "batch", "none"]))
@example(height=8, width=8, channels=1, norm="group")
@example(height=64, width=64, channels=3, norm="batch")
@example(height=8, width=64, channels=3, norm="group")
@example(height=64, width=9, channels=1, norm="none")
@example(height=10, width=14, channels=1, norm="group")
@settings(max_examples=40, deadline=None)
def test_any_image_size_is_made_and_judged(height: int, width: int, channels: int, norm: str) -> None:
    target, schema = DCGAN(width=4, latent=3, norm=norm), Schema("image", (channels, height, width))
    assert target.refuses(schema) is None
    networks = target.build(schema, torch_generator(0, "test"))
    x = target.generate(networks, 2, Draw(Device(), 0, "test"))
    assert x.shape == (2, channels, height, width)
    assert float(x.detach().abs().max()) <= 1
    (judge,) = networks["discriminator"]
    assert judge(x).shape == (2, 1)
    assert target.logit(judge, x).shape == (2,)


@pytest.mark.parametrize(
    ("shape", "shown"), [((1, 7, 8), "7x8"), ((3, 7, 7), "7x7"), ((1, 65, 64), "65x64"), ((1, 8, 65), "8x65")]
)
def test_sizes_out_of_reach_are_refused(shape: tuple[int, ...], shown: str) -> None:
    reason = DCGAN().refuses(Schema("image", shape))
    assert reason is not None
    assert f"8 to 64 pixels a side, got {shown}" in reason


def test_tables_are_refused() -> None:
    assert DCGAN().refuses(Schema("table", (5,))) == "dcgan models image records, not table records"


@pytest.mark.parametrize("norm", ["group", "none", "batch"])
def test_only_batch_norm_lets_one_record_reach_anothers_logit(norm: str) -> None:
    network = initialise(discriminator((1, 16, 16), 8, norm), torch_generator(0, "test")).train()  # type: ignore[arg-type]
    x = torch.randn(5, 1, 16, 16, generator=torch_generator(1, "test"), requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[2, 0], x)
    reached = gradient.abs().amax(dim=(1, 2, 3)) > 0
    assert bool(reached[2])
    assert int(reached.sum()) == (5 if norm == "batch" else 1)


@pytest.mark.parametrize(("norm", "layer"), [("group", nn.GroupNorm), ("batch", nn.BatchNorm2d), ("none", None)])
def test_norm_names_the_discriminators_normalisation(norm: str, layer: type[nn.Module] | None) -> None:
    layers = list(discriminator((3, 32, 32), 4, norm).modules())  # type: ignore[arg-type]
    found = {type(m) for m in layers if isinstance(m, nn.GroupNorm | nn.BatchNorm2d)}
    assert found == ({layer} if layer else set())
    convolutions = sum(isinstance(m, nn.Conv2d) for m in layers)
    assert sum(type(m) is layer for m in layers) == (convolutions - 1 if layer else 0)  # none on the first layer


def test_every_weight_comes_from_the_given_generator() -> None:
    def build(global_seed: int, seed: int) -> list[torch.Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            networks = DCGAN(width=4).build(Schema("image", (3, 16, 16)), torch_generator(seed, "test"))
        return [p.detach() for (module,) in networks.values() for p in module.parameters()]

    first, again, other = build(0, 0), build(1, 0), build(0, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a, b) == bool((a == 0).all()) for a, b in zip(first, other, strict=True))  # biases are 0


def test_initial_weights_have_the_papers_distribution() -> None:
    networks = [
        initialise(module, torch_generator(0, "test"))
        for module in (discriminator((3, 64, 64), 16, "group"), generator((3, 64, 64), 16, 50))
    ]
    layers = [m for network in networks for m in network.modules()]
    weights = torch.cat([m.weight.flatten() for m in layers if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]).detach()
    scales = torch.cat([m.weight for m in layers if isinstance(m, nn.GroupNorm | nn.BatchNorm2d)]).detach()
    assert float(weights.std()) == pytest.approx(0.02, rel=0.01)
    assert abs(float(weights.mean())) < 5 * 0.02 / math.sqrt(len(weights))
    assert float(scales.mean()) == pytest.approx(1, abs=5 * 0.02 / math.sqrt(len(scales)))
    assert float(scales.std()) == pytest.approx(0.02, rel=0.2)


def test_a_stretched_tanh_reaches_what_a_tanh_approaches() -> None:
    x = torch.linspace(-4, 4, 101)
    assert torch.equal(stretched_tanh(x, 1.0), x.tanh())
    found = stretched_tanh(x, 1.1)
    assert float(found.min()) == -1
    assert float(found.max()) == 1
    inside = (1.1 * x.tanh()).abs() < 1
    assert torch.equal(found[inside], (1.1 * x.tanh())[inside])
    assert 10 < int(inside.sum()) < 91


def test_the_paper_preset_is_without_the_suites_own_additions() -> None:
    options = DCGAN(**DCGAN.presets["paper"]).options
    assert (options.average, options.stretch, options.norm, options.learning_rate) == (None, 1.0, "batch", 2e-4)
