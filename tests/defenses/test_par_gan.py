"""PAR-GAN: who sees which records, how often each network is updated, and the mean that the generator minimises."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace

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
from torch.nn.functional import softplus

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, differing
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Schema
from bench.rng import derive_seed
from defenses.base import Defense, stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.par_gan import ParGAN
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Losses, Networks, Phase, Target
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.decision import decision_thresholds
from targets.logan_attacker import LoganAttacker
from targets.memorizer import Memorizer
from targets.nets.average import Averaged
from targets.nets.dropout import SeededDropout
from targets.training import build_networks, context_of, set_mode, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP


def test_the_generator_minimises_the_mean_over_all_discriminators() -> None:
    """Two whole steps, against loops written here."""
    asked = request(Plain(**small(steps=2, norm="none")), ParGAN(), n=20)
    found = train(asked)
    networks = build_networks(asked.target, asked.defenses, context_of(asked))
    set_mode(networks, train=True)
    (maker,), judges = networks["generator"], networks["discriminator"]
    assert found.parts is not None
    seeds = [derive_seed(0, "part", part) for part in range(3)]
    batches = [own_batches(asked.records, found.parts, part, seed) for part, seed in enumerate(seeds)]
    draws = [Draw(Device(), seed, "noise") for seed in seeds]
    losses = []
    for _ in range(2):
        for judge, source, draw in zip(judges, batches, draws, strict=True):
            fake = maker(draw.normal(8, LATENT)).detach()
            descend(judge, softplus(-judge(next(source))).mean() + softplus(judge(fake)).mean())
        each = [
            softplus(-judge(maker(draw.normal(8, LATENT)))).mean() for judge, draw in zip(judges, draws, strict=True)
        ]
        loss = torch.stack(each).mean()
        losses.append(float(loss.detach()))
        descend(maker, loss)
    assert_same(found.networks, networks)
    np.testing.assert_allclose(found.history["loss/generator"], losses, rtol=1e-5)


def test_each_discriminator_sees_one_part_and_all_parts_hold_all_records() -> None:
    seen: dict[int, set[bytes]] = defaultdict(set)

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> Losses | None:
        if phase.private:
            seen[id(networks["discriminator"][0])] |= {row.numpy().tobytes() for row in batch.x}
        else:
            assert len(batch.x) == 0
        return None

    result = trained(spy(watch, steps=12), ParGAN(), n=20)
    assert result.parts is not None
    records = noise_records(20).floats()
    for part, judge in enumerate(result.networks["discriminator"]):
        assert seen[id(judge)] == {records[i].tobytes() for i in np.flatnonzero(result.parts == part)}
    assert sorted(np.bincount(result.parts)) == [6, 7, 7]
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("target", "generator"),
    [
        (DCGAN(**small(average=0.9)), 6),
        (WGANGP(**small(average=0.9, critic_steps=2)), 3),
    ],
    ids=repr,
)
def test_every_network_is_updated_as_often_as_undefended(target: DCGAN | WGANGP, generator: int) -> None:
    counts, undefended = Counting(), Counting()
    result = train(request(target, ParGAN(discriminators=4), counts))
    plain = train(request(target, undefended))
    (maker,) = result.networks["generator"]
    assert [counts.of(judge) for judge in result.networks["discriminator"]] == [6] * 4
    assert undefended.of(plain.networks["discriminator"][0]) == 6
    assert isinstance(maker, Averaged)
    assert counts.of(maker.network) == undefended.of(plain.networks["generator"][0]) == generator
    assert int(maker.get_buffer("updates")) == generator  # averaged once per update, not once per discriminator
    assert {name: len(values) for name, values in result.history.items()} == {
        name: len(values) for name, values in plain.history.items()
    }


def test_discriminators_start_differently_and_the_generator_as_undefended() -> None:
    target = tiny()
    networks = build_networks(target, (ParGAN(),), context(target))
    plain = build_networks(target, (), context(target))
    x = torch.from_numpy(noise_records(4).floats())
    opinions = [judge(x) for judge in networks["discriminator"]]
    assert not any(torch.equal(a, b) for i, a in enumerate(opinions) for b in opinions[:i])
    assert torch.equal(opinions[0], plain["discriminator"][0](x))
    assert differing({"generator": plain["generator"]}, {"generator": networks["generator"]}) == []


def test_other_defenses_change_the_loss_of_each_pair() -> None:
    target = Plain(**small(steps=1))
    plain, tenfold = (trained(target, ParGAN(), *more).history for more in ((), (Times(10),)))
    for column in ("loss/generator", "grad_norm/generator"):
        np.testing.assert_allclose(tenfold[column], 10 * plain[column], rtol=1e-4)


def test_the_first_model_that_a_defense_ends_ends_all() -> None:
    ending = Ending()
    result = trained(DCGAN(**small()), ParGAN(), ending)
    assert result.steps_done == 3
    assert ending.asked == [(number, state) for number in (1, 2, 3) for state in (1, 2, 3)]


def test_divergence_is_seen_and_the_parts_are_kept() -> None:
    calls = []

    def watch(phase: Phase, networks: Networks, batch: Batch, losses: Losses) -> Losses | None:
        calls.append(phase.name)
        if phase.name == "generator" and len(calls) > 8:  # in the second step
            assert losses.public is not None
            return Losses(None, losses.public * math.nan)
        return None

    result = trained(spy(watch), ParGAN())
    assert (result.status, result.steps_done) == ("diverged", 2)
    assert result.parts is not None
    assert len(result.parts) == 20


def test_a_part_may_be_smaller_than_a_batch() -> None:
    result = trained(DCGAN(**small()), ParGAN(), n=4)
    assert result.status == "completed"
    assert result.parts is not None
    assert sorted(np.bincount(result.parts)) == [1, 1, 2]


def test_fewer_records_than_parts_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="expected at least one record for each of 3 parts, got 2 records"):
        trained(DCGAN(**small()), ParGAN(), n=2)


def test_the_parts_follow_the_seed() -> None:
    asked = request(DCGAN(**small(steps=1)), ParGAN())
    first, other = (train(replace(asked, seed=seed)).parts for seed in (0, 1))
    assert first is not None
    assert other is not None
    assert not np.array_equal(first, other)


def test_members_are_found_and_so_is_their_part() -> None:
    target = DCGAN(**small(steps=200, width=8, learning_rate=2e-3))
    result = trained(target, ParGAN(), n=60)
    assert named(target, result, 60) > 1 / 3 + 4 * math.sqrt(2 / 9 / 60)  # chance plus four standard errors
    assert attacked(target, result, 60, "max") > 0.65
    assert attacked(target, result, 60, "spread") > 0.65


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (None, GREY),
        (DCGAN(width=4, latent=4, conditional=True), GREY),
        (DCGAN(width=4, latent=4, norm="batch"), GREY),
        (WGANGP(width=4, latent=4, critic_steps=2), GREY),
        (CTGAN(width=8, latent=4), MIXED),
        (CTGAN(width=8, latent=4, conditional=True, loss="wgan_gp"), MIXED),
    ],
    ids=repr,
)
def test_the_contract(target: Target | None, schema: Schema) -> None:
    report = check_defense(ParGAN(discriminators=2), target=target, schema=schema)
    assert set(report.values()) == {""}


def test_it_trains_in_bf16() -> None:
    result = train(replace(request(DCGAN(**small()), ParGAN()), device=Device(precision="bf16")))
    assert result.status == "completed"


def test_a_stack_changes_every_discriminator() -> None:
    result = trained(DCGAN(**small()), ParGAN(), Dropout(), WeightNorm())
    for judge in result.networks["discriminator"]:
        assert sum(isinstance(module, SeededDropout) for module in judge.modules()) == 2
        assert any("parametrizations" in name for name, _ in judge.named_parameters())


def test_each_critic_gets_a_threshold() -> None:
    asked = request(WGANGP(**small()), ParGAN())
    found = decision_thresholds(asked, train(asked).networks)
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (VAE(), "par_gan divides the members among discriminators of a GAN, but vae has encoder and decoder"),
        (DDPM(), "par_gan divides the members among discriminators of a GAN, but ddpm has denoiser"),
        (DCGANVAE(), "but dcgan_vae has encoder and generator and discriminator"),
        (Memorizer(), "but memorizer has generator and discriminator and encoder and denoiser"),
        (
            LoganAttacker(),
            "logan_attacker fits something on all records before it trains, and par_gan trains on parts of them",
        ),
        (
            LoganAttacker(generates=False),
            "par_gan needs one update of the discriminator that reads real records and one of the generator that reads "
            "none, but logan_attacker updates discriminator",
        ),
    ],
    ids=repr,
)
def test_what_is_no_plain_gan_is_refused(target: Target, reason: str) -> None:
    found = stack_refuses((ParGAN(),), target, SCHEMA)
    assert found is not None
    assert reason in found


def test_a_generator_that_reads_records_is_refused() -> None:
    class Reading(DCGAN):
        name = "reading"

        def phases(self) -> tuple[Phase, ...]:
            return tuple(Phase(phase.name, phase.roles, private=True) for phase in super().phases())

    found = stack_refuses((ParGAN(),), Reading(), SCHEMA)
    assert found is not None
    assert "one of the generator that reads none" in found


def test_a_balance_of_one_generator_and_one_discriminator_is_refused() -> None:
    target = BEGAN(steps=1, batch_size=4, width=4, latent=4)
    with pytest.raises(IncompatibleError, match="the discriminator of began keeps convergence, k, real_error"):
        train(request(target, ParGAN()))


def test_a_target_of_several_discriminators_is_refused() -> None:
    class Several(DCGAN):
        name = "several"

        def build(self, schema: Schema, rng: torch.Generator) -> Networks:
            networks = super().build(schema, rng)
            return {**networks, "discriminator": networks["discriminator"] * 2}

    with pytest.raises(IncompatibleError, match=r"one discriminator of several, got .*'discriminator': 2"):
        train(request(Several(**small()), ParGAN()))


@pytest.mark.parametrize(
    ("stack", "reason"),
    [
        ((Dropout(), ParGAN()), "it must come first in a stack: write [par_gan, dropout]"),
        ((ParGAN(), DPSGD(noise_multiplier=1.0)), "dp_sgd accounts for one training, but par_gan replaces"),
        ((ParGAN(), ParGAN(discriminators=2)), "at most one defense of a stack may replace the training procedure"),
    ],
    ids=str,
)
def test_stacks_that_cannot_be(stack: tuple[Defense, ...], reason: str) -> None:
    found = stack_refuses(stack, tiny(), SCHEMA)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize("value", [0, 1, 101, 2.5, "many"])
def test_options_that_make_no_sense(value: object) -> None:
    with pytest.raises(ValidationError, match="discriminators"):
        ParGAN(discriminators=value)
    assert ParGAN(discriminators=2).partitions == 2
