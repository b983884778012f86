"""The threshold of a released discriminator: 0 for a classifier, midway between real and generated for a critic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import SCHEMA, noise_records, request

import targets.decision as module
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Records, to_float
from bench.release import Release
from defenses.dp_sgd import DPSGD
from targets.base import Networks, Target
from targets.dcgan import DCGAN
from targets.decision import decision_thresholds
from targets.training import build_networks, context_of, generate, set_mode
from targets.vae import VAE
from targets.wgan_gp import WGANGP

CRITIC: dict[str, Any] = {"width": 4, "latent": 5, "average": None, "steps": 0, "batch_size": 8}


def built(target: Target, n: int = 1) -> Networks:
    """Its networks in eval mode, with ``n`` discriminators that differ."""
    networks = build_networks(target, (), context_of(request(target)))
    if "discriminator" in networks:
        others = [build_networks(target, (), context_of(request(target, seed=s)))["discriminator"][0] for s in range(n)]
        networks["discriminator"] = tuple(others)
    set_mode(networks, train=False)
    return networks


def mean(network: torch.nn.Module, x: Any) -> float:
    """One record at a time."""
    with torch.no_grad():
        return float(np.mean([float(network(torch.from_numpy(row[None]))[0, 0]) for row in x]))


def midpoints(target: Target, networks: Networks, real: Records, seed: int = 0) -> list[float]:
    asked = request(target)
    made = generate(target, networks, SCHEMA, len(real), seed + (1 << 40), asked.device)
    fake = to_float(made, SCHEMA)
    return [(mean(d, real.floats()) + mean(d, fake)) / 2 for d in networks["discriminator"]]


@pytest.mark.parametrize("target", [DCGAN(width=4, latent=5), VAE(width=4, latent=5)], ids=repr)
def test_a_classifier_or_none_answers_at_0(target: Target) -> None:
    assert decision_thresholds(request(target), built(target)) == ()


def test_each_critic_answers_midway_between_its_means() -> None:
    target = WGANGP(**CRITIC)
    asked, networks = request(target), built(target, n=2)
    found = decision_thresholds(asked, networks)
    assert found == pytest.approx(midpoints(target, networks, asked.records), rel=1e-4)
    assert len(set(found)) == 2


def test_a_private_critic_answers_by_the_defenders_own_records() -> None:
    """The training records, moved by a lot, must not move what is released."""
    target = WGANGP(**CRITIC)
    networks, asked = built(target), request(target, DPSGD(noise_multiplier=1.0))
    found = decision_thresholds(asked, networks)
    assert found == pytest.approx(midpoints(target, networks, asked.validation), rel=1e-4)
    bright = replace(asked.records, x=np.full_like(asked.records.x, 255))
    assert decision_thresholds(replace(asked, records=bright), networks) == found
    open_request = request(target)
    assert decision_thresholds(replace(open_request, records=bright), networks) != decision_thresholds(
        open_request, networks
    )


def test_a_private_critic_needs_the_defenders_own_records() -> None:
    target = WGANGP(**CRITIC)
    nobody = noise_records(0)
    with pytest.raises(IncompatibleError, match="expected validation records to set the threshold of a private critic"):
        decision_thresholds(request(target, DPSGD(noise_multiplier=1.0), validation=nobody), built(target))


def test_a_seeded_part_of_many_records_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORDS", 10)
    target = WGANGP(**CRITIC)
    networks, asked = built(target), request(target, n=30)
    found = decision_thresholds(asked, networks)
    moved = []
    for place in range(30):
        x = asked.records.x.copy()
        x[place] = 255
        changed = decision_thresholds(replace(asked, records=replace(asked.records, x=x)), networks)
        moved.append(changed != found)
    assert sum(moved) == 10
    assert not all(moved[:10])  # drawn, and not the first ones


def test_a_release_answers_above_its_threshold() -> None:
    target = WGANGP(**CRITIC)
    networks, asked = built(target), request(target)
    x = asked.records.floats()
    logits = Release(target, networks, SCHEMA, asked.device).logits(x)[0]
    middle = float(np.median(logits))
    answers = Release(target, networks, SCHEMA, asked.device, (middle,)).decision(x)
    assert answers.tolist() == [[float(logit) > middle for logit in logits]]
    assert 0 < answers.sum() < len(logits)
    at_zero = Release(target, networks, SCHEMA, asked.device).decision(x)
    assert at_zero.tolist() == [[float(logit) > 0 for logit in logits]]


def test_each_of_several_discriminators_answers_at_a_threshold_of_its_own() -> None:
    target = DCGAN(width=4, latent=4)
    first, second = built(target), built(target)
    with torch.no_grad():
        for p in second["discriminator"][0].parameters():
            p.neg_()
    both = {**first, "discriminator": (*first["discriminator"], *second["discriminator"])}
    x = request(target).records.floats()
    release = Release(target, both, SCHEMA, Device(), (0.01, -0.02))
    logits = release.logits(x)
    assert np.array_equal(release.decision(x), np.stack([logits[0] > 0.01, logits[1] > -0.02]))
    assert np.array_equal(Release(target, both, SCHEMA, Device()).decision(x), logits > 0)
