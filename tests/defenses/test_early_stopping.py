"""Early stopping: the loss that is watched, when it ends training, and which networks are released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, differing, run, tiny_request
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Records, Schema
from defenses import early_stopping
from defenses.base import Defense, TrainingContext, stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.early_stopping import GAP, EarlyStopping, Watch, mean_loss, some_members, watched
from defenses.label_smoothing import LabelSmoothing
from defenses.mixup import Mixup
from targets.base import Batch, Draw, Losses, Networks, Target, to_tensors
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.memorizer import Memorizer
from targets.training import TrainingResult, build_networks, context_of, set_mode, train
from targets.tvae import TVAE
from targets.vae import VAE
from targets.wgan_gp import WGANGP

FIRST = {"every": 1, "patience": 1, "tolerance": -1e9}  # no gap is small enough: the first check ends training


def small(**options: Any) -> Target:
    return DCGAN(**{"width": 4, "latent": 4, "steps": 12, "batch_size": 8, **options})


def in_training(target: Target, schema: Schema = GREY) -> tuple[Networks, TrainingContext]:
    context = context_of(tiny_request(target, (), schema))
    networks = build_networks(target, (), context)
    set_mode(networks, train=True)
    return networks, context


def validation_loss(networks: Networks, context: TrainingContext) -> float:
    return mean_loss(context.validation, networks, context)


def weights(networks: Networks) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in to_tensors(networks).items()}


def test_the_loss_of_a_gan_is_the_mean_over_validation_records_in_evaluation_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    networks, context = in_training(small())
    Dropout(rate=0.5).adapt_networks(networks, context)
    set_mode(networks, train=True)
    (judge,) = networks["discriminator"]
    judge.eval()
    with torch.no_grad():
        each = [float(judge(torch.from_numpy(context.validation.floats()[i : i + 1]))[0, 0]) for i in range(24)]
    judge.train()
    expected = float(np.mean(np.log1p(np.exp(-np.array(each)))))
    for rows in (250, 7):  # in one go, or in parts of unequal size
        monkeypatch.setattr(early_stopping, "ROWS", rows)
        assert validation_loss(networks, context) == pytest.approx(expected, rel=1e-5)
    assert judge.training
    assert networks["generator"][0].training


@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (small(conditional=True), GREY),
        (WGANGP(width=4, latent=4), GREY),
        (BEGAN(width=8), GREY),
        (VAE(width=4, latent=4), GREY),
        (DCGANVAE(width=4, latent=4, feature_level=1), GREY),
        (DDPM(width=8, sampling_steps=3), GREY),
        (TVAE(width=8, latent=4), MIXED),
        (CTGAN(width=8, latent=4), MIXED),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_looking_changes_nothing_and_sees_the_same_twice(target: Target, schema: Schema) -> None:
    networks, context = in_training(target, schema)
    before, state = weights(networks), torch.get_rng_state()
    first, second = validation_loss(networks, context), validation_loss(networks, context)
    assert np.isfinite(first)
    assert first == second
    assert weights(networks) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None and p.requires_grad for p in networks[target.phases()[0].roles[0]][0].parameters())
    # It is the loss that the target itself computes of these records, on the same draws.
    set_mode(networks, train=False)
    records = context.validation
    labels = None if records.labels is None else torch.from_numpy(records.labels)
    batch = Batch(torch.from_numpy(records.floats()), labels, len(records), schema)
    draw = Draw(Device(), context.seed, "early stopping")
    losses = target.losses(watched(target), networks, batch, draw).private
    assert losses is not None
    assert first == pytest.approx(float(losses.detach().double().mean()), rel=1e-6)


def by_loop(values: Sequence[float], patience: int, lowest: bool, limit: float) -> tuple[int | None, int | None]:
    """The check at which training ends, and the last one before it that did not speak for that; from 0."""
    run_of, fine_at = 0, None
    for i, value in enumerate(values):
        fine = all(value < other for other in values[:i]) if lowest else value <= limit
        if fine:
            run_of, fine_at = 0, i
        else:
            run_of += 1
        if run_of == patience:
            return i, fine_at
    return None, fine_at


@given(
    values=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, 0.9]), min_size=1, max_size=12),
    patience=st.integers(1, 3),
    monitor=st.sampled_from(["gap", "validation"]),
    restore=st.booleans(),
    every=st.integers(1, 3),
)
@settings(max_examples=150, deadline=None)
def test_it_ends_where_the_loop_does_and_keeps_what_the_loop_kept(
    values: list[float], patience: int, monitor: str, restore: bool, every: int
) -> None:
    """With losses given: members' at .05, so that a gap of .3 lies between .3 and .4."""
    defense = EarlyStopping(monitor=monitor, patience=patience, restore=restore, every=every)
    steps = every * len(values)
    _, context = in_training(small(steps=steps))
    layer = torch.nn.Linear(1, 1)
    networks: Networks = {"discriminator": (layer,)}
    state = defense.start(networks, context)
    given_losses = iter(values)

    def given_loss(records: Records, *_: object) -> float:
        return next(given_losses) if records is context.validation else 0.05

    ended, numbers = None, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_stopping, "mean_loss", given_loss)
        for number in range(1, steps + 1):
            torch.nn.init.constant_(layer.weight, number)
            numbers.append(number)
            if defense.after_step(number, networks, context, state):
                ended = number
                break
    stop, kept = by_loop(values, patience, monitor == "validation", 0.05 + GAP)
    assert ended == (None if stop is None else every * (stop + 1))
    last = numbers[-1]
    at_last_fine = last if kept is None else every * (kept + 1)
    assert float(layer.weight.detach()) == (at_last_fine if restore else last)


def test_the_gap_is_between_validation_records_and_as_many_members_seen_alike() -> None:
    networks, context = in_training(small(steps=100))
    assert context.members is not None
    fewer = replace(context, validation=context.validation.take(np.arange(10)))
    chosen = some_members(fewer)
    assert len(chosen) == 10
    assert set(chosen.ids) < set(context.members.ids)
    assert np.array_equal(some_members(fewer).ids, chosen.ids)
    assert len(some_members(context)) == len(context.members)
    gap = mean_loss(fewer.validation, networks, fewer) - mean_loss(chosen, networks, fewer)
    for limit, ends in ((gap + 1e-6, False), (gap - 1e-6, True)):
        defense = EarlyStopping(every=2, tolerance=limit, patience=1, restore=False)
        state = defense.start(networks, fewer)
        assert not defense.after_step(1, networks, fewer, state)  # no check yet
        assert defense.after_step(2, networks, fewer, state) is ends


@pytest.mark.parametrize("other", [LabelSmoothing(smoothing=0.3), Mixup()], ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_what_other_defenses_make_of_losses_and_batches_does_not_move_the_gap(other: Defense, first: bool) -> None:
    """At the first step all networks are alike, and so is the check, though the losses of training differ."""
    seen: list[float] = []
    defense = EarlyStopping(every=1, tolerance=1e9)

    def note(records: Records, networks: Networks, context: TrainingContext) -> float:
        seen.append(mean_loss(records, networks, context))
        return seen[-1]

    stack = (defense, other) if first else (other, defense)
    target = small(steps=1, learning_rate=1e-9, discriminator_learning_rate=1e-9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_stopping, "mean_loss", note)
        run(tiny_request(target, stack))
        run(tiny_request(target, (defense,)))
    assert seen[:2] == pytest.approx(seen[2:], rel=1e-6)


def test_without_members_the_gap_is_refused() -> None:
    networks, context = in_training(small())
    with pytest.raises(IncompatibleError, match="expected members to compare validation records with, got none"):
        EarlyStopping(every=1).after_step(1, networks, replace(context, members=None), Watch())


def stopped(defense: EarlyStopping, **options: Any) -> TrainingResult:
    request = replace(tiny_request(small(**options), (defense,)), snapshot_records=5)
    return run(request)


def test_training_ends_for_real_and_what_it_leaves_agrees() -> None:
    result = stopped(EarlyStopping(**{**FIRST, "every": 5}), steps=40)
    assert (result.status, result.steps_done) == ("completed", 5)
    assert {name: values.shape for name, values in result.history.items()} == {
        f"{kind}/{phase}": (5,) for kind in ("loss", "grad_norm") for phase in ("discriminator", "generator")
    }
    assert result.snapshot_steps == (5,)
    assert result.snapshots.shape == (1, 5, 1, 8, 8)
    # Nothing was within the tolerance: the networks are those of the step that it ended at.
    short = run(tiny_request(small(steps=5)))
    assert differing(result.networks, short.networks) == []


def test_the_released_networks_are_those_of_the_check() -> None:
    """A loss that falls twice and then rises: training ends after the patience, and the second check is released."""
    losses = iter([0.9, 0.5, 0.6, 0.7])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_stopping, "mean_loss", lambda records, networks, context: next(losses))
        result = stopped(EarlyStopping(monitor="validation", every=3, patience=2), steps=40)
    assert (result.status, result.steps_done, result.snapshot_steps) == ("completed", 12, (5, 10, 12))
    assert differing(result.networks, run(tiny_request(small(steps=6))).networks) == []


def test_what_never_ends_training_is_the_undefended_training() -> None:
    plain = run(tiny_request(small()))
    for defense in (
        EarlyStopping(tolerance=1e9, every=1),
        EarlyStopping(monitor="validation", patience=99, restore=False),
    ):
        result = stopped(defense)
        assert result.steps_done == 12
        assert differing(result.networks, plain.networks) == []
        assert np.array_equal(result.history["loss/generator"], plain.history["loss/generator"])


def test_a_diverging_training_is_not_hidden_by_networks_that_are_put_back() -> None:
    class Breaking(Defense):
        name = "breaking"

        def transform_losses(self, losses: Losses, batch: Batch, step: Any) -> Losses:
            if step.number < 2 or losses.private is None:
                return losses
            return replace(losses, private=losses.private * float("nan"))

    for monitor in ("gap", "validation"):
        defense = EarlyStopping(monitor=monitor, every=1, patience=2, tolerance=1e9)
        result = run(tiny_request(small(steps=12), (Breaking(), defense)))
        assert (result.status, result.steps_done) == ("diverged", 2), monitor


def first(records: Records, n: int) -> Records:
    return records.take(np.arange(n))


def test_a_gan_that_learns_eight_records_of_noise_by_heart_is_stopped() -> None:
    """Its discriminator learns so much faster than its generator that after 100 steps members' losses are near 0."""
    target = small(steps=300, width=16, learning_rate=2e-4, discriminator_learning_rate=4e-3)
    request = tiny_request(target, (EarlyStopping(every=20),))
    request = replace(request, records=first(request.records, 8), expected_records=8)
    result, plain = train(request), train(replace(request, defenses=()))
    assert (result.status, plain.steps_done) == ("completed", 300)
    assert 60 <= result.steps_done <= 160
    x = torch.from_numpy(np.concatenate([request.records.floats(), request.validation.floats()]))

    def gap(found: TrainingResult) -> float:
        with torch.no_grad():
            logits = found.networks["discriminator"][0](x)[:, 0]
        return float(logits[:8].mean() - logits[8:].mean())

    assert gap(result) < gap(plain) / 2


def test_a_vae_that_learns_them_is_stopped_by_its_validation_loss() -> None:
    target = VAE(width=8, latent=4, steps=600, batch_size=8, learning_rate=5e-3)
    request = tiny_request(target, (EarlyStopping(monitor="validation", every=20),))
    request = replace(request, records=first(request.records, 8), expected_records=8)
    result, plain = train(request), train(replace(request, defenses=()))
    assert (result.status, plain.steps_done) == ("completed", 600)
    assert result.steps_done < 600
    context = context_of(request)
    assert validation_loss(result.networks, context) < validation_loss(plain.networks, context)


@pytest.mark.parametrize(
    ("target", "schema", "options"),
    [
        (small(), GREY, FIRST),
        (small(), GREY, {"monitor": "validation", "every": 1, "patience": 1, "restore": False}),
        (VAE(width=4, latent=4), GREY, FIRST),
        (DDPM(width=8, sampling_steps=3), GREY, FIRST),
        (WGANGP(width=4, latent=4), GREY, FIRST),
        (CTGAN(width=8, latent=4), MIXED, FIRST),
    ],
    ids=["dcgan", "dcgan-validation", "vae", "ddpm", "wgan_gp", "ctgan"],
)
def test_contract(target: Target, schema: Schema, options: dict[str, Any]) -> None:
    steps = 12 if options.get("monitor") else 3
    report = check_defense(EarlyStopping(**options), target=target, schema=schema, steps=steps)
    assert not any(report.values()), report


class Procedure(Defense):
    """Replaces the procedure."""

    name = "procedure"
    replaces_procedure = True


@pytest.mark.parametrize(
    ("stack", "target", "reason"),
    [
        ((Procedure(), EarlyStopping()), small(), "early_stopping watches the training of one model, but procedure"),
        (
            (EarlyStopping(), EarlyStopping(monitor="validation")),
            small(),
            "early_stopping stands twice in the stack, and each would release the networks of a check of its own",
        ),
        ((EarlyStopping(),), Memorizer(), "watches the loss of real records, but memorizer has none"),
        ((EarlyStopping(),), VAE(), "needs a tolerance in the unit of the loss of vae, or monitor: validation"),
        ((EarlyStopping(),), WGANGP(), "needs a tolerance in the unit of the loss of wgan_gp, or monitor: validation"),
        ((EarlyStopping(monitor="validation"),), BEGAN(), "the critic of began has no zero, so its loss drifts; use"),
        ((DPSGD(noise_multiplier=1.0), EarlyStopping()), small(), "write [early_stopping, dp_sgd]"),
    ],
    ids=str,
)
def test_what_is_refused(stack: tuple[Defense, ...], target: Target, reason: str) -> None:
    assert reason in str(stack_refuses(stack, target, GREY))


@pytest.mark.parametrize(
    ("stack", "target"),
    [
        ((EarlyStopping(),), small()),
        ((Dropout(), EarlyStopping()), small()),
        ((EarlyStopping(tolerance=5.0),), VAE()),
        ((EarlyStopping(monitor="validation"),), VAE()),
        ((EarlyStopping(tolerance=1.0),), WGANGP()),
    ],
    ids=str,
)
def test_what_is_not(stack: tuple[Defense, ...], target: Target) -> None:
    assert stack_refuses(stack, target, GREY) is None


def test_without_validation_records_it_is_refused_before_the_first_step() -> None:
    request = tiny_request(small(), (EarlyStopping(),))
    with pytest.raises(IncompatibleError, match="early_stopping: expected validation records to watch, got none; set"):
        train(replace(request, validation=first(request.validation, 0)))


def test_a_claim_stands_where_only_validation_records_are_read() -> None:
    def stopped_private(**options: Any) -> TrainingResult:
        stack = (EarlyStopping(every=1, patience=1, **options), DPSGD(noise_multiplier=1.0))
        return train(tiny_request(small(), stack))

    assert EarlyStopping(monitor="validation").reads_members == ""
    result = stopped_private(monitor="validation")
    assert result.steps_done < 12
    assert result.claim is not None
    assert result.claim.epsilon is not None
    assert result.claim.void_reason == ""
    assert result.claim.steps >= result.steps_done
    void = stopped_private(tolerance=-1e9).claim
    assert void is not None
    assert void.epsilon is None
    assert void.void_reason == (
        "early_stopping: when training ends rests on the losses of members, which no noise covers"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"monitor": "members"}, "'gap' or 'validation'"),
        ({"every": 0}, "greater than or equal to 1"),
        ({"patience": 0}, "greater than or equal to 1"),
        ({"tolerance": float("nan")}, "finite number"),
        ({"tolerance": float("inf")}, "finite number"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EarlyStopping(**options)


def test_each_training_is_watched_on_its_own() -> None:
    networks, context = in_training(small())
    defense = EarlyStopping()
    one, other = defense.start(networks, context), defense.start(networks, context)
    one.stale = 2
    assert (one.stale, other) == (2, Watch())
