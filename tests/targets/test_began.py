"""BEGAN: the losses and the balance against the paper's equations in plain numbers, and the state that is saved."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from training_cases import run, tiny

from bench.devices import Device
from bench.records import Schema
from bench.rng import torch_generator
from targets.base import Batch, Draw, Losses, Networks, from_tensors, to_tensors
from targets.began import BEGAN
from targets.nets.autoencoder import decoder, encoder, fan_in

SCHEMA = Schema("image", (1, 10, 12))
SIZE = 5
JUDGE, GENERATOR = BEGAN().phases()


def small(**options: object) -> BEGAN:
    return BEGAN(**{"width": 4, "latent": 3, "batch_size": SIZE, **options})


def images(n: int = SIZE, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, *SCHEMA.shape, generator=torch_generator(seed, "test")) * 2 - 1


def build(target: BEGAN, k: float = 0.0) -> Networks:
    networks = target.build(SCHEMA, torch_generator(0, "test"))
    networks["discriminator"][0].get_buffer("k").fill_(k)
    return networks


def draw() -> Draw:
    return Draw(Device(), 0, "test")


def batch(x: torch.Tensor) -> Batch:
    return Batch(x, None, SIZE, SCHEMA)


def state(networks: Networks) -> tuple[float, float, float]:
    (judge,) = networks["discriminator"]
    k, real_error, convergence = (float(judge.get_buffer(name)) for name in ("k", "real_error", "convergence"))
    return k, real_error, convergence


def error(judge: nn.Module, image: torch.Tensor) -> float:
    """L(v) of one image: the absolute differences of its pixels, averaged; the network sees and gives 0 to 1."""
    redrawn = 2 * judge((image[None] + 1) / 2) - 1
    pairs = zip(image.flatten().tolist(), redrawn.flatten().tolist(), strict=True)
    return sum(abs(a - b) for a, b in pairs) / image.numel()


@pytest.mark.parametrize("k", [0.0, 0.3])
def test_losses_are_those_of_the_paper_one_image_at_a_time(k: float) -> None:
    target, x = small(), images()
    networks = build(target, k)
    (judge,) = networks["discriminator"]
    fake = target.decode(networks, draw().normal(SIZE, 3)).detach()
    found = target.losses(JUDGE, networks, batch(x), draw())
    assert found.private is not None
    assert found.public is not None
    assert found.private.tolist() == pytest.approx([error(judge, image) for image in x], rel=1e-5)
    assert found.public.tolist() == pytest.approx([-k * error(judge, image) for image in fake], rel=1e-5)
    made = target.losses(GENERATOR, networks, batch(x[:0]), draw())
    assert made.private is None
    assert made.public is not None
    assert made.public.tolist() == pytest.approx([error(judge, image) for image in fake], rel=1e-5)
    assert target.logit(judge, x).tolist() == pytest.approx([-error(judge, image) for image in x], rel=1e-5)


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize(
    ("start", "real", "fake", "expected"),
    [
        (0.25, 0.4, 0.1, 0.25 + 0.5 * (0.7 * 0.4 - 0.1)),
        (0.25, 0.2, 0.4, 0.25 + 0.5 * (0.7 * 0.2 - 0.4)),
        (0.0, 0.1, 0.4, 0.0),
        (0.98, 0.9, 0.1, 1.0),
    ],
)
def test_balance_moves_as_the_papers_equation_says(start: float, real: float, fake: float, expected: float) -> None:
    target = small(gamma=0.7, balance_rate=0.5)
    networks = build(target, start)
    target.after_update(JUDGE, networks, Losses(rows(real - 0.05, real + 0.05), rows(9.0)), batch(images()))
    assert state(networks) == pytest.approx((start, real, 0.0))
    target.after_update(GENERATOR, networks, Losses(None, rows(fake + 0.02, fake - 0.02)), batch(images(0)))
    assert state(networks) == pytest.approx((expected, real, real + abs(0.7 * real - fake)), abs=1e-6)


def test_an_empty_batch_leaves_the_last_error_on_real_records() -> None:
    target = small()
    networks = build(target, 0.5)
    target.after_update(JUDGE, networks, Losses(rows(0.4), rows(1.0)), batch(images()))
    empty = target.losses(JUDGE, networks, batch(images(0)), draw())
    assert empty.private is not None
    assert empty.private.shape == (0,)
    target.after_update(JUDGE, networks, empty, batch(images(0)))
    assert state(networks)[:2] == pytest.approx((0.5, 0.4))


def test_a_row_depends_on_its_own_record_alone() -> None:
    target, x = small(), images()
    networks = build(target, 0.5)
    first = target.losses(JUDGE, networks, batch(x), draw()).private
    x[0] = images(1, seed=9)[0]
    second = target.losses(JUDGE, networks, batch(x), draw()).private
    assert first is not None
    assert second is not None
    assert first[0] != second[0]
    torch.testing.assert_close(first[1:], second[1:])


def test_training_moves_the_balance_as_its_own_history_says() -> None:
    """With k that never leaves 0 the discriminator's recorded loss is L(x), the generator's L(G(z))."""
    low = run(tiny(BEGAN, steps=5, gamma=1e-6, balance_rate=1.0))
    assert float(low.networks["discriminator"][0].get_buffer("k")) == 0
    assert state(low.networks)[1] == pytest.approx(low.history["loss/discriminator"][-1], rel=1e-5)
    high = run(tiny(BEGAN, steps=5, gamma=1.0, balance_rate=0.01))
    k = 0.0
    for loss, made in zip(high.history["loss/discriminator"], high.history["loss/generator"], strict=True):
        # L(x) = loss + k L(G(z)); the generated half of the two phases differs, so this is close and not exact
        k = min(1.0, max(0.0, k + 0.01 * (loss + k * made - made)))
    assert float(high.networks["discriminator"][0].get_buffer("k")) == pytest.approx(k, abs=1e-4)
    assert k > 0


def test_the_balance_is_saved_with_the_networks() -> None:
    target = small()
    trained = build(target, 0.625)
    fresh = build(target)
    from_tensors(fresh, to_tensors(trained))
    assert state(fresh)[0] == 0.625


def test_presets_and_options_are_valid() -> None:
    assert {name: BEGAN(**options).options.steps for name, options in BEGAN.presets.items()}["gpu"] > 10_000
    optimizer = small(learning_rate=3e-4, beta1=0.4).optimizer(JUDGE, [nn.Parameter(torch.zeros(1))])
    assert (optimizer.defaults["lr"], optimizer.defaults["betas"]) == (3e-4, (0.4, 0.999))


@pytest.mark.parametrize(("shape", "shown"), [((1, 7, 8), "7x8"), ((3, 8, 65), "8x65")])
def test_sizes_out_of_reach_are_refused(shape: tuple[int, ...], shown: str) -> None:
    reason = BEGAN().refuses(Schema("image", shape))
    assert reason is not None
    assert f"8 to 64 pixels a side, got {shown}" in reason
    assert BEGAN().refuses(SCHEMA) is None


def test_it_says_why_it_cannot_be_trained_privately() -> None:
    assert "mean loss on real records" in str(BEGAN().refuses_private())


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 10, 14), (1, 28, 28), (3, 64, 9), (1, 9, 64)])
def test_any_image_size_is_coded_and_redrawn(shape: tuple[int, ...]) -> None:
    x = torch.zeros(2, *shape)
    code = fan_in(encoder(shape, 4, 6), torch_generator(0, "test"))(x)
    assert code.shape == (2, 6)
    assert fan_in(decoder(shape, 4, 6), torch_generator(0, "test"))(code).shape == x.shape


@pytest.mark.parametrize(
    ("layer", "variance"),
    [
        (nn.Linear(50, 400), 1 / 50),
        (nn.Conv2d(8, 500, 3), 1 / (8 * 9)),
        (nn.ConvTranspose2d(30, 80, 4, stride=2), 1 / (30 * 4)),  # each output pixel meets 2 x 2 of the kernel's 4 x 4
    ],
)
def test_weights_have_the_variance_of_their_fan_in(layer: nn.Module, variance: float) -> None:
    tensors = dict(fan_in(layer, torch_generator(0, "test")).named_parameters())
    assert float(tensors["weight"].detach().var()) == pytest.approx(variance, rel=0.03)
    assert not tensors["bias"].any()


def test_every_weight_of_the_autoencoder_comes_from_the_given_generator() -> None:
    def build_with(global_seed: int) -> list[torch.Tensor]:
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            return list(build(small())["discriminator"][0].parameters())

    assert all(torch.equal(a, b) for a, b in zip(build_with(0), build_with(1), strict=True))
