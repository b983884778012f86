"""The R1 penalty: against a loop over single records, and a discriminator whose slope is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dp_cases import SCHEMA, Private, context, request, rows, tiny
from pydantic import ValidationError
from torch import nn

from bench.contracts import check_defense
from bench.contracts.tiny import GREY, MIXED, tiny_records, tiny_step
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Schema
from defenses.base import Step, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.gradient_penalty import GradientPenalty, squared_slopes
from defenses.instance_noise import InstanceNoise
from targets.base import Batch, Draw, Losses, Target, parameters
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.memorizer import Memorizer
from targets.training import train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

LABELLED = Schema("image", (1, 10, 12), 3)
CASES = [
    (tiny(), SCHEMA),
    (tiny(conditional=True), LABELLED),
    (DCGANVAE(width=4, latent=4, feature_level=1, batch_size=8), SCHEMA),
    (CTGAN(width=8, latent=4, batch_size=8), MIXED),
    (CTGAN(width=8, latent=4, batch_size=8, conditional=True), MIXED),
]


def batch_of(schema: Schema, n: int = 5) -> Batch:
    records = tiny_records(schema, n)
    labels = None if schema.classes is None else torch.from_numpy(records.labels)
    return Batch(torch.from_numpy(records.floats()), labels, 8, schema)


def losses_of(step: Step, given: Batch) -> Losses:
    return step.context.target.losses(step.phase, step.networks, given, Draw(Device(), 3, "test"))


def strong(step: Step) -> Step:
    """The step with weights three times as large, so that slopes are of a size to compare."""
    with torch.no_grad():
        for p in parameters(step.networks, ["discriminator"]):
            p.mul_(3)
    return step


@pytest.mark.parametrize(("target", "schema"), CASES, ids=str)
def test_value_and_gradient_equal_a_loop_over_single_records(target: Target, schema: Schema) -> None:
    step, given = strong(tiny_step(target, schema=schema)), batch_of(schema)
    (judge,) = step.networks["discriminator"]
    before = losses_of(step, given)
    after = GradientPenalty(gamma=6.0).transform_losses(before, given, step)
    assert before.private is not None
    assert after.private is not None
    assert after.public is before.public
    added = after.private - before.private
    weights = list(judge.parameters())
    for row in range(len(given.x)):
        x = given.x[row : row + 1].clone().requires_grad_(True)
        labels = None if given.labels is None or not target.conditional else given.labels[row : row + 1]
        (slope,) = torch.autograd.grad(target.logit(judge, x, labels)[0], x, create_graph=True)
        expected = 6.0 / 2 * (slope**2).sum()
        torch.testing.assert_close(added[row], expected, rtol=1e-4, atol=1e-7)
        assert float(expected.detach()) > 1e-4
        ours = torch.autograd.grad(added[row], weights, retain_graph=True, allow_unused=True)
        theirs = torch.autograd.grad(expected, weights, allow_unused=True)
        largest = max(float(g.abs().max()) for g in theirs if g is not None)
        assert largest > 1e-4
        for mine, other in zip(ours, theirs, strict=True):
            zero = torch.zeros(())
            torch.testing.assert_close(
                zero if mine is None else mine,
                torch.zeros_like(zero if mine is None else mine) if other is None else other,
                rtol=1e-3,
                atol=1e-5 * largest,
            )


class Linear(DCGAN):
    """A discriminator of known slope: its weights."""

    name = "linear"

    def build(self, schema: Schema, rng: torch.Generator) -> dict[str, tuple[nn.Module, ...]]:
        built = super().build(schema, rng)
        head = nn.Linear(120, 1)
        with torch.no_grad():
            head.weight.normal_(generator=rng)
        return {**built, "discriminator": (nn.Sequential(nn.Flatten(), head),)}


def test_a_plane_has_the_slope_of_its_weights() -> None:
    step, given = tiny_step(Linear(width=4, latent=5, batch_size=8), schema=SCHEMA), batch_of(SCHEMA)
    weight = next(p for p in step.networks["discriminator"][0].parameters() if p.dim() == 2)
    found = squared_slopes(step.context.target, step.networks["discriminator"][0], given, "cpu")
    torch.testing.assert_close(found, weight.square().sum().expand(5))
    before = losses_of(step, given)
    after = GradientPenalty(gamma=10.0).transform_losses(before, given, step)
    (with_penalty,), (without,) = (
        torch.autograd.grad(losses.total(), weight, retain_graph=True) for losses in (after, before)
    )
    # The gradient of 10 / 2 |w|^2 is 10 w, for each of the five records.
    torch.testing.assert_close(with_penalty - without, 5 * 10.0 * weight.detach(), rtol=1e-4, atol=1e-4)


def test_the_slope_is_taken_in_float32_under_bf16() -> None:
    step, given = strong(tiny_step(tiny(), schema=SCHEMA)), batch_of(SCHEMA)
    (judge,) = step.networks["discriminator"]
    exact = squared_slopes(step.context.target, judge, given, "cpu")
    with Device(precision="bf16").autocast():
        rounded_records = replace(given, x=given.x.to(torch.bfloat16))
        assert torch.equal(squared_slopes(step.context.target, judge, given, "cpu"), exact)
        found = squared_slopes(step.context.target, judge, rounded_records, "cpu")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0)
    assert train(replace(request(tiny(), GradientPenalty()), device=Device(precision="bf16"))).status == "completed"


def test_the_generators_phase_is_left_alone() -> None:
    step = tiny_step(tiny(), 1, schema=SCHEMA)
    given = replace(batch_of(SCHEMA), x=rows(0))
    before = losses_of(step, given)
    assert GradientPenalty().transform_losses(before, given, step) is before


@pytest.mark.parametrize(("every", "phase_every"), [(1, 1), (3, 1), (2, 2)])
def test_a_lazy_penalty_comes_on_every_so_many_th_update_and_weighs_as_much(every: int, phase_every: int) -> None:
    given = batch_of(SCHEMA)
    first = tiny_step(tiny(), schema=SCHEMA)
    before, plain = losses_of(first, given), GradientPenalty(gamma=4.0)
    once = plain.transform_losses(before, given, first).private
    assert once is not None
    assert before.private is not None
    lazy, total = GradientPenalty(gamma=4.0, every=every), torch.zeros(5)
    updates = [number for number in range(1, 6 * phase_every + 1) if number % phase_every == 0]
    for ordinal, number in enumerate(updates, start=1):
        step = replace(first, number=number, phase=replace(first.phase, every=phase_every))
        after = lazy.transform_losses(before, given, step).private
        assert after is not None
        assert torch.equal(after, before.private) == (ordinal % every != 0)
        total += (after - before.private).detach()
    torch.testing.assert_close(total, 6 * (once - before.private).detach(), rtol=1e-4, atol=1e-6)


def test_an_empty_batch_has_no_penalty() -> None:
    step, given = tiny_step(tiny(), schema=SCHEMA), replace(batch_of(SCHEMA), x=rows(0))
    after = GradientPenalty().transform_losses(losses_of(step, given), given, step)
    assert after.private is not None
    assert after.private.shape == (0,)
    after.total().backward()  # type: ignore[no-untyped-call]


def test_it_flattens_the_discriminator() -> None:
    def slope(*stack: GradientPenalty) -> float:
        result = train(request(tiny(steps=30), *stack))
        (judge,) = result.networks["discriminator"]
        return float(squared_slopes(tiny(), judge, batch_of(SCHEMA), "cpu").detach().mean())

    assert slope(GradientPenalty(gamma=100.0)) < 0.5 * slope()


@pytest.mark.parametrize(
    ("target", "schema", "reason"),
    [
        (VAE(), GREY, "gradient_penalty changes the training of a discriminator, and vae trains none"),
        (Memorizer(), GREY, "gradient_penalty changes the training of a discriminator, and memorizer trains none"),
        (
            WGANGP(),
            GREY,
            "wgan_gp has a gradient penalty of its own, which asks for another slope than gradient_penalty",
        ),
        (
            CTGAN(loss="wgan_gp"),
            MIXED,
            "ctgan has a gradient penalty of its own, which asks for another slope than gradient_penalty",
        ),
        (BEGAN(), GREY, "gradient_penalty flattens the logit of real records, and began's critic gives no logit"),
        (
            DCGAN(norm="batch"),
            GREY,
            "dcgan with norm=batch mixes the records of a batch, so the slope at a record is not its own; "
            "use norm=group",
        ),
    ],
    ids=repr,
)
def test_where_it_makes_no_sense_it_is_refused(target: Target, schema: Schema, reason: str) -> None:
    assert stack_refuses((GradientPenalty(),), target, schema) == reason


@pytest.mark.parametrize("last", [DPSGD(noise_multiplier=1.0), ClipOnly()], ids=repr)
def test_per_record_clipping_after_it_is_refused(last: DPSGD | ClipOnly) -> None:
    assert stack_refuses((GradientPenalty(), last), tiny(), SCHEMA) == (
        f"{last.name} clips each record's gradient, but under gradient_penalty the penalty asks the discriminator a "
        "second time and is differentiated twice, where the hooks that gather one gradient per record follow one pass "
        "and one backward pass"
    )


class Penalised(Private):
    """A private phase with the penalty, as the plan would refuse it."""

    def losses(self, x: torch.Tensor) -> Losses:
        step = Step(1, self.phase, self.networks, Draw(Device(), 0, "defense"), context(self.target))
        return GradientPenalty().transform_losses(super().losses(x), Batch(x, None, self.size, SCHEMA), step)


def test_the_reason_for_that_holds() -> None:
    private = Penalised(tiny(), scale=3.0)
    with pytest.raises(RuntimeError, match=r"tensor a \(13\) must match the size of tensor b \(5\)"):
        private.summed(rows(5))


def test_two_discriminators_in_one_update_are_refused() -> None:
    step, given = tiny_step(tiny(), schema=SCHEMA), batch_of(SCHEMA)
    before = losses_of(step, given)
    both = replace(step, networks={**step.networks, "discriminator": step.networks["discriminator"] * 2})
    with pytest.raises(IncompatibleError, match=r"expected one discriminator per update .* got 2 discriminators"):
        GradientPenalty().transform_losses(before, given, both)
    with pytest.raises(IncompatibleError, match=r"got 1 discriminators of dcgan and no losses"):
        GradientPenalty().transform_losses(replace(before, private=None), given, step)


@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"gamma": -1.0}, {"gamma": float("inf")}, {"every": 0}])
def test_other_options_are_none(options: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        GradientPenalty(**options)


@pytest.mark.parametrize("defense", [GradientPenalty(), GradientPenalty(every=2)], ids=repr)
@pytest.mark.parametrize(
    ("target", "schema"),
    [
        (DCGAN(width=4, latent=4), GREY),
        (DCGAN(width=4, latent=4, conditional=True), GREY),
        (DCGANVAE(width=4, latent=4, feature_level=1), GREY),
        (CTGAN(width=8, latent=4, conditional=True), MIXED),
    ],
    ids=str,
)
def test_contract(target: Target, schema: Schema, defense: GradientPenalty) -> None:
    assert not any(check_defense(defense, target=target, schema=schema).values())


def test_it_stacks_with_what_changes_the_input() -> None:
    assert train(request(tiny(), InstanceNoise(), GradientPenalty())).status == "completed"
