"""Instance noise: on all that the discriminator is shown in training, fading by a line, and never in the release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import SCHEMA, Mode, Private, context, request, rows, tiny
from pydantic import ValidationError
from torch import nn

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, tiny_step
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Schema
from defenses._inputs import ChangedInput
from defenses.base import Defense, Step, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.instance_noise import InstanceNoise, Noise
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Losses, Networks, Target, from_tensors, to_tensors
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.memorizer import Memorizer
from targets.training import build_networks, set_mode, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

DP = DPSGD(noise_multiplier=1.0)


class Watched(nn.Module):
    """Keeps the inputs that come in from outside, and those that reach the network."""

    def __init__(self, changed: ChangedInput) -> None:
        super().__init__()
        self.changed = changed
        self.given: list[torch.Tensor] = []
        self.shown: list[torch.Tensor] = []
        changed.network.register_forward_pre_hook(lambda _, found: self.shown.append(found[0]))

    def forward(self, x: torch.Tensor, *labels: torch.Tensor) -> torch.Tensor:
        self.given.append(x)
        found: torch.Tensor = self.changed(x, *labels)
        return found


def watched(target: Target, defense: InstanceNoise) -> tuple[Networks, Watched]:
    networks = build_networks(target, (defense,), context(target))
    set_mode(networks, train=True)
    watch = Watched(networks["discriminator"][0])  # type: ignore[arg-type]
    return {**networks, "discriminator": (watch,)}, watch


@pytest.mark.parametrize(
    "target",
    [
        tiny(batch_size=40),
        tiny(batch_size=40, norm="batch"),
        DCGANVAE(width=4, latent=4, feature_level=1, batch_size=40),
        WGANGP(width=4, latent=4, batch_size=40),
    ],
    ids=str,
)
def test_real_and_generated_rows_are_noisy_in_every_phase(target: Target) -> None:
    networks, watch = watched(target, InstanceNoise(strength=0.25))
    draw = Draw(Device(), 3, "test")
    for phase in target.phases():
        del watch.given[:], watch.shown[:]
        x = rows(40) if phase.private else rows(0)
        losses = target.losses(phase, networks, Batch(x, None, 40, SCHEMA), draw)
        assert len(watch.given) == len(watch.shown) > 0
        noise = torch.cat([shown - given for given, shown in zip(watch.given, watch.shown, strict=True)]).detach()
        assert len(noise) >= (80 if phase.name == "discriminator" else 40)
        for row in noise:  # 120 values each
            assert 0.15 < float(row.std()) < 0.35
            assert abs(float(row.mean())) < 0.25 * 5 / 120**0.5
        flat = noise.flatten(1)
        assert float(flat.std()) == pytest.approx(0.25, rel=0.05)
        largest = torch.corrcoef(flat).fill_diagonal_(0).abs().max()
        assert float(largest) < 6 / 120**0.5  # no row has another's noise
        if phase.name == "generator":  # it learns through the noise
            losses.total().backward()  # type: ignore[no-untyped-call]
            gradients = [p.grad for p in networks["generator"][0].parameters() if p.grad is not None]
            assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_in_evaluation_mode_it_adds_nothing_and_draws_nothing() -> None:
    target = tiny()
    plain, noisy = (build_networks(target, stack, context(target)) for stack in ((), (InstanceNoise(),)))
    for networks in (plain, noisy):
        set_mode(networks, train=False)
    (judge,) = noisy["discriminator"]
    assert isinstance(judge, ChangedInput)
    assert isinstance(judge.change, Noise)
    before = judge.change.draw.generator.get_state()
    assert torch.equal(judge(rows(4)), plain["discriminator"][0](rows(4)))
    assert torch.equal(before, judge.change.draw.generator.get_state())
    judge.train()
    assert not torch.equal(judge(rows(4)), judge(rows(4)))


class Spy(InstanceNoise):
    """Notes with which strength each update is made."""

    name = "spy"
    seen: dict[str, list[float]]

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        (noise,) = step.state
        self.seen.setdefault(step.phase.name, []).append(noise.strength)
        return losses


@pytest.mark.parametrize(("end", "steps"), [(0.0, 6), (0.1, 4), (0.4, 3), (0.0, 1)])
@pytest.mark.parametrize("before", [(), (Dropout(),), (InstanceNoise(strength=0.9, end=0.8),)], ids=str)
def test_the_strength_falls_on_a_line(end: float, steps: int, before: Sequence[Defense]) -> None:
    spy = Spy(strength=0.4, end=end)
    spy.seen = {}
    train(request(tiny(steps=steps), *before, spy))
    expected = np.linspace(0.4, end, steps) if steps > 1 else [0.4]
    assert set(spy.seen) == {"discriminator", "generator"}
    for seen in spy.seen.values():  # of its own noise alone, whatever else is in the stack
        np.testing.assert_allclose(seen, expected, atol=1e-12)


def test_a_client_that_sat_steps_out_comes_back_to_the_strength_of_the_step() -> None:
    defense, target = InstanceNoise(strength=0.5), tiny(steps=11)
    networks = build_networks(target, (defense,), context(target))
    state, given = defense.start(networks, context(target)), Batch(rows(3), None, 8, SCHEMA)
    first = tiny_step(target, networks=networks, state=state, schema=SCHEMA)
    for number, expected in ((1, 0.5), (2, 0.45), (9, 0.1), (11, 0.0)):
        assert defense.transform_batch(given, replace(first, number=number)) is given
        assert [noise.strength for noise in state] == pytest.approx([expected])


def test_each_strength_is_that_of_the_noise_that_is_added() -> None:
    noise = Noise(InstanceNoise(), Draw(Device(), 0, "test"), 2.0)
    zeros = torch.zeros(50, 1, 10, 12)
    assert float(noise(zeros).std()) == pytest.approx(2.0, rel=0.05)
    noise.strength = 0.5
    assert float(noise(zeros).std()) == pytest.approx(0.5, rel=0.05)
    noise.strength = 0.0
    assert torch.equal(noise(zeros), zeros)
    assert noise(zeros.to(torch.bfloat16)).dtype == torch.bfloat16


def test_the_noise_follows_the_seed_and_differs_between_discriminators_and_defenses() -> None:
    class Two(DCGAN):
        name = "two"

        def build(self, schema: Schema, rng: torch.Generator) -> Networks:
            built = super().build(schema, rng)
            return {**built, "discriminator": built["discriminator"] * 2}

    def drawn(seed: int, defense: InstanceNoise, global_seed: int = 0) -> list[torch.Tensor]:
        target = Two(width=4, latent=5)
        judges = build_networks(target, (defense,), context(target, seed=seed))["discriminator"]
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            return [judge.change(torch.zeros(1, 500)) for judge in judges]  # type: ignore[operator]

    first, second = drawn(0, InstanceNoise())
    again, _ = drawn(0, InstanceNoise(), global_seed=1)
    other, _ = drawn(1, InstanceNoise())
    stacked, _ = drawn(0, InstanceNoise(end=0.1))
    assert torch.equal(first, again)
    table = torch.corrcoef(torch.cat([first, second, other, stacked])).fill_diagonal_(0)
    assert float(table.abs().max()) < 5 / 500**0.5


def test_a_trained_release_judges_as_it_does_when_it_is_loaded() -> None:
    target = tiny(conditional=False)
    trained = train(request(target, InstanceNoise())).networks
    rebuilt = build_networks(target, (InstanceNoise(),), context(target))
    from_tensors(rebuilt, to_tensors(trained))
    set_mode(rebuilt, train=False)
    assert torch.equal(trained["discriminator"][0](rows(5)), rebuilt["discriminator"][0](rows(5)))


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
def test_under_dp_each_rows_gradient_still_equals_the_loop(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """With the draws of one pass replayed, the gradients of the loop are those of the hooks."""
    private = Private(tiny(), (InstanceNoise(strength=0.5), WeightNorm()), scale=3.0, mode=mode)
    normal, draws = Draw.normal, list[torch.Tensor]()

    def record(self: Draw, *shape: int) -> torch.Tensor:
        draws.append(normal(self, *shape))
        return draws[-1]

    for n in (1, 6):
        draws.clear()
        monkeypatch.setattr(Draw, "normal", record)
        found = private.samples(rows(n))
        assert [len(drawn) for drawn in draws] == [8, n + 8]  # latents, and the noise of all rows
        replayed = iter(list(draws))
        monkeypatch.setattr(Draw, "normal", lambda self, *shape, replayed=replayed: next(replayed))
        expected = private.literal(rows(n))
        assert found.shape == expected.shape == (n + 8, found.shape[1])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_under_dp_the_claim_is_that_of_dp_alone() -> None:
    alone, stacked = (train(request(tiny(), *stack)).claim for stack in ((DP,), (InstanceNoise(), DP)))
    assert alone is not None
    assert alone.epsilon is not None
    assert stacked == alone
    assert train(request(tiny(), InstanceNoise(), ClipOnly())).status == "completed"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (VAE(), "instance_noise changes the training of a discriminator, and vae trains none"),
        (Memorizer(), "instance_noise changes the training of a discriminator, and memorizer trains none"),
    ],
    ids=repr,
)
def test_without_a_discriminator_it_is_refused(target: Target, reason: str) -> None:
    assert stack_refuses((InstanceNoise(),), target, GREY) == reason


def test_an_autoencoder_that_judges_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="gives each row a logit, got one that redraws its input"):
        train(request(BEGAN(width=8, steps=1, batch_size=8), InstanceNoise()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"strength": 0.0}, "strength"),
        ({"strength": float("inf")}, "strength"),
        ({"end": -0.1}, "end"),
        ({"strength": 0.1, "end": 0.2}, "expected noise that falls, `end` at most 0.1, got 0.2"),
    ],
    ids=str,
)
def test_other_options_are_none(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        InstanceNoise(**options)
    assert InstanceNoise(strength=0.2, end=0.2).strength_at(3, 9) == pytest.approx(0.2)


def test_bf16_training_completes() -> None:
    result = train(replace(request(tiny(), InstanceNoise()), device=Device(precision="bf16")))
    assert result.status == "completed"


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (DCGAN(width=4, latent=4), GREY),
        (DCGAN(width=4, latent=4, conditional=True), GREY),
        (DCGANVAE(width=4, latent=4, feature_level=1), GREY),
        (WGANGP(width=4, latent=4, critic_steps=2), GREY),
        (CTGAN(width=8, latent=4, conditional=True), MIXED),
    ],
    ids=str,
)
def test_contract(target: Target, schema: Schema) -> None:
    assert not any(check_defense(InstanceNoise(), target=target, schema=schema).values())
