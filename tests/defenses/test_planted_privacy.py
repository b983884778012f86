"""Published mistakes of private training, planted one by one: the checks that the real code passes fail on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dp_cases
import pytest
import torch
from dp_cases import AutoEncoder, Private, tiny
from dp_checks import (
    batch_norm_is_refused,
    clips_every_row,
    closes_a_stack,
    every_step_is_noisy_and_counted_once,
    generated_rows_are_public,
    noise_is_what_is_accounted,
    records_keep_apart,
)
from opacus.optimizers import DPOptimizer
from torch import nn

from bench.contracts import check_defense
from bench.records import Schema
from defenses import _per_record, dp_sgd
from defenses._per_record import PerRecordUpdater
from defenses.base import Defense
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.early_stopping import EarlyStopping
from defenses.more_data import MoreData
from defenses.output_filter import OutputFilter
from defenses.weight_norm import WeightNorm
from targets.base import Batch, Draw, Losses, Networks, Phase, Target
from targets.dcgan import DCGAN

SMALL: dict[str, Any] = {"steps": 6, "batch_size": 8, "width": 4, "latent": 5}
DP = DPSGD(noise_multiplier=1.3, delta=1e-4)
SIGMA = 1.3


# What the real code passes.


@pytest.mark.parametrize("before", [(), (WeightNorm(),)], ids=str)
def test_the_real_update_passes(before: tuple[Defense, ...]) -> None:
    clips_every_row(Private(tiny(), before, clip=0.02, scale=3.0))
    generated_rows_are_public(Private(tiny(), before, scale=3.0))
    records_keep_apart(Private(tiny(), before, scale=3.0))
    noise_is_what_is_accounted(Private(tiny(), before, noise=SIGMA, clip=0.5), Private(tiny(), before, clip=0.5), SIGMA)


def test_the_real_update_of_two_networks_passes() -> None:
    target = AutoEncoder(batch_size=8)
    clips_every_row(Private(target, clip=0.5))
    records_keep_apart(Private(target))
    noise_is_what_is_accounted(Private(target, noise=SIGMA, clip=0.5), Private(target, clip=0.5), SIGMA)


@pytest.mark.parametrize(("n", "expected"), [(30, 30), (1, 4000)], ids=["full", "empty"])
def test_the_real_training_passes(n: int, expected: int) -> None:
    every_step_is_noisy_and_counted_once(DP, tiny(), n, expected)


# A clip norm that is not applied.


class Unclipped(PerRecordUpdater):
    """Hands its clip norm to nobody; the noise is of the asked size."""

    def __init__(self, *given: Any, noise_multiplier: float, max_grad_norm: float, **more: Any) -> None:
        super().__init__(*given, noise_multiplier=noise_multiplier * max_grad_norm / 1e6, max_grad_norm=1e6, **more)


class BatchClipped(PerRecordUpdater):
    """Clips the gradient of the whole batch."""

    def __init__(self, *given: Any, max_grad_norm: float, **more: Any) -> None:
        super().__init__(*given, max_grad_norm=1e6, **more)
        self.bound = max_grad_norm

    def step(self, losses: Losses, size: int) -> None:
        super().step(losses, size)
        private = [p for p in self.dp_optimizer.params if p.grad is not None]
        length = torch.cat([p.grad.flatten() for p in private]).norm()
        for p in private:
            p.grad *= (self.bound / length).clamp(max=1.0)


@pytest.mark.parametrize("planted", [Unclipped, BatchClipped])
def test_a_clip_norm_that_is_not_applied_to_each_row(
    planted: type[PerRecordUpdater], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dp_cases, "PerRecordUpdater", planted)
    with pytest.raises(AssertionError, match="expected the clipped sum of a loop over rows"):
        clips_every_row(Private(tiny(), clip=0.02, scale=3.0))


# A generated half, or a normaliser, that follows the number of records that were drawn.


class FollowsTheCount(DCGAN):
    """As many generated rows as records were drawn."""

    name = "follows_the_count"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        return super().losses(phase, networks, replace(batch, size=len(batch.x)), draw)


class MeanOfDrawn(DCGAN):
    """The mean over the records that were drawn, as ``binary_cross_entropy`` gives it."""

    name = "mean_of_drawn"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        losses = super().losses(phase, networks, batch, draw)
        assert losses.private is not None
        return replace(losses, private=losses.private / max(1, len(losses.private)))


class MeanOfBoth(DCGAN):
    """The mean over real and generated rows together."""

    name = "mean_of_both"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        losses = super().losses(phase, networks, batch, draw)
        assert losses.private is not None
        assert losses.public is not None
        n = len(losses.private) + len(losses.public)
        return replace(losses, private=losses.private / n, public=losses.public / n)


def test_generated_rows_that_follow_the_poisson_count() -> None:
    with pytest.raises(AssertionError, match="expected 8 generated rows beside 0, got 0"):
        generated_rows_are_public(Private(FollowsTheCount(**SMALL), scale=3.0))


def test_losses_averaged_over_the_drawn_records() -> None:
    with pytest.raises(AssertionError, match=r"expected record 0 to have the gradient .* got 80\.0% off"):
        records_keep_apart(Private(MeanOfDrawn(**SMALL), scale=3.0))
    for check, message in (
        (records_keep_apart, "the gradient that it has alone"),
        (generated_rows_are_public, "expected the same gradients of them beside 0 records as beside 20"),
    ):
        with pytest.raises(AssertionError, match=message):
            check(Private(MeanOfBoth(**SMALL), scale=3.0))


# An empty batch that is skipped.


def skips(counted: bool) -> type[dp_sgd._AccountedUpdater]:
    class SkipsEmptyBatches(dp_sgd._AccountedUpdater):
        """Makes no step where nobody was drawn, which tells everyone that nobody was."""

        def step(self, losses: Losses, size: int) -> None:
            if losses.private is not None and len(losses.private):
                super().step(losses, size)
            else:
                self._forget_forward_pass()
                self.steps += counted

    return SkipsEmptyBatches


@pytest.mark.parametrize("counted", [True, False])
def test_an_empty_batch_that_is_skipped(counted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp_sgd, "_AccountedUpdater", skips(counted))
    with pytest.raises(AssertionError, match="expected an update at each of 6 steps, got 0"):
        every_step_is_noisy_and_counted_once(DP, tiny(), 1, 4000)


# BatchNorm in a private network.


class HiddenBatchNorm(DCGAN):
    """Its options say GroupNorm, and its discriminator has BatchNorm."""

    name = "hidden_batch_norm"

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        networks = super().build(schema, rng)
        (judge,) = networks["discriminator"]
        for name, child in list(judge.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(judge, name, nn.BatchNorm2d(child.num_channels))
        assert any(isinstance(m, nn.BatchNorm2d) for m in judge.modules())
        return networks


@pytest.mark.parametrize("defense", [DP, ClipOnly()], ids=repr)
def test_batch_norm_that_is_left_in_a_private_network(defense: Defense, monkeypatch: pytest.MonkeyPatch) -> None:
    target = HiddenBatchNorm(**SMALL)
    batch_norm_is_refused(target, defense)
    monkeypatch.setattr(_per_record, "_validate", lambda private, target: None)
    with pytest.raises(AssertionError, match="expected a refusal, got NotImplementedError"):  # by Opacus' own hooks
        batch_norm_is_refused(target, defense)


def test_batch_norm_that_nobody_refuses_mixes_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp_cases, "PerRecordUpdater", lambda *given, **more: None)
    records_keep_apart(Private(tiny(), scale=3.0))
    with pytest.raises(AssertionError, match="the gradient that it has alone"):
        records_keep_apart(Private(HiddenBatchNorm(**SMALL), scale=3.0))


# An accountant that counts otherwise than noise is added.


class CountsTwice(dp_sgd._AccountedUpdater):
    """One step for the real and one for the generated half."""

    def step(self, losses: Losses, size: int) -> None:
        super().step(losses, size)
        self.steps += 1


class ClaimsAHalf(dp_sgd._AccountedUpdater):
    """A sampling rate of half of what it is: the real and the generated half are no separate records."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.rate /= 2


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        (CountsTwice, "expected 6 steps accounted for, got 12"),
        (ClaimsAHalf, "by an independent accountant, got"),
    ],
)
def test_an_accountant_that_counts_wrongly(
    planted: type[dp_sgd._AccountedUpdater], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dp_sgd, "_AccountedUpdater", planted)
    with pytest.raises(AssertionError, match=message):
        every_step_is_noisy_and_counted_once(DP, tiny(), 30, 30)


# Noise that is off, too small, or the same at every step.


def no_noise(self: DPOptimizer) -> None:
    for p in self.params:
        p.grad = p.summed_grad.view_as(p)


def divided_noise(self: DPOptimizer) -> None:
    """Noise that is divided by the number of private parameters' tensors."""
    share = SIGMA * self.max_grad_norm / len(self.params)
    for p in self.params:
        p.grad = p.summed_grad + share * torch.randn(p.shape, generator=self.generator)


def noise_on_weights_alone(self: DPOptimizer) -> None:
    """Biases are forgotten."""
    for p in self.params:
        noise = SIGMA * self.max_grad_norm * torch.randn(p.shape, generator=self.generator)
        p.grad = p.summed_grad + (noise if p.dim() > 1 else 0)


def noise_of_one_seed(self: DPOptimizer) -> None:
    """The generator is made anew at every step."""
    rng = torch.Generator().manual_seed(0)
    for p in self.params:
        p.grad = p.summed_grad + SIGMA * self.max_grad_norm * torch.randn(p.shape, generator=rng)


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        (no_noise, "expected noise of deviation"),
        (noise_on_weights_alone, "expected noise on every coordinate"),
        (divided_noise, "expected noise of deviation"),
        (noise_of_one_seed, "expected fresh noise at every step"),
    ],
)
def test_noise_that_is_not_what_is_accounted(planted: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy, quiet = Private(tiny(), noise=SIGMA, clip=0.5), Private(tiny(), clip=0.5)
    original = DPOptimizer.add_noise
    monkeypatch.setattr(
        DPOptimizer, "add_noise", lambda self: planted(self) if self.noise_multiplier else original(self)
    )
    with pytest.raises(AssertionError, match=message):
        noise_is_what_is_accounted(noisy, quiet, SIGMA)


# A stack in the wrong order.

OTHERS = (Dropout(), WeightNorm(), MoreData(), EarlyStopping(), OutputFilter())


class ForgetsTheOrder(Dropout):
    """A ``refuses`` that does not ask the base class."""

    name = "forgets_the_order"

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        return None


class HidesItsGradients(DPSGD):
    """Does not declare that it needs per-record gradients of the finished networks."""

    name = "hides_its_gradients"
    per_record = False


@pytest.mark.parametrize("defense", [DP, ClipOnly()], ids=repr)
def test_the_real_stacks_are_in_order(defense: Defense) -> None:
    closes_a_stack(defense, OTHERS)


def test_a_stack_in_the_wrong_order() -> None:
    with pytest.raises(AssertionError, match=r"expected to be told \[forgets_the_order, dp_sgd\], got None"):
        closes_a_stack(DP, (*OTHERS, ForgetsTheOrder()))
    with pytest.raises(AssertionError, match=r"expected to be told \[dropout, hides_its_gradients\], got None"):
        closes_a_stack(HidesItsGradients(noise_multiplier=1.0), OTHERS)
    with pytest.raises(AssertionError, match="stacks_in_order: expected"):
        check_defense(ForgetsTheOrder())
