"""privGAN: who sees which records, the privacy loss and who learns by it, and what is released."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import SCHEMA, context, noise_records, request, tiny
from pair_cases import (
    LATENT,
    Counting,
    Ending,
    Plain,
    Times,
    assert_same,
    attacked,
    descend,
    named,
    own_batches,
    small,
    spy,
    trained,
)
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import softplus

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, tiny_records
from bench.devices import Device
from bench.errors import IncompatibleError, PluginError
from bench.records import Schema
from bench.rng import derive_seed, torch_generator
from defenses._pairs import trainees
from defenses._partition import even_parts
from defenses._privacy_discriminator import PrivacyTraining, classifier
from defenses.base import Defense, TrainingContext, stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.privgan import PrivGAN
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Losses, Networks, Phase, Target, parameters
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.decision import decision_thresholds
from targets.logan_attacker import LoganAttacker
from targets.nets.average import Averaged
from targets.nets.dropout import SeededDropout
from targets.nets.mixture import Mixture, assigned
from targets.training import TrainingRequest, build_networks, context_of, prepare, set_mode, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP


def cross_entropy(logits: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
    """-log of the softmax at each row's label, ``(rows,)``, by its definition."""
    rows = [row.exp()[label] / row.exp().sum() for row, label in zip(logits, labels, strict=True)]
    return -torch.stack(rows).log()


def in_training(asked: TrainingRequest, weight: float = 1.0, starts: float = 0.0) -> PrivacyTraining:
    """The parts of a procedure, before its first step."""
    networks, history = prepare(asked)
    judges, (mixture,) = networks["discriminator"], networks["generator"]
    assert isinstance(mixture, Mixture)
    each: list[Networks] = [
        {**networks, "generator": (maker,), "discriminator": (judge,)}
        for maker, judge in zip(mixture.generators, judges, strict=True)
    ]
    pairs = trainees(asked, each, even_parts(len(asked.records), len(judges), asked.seed), history)
    return PrivacyTraining(asked, pairs, weight, starts)


def test_two_steps_equal_a_loop() -> None:
    """Pre-training by two updates, then two steps, after the second of which the privacy discriminator learns."""
    defense = PrivGAN(pairs=3, weight=0.7, pretraining=1.0, delay=0.5)
    asked = request(Plain(**small(steps=2, norm="none")), defense, n=20)
    found = train(asked)
    assert found.parts is not None
    networks = build_networks(asked.target, asked.defenses, context_of(asked))
    set_mode(networks, train=True)
    (mixture,), judges, (privacy,) = (networks[r] for r in ("generator", "discriminator", "privacy_discriminator"))
    assert isinstance(mixture, Mixture)
    makers = list(mixture.generators)
    seeds = [derive_seed(0, "part", part) for part in range(3)]
    draws, labels = [Draw(Device(), seed, "noise") for seed in seeds], Draw(Device(), 0, "privacy discriminator")

    def sources(seeds: list[int]) -> list[Any]:
        return [own_batches(asked.records, found.parts, part, seed) for part, seed in enumerate(seeds)]

    def teach(shown: list[torch.Tensor]) -> None:
        rows = [cross_entropy(privacy(x), [part] * len(x)) for part, x in enumerate(shown)]
        descend(privacy, torch.cat(rows).mean())

    before = sources([derive_seed(seed, "pretraining") for seed in seeds])
    for _ in range(2):
        teach([next(source) for source in before])
    real, losses = sources(seeds), []
    for number in (1, 2):
        for judge, maker, source, draw in zip(judges, makers, real, draws, strict=True):
            fake = maker(draw.normal(8, LATENT)).detach()
            descend(judge, softplus(-judge(next(source))).mean() + softplus(judge(fake)).mean())
        shown, each = [], []
        for part, (judge, maker, draw) in enumerate(zip(judges, makers, draws, strict=True)):
            made = maker(draw.normal(8, LATENT))
            others = [[other for other in range(3) if other != part][int(i)] for i in labels.integers(2, 8)]
            loss = softplus(-judge(made)).mean() + 0.7 * cross_entropy(privacy(made), others).mean()
            descend(maker, loss)
            shown.append(made.detach())
            each.append(float(loss.detach()))
        losses.append(sum(each) / 3)
        if number == 2:
            teach(shown)
    assert_same(found.networks, networks)
    np.testing.assert_allclose(found.history["loss/generator"], losses, rtol=1e-5)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_generator_is_drawn_to_every_other_and_never_to_itself(part: int) -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([0.0, 1.0, 2.0]).expand(len(x), 3)

    training = in_training(request(tiny(batch_size=200), PrivGAN(pairs=3)), weight=1e6)
    training.privacy = Fixed()
    phase = training.pairs[part].phases[1]
    batch = Batch(torch.zeros(0, *SCHEMA.shape), None, 200, SCHEMA)
    rows = training.losses(part, phase, 1, [], batch).public
    assert rows is not None
    level = math.log(1 + math.e + math.e**2)  # -log softmax of label y is level - y
    labels = Counter((level - rows.detach() / 1e6).round().long().tolist())
    assert set(labels) == {0, 1, 2} - {part}
    assert min(labels.values()) > 60  # 100 expected, standard deviation 7


def test_a_generators_update_leaves_all_other_networks_alone() -> None:
    training = in_training(request(tiny(), PrivGAN()))
    batch = Batch(torch.zeros(0, *SCHEMA.shape), None, 8, SCHEMA)
    pair, phase = training.pairs[0], training.pairs[0].phases[1]
    kept = {role: [p.clone() for p in parameters(pair.networks, [role])] for role in pair.networks}
    other = [p.clone() for p in parameters(training.pairs[1].networks, ["generator"])]
    training.makers[0].update(phase, batch, 1, lambda given: training.losses(0, phase, 1, [], given))
    changed = {
        role: any(not torch.equal(a, b) for a, b in zip(before, parameters(pair.networks, [role]), strict=True))
        for role, before in kept.items()
    }
    assert changed == {"generator": True, "discriminator": False, "privacy_discriminator": False}
    assert all(p.grad is None for p in training.privacy.parameters())
    assert all(map(torch.equal, other, parameters(training.pairs[1].networks, ["generator"])))


def test_the_privacy_discriminator_learns_to_tell_the_parts_and_the_generators() -> None:
    asked = request(tiny(), PrivGAN(), n=20)
    training = in_training(asked)
    training.pretrain(80)
    for part, pair in enumerate(training.pairs):
        x = torch.from_numpy(pair.request.records.floats())
        assert float((training.privacy(x).argmax(dim=1) == part).float().mean()) > 0.9
    draw = Draw(Device(), 0, "test")
    makers = [pair.networks["generator"][0] for pair in training.pairs]
    shown = [(maker(draw.normal(32, LATENT)).detach(),) for maker in makers]
    for _ in range(80):
        training.teach(shown)
    for part, (x,) in enumerate(shown):
        assert float((training.privacy(x).argmax(dim=1) == part).float().mean()) > 0.9


@pytest.mark.parametrize(
    ("options", "critic_steps", "updates"),
    [
        ({"pretraining": 0.5, "delay": 0.5}, 1, 3 + 3),
        ({"pretraining": 0, "delay": 0}, 1, 6),
        ({"pretraining": 0, "delay": 1}, 1, 0),
        ({"pretraining": 0, "delay": 0.5}, 2, 2),  # the generators are updated in steps 2, 4 and 6
    ],
)
def test_when_the_privacy_discriminator_learns(
    options: dict[str, float], critic_steps: int, updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    teach = PrivacyTraining.teach

    def counted(self: PrivacyTraining, shown: Sequence[tuple[torch.Tensor, ...]]) -> None:
        sizes.append([len(given[0]) for given in shown])
        teach(self, shown)

    monkeypatch.setattr(PrivacyTraining, "teach", counted)
    target = DCGAN(**small()) if critic_steps == 1 else WGANGP(**small(critic_steps=critic_steps))
    train(request(target, PrivGAN(pairs=3, **options)))
    assert sizes == [[8, 8, 8]] * updates


def test_each_pair_sees_one_part_and_all_parts_hold_all_records() -> None:
    seen: dict[int, set[bytes]] = defaultdict(set)

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> Losses | None:
        if phase.private:
            seen[id(networks["discriminator"][0])] |= {row.numpy().tobytes() for row in batch.x}
        else:
            assert len(batch.x) == 0
        return None

    result = trained(spy(watch, steps=12), PrivGAN(pairs=3), n=20)
    assert result.parts is not None
    records = noise_records(20).floats()
    for part, judge in enumerate(result.networks["discriminator"]):
        assert seen[id(judge)] == {records[i].tobytes() for i in np.flatnonzero(result.parts == part)}
    assert sorted(np.bincount(result.parts)) == [6, 7, 7]


@pytest.mark.parametrize(
    ("target", "updates"),
    [(DCGAN(**small(average=0.9)), 6), (WGANGP(**small(average=0.9, critic_steps=2)), 3)],
    ids=repr,
)
def test_every_network_is_updated_as_often_as_undefended(target: DCGAN | WGANGP, updates: int) -> None:
    counts, undefended = Counting(), Counting()
    result, plain = train(request(target, PrivGAN(pairs=3), counts)), train(request(target, undefended))
    (mixture,) = result.networks["generator"]
    assert isinstance(mixture, Mixture)
    makers = [maker for maker in mixture.generators if isinstance(maker, Averaged)]
    assert [counts.of(judge) for judge in result.networks["discriminator"]] == [6] * 3
    assert [counts.of(maker.network) for maker in makers] == [updates] * 3
    assert undefended.of(plain.networks["discriminator"][0]) == 6
    assert undefended.of(plain.networks["generator"][0]) == updates
    assert [int(maker.get_buffer("updates")) for maker in makers] == [updates] * 3
    assert {name: len(values) for name, values in result.history.items()} == {
        name: len(values) for name, values in plain.history.items()
    }


def test_networks_start_differently() -> None:
    target = tiny()
    networks = build_networks(target, (PrivGAN(pairs=3),), context(target))
    (mixture,), (privacy,) = networks["generator"], networks["privacy_discriminator"]
    assert isinstance(mixture, Mixture)
    x, z = torch.from_numpy(noise_records(4).floats()), Draw(Device(), 0, "test").normal(4, LATENT)
    for answers in ([judge(x) for judge in networks["discriminator"]], [maker(z) for maker in mixture.generators]):
        assert len(answers) == 3
        assert not any(torch.equal(a, b) for i, a in enumerate(answers) for b in answers[:i])
    assert privacy(x).shape == (4, 3)
    body = [type(module) for module in privacy.modules()]
    assert body == [type(module) for module in networks["discriminator"][0].modules()]


def test_the_release_generates_by_all_generators_in_equal_shares() -> None:
    target = DCGAN(**small())
    networks = trained(target, PrivGAN(pairs=3)).networks
    (mixture,) = networks["generator"]
    assert isinstance(mixture, Mixture)
    z = target.latent(300, Draw(Device(), 0, "test"))
    made = target.decode(networks, z)
    chosen, own = assigned(z, 3)
    for number, maker in enumerate(mixture.generators):
        assert 60 < int((chosen == number).sum()) < 140
        torch.testing.assert_close(made[chosen == number], maker(own[chosen == number]), rtol=1e-4, atol=1e-5)


def test_other_defenses_change_a_generators_own_loss_and_not_the_privacy_loss() -> None:
    """Also one that replaces the generator's loss: the privacy loss stands beside what it makes of it."""
    alone, tenfold, zero = (
        float(trained(Plain(**small(steps=1)), PrivGAN(), *more).history["loss/generator"][0])
        for more in ((), (Times(10),), (Times(0),))
    )
    assert 0.6 < zero < 0.8  # the privacy loss alone: ln 2 of two generators at the start
    assert tenfold - zero == pytest.approx(10 * (alone - zero), rel=1e-4)


def test_the_first_pair_that_a_defense_ends_ends_all() -> None:
    ending = Ending()
    result = trained(DCGAN(**small()), PrivGAN(pairs=3), ending)
    assert result.steps_done == 3
    assert ending.asked == [(number, state) for number in (1, 2, 3) for state in (1, 2, 3)]


def test_divergence_is_seen_and_the_parts_are_kept() -> None:
    calls = []

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> Losses | None:
        calls.append(phase.name)
        if len(calls) > 4 and losses.private is not None:  # in the second step
            return Losses(losses.private * math.inf, losses.public)
        return None

    result = trained(spy(watch), PrivGAN())
    assert (result.status, result.steps_done) == ("diverged", 2)
    assert result.parts is not None
    assert len(result.parts) == 20


def test_small_parts_and_too_few_records() -> None:
    result = trained(DCGAN(**small()), PrivGAN(pairs=3), n=4)
    assert result.status == "completed"
    assert result.parts is not None
    assert sorted(np.bincount(result.parts)) == [1, 1, 2]
    with pytest.raises(IncompatibleError, match="expected at least one record for each of 3 parts, got 2 records"):
        trained(DCGAN(**small()), PrivGAN(pairs=3), n=2)


def test_members_are_found_and_so_is_their_part() -> None:
    target = DCGAN(**small(steps=150, width=8, learning_rate=2e-3))
    result = trained(target, PrivGAN(weight=0.1, pretraining=0), n=40)
    assert named(target, result, 40) > 0.5 + 3 * math.sqrt(0.25 / 40)  # chance plus three standard errors
    assert attacked(target, result, 40, "max") > 0.6


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (None, GREY),
        (DCGAN(width=4, latent=4, conditional=True), GREY),
        (DCGAN(width=4, latent=4, norm="batch"), GREY),
        (WGANGP(width=4, latent=4, critic_steps=1), GREY),
        (CTGAN(width=8, latent=4), MIXED),
        (CTGAN(width=8, latent=4, conditional=True, loss="wgan_gp"), MIXED),
    ],
    ids=repr,
)
def test_the_contract(target: Target | None, schema: Schema) -> None:
    report = check_defense(PrivGAN(pretraining=1.0, delay=0), target=target, schema=schema)
    assert set(report.values()) == {""}


def test_a_conditional_privacy_discriminator_is_told_the_labels() -> None:
    target = DCGAN(**small(conditional=True, steps=2))
    records = tiny_records(GREY)
    asked = TrainingRequest(target, (PrivGAN(),), records, len(records), records, 0, Device())
    training, seen = in_training(asked), []
    training.privacy.register_forward_pre_hook(lambda _, given: seen.append([tuple(part.shape) for part in given]))
    training.pretrain(1)
    training.step(1)
    # Two parts in the pre-training, two generators' updates, and two generators whose samples it learns of.
    assert seen == [[(8, 1, 8, 8), (8,)]] * 6


def test_it_trains_in_bf16() -> None:
    result = train(replace(request(DCGAN(**small()), PrivGAN()), device=Device(precision="bf16")))
    assert result.status == "completed"


def test_a_stack_changes_every_discriminator() -> None:
    result = trained(DCGAN(**small()), PrivGAN(), Dropout(), WeightNorm(roles=["discriminator", "generator"]))
    for judge in result.networks["discriminator"]:
        assert sum(isinstance(module, SeededDropout) for module in judge.modules()) == 2
        assert any("parametrizations" in name for name, _ in judge.named_parameters())
    (mixture,) = result.networks["generator"]
    assert {name.split(".")[1] for name, _ in mixture.named_parameters() if "parametrizations" in name} == {"0", "1"}


def test_each_critic_gets_a_threshold() -> None:
    asked = request(WGANGP(**small()), PrivGAN(pairs=3))
    found = decision_thresholds(asked, train(asked).networks)
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (VAE(), "privgan divides the members among discriminators of a GAN, but vae has encoder and decoder"),
        (DDPM(), "privgan divides the members among discriminators of a GAN, but ddpm has denoiser"),
        (DCGANVAE(), "but dcgan_vae has encoder and generator and discriminator"),
        (LoganAttacker(), "logan_attacker fits something on all records before it trains, and privgan trains on parts"),
    ],
    ids=repr,
)
def test_what_is_no_plain_gan_is_refused(target: Target, reason: str) -> None:
    found = stack_refuses((PrivGAN(),), target, SCHEMA)
    assert found is not None
    assert reason in found


def test_a_balance_of_one_generator_and_one_discriminator_is_refused() -> None:
    target = BEGAN(steps=1, batch_size=4, width=4, latent=4)
    with pytest.raises(IncompatibleError, match="the discriminator of began keeps convergence, k, real_error"):
        train(request(target, PrivGAN()))


@pytest.mark.parametrize(
    "judge", [nn.Sequential(nn.Linear(4, 2)), nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 1))], ids=["none", "two"]
)
def test_a_discriminator_without_one_head_is_refused(judge: nn.Module) -> None:
    with pytest.raises(IncompatibleError, match="expected one linear layer with one output, got"):
        classifier(judge, 3, torch_generator(0, "test"))


def test_a_loss_that_shows_no_samples_or_shows_them_twice_is_refused() -> None:
    class Twice(DCGAN):
        name = "twice"

        def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
            losses = super().losses(phase, networks, batch, draw)
            if phase.name == "generator":
                super().losses(phase, networks, batch, draw)
            return losses

    with pytest.raises(IncompatibleError, match=r"twice to show .* 8 generated rows .* got passes of \[8, 8\] rows"):
        trained(Twice(**small()), PrivGAN())


def test_losses_of_real_records_in_a_public_phase_are_refused() -> None:
    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> Losses | None:
        return None if phase.private else Losses(losses.public, None)

    with pytest.raises(PluginError, match="expected losses of generated rows alone from spy in generator"):
        trained(spy(watch), PrivGAN())


def test_a_defense_that_replaces_the_generators_is_refused() -> None:
    class Wraps(Defense):
        name = "wraps"

        def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
            return {**networks, "generator": (nn.Sequential(*networks["generator"]),)}

    with pytest.raises(IncompatibleError, match="expected the generators that it built, got a Sequential"):
        trained(DCGAN(**small()), PrivGAN(), Wraps())


def test_a_target_of_several_discriminators_is_refused() -> None:
    class Several(DCGAN):
        name = "several"

        def build(self, schema: Schema, rng: torch.Generator) -> Networks:
            networks = super().build(schema, rng)
            return {**networks, "discriminator": networks["discriminator"] * 2}

    with pytest.raises(IncompatibleError, match=r"one discriminator of several, got .*'discriminator': 2"):
        train(request(Several(**small()), PrivGAN()))


@pytest.mark.parametrize(
    ("stack", "reason"),
    [
        ((Dropout(), PrivGAN()), "it must come first in a stack: write [privgan, dropout]"),
        ((PrivGAN(), DPSGD(noise_multiplier=1.0)), "dp_sgd accounts for one training, but privgan replaces"),
    ],
    ids=str,
)
def test_stacks_that_cannot_be(stack: tuple[Defense, ...], reason: str) -> None:
    found = stack_refuses(stack, tiny(), SCHEMA)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("pairs", 2, 1),
        ("pairs", 100, 101),
        ("weight", 0.1, 0),
        ("weight", 10, math.inf),
        ("pretraining", 0, -0.1),
        ("pretraining", 10, 11),
        ("delay", 1, 1.1),
        ("delay", 0, -0.1),
    ],
)
def test_options_that_make_no_sense(option: str, good: float, bad: float) -> None:
    with pytest.raises(ValidationError, match=option):
        PrivGAN(**{option: bad})
    assert PrivGAN(**{option: good}).partitions >= 2
