"""Clipping alone: the clipped sum, no noise, no claim."""

from __future__ import annotations

import pytest
import torch
from dp_cases import Private, clipped_sum, context, request, rows, tiny

from defenses.clip_only import ClipOnly
from targets.base import parameters
from targets.training import build_networks, set_mode, train


def test_its_update_is_the_clipped_mean_without_noise() -> None:
    target, defense = tiny(), ClipOnly(max_grad_norm=0.02)
    about = context(target)
    networks = build_networks(target, (defense,), about)
    set_mode(networks, train=True)
    phase, generator_phase = target.phases()
    private = parameters(networks, phase.roles)
    updater = defense.updater(phase, networks, torch.optim.SGD(private, lr=1.0), about)
    assert updater is not None
    assert defense.updater(generator_phase, networks, torch.optim.SGD(private, lr=1.0), about) is None
    reference = Private(target, clip=0.02)
    reference.networks, reference.parameters = networks, private
    expected = clipped_sum(reference.literal(rows(5)), 0.02) / 8
    before = torch.cat([p.detach().flatten() for p in private])
    updater.begin()
    updater.step(reference.losses(rows(5)), 8)
    updater.end()
    moved = before - torch.cat([p.detach().flatten() for p in private])
    assert float(expected.norm()) > 1e-4
    torch.testing.assert_close(moved.double(), expected, rtol=1e-3, atol=1e-7)
    assert updater.claim() is None


def test_it_trains_on_poisson_batches_and_claims_nothing() -> None:
    result = train(request(tiny(), ClipOnly()))
    assert ClipOnly().poisson()
    assert (result.status, result.claim) == ("completed", None)


def test_a_tighter_clip_gives_shorter_gradients() -> None:
    norms = [
        train(request(tiny(steps=1), ClipOnly(max_grad_norm=clip))).history["grad_norm/discriminator"][0]
        for clip in (1e-4, 1e-3, 1e3)
    ]
    assert norms[1] == pytest.approx(10 * norms[0], rel=0.01)
    assert norms[2] > norms[1]
