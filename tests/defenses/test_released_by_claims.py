"""What a training with a privacy claim releases beside its accounted networks: nothing of the members."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dp_cases import SCHEMA, noise_records, request

from bench.errors import PluginError
from defenses.base import Defense, Step, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_federated import DPFederated
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.instance_noise import InstanceNoise
from defenses.label_smoothing import LabelSmoothing
from defenses.pate_gan import PATEGAN
from targets.base import Batch, Losses, Target, parameters
from targets.began import BEGAN
from targets.dcgan import DCGAN
from targets.decision import deciding_records
from targets.trainee import Trainee
from targets.training import context_of, prepare, train
from targets.wgan_gp import WGANGP

CLAIMING = (
    DPSGD(noise_multiplier=1.0),
    DPFederated(noise_multiplier=1.0, clients=5, sample_rate=0.5),
    PATEGAN(noise_scale=1.0, teachers=3),
)


@pytest.mark.parametrize("defense", [*CLAIMING, ClipOnly()], ids=lambda d: d.name)
@pytest.mark.parametrize("target", [WGANGP(width=4, latent=4), BEGAN(width=8), DCGAN(width=4)], ids=lambda t: t.name)
def test_no_threshold_is_set_on_members(defense: Defense, target: Target) -> None:
    if stack_refuses((defense,), target, SCHEMA) is not None:
        return  # nothing is released of a pair that is refused
    asked = request(target, defense)
    assert deciding_records(asked) is (asked.validation if target.critic else None)


def test_some_of_these_pairs_train() -> None:
    """Else the test above would check nothing."""
    assert stack_refuses((CLAIMING[1],), WGANGP(width=4, latent=4), SCHEMA) is None
    assert deciding_records(request(WGANGP(width=4, latent=4))) is not None


@pytest.mark.parametrize("defense", CLAIMING, ids=lambda d: d.name)
def test_who_claims_says_so(defense: Defense) -> None:
    assert defense.accounted
    asked = request(DCGAN(width=4, latent=4, steps=2, batch_size=8), defense)
    claim = train(asked).claim
    assert claim is not None


def first_noise(*stack: Defense) -> torch.Tensor:
    """The noise of the first private update: what is left of it where the clipped gradients are none."""
    target = DCGAN(width=4, latent=4, steps=5, batch_size=8, norm="none")
    asked = request(target, *stack)
    networks, history = prepare(asked)
    trainee = Trainee(asked, context_of(asked), networks, history)
    nobody = Batch(torch.zeros(0, *SCHEMA.shape), None, 8, SCHEMA)
    (judge,) = (phase for phase in target.phases() if phase.private)

    def nothing(batch: Batch) -> Losses:
        return Losses(None, target.logit(networks["discriminator"][0], torch.zeros(8, *SCHEMA.shape)) * 0)

    trainee.update(judge, nobody, 1, nothing)
    return torch.cat([p.grad.flatten() for p in parameters(networks, ["discriminator"]) if p.grad is not None])


def test_two_stacks_of_one_seed_do_not_share_their_noise() -> None:
    """Of two such releases the difference would hold no noise."""
    private = DPSGD(noise_multiplier=1.0)
    alone, dropped = first_noise(private), first_noise(Dropout(), private)
    assert float(alone.norm()) > 0
    assert alone.shape == dropped.shape
    cosine = float(torch.nn.functional.cosine_similarity(alone, dropped, dim=0))
    assert abs(cosine) < 4 / len(alone) ** 0.5
    assert torch.equal(alone, first_noise(private))


def test_the_students_instance_noise_falls_as_the_teachers_does() -> None:
    """A discriminator that reads no record has its schedule too."""
    target = DCGAN(width=4, latent=4, steps=4, batch_size=8)
    noise = InstanceNoise(strength=0.4, end=0.1)
    asked = request(target, PATEGAN(noise_scale=1.0, teachers=2), noise)
    networks = train(asked).networks
    (wrapped,) = networks["discriminator"]
    assert wrapped.change.strength == pytest.approx(0.1)


def test_label_smoothing_meets_every_hook_check() -> None:
    """A defense in order passes the checks that stop one out of order."""
    train(request(DCGAN(width=4, latent=4, steps=2, batch_size=8), LabelSmoothing()))


class Halving(Defense):
    """Gives losses that are reduced already."""

    name = "halving"

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        return losses if losses.private is None else replace(losses, private=losses.private.mean())


class Mixing(Defense):
    """Gives a matrix of losses, whose rows hold every record."""

    name = "mixing"

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        return losses if losses.private is None else replace(losses, private=losses.private[:, None] + losses.private)


class Forgetting(Defense):
    """Gives nothing."""

    name = "forgetting"

    def transform_losses(self, losses, batch, step):  # type: ignore[no-untyped-def]
        losses.total()


class Telling(Defense):
    """Changes the public size of a batch."""

    name = "telling"

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        return replace(batch, size=len(batch.x) + 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Halving(), r"halving: expected private losses of one per row, \(\d+,\), got \(\)"),
        (Mixing(), r"mixing: expected private losses of one per row, \(\d+,\), got \(\d+, \d+\)"),
        (Forgetting(), "forgetting: expected transform_losses to give Losses, got NoneType"),
        (Telling(), "telling: expected transform_batch to give a Batch of the same public size, 8, got size"),
    ],
    ids=str,
)
@pytest.mark.parametrize("private", [True, False])
def test_a_hook_that_breaks_rows_or_sizes_is_an_error(wrong: Defense, message: str, private: bool) -> None:
    stack = (wrong, DPSGD(noise_multiplier=1.0)) if private else (wrong,)
    with pytest.raises(PluginError, match=message):
        train(request(DCGAN(width=4, latent=4, steps=2, batch_size=8), *stack))


def test_members_that_a_defense_may_read_are_those_that_are_trained_on() -> None:
    asked = request(DCGAN(width=4))
    assert context_of(asked).members is asked.records
    assert np.array_equal(asked.records.ids, noise_records(30).ids)
