"""WGAN-GP: the losses against a loop and a closed form, records kept apart, the schedule of its updates."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from training_cases import run, tiny

from bench.devices import Device
from bench.records import Schema
from bench.rng import torch_generator
from targets.base import Batch, Draw, Losses, Networks
from targets.wgan_gp import WGANGP

SCHEMA = Schema("image", (1, 10, 12))
SIZE = 5
CRITIC, GENERATOR = WGANGP().phases()


def small(**options: object) -> WGANGP:
    return WGANGP(**{"width": 4, "latent": 3, "batch_size": SIZE, **options})


def images(n: int = SIZE, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, *SCHEMA.shape, generator=torch_generator(seed, "test")) * 2 - 1


def build(target: WGANGP, scale: float = 4.0) -> Networks:
    """Its networks with a critic so steep that its gradient is not lost beside 1."""
    networks = target.build(SCHEMA, torch_generator(0, "test"))
    for p in networks["discriminator"][0].parameters():
        p.data *= scale
    return networks


def draw() -> Draw:
    return Draw(Device(), 0, "test")


def losses(target: WGANGP, networks: Networks, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = target.losses(CRITIC, networks, Batch(x, None, SIZE, SCHEMA), draw())
    assert found.private is not None
    assert found.public is not None
    return found.private, found.public


def linear_critic(weight: torch.Tensor) -> nn.Sequential:
    layer = nn.Linear(weight.numel(), 1)
    layer.weight.data = weight.reshape(1, -1).clone()
    return nn.Sequential(nn.Flatten(), layer)


def numeric_length(critic: nn.Module, x: torch.Tensor, h: float = 1e-6) -> float:
    """Length of the gradient at one image, by central differences in float64."""
    critic64, flat = copy.deepcopy(critic).double(), x.detach().double().flatten()
    steps = torch.eye(len(flat), dtype=torch.float64) * h
    with torch.no_grad():
        up, down = (critic64((flat + sign * steps).reshape(-1, *SCHEMA.shape))[:, 0] for sign in (1, -1))
    return float(((up - down) / (2 * h)).norm())


@pytest.mark.parametrize("norm", ["none", "group"])
def test_losses_are_those_of_the_paper_one_record_at_a_time(norm: str) -> None:
    target, x = small(norm=norm), images()
    networks = build(target)
    (critic,) = networks["discriminator"]
    private, public = losses(target, networks, x)
    again = draw()
    with torch.no_grad():
        fake = target.decode(networks, again.normal(SIZE, 3))
        share = again.uniform(SIZE, 1, 1, 1)
        for i in range(SIZE):
            length = numeric_length(critic, share[i] * x[i] + (1 - share[i]) * fake[i])
            assert abs(length - 1) > 0.01  # else the penalty would not be seen
            expected = -float(critic(x[i : i + 1])) + 10 * (length - 1) ** 2
            assert float(private[i]) == pytest.approx(expected, rel=1e-3)
            assert float(public[i]) == pytest.approx(float(critic(fake[i : i + 1])), rel=1e-4, abs=1e-6)


def test_a_linear_critic_is_penalised_as_its_closed_form_says() -> None:
    """Its gradient is its weight w everywhere, so the penalty is ``(|w| - 1)^2``, whose own gradient is known."""
    w = torch.randn(120, generator=torch_generator(3, "test")) * 0.3
    target, x = small(gradient_penalty=7.0), images()
    networks = build(target) | {"discriminator": (linear_critic(w),)}
    private, _ = losses(target, networks, x)
    excess = w.norm() - 1
    torch.testing.assert_close(private + networks["discriminator"][0](x)[:, 0], (7 * excess**2).expand(SIZE))
    layer = networks["discriminator"][0][1]  # type: ignore[index]
    (gradient,) = torch.autograd.grad(private.sum(), layer.weight)
    expected = SIZE * 7 * 2 * excess * w / w.norm() - x.flatten(1).sum(0)
    torch.testing.assert_close(gradient[0], expected, rtol=1e-4, atol=1e-4)


class Watching(nn.Module):
    """A critic that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.detach())
        return x.flatten(1).sum(1, keepdim=True)


def test_interpolates_lie_between_a_record_and_its_generated_partner() -> None:
    target, x, watching = small(), images(), Watching()
    losses(target, build(target) | {"discriminator": (watching,)}, x)
    both, between = watching.seen
    torch.testing.assert_close(both[:SIZE], x)
    real, fake = both[:SIZE].flatten(1), both[SIZE:].flatten(1)
    share = ((between.flatten(1) - fake) * (real - fake)).sum(1) / ((real - fake) ** 2).sum(1)
    assert bool(((share > 0) & (share < 1)).all())
    assert len(share.unique()) == SIZE  # each pair has a point of its own
    torch.testing.assert_close(between.flatten(1), share[:, None] * real + (1 - share[:, None]) * fake)


@pytest.mark.parametrize("norm", ["none", "group"])
def test_a_row_depends_on_its_own_record_alone_in_value_and_in_gradient(norm: str) -> None:
    target, x = small(norm=norm), images()
    networks = build(target)
    other = x.clone()
    other[0] = images(1, seed=9)[0]
    parameters = list(networks["discriminator"][0].parameters())
    first, second = (losses(target, networks, given)[0] for given in (x, other))
    assert float((first[0] - second[0]).detach().abs()) > 1e-3
    torch.testing.assert_close(first[1:], second[1:])
    for i in (1, SIZE - 1):
        one, two = (torch.autograd.grad(rows[i], parameters, retain_graph=True) for rows in (first, second))
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 2 * SIZE + 1])
def test_any_number_of_records_meets_the_same_public_half(rows: int) -> None:
    target = small()
    networks = build(target)
    private, public = losses(target, networks, images(rows))
    assert private.shape == (rows,)
    torch.testing.assert_close(public, losses(target, networks, images())[1])
    Losses(private, public).total().backward()
    gradients = [p.grad for p in networks["discriminator"][0].parameters() if p.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(g).all()) for g in gradients)


def test_the_generator_raises_the_critics_opinion_of_its_images() -> None:
    target = small()
    networks = build(target)
    found = target.losses(GENERATOR, networks, Batch(images(0), None, SIZE, SCHEMA), draw())
    assert found.private is None
    assert found.public is not None
    fake = target.decode(networks, draw().normal(SIZE, 3))
    torch.testing.assert_close(found.public, -networks["discriminator"][0](fake)[:, 0])


@pytest.mark.parametrize("critic_steps", [1, 2, 5])
def test_the_generator_is_updated_on_every_so_many_th_step(critic_steps: int) -> None:
    result = run(tiny(WGANGP, steps=6, critic_steps=critic_steps))
    assert len(result.history["loss/discriminator"]) == 6
    assert len(result.history["loss/generator"]) == 6 // critic_steps


def test_the_critic_is_pushed_to_gradients_of_length_one() -> None:
    target = small(gradient_penalty=1000.0, discriminator_learning_rate=1e-2, beta1=0.5)
    networks = build(target)
    parameters = list(networks["discriminator"][0].parameters())
    optimizer, source = target.optimizer(CRITIC, parameters), draw()
    lengths = []
    for step in range(60):
        optimizer.zero_grad()
        found = target.losses(CRITIC, networks, Batch(images(seed=step), None, SIZE, SCHEMA), source)
        found.total().backward()
        optimizer.step()
        lengths.append(numeric_length(networks["discriminator"][0], images(1, seed=step)[0] / 2))
    assert abs(lengths[0] - 1) > 0.5
    assert all(abs(length - 1) < 0.4 for length in lengths[-10:])


def test_arithmetic_of_bf16_gives_finite_losses_near_those_of_float32() -> None:
    target, x = small(), images()
    networks = build(target)
    exact, _ = losses(target, networks, x)
    with Device(precision="bf16").autocast():
        rough, public = losses(target, networks, x)
        Losses(rough, public).total().backward()
    torch.testing.assert_close(rough.float(), exact, rtol=0.1, atol=0.1)


def test_options_reach_the_optimisers() -> None:
    target = small(learning_rate=3e-4, discriminator_learning_rate=1e-4, beta1=0.5, beta2=0.8)
    p = [nn.Parameter(torch.zeros(1))]
    assert [target.optimizer(phase, p).defaults["lr"] for phase in (GENERATOR, CRITIC)] == [3e-4, 1e-4]
    assert target.optimizer(CRITIC, p).defaults["betas"] == (0.5, 0.8)
    shared = small(learning_rate=3e-4, discriminator_learning_rate=None)
    assert shared.optimizer(CRITIC, p).defaults["lr"] == 3e-4


def test_presets_are_valid_and_overfit_is_a_weak_penalty_for_long() -> None:
    made = {name: WGANGP(**options).options for name, options in WGANGP.presets.items()}
    assert made["gpu"].steps > WGANGP().options.steps
    assert made["overfit"].gradient_penalty == 1
    assert made["overfit"].steps >= 6000


def test_batch_norm_is_not_offered_to_the_critic() -> None:
    with pytest.raises(ValidationError, match="'group' or 'none'"):
        WGANGP(norm="batch")
    layers = [m for norm in ("none", "group") for m in build(small(norm=norm))["discriminator"][0].modules()]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in layers)
    assert any(isinstance(m, nn.GroupNorm) for m in layers)


@pytest.mark.parametrize(("shape", "shown"), [((1, 7, 8), "7x8"), ((3, 8, 65), "8x65")])
def test_sizes_out_of_reach_are_refused(shape: tuple[int, ...], shown: str) -> None:
    reason = WGANGP().refuses(Schema("image", shape))
    assert reason is not None
    assert f"8 to 64 pixels a side, got {shown}" in reason
    assert WGANGP().refuses(SCHEMA) is None


def test_it_says_why_it_cannot_be_trained_privately() -> None:
    assert "differentiated twice" in str(WGANGP().refuses_private())
