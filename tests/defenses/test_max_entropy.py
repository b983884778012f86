"""Maximum entropy: the entropy of a logit, its gradient, and which phase's loss it replaces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import Private, clipped_sum, request, rows, tiny
from pydantic import ValidationError

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, tiny_step
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Schema
from defenses.base import Defense, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.label_smoothing import LabelSmoothing
from defenses.max_entropy import MaxEntropy, entropy
from targets.base import Batch, Draw, Losses, parameters
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.memorizer import Memorizer
from targets.training import train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

SCHEMA = Schema("image", (1, 10, 12))


def naive(logit: float) -> float:
    """-p log p - (1 - p) log(1 - p), from the definition, in double precision."""
    p = 1 / (1 + math.exp(-logit))
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


def test_entropy_equals_the_definition() -> None:
    logits = torch.linspace(-30, 30, 241, dtype=torch.float64)
    expected = [naive(float(logit)) for logit in logits]
    np.testing.assert_allclose(entropy(logits).numpy(), expected, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(entropy(logits.float()).numpy(), expected, rtol=1e-5, atol=1e-9)
    assert float(entropy(torch.zeros(1))) == pytest.approx(math.log(2))


def test_its_gradient_equals_the_closed_form() -> None:
    """dH/dl = -l p (1 - p), also at 0, where the absolute value has a corner."""
    logits = torch.tensor([-30.0, -4.0, -1e-3, 0.0, 0.5, 3.0, 30.0], dtype=torch.float64, requires_grad=True)
    entropy(logits).sum().backward()  # type: ignore[no-untyped-call]
    fixed = logits.detach()
    torch.testing.assert_close(logits.grad, -fixed * fixed.sigmoid() * (-fixed).sigmoid(), rtol=1e-9, atol=1e-20)


def test_large_logits_overflow_nowhere() -> None:
    logits = torch.tensor([-1e4, -200.0, 200.0, 1e4], requires_grad=True)
    found = entropy(logits)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(found.detach(), torch.zeros(4))
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def losses_of(defense: MaxEntropy, phase: int) -> tuple[Losses, Losses, list[torch.nn.Parameter]]:
    """A phase's losses without and with the defense, from the same draws, and the parameters that they train."""
    step = tiny_step(DCGAN(width=4, latent=4), phase)
    batch = Batch(torch.from_numpy(step.context.validation.floats()), None, 8, GREY)
    plain = step.context.target.losses(step.phase, step.networks, batch, Draw(Device(), 0, "test"))
    return plain, defense.transform_losses(plain, batch, step), parameters(step.networks, step.phase.roles)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_generator_s_loss_is_minus_the_entropy(weight: float) -> None:
    plain, found, trained = losses_of(MaxEntropy(weight=weight), 1)
    assert plain.generated_logits is not None
    assert plain.public is not None
    assert found.public is not None
    assert found.private is None
    expected = [
        -weight * naive(float(logit)) + (1 - weight) * float(loss)
        for logit, loss in zip(plain.generated_logits.detach(), plain.public.detach(), strict=True)
    ]
    np.testing.assert_allclose(found.public.detach().numpy(), expected, rtol=1e-5, atol=1e-7)
    # And its gradient is the closed form's, carried through the generator.
    logits = plain.generated_logits
    p = logits.detach().sigmoid()
    slopes = weight * logits.detach() * p * (1 - p) - (1 - weight) * (1 - p)
    trained = [p for p in trained if p.requires_grad]
    by_hand = torch.autograd.grad(logits, trained, slopes, retain_graph=True)
    by_loss = torch.autograd.grad(found.public.sum(), trained, retain_graph=True)
    for a, b in zip(by_hand, by_loss, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_the_discriminator_s_loss_is_left_alone() -> None:
    plain, found, _ = losses_of(MaxEntropy(), 0)
    assert found is plain


def test_a_generator_s_updates_pull_logits_towards_zero_from_both_sides() -> None:
    for start in (-3.0, 3.0):
        logit = torch.tensor([start], requires_grad=True)
        (slope,) = torch.autograd.grad(-entropy(logit).sum(), logit)
        assert float(-slope) * start < 0


def test_low_precision_is_left_before_the_entropy_is_taken() -> None:
    defense, step = MaxEntropy(), tiny_step(tiny(), 1)
    logits = torch.tensor([-3.0, 0.25, 6.0], dtype=torch.bfloat16)
    found = defense.transform_losses(Losses(None, logits, generated_logits=logits), None, step).public  # type: ignore[arg-type]
    assert found is not None
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), [-naive(float(logit)) for logit in logits], rtol=1e-5)


def test_a_target_without_logits_is_refused_in_training() -> None:
    step = tiny_step(tiny(), 1)
    batch = Batch(rows(0), None, 8, SCHEMA)
    with pytest.raises(IncompatibleError, match=r"expected dcgan to give the logits of generated rows .* got none"):
        MaxEntropy().transform_losses(Losses(None, torch.zeros(3)), batch, step)


@pytest.mark.parametrize(
    ("before", "target", "schema", "reason"),
    [
        ((), VAE(), GREY, "changes the training of a discriminator, and vae trains none"),
        ((), DDPM(), GREY, "changes the training of a discriminator, and ddpm trains none"),
        ((), Memorizer(), GREY, "changes the training of a discriminator, and memorizer trains none"),
        ((), WGANGP(), GREY, "needs the probability of being real, and wgan_gp's critic gives none"),
        ((), BEGAN(), GREY, "needs the probability of being real, and began's critic gives none"),
        ((), CTGAN(loss="wgan_gp"), MIXED, "needs the probability of being real, and ctgan's critic gives none"),
        ((), DCGANVAE(feature_level=1), GREY, "the generator of dcgan_vae learns from records and their reconstruct"),
        ((ClipOnly(),), DCGAN(), GREY, "write [max_entropy, clip_only]"),
    ],
)
def test_refusals(before: tuple[Defense, ...], target: Any, schema: Schema, reason: str) -> None:
    found = stack_refuses((*before, MaxEntropy()), target, schema)
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(("weight", "message"), [(0.0, "greater than 0"), (1.5, "less than or equal to 1")])
def test_options_out_of_range_are_refused(weight: float, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MaxEntropy(weight=weight)


def test_private_training_is_as_private_as_without() -> None:
    """The private phase is the same, per-record gradients and claim included; only the generator differs."""
    stack = (MaxEntropy(), DPSGD(noise_multiplier=1.0))
    assert stack_refuses(stack, tiny(), SCHEMA) is None
    with_it, without = train(request(tiny(steps=3), *stack)), train(request(tiny(steps=3), stack[1]))
    assert with_it.claim == without.claim
    assert with_it.claim is not None
    assert with_it.claim.epsilon is not None
    private = Private(tiny(), (MaxEntropy(),), scale=3.0)
    expected = private.literal(rows(5))
    torch.testing.assert_close(private.samples(rows(5)), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    torch.testing.assert_close(
        private.summed(rows(5)).double(), clipped_sum(expected, 1.0), rtol=1e-3, atol=1e-5 * float(expected.norm())
    )


@pytest.mark.parametrize("target", [DCGAN(width=4, latent=4), DCGAN(width=4, latent=4, conditional=True)], ids=repr)
def test_contract(target: Any) -> None:
    report = check_defense(MaxEntropy(weight=0.5), target=target)
    assert not any(report.values())
    assert check_defense(MaxEntropy(), target=target)


def test_in_a_stack_with_label_smoothing() -> None:
    assert train(request(tiny(steps=2), LabelSmoothing(), MaxEntropy())).status == "completed"
