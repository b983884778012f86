"""The running average of a generator's weights: what it is, when it is used, and that it is what is released."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from training_cases import request, same, tiny, weights

from bench.devices import Device
from bench.rng import torch_generator
from targets.base import Draw, from_tensors, to_tensors
from targets.nets.average import Averaged, averaged, update_averages
from targets.training import build_networks, context_of, train


def test_the_average_is_that_of_a_plain_loop() -> None:
    rng = torch_generator(0, "test average")
    net = nn.Linear(2, 1, bias=False)
    kept = Averaged(net, 0.9)
    path = torch.randn(30, 1, 2, generator=rng)
    expected = net.weight.detach().clone()
    for n, point in enumerate(path, start=1):
        with torch.no_grad():
            net.weight.copy_(point)
            kept.update()
        step = max(0.1, 1 / (n + 1))
        expected = (1 - step) * expected + step * point
    torch.testing.assert_close(kept.average.weight, expected)
    assert not kept.average.weight.requires_grad


def test_training_sees_the_weights_and_evaluation_their_average() -> None:
    kept = Averaged(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 0.9)
    with torch.no_grad():
        kept.network[0].weight.add_(1)
        kept.network[1].running_mean.add_(3)
    x = torch.ones(4, 2)
    assert not torch.equal(kept.eval()(x), kept.network(x))
    assert torch.equal(kept.eval()(x), kept.average(x))
    with torch.no_grad():
        kept.update()
    assert torch.equal(kept.average[1].running_mean, kept.network[1].running_mean), (
        "statistics are copied, not averaged"
    )
    kept.train()
    assert torch.equal(kept(x), kept.network(x))


def test_without_a_decay_nothing_is_wrapped() -> None:
    net = nn.Linear(1, 1)
    assert averaged(net, None) is net
    update_averages([net])


@pytest.mark.parametrize("average", [None, 0.5])
def test_the_discriminator_learns_the_same_with_and_without_an_average(average: float | None) -> None:
    """The average is released and trains nothing, so attacks on the discriminator read the same."""
    plain = train(request(tiny(average=None)))
    found = train(request(tiny(average=average)))
    judges = [{n: t for n, t in weights(r.networks).items() if n.startswith("discriminator")} for r in (plain, found)]
    assert same(*judges)


def test_the_released_generator_is_the_average_also_after_storing() -> None:
    asked = request(tiny(average=0.9))
    networks = train(asked).networks
    (maker,) = networks["generator"]
    assert isinstance(maker, Averaged)
    assert int(maker.get_buffer("updates")) == asked.target.options.steps
    z = asked.target.latent(3, Draw(Device(), 0, "test"))
    rebuilt = build_networks(asked.target, (), context_of(asked))
    from_tensors(rebuilt, to_tensors(networks))
    rebuilt["generator"][0].eval()
    made = asked.target.decode(networks, z)
    assert torch.equal(made, asked.target.decode(rebuilt, z))
    assert torch.equal(made, maker.average(z))
    assert not torch.equal(made, maker.network.eval()(z))
