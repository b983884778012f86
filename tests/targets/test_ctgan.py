"""CTGAN: its losses by other routes to the same figures, what it draws, what it learns and what it leaks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from row_cases import HEAVY, HEIGHT, MIXED, SHAPES, WEIGHT, Private, auc, made, noise_table, one_hot, planted, run
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.contracts import check_target
from bench.devices import Device
from bench.records import Schema
from bench.rng import torch_generator
from defenses.base import stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from targets.base import Batch, Draw, Losses, Networks
from targets.ctgan import CTGAN
from targets.nets.mlp import RowGenerator, layout_of
from targets.nets.rows import drawn_choices, row_layout
from targets.training import generate_labelled


def tiny(**options: Any) -> CTGAN:
    return CTGAN(**{"steps": 5, "batch_size": 8, "width": 9, "latent": 3, **options})


def networks_of(target: CTGAN, schema: Schema = MIXED) -> dict[str, Any]:
    return target.build(schema, torch_generator(0, "test"))


def draw() -> Draw:
    return Draw(Device(), 0, "test")


def batch(n: int, size: int = 8) -> Batch:
    records = planted(n)
    return Batch(torch.from_numpy(records.floats()), torch.from_numpy(np.asarray(records.labels)), size, MIXED)


def losses(target: CTGAN, networks: Networks, phase: int, given: Batch) -> Losses:
    return target.losses(target.phases()[phase], networks, given, draw())


def fake_of(target: CTGAN, networks: Networks) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The generated rows that the same draws give to a loss."""
    again = draw()
    labels = again.labels(8, MIXED) if target.conditional else None
    z = again.normal(8, 3)
    (generator,) = networks["generator"]
    raw = generator(z) if labels is None else generator(z, labels)
    return drawn_choices(raw, layout_of(generator), again, 0.2), labels


@pytest.mark.parametrize("conditional", [False, True])
def test_losses_are_the_cross_entropies_of_single_rows(conditional: bool) -> None:
    target, real = tiny(conditional=conditional), batch(5)
    networks = networks_of(target)
    (judge,) = networks["discriminator"]
    fake, labels = fake_of(target, networks)
    hot = torch.eye(2)

    def entropy(row: torch.Tensor, label: torch.Tensor | None, truth: float) -> torch.Tensor:
        joined = row if label is None else torch.cat([row, hot[label]])
        plain = judge.network if conditional else judge
        return binary_cross_entropy_with_logits(plain(joined[None])[0, 0], torch.tensor(truth))

    assert real.labels is not None
    fakes = [(row, None if labels is None else labels[i]) for i, row in enumerate(fake)]
    reals = [(row, real.labels[i] if conditional else None) for i, row in enumerate(real.x)]
    critic = losses(target, networks, 0, real)
    torch.testing.assert_close(critic.private, torch.stack([entropy(*row, 1.0) for row in reals]))
    torch.testing.assert_close(critic.public, torch.stack([entropy(*row, 0.0) for row in fakes]))
    generator = losses(target, networks, 1, batch(0))
    assert generator.private is None
    torch.testing.assert_close(generator.public, torch.stack([entropy(*row, 1.0) for row in fakes]))


@pytest.mark.parametrize("conditional", [False, True])
def test_wasserstein_losses_with_the_slope_by_finite_differences(conditional: bool) -> None:
    target, real = tiny(loss="wgan_gp", conditional=conditional), batch(11)  # more real rows than generated ones
    networks = {role: tuple(m.double() for m in parts) for role, parts in networks_of(target).items()}
    (judge,) = networks["discriminator"]
    (generator,) = networks["generator"]
    generator.float()
    real = Batch(real.x.double(), real.labels, real.size, MIXED)
    critic = losses(target, networks, 0, real)
    fake, labels = fake_of(target, networks)
    fake = fake.detach().double()

    @torch.no_grad()
    def value(x: torch.Tensor, label: torch.Tensor | None) -> float:
        return float(target.logit(judge, x[None], None if label is None else label[None])[0])

    again = draw()  # the same order of draws: labels, latents, Gumbel noise, then the shares
    if conditional:
        again.labels(8, MIXED)
    again.normal(8, 3)
    again.uniform(8, 7)
    shares = again.uniform(11, 1).double()
    assert real.labels is not None
    assert critic.private is not None
    for row, x in enumerate(real.x):
        label = real.labels[row] if conditional else None
        between = shares[row] * x + (1 - shares[row]) * fake[row % 8]
        h = 1e-6
        steps = h * torch.eye(7, dtype=torch.float64)
        slope = [(value(between + step, label) - value(between - step, label)) / (2 * h) for step in steps]
        expected = 10 * (math.hypot(*slope) - 1) ** 2 - value(x, label)
        assert float(critic.private[row].detach()) == pytest.approx(expected, rel=1e-5)
    public = [value(x, None if labels is None else labels[row]) for row, x in enumerate(fake)]
    torch.testing.assert_close(critic.public, torch.tensor(public, dtype=torch.float64))
    public_losses = losses(target, {**networks, "discriminator": (judge.float(),)}, 1, batch(0))
    torch.testing.assert_close(public_losses.public, -torch.tensor(public), rtol=1e-4, atol=1e-5)


def test_the_penalty_reaches_the_critics_weights() -> None:
    """Its gradient is one of the second order, which a detached slope would lose."""
    target = tiny(loss="wgan_gp")
    networks = networks_of(target)
    (judge,) = networks["discriminator"]
    found = losses(target, networks, 0, batch(5)).private
    assert found is not None
    penalty = found + target.logit(judge, batch(5).x)
    (gradient,) = torch.autograd.grad(penalty.sum(), judge[2].weight)
    assert bool((gradient != 0).any())


@pytest.mark.parametrize("n", [0, 3, 10])
def test_private_update_covers_every_row(n: int) -> None:
    """With a bound that clips nothing, it is the gradient of plain backpropagation over real and generated rows."""
    private = Private(tiny(conditional=True), 1e6, "hooks")
    found, expected = private.update(planted(n), draw()), private.gradient(planted(n), draw())
    assert float(expected.norm()) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_private_training_is_refused_where_it_cannot_be_exact() -> None:
    for defense in (DPSGD(noise_multiplier=1.0), ClipOnly()):
        reason = stack_refuses((defense,), tiny(loss="wgan_gp"), MIXED)
        assert reason is not None
        assert "use loss=non_saturating" in reason
        assert stack_refuses((defense,), tiny(), MIXED) is None


def test_trains_privately_with_a_claim() -> None:
    result = run(tiny(conditional=True), planted(60), DPSGD(noise_multiplier=1.0, delta=1e-3))
    assert result.status == "completed"
    assert result.claim is not None
    assert result.claim.epsilon is not None


def test_contract_with_every_option() -> None:
    check_target(tiny(loss="wgan_gp", critic_steps=2, conditional=True))


def test_critic_steps_are_updates_of_the_critic_per_update_of_the_generator() -> None:
    history = run(tiny(critic_steps=2), planted(20)).history
    assert len(history["loss/discriminator"]) == 5
    assert len(history["loss/generator"]) == 2


def test_only_the_generator_has_batch_norm() -> None:
    for target in (tiny(), tiny(conditional=True)):
        networks = networks_of(target)
        norms = {
            role: sum(isinstance(m, nn.BatchNorm1d) for m in network.modules()) for role, (network,) in networks.items()
        }
        assert norms == {"generator": 2, "discriminator": 0}


def test_choices_are_drawn_by_their_probabilities() -> None:
    n, shares = 40_000, torch.tensor([0.5, 0.2, 0.3])
    raw = torch.cat([torch.tensor([1.5]), shares.log() + 7, torch.tensor([-2.0, 0.0, math.log(9)])]).expand(n, 7)
    x = drawn_choices(raw, row_layout(MIXED), draw())
    assert one_hot(x.numpy(), SHAPES)
    assert one_hot(x.numpy(), HEAVY)
    assert bool((x[:, [HEIGHT, WEIGHT]] == raw[:, [HEIGHT, WEIGHT]]).all())
    for span, expected in ((SHAPES, shares), (HEAVY, torch.tensor([0.1, 0.9]))):
        torch.testing.assert_close(x[:, span].mean(0), expected, rtol=0, atol=5 * 0.5 / math.sqrt(n))


def test_drawn_choices_carry_the_gradient_of_torchs_gumbel_softmax() -> None:
    """The numbers' gradient passes; a category's is ``d softmax((logits + Gumbel noise) / temperature)``."""
    raw, weights = draw().normal(6, 7).requires_grad_(), draw().normal(6, 7)
    (drawn_choices(raw, row_layout(MIXED), draw(), 0.2) * weights).sum().backward()  # type: ignore[no-untyped-call]
    gumbel: Any = torch.distributions.Gumbel(0.0, 1.0)
    noise = gumbel.icdf(draw().uniform(6, 7))
    other = raw.detach().clone().requires_grad_()
    parts = [other[:, :1], *(((other + noise)[:, span] / 0.2).softmax(1) for span in (SHAPES, HEAVY)), other[:, 4:5]]
    order = [0, 1, 2, 3, 6, 4, 5]  # the parts' values by their place in a row
    (torch.cat(parts, 1)[:, order] * weights).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(raw.grad, other.grad)


def test_decoded_latents_carry_gradients_and_probabilities() -> None:
    target = tiny()
    networks = {role: tuple(m.eval() for m in parts) for role, parts in networks_of(target).items()}
    z = draw().normal(2, 3).requires_grad_()
    x = target.decode(networks, z)
    torch.testing.assert_close(x, target.decode(networks, z))
    torch.testing.assert_close(x[:, SHAPES].sum(1), torch.ones(2))
    x[:, 1].sum().backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert bool((z.grad != 0).any())


def test_residual_blocks_hand_their_input_on() -> None:
    generator = RowGenerator(4, 6, row_layout(MIXED)).eval()
    z = torch.randn(3, 4, generator=torch_generator(0, "test"))
    first, second, head = generator.body
    h = first(z)
    assert h.shape == (3, 10)
    assert torch.equal(h[:, :4], z)
    assert torch.equal(second(h)[:, :10], h)
    assert head.in_features == 16


def test_a_layout_is_asked_of_networks_that_make_rows_only() -> None:
    with pytest.raises(ValueError, match="expected a network that makes rows of a table, got Linear"):
        layout_of(nn.Linear(2, 2))


def test_conditional_needs_classes_and_images_are_refused() -> None:
    assert tiny(conditional=True).refuses(Schema("table", (3,))) is not None
    assert tiny().refuses(Schema("table", (3,))) is None
    assert tiny().refuses(Schema("image", (1, 8, 8), 2)) == "ctgan models table records, not image records"


@pytest.fixture(scope="module")
def learnt() -> tuple[CTGAN, Networks]:
    target = CTGAN(steps=800, batch_size=100, width=64, latent=8, learning_rate=1e-3, conditional=True)
    return target, run(target, planted(2000)).networks


def test_learns_frequencies_and_dependence_of_mixed_columns(learnt: tuple[CTGAN, Networks]) -> None:
    target, networks = learnt
    real = planted(20_000, seed=1).floats()
    x = made(target, networks, 10_000)
    assert one_hot(x, SHAPES)
    assert one_hot(x, HEAVY)
    np.testing.assert_allclose(x[:, SHAPES].mean(0), real[:, SHAPES].mean(0), atol=0.1)
    np.testing.assert_allclose(x[:, HEAVY].mean(0), real[:, HEAVY].mean(0), atol=0.06)
    for number, span in ((HEIGHT, SHAPES), (WEIGHT, HEAVY)):
        means = [[rows[rows[:, place] == 1, number].mean() for place in range(7)[span]] for rows in (x, real)]
        # The gaps between the categories' means: 0 where numbers do not depend on the category.
        assert bool((np.diff(means[0]) > 0.5 * np.diff(means[1])).all())


def test_generates_the_label_that_is_asked(learnt: tuple[CTGAN, Networks]) -> None:
    target, networks = learnt
    rows, labels = generate_labelled(target, networks, replace(MIXED, class_shares=(0.75, 0.25)), 4000, 0, Device())
    assert labels is not None
    assert labels.mean() == pytest.approx(0.25, abs=0.04)  # the public shares of the schema, not the members'
    assert (np.asarray(rows)[:, HEAVY].argmax(1) == labels).mean() > 0.9


def test_an_overfitted_discriminator_knows_its_members() -> None:
    """Nothing but the records themselves can be learnt from noise, so the logit tells who was a member."""
    members, others = noise_table(25, 12), noise_table(25, 12, seed=1)
    for steps, low, high in ((0, 0.25, 0.75), (500, 0.95, 1.0)):
        target = CTGAN(steps=steps, batch_size=25, width=64, latent=16, learning_rate=1e-3)
        (judge,) = run(target, members).networks["discriminator"]
        with torch.no_grad():
            scores = [target.logit(judge, torch.from_numpy(r.floats())).numpy() for r in (members, others)]
        assert low <= auc(*scores) <= high
