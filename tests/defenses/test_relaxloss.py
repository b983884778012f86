"""RelaxLoss: the sign of gradients above and below the level, against autograd, and the level against a loop."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import request, tiny
from pydantic import ValidationError
from torch import nn

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, RECORDS, tiny_records, tiny_request, tiny_step
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Records, Schema
from defenses.augmentation import Augmentation
from defenses.base import Defense, Step, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.label_smoothing import LabelSmoothing
from defenses.mixup import Mixup
from defenses.relaxloss import Levels, RelaxLoss, epoch, validation_losses
from targets.base import Batch, Draw, Losses, Target, parameters
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.memorizer import Memorizer
from targets.training import build_networks, set_mode, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

SMALL: list[Target] = [
    DCGAN(width=4, latent=4, batch_size=4),
    VAE(width=4, latent=4, batch_size=4),
    DDPM(width=8, batch_size=4),
    WGANGP(width=4, latent=4, batch_size=4),
]


def members(n: int = 4, schema: Schema = GREY) -> Batch:
    found = tiny_records(schema, n)
    return Batch(torch.from_numpy(found.floats()), torch.from_numpy(found.labels), 4, schema)


def started(defense: RelaxLoss, target: Target, number: int = 1, schema: Schema = GREY, phase: int = 0) -> Step:
    """A step of a training that has just begun, networks in training mode."""
    step = tiny_step(target, phase, number=number, schema=schema)
    set_mode(step.networks, train=True)
    return replace(step, state=defense.start(step.networks, step.context))


def gradients(losses: Losses, step: Step) -> list[torch.Tensor]:
    trained = parameters(step.networks, step.phase.roles)
    found = torch.autograd.grad(losses.total(), trained, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(trained, found, strict=True)]


# A step of epoch 0 and one of epoch 1: 24 records in batches of 4 make six steps.
EVEN, ODD = 1, 7


@pytest.mark.parametrize("target", SMALL, ids=lambda t: t.name)
@pytest.mark.parametrize(("number", "below", "sign"), [(EVEN, -1.0, -1), (ODD, 0.0, 0), (EVEN, 1.0, 1), (ODD, 1.0, 1)])
def test_gradients_above_and_below_a_fixed_level(target: Target, number: int, below: float, sign: int) -> None:
    """The real rows' gradient keeps its sign above the level; below, it changes it in even epochs and is 0 in odd."""
    step = started(RelaxLoss(level=0.0), target, number)
    batch = members()
    plain = target.losses(step.phase, step.networks, batch, Draw(Device(), 0, "test"))
    assert plain.private is not None
    mean = float(plain.private.detach().double().mean())
    margin = 0.01 * max(1.0, abs(mean))
    defense = RelaxLoss(level=mean - margin if below > 0 else mean + margin)
    found = defense.transform_losses(plain, batch, step)
    assert found.private is not None
    torch.testing.assert_close(found.private, plain.private.float())  # the history shows the losses themselves
    assert found.public is plain.public
    assert found.real_logits is plain.real_logits
    real, both = gradients(replace(plain, public=None), step), gradients(found, step)
    zero = Losses(plain.private * 0, plain.public)
    for a, b, c in zip(real, gradients(zero, step), both, strict=True):
        torch.testing.assert_close(c, sign * a + b, rtol=1e-4, atol=1e-5 * float(a.abs().max()) + 1e-9)
    assert max(float(g.abs().max()) for g in real) > 0


def test_a_batch_at_the_level_is_descended() -> None:
    step = started(RelaxLoss(level=1.0), SMALL[0])
    row = torch.tensor([0.5, 1.5], requires_grad=True)
    for level, slope in ((1.0, 1.0), (math.nextafter(1.0, 2.0), 1.0), (1.001, -1.0)):
        found = RelaxLoss(level=level).transform_losses(Losses(row, None), members(2), step).private
        assert found is not None
        (gradient,) = torch.autograd.grad(found.sum(), row)
        assert gradient.tolist() == [slope, slope]


def test_the_batch_decides_and_not_the_record() -> None:
    step = started(RelaxLoss(level=1.0), SMALL[0])
    row = torch.tensor([0.1, 5.0, 0.2], requires_grad=True)
    found = RelaxLoss(level=1.0).transform_losses(Losses(row, None), members(3), step).private
    assert found is not None
    (gradient,) = torch.autograd.grad(found.sum(), row)
    assert gradient.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("target", SMALL, ids=lambda t: t.name)
def test_the_level_equals_a_loop_over_the_validation_records(target: Target) -> None:
    """In training mode, in batches of the training's size, by a draw of the defense's own."""
    defense = RelaxLoss(tolerance=1.5)
    step, batch = started(defense, target), members()
    assert defense.transform_batch(batch, step) is batch
    mean, deviation = step.state.found[step.phase.name]
    validation = step.context.validation
    draw = Draw(Device(), step.context.seed, "relaxloss", repr(defense))
    losses: list[float] = []
    for start in range(0, RECORDS, 4):
        part = validation.take(np.arange(start, start + 4))
        rows = Batch(torch.from_numpy(part.floats()), torch.from_numpy(part.labels), 4, GREY)
        private = target.losses(step.phase, step.networks, rows, draw).private
        assert private is not None
        losses += private.detach().double().tolist()
    assert len(losses) == RECORDS
    average = sum(losses) / RECORDS
    spread = (sum((loss - average) ** 2 for loss in losses) / RECORDS) ** 0.5
    assert float(mean) == pytest.approx(average, rel=1e-5)
    assert float(deviation) == pytest.approx(spread, rel=1e-4)
    assert float(defense.threshold(step, 4)) == pytest.approx(average - 1.5 * spread / 2, rel=1e-4)


@pytest.mark.parametrize(("offset", "slope"), [(-1.6, -1.0), (-1.4, 1.0)])
def test_the_tolerance_counts_standard_errors_of_the_batch_s_mean(offset: float, slope: float) -> None:
    defense = RelaxLoss(tolerance=1.5)
    step, batch = started(defense, SMALL[0]), members(9)
    defense.transform_batch(batch, step)
    step.state.found["discriminator"] = torch.tensor(2.0), torch.tensor(0.6)
    row = torch.full((9,), 2 + offset * 0.6 / 3, requires_grad=True)
    found = defense.transform_losses(Losses(row, None), batch, step).private
    assert found is not None
    (gradient,) = torch.autograd.grad(found.sum(), row)
    assert gradient.tolist() == [slope] * 9


def test_the_level_follows_the_networks_every_so_many_steps() -> None:
    defense, target = RelaxLoss(every=3), SMALL[3]  # a critic, whose level is not bounded by the first
    first, batch = started(defense, target), members()
    seen = []
    for number in range(1, 8):
        step = replace(first, number=number)
        with torch.no_grad():
            for p in parameters(step.networks, ["discriminator"]):
                p.mul_(1.05)
        defense.transform_batch(batch, step)
        seen.append(float(step.state.found["discriminator"][0]))
    assert seen[0] == seen[1] == seen[2] != seen[3]
    assert seen[3] == seen[4] == seen[5] != seen[6]


@pytest.mark.parametrize(("target", "bounded"), [(SMALL[0], True), (SMALL[1], True), (SMALL[3], False)])
def test_the_level_is_never_above_that_of_untrained_networks(target: Target, bounded: bool) -> None:
    """But for a critic, whose loss has no zero."""
    defense, batch = RelaxLoss(every=1), members()
    step = started(defense, target)
    phase = step.phase.name
    defense.transform_batch(batch, step)
    first, _ = step.state.found[phase]
    with torch.no_grad():
        for p in parameters(step.networks, step.phase.roles):
            p.mul_(20)
    worse = float(validation_losses(step.state, step).mean())
    if worse < float(first):  # a critic that is asked for large answers may well give the other sign
        for p in list(step.networks["discriminator"][0].modules())[-1].parameters():
            p.data.neg_()
        worse = float(validation_losses(step.state, step).mean())
    assert worse > 1.2 * float(first) + 0.1
    defense.transform_batch(batch, replace(step, number=2))
    level, _ = step.state.found[phase]
    assert float(level) == (pytest.approx(float(first)) if bounded else pytest.approx(worse, rel=0.2))


def test_each_phase_has_a_level_of_its_own() -> None:
    target = DCGANVAE(width=4, latent=4, feature_level=1, batch_size=4)
    defense = RelaxLoss()
    step = started(defense, target)
    for phase in target.phases():
        defense.transform_batch(members(), replace(step, phase=phase))
    assert set(step.state.found) == {"discriminator", "encoder", "generator"}
    assert len({float(mean) for mean, _ in step.state.found.values()}) == 3


def test_the_last_validation_batch_is_no_small_rest() -> None:
    target = DCGAN(width=4, latent=4, batch_size=7)
    state = started(RelaxLoss(), target).state
    assert [len(batch.x) for batch in state.batches] == [6, 6, 6, 6]
    assert {batch.size for batch in state.batches} == {7}
    x = torch.cat([batch.x for batch in state.batches])
    assert torch.equal(x, torch.from_numpy(tiny_records(GREY, seed=1).floats()))  # validation, and no member


def test_looking_changes_no_weight_no_buffer_and_no_mode() -> None:
    target, schema = DCGAN(width=4, latent=4, norm="batch", batch_size=4), Schema("image", (1, 16, 16), 3)
    defense = RelaxLoss()
    step = started(defense, target, schema=schema)
    (judge,) = step.networks["discriminator"]
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    assert any(isinstance(module, nn.BatchNorm2d) for module in judge.modules())
    target.losses(step.phase, step.networks, members(schema=schema), Draw(Device(), 0, "test"))
    moved = {name: value.clone() for name, value in judge.state_dict().items()}
    assert any(not torch.equal(value, before[name]) for name, value in moved.items())  # training does count
    before = moved
    defense.transform_batch(members(schema=schema), step)
    for name, value in judge.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert judge.training
    assert all(p.grad is None for p in judge.parameters())


def test_dropout_raises_the_level_as_it_raises_the_batch_s_loss() -> None:
    """Members and validation records are compared in the same mode, so equal records have equal expected losses."""
    target = DCGAN(width=4, latent=4, batch_size=4)
    defense, about = RelaxLoss(), tiny_step(target).context
    networks = build_networks(target, (Dropout(rate=0.8),), about)
    with torch.no_grad():
        for p in parameters(networks, ["discriminator"]):
            p.mul_(100)
    set_mode(networks, train=True)
    step = tiny_step(target, networks=networks)
    state = defense.start(networks, about)
    repeated = Levels(state.batches * 40, state.draw)
    noisy = float(validation_losses(repeated, replace(step, state=state)).mean())
    set_mode(networks, train=False)
    exact = float(validation_losses(state, replace(step, state=state)).mean())
    assert noisy > exact + 0.05


@pytest.mark.parametrize(
    ("size", "expected", "epochs"),
    [(4, 24, [0] * 6 + [1] * 6 + [2]), (10, 24, [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5])],
)
def test_epochs_follow_the_public_number_of_records(size: int, expected: int, epochs: list[int]) -> None:
    step = tiny_step(DCGAN(batch_size=size))
    step = replace(step, context=replace(step.context, expected_records=expected))
    assert [epoch(replace(step, number=number)) for number in range(1, 14)] == epochs


def test_public_phases_are_left_alone() -> None:
    target = SMALL[0]
    step = started(RelaxLoss(level=100.0), target, phase=1)
    losses = Losses(None, torch.zeros(4, requires_grad=True))
    assert RelaxLoss(level=100.0).transform_losses(losses, members(), step) is losses


def test_a_trained_vae_stays_at_a_fixed_level() -> None:
    """Where the undefended one goes far below it."""
    target = VAE(width=4, latent=4, batch_size=8, steps=120, learning_rate=5e-3)

    def last(*defenses: Defense) -> float:
        history = train(tiny_request(target, defenses)).history["loss/elbo"]
        return float(history[-30:].mean())

    undefended = last()
    level = undefended + 3.0
    assert last(RelaxLoss(level=level)) == pytest.approx(level, abs=1.0)


def test_without_validation_records_a_level_is_needed() -> None:
    nobody = request(tiny(steps=1))
    empty = replace(nobody, validation=nobody.validation.take(np.zeros(0, np.int64)))
    with pytest.raises(IncompatibleError, match="expected validation records to take the level from, got none"):
        train(replace(empty, defenses=(RelaxLoss(),)))
    assert train(replace(empty, defenses=(RelaxLoss(level=0.5),))).status == "completed"


@pytest.mark.parametrize("later", [Mixup(), Augmentation()], ids=lambda d: d.name)
def test_batches_that_a_later_defense_changes_are_refused_in_training(later: Defense) -> None:
    """A VAE's records are changed where they are drawn; the validation records would be compared unchanged."""
    target = VAE(width=4, latent=4, batch_size=4, steps=1)
    with pytest.raises(IncompatibleError, match="a later defense of the stack changes the former alone"):
        train(tiny_request(target, (RelaxLoss(), later)))
    assert train(tiny_request(target, (RelaxLoss(level=0.0), later))).status == "completed"


def test_changes_within_the_network_apply_to_both() -> None:
    """Where the discriminator is shown augmented rows, validation records are augmented too."""
    target = DCGAN(width=4, latent=4, batch_size=4, steps=2)
    for stack in ((RelaxLoss(), Augmentation()), (Dropout(), RelaxLoss()), (RelaxLoss(), LabelSmoothing())):
        assert stack_refuses(stack, target, GREY) is None
        assert train(tiny_request(target, stack)).status == "completed"


@pytest.mark.parametrize("per_record", [DPSGD(noise_multiplier=1.0), ClipOnly()], ids=lambda d: d.name)
def test_no_gradient_belongs_to_one_record(per_record: Defense) -> None:
    assert stack_refuses((RelaxLoss(), per_record), tiny(), GREY) == (
        f"{per_record.name} clips each record's gradient, but under relaxloss the mean loss of a batch decides whether "
        "a record's gradient is added, subtracted or left out"
    )


@pytest.mark.parametrize("before", [LabelSmoothing(), Mixup()], ids=lambda d: d.name)
def test_it_comes_before_what_changes_losses_or_records(before: Defense) -> None:
    found = stack_refuses((before, RelaxLoss()), tiny(), GREY)
    assert found is not None
    assert f"write [relaxloss, {before.name}], or give a level" in found
    assert stack_refuses((before, RelaxLoss(level=0.5)), tiny(), GREY) is None


def test_a_target_that_is_not_trained_is_refused() -> None:
    assert stack_refuses((RelaxLoss(),), Memorizer(), GREY) == (
        "relaxloss watches the loss of real records, and memorizer has none"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "greater than or equal to 1"),
        ({"tolerance": -0.1}, "greater than or equal to 0"),
        ({"level": float("nan")}, "finite number"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RelaxLoss(**options)


def test_it_reads_no_members() -> None:
    """What it reads of members is their gradient; the level is the defender's."""
    assert RelaxLoss().reads_members == ""
    state = RelaxLoss().start({}, tiny_step(tiny()).context)
    assert isinstance(state, Levels)
    validation = tiny_step(tiny()).context.validation
    assert isinstance(validation, Records)
    assert sum(len(batch.x) for batch in state.batches) == len(validation)


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (DCGAN(width=4, latent=4), GREY),
        (DCGAN(width=4, latent=4, conditional=True), GREY),
        (WGANGP(width=4, latent=4), GREY),
        (DCGANVAE(width=4, latent=4, feature_level=1), GREY),
        (VAE(width=4, latent=4), GREY),
        (DDPM(width=8, sampling_steps=3), GREY),
        (CTGAN(width=8, latent=4), MIXED),
    ],
    ids=str,
)
def test_contract(target: Target, schema: Schema) -> None:
    report = check_defense(RelaxLoss(tolerance=0.0), target=target, schema=schema, steps=4)
    assert not any(report.values())
