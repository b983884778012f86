"""One-sided label smoothing: torch's own cross-entropy with soft targets, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dp_cases import SCHEMA, Mode, Private, context, request, rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, tiny_step
from bench.devices import Device
from bench.errors import IncompatibleError
from defenses.base import Step, stack_refuses
from defenses.dp_sgd import DPSGD
from defenses.instance_noise import InstanceNoise
from defenses.label_smoothing import LabelSmoothing
from targets.base import Batch, Draw, Losses, Networks, Phase, Target
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.memorizer import Memorizer
from targets.training import train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

DP = DPSGD(noise_multiplier=1.0)


def batch(n: int = 5) -> Batch:
    return Batch(rows(n), None, 8, SCHEMA)


def losses_of(target: Target, phase: int, given: Batch) -> tuple[Step, Losses]:
    step = tiny_step(target, phase, schema=SCHEMA)
    return step, target.losses(step.phase, step.networks, given, Draw(Device(), 3, "test"))


@given(
    smoothing=st.floats(0.01, 0.49),
    logits=st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=20),
)
@settings(max_examples=50, deadline=None)
def test_the_loss_is_the_cross_entropy_to_the_soft_target(smoothing: float, logits: list[float]) -> None:
    step = tiny_step(tiny(), schema=SCHEMA)
    ours = torch.tensor(logits, requires_grad=True)
    theirs = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    given = Losses(torch.nn.functional.softplus(-ours), None, ours)
    found = LabelSmoothing(smoothing=smoothing).transform_losses(given, batch(len(logits)), step).private
    assert found is not None
    soft = torch.full_like(theirs, 1 - smoothing)
    expected = binary_cross_entropy_with_logits(theirs, soft, reduction="none")
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    for loss in (found, expected):
        loss.sum().backward()  # type: ignore[no-untyped-call]
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-6)


def test_only_real_rows_of_the_discriminators_phase_are_smoothed() -> None:
    target, defense = tiny(), LabelSmoothing(smoothing=0.2)
    step, before = losses_of(target, 0, batch())
    after = defense.transform_losses(before, batch(), step)
    assert before.private is not None
    assert before.real_logits is not None
    assert after.public is before.public
    assert after.private is not None
    torch.testing.assert_close(after.private, before.private + 0.2 * before.real_logits)
    step, before = losses_of(target, 1, replace(batch(), x=rows(0)))
    assert defense.transform_losses(before, batch(), step) is before


def test_reconstructions_of_a_vae_gan_stay_fakes() -> None:
    """Their losses lie in the rows of the records that they redraw."""
    target = DCGANVAE(width=4, latent=4, feature_level=1, batch_size=8)
    step, before = losses_of(target, 0, batch())
    after = LabelSmoothing(smoothing=0.2).transform_losses(before, batch(), step)
    assert before.private is not None
    assert before.real_logits is not None
    assert after.private is not None
    hard = torch.nn.functional.softplus(-before.real_logits)
    soft = binary_cross_entropy_with_logits(
        before.real_logits, torch.full_like(before.real_logits, 0.8), reduction="none"
    )
    torch.testing.assert_close(after.private, before.private - hard + soft)
    assert float((before.private - hard).detach().min()) > 0.1  # the fakes' part, which is still there
    for phase in (1, 2):
        step, before = losses_of(target, phase, batch())
        assert LabelSmoothing().transform_losses(before, batch(), step) is before


def test_bf16_logits_are_smoothed_in_float32() -> None:
    logits = torch.linspace(-3, 3, 7, dtype=torch.bfloat16)
    given = Losses(torch.zeros(7), None, logits)
    found = LabelSmoothing(smoothing=0.1).transform_losses(given, batch(7), tiny_step(tiny(), schema=SCHEMA)).private
    assert found is not None
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, 0.1 * logits.float(), rtol=1e-7, atol=0)
    result = train(replace(request(tiny(), LabelSmoothing()), device=Device(precision="bf16")))
    assert result.status == "completed"


class Smoothed(Private):
    """A private phase whose losses are smoothed."""

    def losses(self, x: torch.Tensor) -> Losses:
        step = Step(1, self.phase, self.networks, Draw(Device(), 0, "defense"), context(self.target))
        given = Batch(x, None, self.size, SCHEMA)
        return LabelSmoothing(smoothing=0.3).transform_losses(super().losses(x), given, step)


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
def test_under_dp_each_rows_gradient_still_equals_the_loop(mode: Mode) -> None:
    smoothed, plain = (kind(tiny(), mode=mode, scale=3.0) for kind in (Smoothed, Private))
    for n in (0, 1, 6):
        found, expected = smoothed.samples(rows(n)) if n else None, smoothed.literal(rows(n))
        if found is not None:
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        unsmoothed = plain.literal(rows(n))
        torch.testing.assert_close(expected[n:], unsmoothed[n:])  # generated rows
        assert all(not torch.allclose(expected[row], unsmoothed[row], rtol=1e-2) for row in range(n))


def test_under_dp_the_claim_is_that_of_dp_alone() -> None:
    alone, stacked = (train(request(tiny(), *stack)).claim for stack in ((DP,), (LabelSmoothing(), DP)))
    assert alone is not None
    assert alone.epsilon is not None
    assert stacked == alone


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (VAE(), "label_smoothing changes the training of a discriminator, and vae trains none"),
        (Memorizer(), "label_smoothing changes the training of a discriminator, and memorizer trains none"),
        (WGANGP(), "label_smoothing smooths the labels of a classifier, and wgan_gp's critic is given none"),
        (BEGAN(), "label_smoothing smooths the labels of a classifier, and began's critic is given none"),
    ],
    ids=repr,
)
def test_what_has_no_labels_to_smooth_is_refused(target: Target, reason: str) -> None:
    assert stack_refuses((LabelSmoothing(),), target, GREY) == reason


def test_a_tables_critic_is_refused() -> None:
    assert stack_refuses((LabelSmoothing(),), CTGAN(loss="wgan_gp"), MIXED) == (
        "label_smoothing smooths the labels of a classifier, and ctgan's critic is given none"
    )


class Silent(DCGAN):
    """Keeps its logits to itself."""

    name = "silent"

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        return replace(super().losses(phase, networks, batch, draw), real_logits=None)


def test_a_target_that_gives_no_logits_is_refused_and_not_left_unsmoothed() -> None:
    with pytest.raises(IncompatibleError, match=r"expected silent to give the logits of real records .* got none"):
        train(request(Silent(width=4, latent=5, steps=1, batch_size=8), LabelSmoothing()))


@pytest.mark.parametrize("smoothing", [0.0, -0.1, 0.5, 1.0, float("nan")])
def test_other_smoothing_is_no_option(smoothing: float) -> None:
    with pytest.raises(ValidationError, match="smoothing"):
        LabelSmoothing(smoothing=smoothing)


@pytest.mark.parametrize(
    "target",
    [
        DCGAN(width=4, latent=4),
        DCGAN(width=4, latent=4, conditional=True),
        DCGAN(width=4, latent=4, norm="batch"),
        DCGANVAE(width=4, latent=4, feature_level=1),
    ],
    ids=str,
)
def test_contract(target: Target) -> None:
    assert not any(check_defense(LabelSmoothing(), target=target).values())


def test_it_stacks_with_other_regularisers_and_dp() -> None:
    assert stack_refuses((InstanceNoise(), LabelSmoothing(), DP), tiny(), SCHEMA) is None
    assert train(request(tiny(), InstanceNoise(), LabelSmoothing(), DP)).status == "completed"
