"""Augmentation: each change against a loop over pixels, what is shown in which phase, and rows that stay apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dp_cases import Private, clipped_sum, context, request, rows, tiny
from pydantic import ValidationError
from torch import nn

from bench.contracts import check_defense
from bench.contracts.tiny import MIXED, tiny_records, tiny_step
from bench.devices import Device
from bench.errors import IncompatibleError
from bench.records import Schema
from defenses._inputs import ChangedInput
from defenses.augmentation import Augmentation, Change, brightened, covered, stretched, translated
from defenses.base import stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.spectral_norm import SpectralNorm
from targets.base import Batch, Draw
from targets.began import BEGAN
from targets.ctgan import CTGAN
from targets.dcgan import DCGAN
from targets.dcgan_vae import DCGANVAE
from targets.ddpm import DDPM
from targets.memorizer import Memorizer
from targets.training import build_networks, set_mode, train
from targets.vae import VAE
from targets.wgan_gp import WGANGP

IMAGES = Schema("image", (2, 8, 11))
ALL = ("brightness", "contrast", "translation", "cutout")


def images(n: int = 9, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(tiny_records(IMAGES, n).floats()).to(dtype)


def change(seed: int = 0, **options: Any) -> Change:
    return Change(Augmentation.Options(**options), Draw(Device(), seed, "test"))


def test_a_shift_equals_the_loop() -> None:
    x = images()
    down = torch.tensor([0, 1, -1, 3, -7, 7, 8, -9, 2])
    right = torch.tensor([0, -2, 5, 0, 10, -10, 1, 2, 11])
    expected = torch.zeros_like(x)
    for n, c, i, j in np.ndindex(*x.shape):
        a, b = i - int(down[n]), j - int(right[n])
        if 0 <= a < 8 and 0 <= b < 11:
            expected[n, c, i, j] = x[n, c, a, b]
    assert torch.equal(translated(x, down, right), expected)


def test_a_cutout_equals_the_loop() -> None:
    x = images()
    top, left = torch.tensor([0, 3, -2, 7, 5, 1, 1, 1, 6]), torch.tensor([0, -1, 4, 10, 8, 2, 3, -4, 6])
    expected = x.clone()
    for n, c, i, j in np.ndindex(*x.shape):
        if int(top[n]) <= i < int(top[n]) + 3 and int(left[n]) <= j < int(left[n]) + 4:
            expected[n, c, i, j] = 0
    assert torch.equal(covered(x, top, left, 3, 4), expected)


def test_brightness_and_contrast_equal_the_loop() -> None:
    x, amount = images(dtype=torch.float64), torch.linspace(-0.5, 0.5, 9, dtype=torch.float64)
    brighter, stretched_by_hand = torch.empty_like(x), torch.empty_like(x)
    for n in range(len(x)):
        values = [float(value) for value in x[n].flatten()]
        mean = sum(values) / len(values)
        for c, i, j in np.ndindex(*x.shape[1:]):
            value = float(x[n, c, i, j])
            brighter[n, c, i, j] = value + float(amount[n])
            stretched_by_hand[n, c, i, j] = mean + (value - mean) * (1 + float(amount[n]))
    torch.testing.assert_close(brightened(x, amount), brighter, rtol=0, atol=1e-12)
    torch.testing.assert_close(stretched(x, 1 + amount), stretched_by_hand, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ALL)
def test_gradients_reach_the_input(kind: str) -> None:
    """Against finite differences, the same amounts at every call; second derivatives too, for gradient penalties."""
    x = images(3, torch.float64)[:, :, :4, :5].contiguous().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: change(kinds=[kind])(x), x)
    assert torch.autograd.gradgradcheck(lambda x: change(kinds=[kind])(x) ** 2, x)


def test_amounts_have_the_paper_s_range_and_reach_its_ends() -> None:
    n = 4000
    x = torch.zeros(n, 1, 16, 24)
    amount = change(kinds=["brightness"])(x)[:, 0, 0, 0]
    assert -0.5 <= float(amount.min()) < -0.49
    assert 0.49 < float(amount.max()) <= 0.5
    # A row with values -1 and 1 in equal shares has mean 0, and a contrast factor is what becomes of the 1.
    x[:, :, :8], x[:, :, 8:] = -1.0, 1.0
    factor = change(kinds=["contrast"])(x)[:, 0, -1, 0]
    assert 0.5 <= float(factor.min()) < 0.51
    assert 1.49 < float(factor.max()) <= 1.5
    # One bright pixel in the middle shows where it moved to: at most an eighth of each side, every place as often.
    x = torch.zeros(n, 1, 16, 24)
    x[:, :, 8, 12] = 1
    _, _, row, column = change(kinds=["translation"])(x).nonzero(as_tuple=True)
    assert sorted(set((row - 8).tolist())) == [-2, -1, 0, 1, 2]
    assert sorted(set((column - 12).tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    counts = torch.bincount((row - 6) * 7 + column - 9, minlength=35)
    expected = n / 35
    assert float(((counts - expected) ** 2 / expected).sum()) < 34 + 5 * 68**0.5  # chi-square, 5 sigma
    assert abs(float(amount.mean())) < 5 * (1 / 12 / n) ** 0.5


@pytest.mark.parametrize(("side", "cut"), [(8, 4), (9, 5), (10, 5)])
def test_a_covered_square_is_centred_anywhere(side: int, cut: int) -> None:
    """The paper's code: the centre is uniform over the image, and what reaches beyond an edge is lost."""
    x = torch.ones(4000, 1, side, side)
    hidden = change(kinds=["cutout"])(x)[:, 0] == 0
    heights = hidden.any(dim=2).sum(dim=1)
    assert int(heights.max()) == cut
    assert int(heights.min()) == cut // 2 + (cut % 2)
    # Inner rows are hidden as often as they lie within half a square of the centre: cut of the possible centres.
    centres = side + 1 - cut % 2
    share = hidden.any(dim=2)[:, side // 2].double().mean()
    assert float(share) == pytest.approx(cut / centres, abs=5 * 0.5 / 4000**0.5)


def test_changes_are_made_in_the_order_that_is_asked() -> None:
    x = images(4)
    light_first = change(kinds=["brightness", "cutout"])(x)
    dark_first = change(kinds=["cutout", "brightness"])(x)
    assert (light_first == 0).flatten(1).sum(dim=1).min() >= 4  # covered pixels stay 0
    assert not (dark_first == 0).any()  # they were brightened afterwards


def test_with_a_probability_some_rows_are_left_alone() -> None:
    x = torch.ones(4000, 1, 8, 8)
    kept = (change(kinds=["brightness"], probability=0.3)(x) == x).flatten(1).all(dim=1)
    assert float(kept.double().mean()) == pytest.approx(0.7, abs=5 * 0.46 / 4000**0.5)


def test_rows_stay_apart() -> None:
    """Another record in one place changes that row alone."""
    x = images()
    other = x.clone()
    other[4] = images(20)[19]
    first, second = change()(x), change()(other)
    differs = (first != second).flatten(1).any(dim=1)
    assert differs.tolist() == [n == 4 for n in range(9)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_type_and_shape_stay(dtype: torch.dtype) -> None:
    changed = change()(images(5, dtype).to(memory_format=torch.channels_last))
    assert changed.dtype == dtype
    assert changed.shape == (5, 2, 8, 11)
    assert change()(images(0, dtype)).shape == (0, 2, 8, 11)


class Recorder(nn.Module):
    """Notes what a network is shown."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.detach().clone())
        found: torch.Tensor = self.network(x)
        return found


def test_real_and_generated_rows_are_changed_in_every_phase_and_gradients_reach_the_generator() -> None:
    target, defense = tiny(), Augmentation(kinds=["brightness"])
    networks = build_networks(target, (defense,), context(target))
    (judge,) = networks["discriminator"]
    assert isinstance(judge, ChangedInput)
    recorder = Recorder(judge.network)
    judge.network = recorder
    plain = {**networks, "discriminator": (recorder,)}
    set_mode(networks, train=True)
    batch = Batch(rows(6), None, 8, Schema("image", (1, 10, 12)))
    for phase, shown in zip(target.phases(), (14, 8), strict=True):
        for found in (plain, networks):
            target.losses(phase, found, batch, Draw(Device(), 0, "test"))
        unchanged, changed = recorder.seen[-2:]
        assert len(changed) == shown
        amounts = (changed - unchanged)[:, 0, 0, 0]
        assert float(amounts.abs().min()) > 0  # each row by an amount of its own
        assert len(set(amounts.tolist())) == shown
        torch.testing.assert_close(changed, unchanged + amounts[:, None, None, None])
    losses = target.losses(target.phases()[1], networks, batch, Draw(Device(), 0, "test"))
    losses.total().backward()  # type: ignore[no-untyped-call]
    reached = [p.grad for p in networks["generator"][0].parameters() if p.requires_grad]
    assert reached
    assert all(g is not None for g in reached)
    assert any(float(g.abs().sum()) > 0 for g in reached if g is not None)


def test_the_release_is_untouched_in_eval_mode() -> None:
    target = tiny()
    plain, augmented = (build_networks(target, stack, context(target)) for stack in ((), (Augmentation(),)))
    set_mode(plain, train=False)
    set_mode(augmented, train=False)
    (judge,) = augmented["discriminator"]
    assert isinstance(judge, ChangedInput)
    assert isinstance(judge.change, Change)
    before = judge.change.draw.generator.get_state()
    assert torch.equal(plain["discriminator"][0](rows(4)), judge(rows(4)))
    assert torch.equal(before, judge.change.draw.generator.get_state())
    set_mode(augmented, train=True)
    assert not torch.equal(plain["discriminator"][0](rows(4)), judge(rows(4)))
    assert not any(isinstance(module, ChangedInput) for module in augmented["generator"][0].modules())


def rewind(private: Private) -> None:
    """Every change draws from the start again."""
    for module in private.networks["discriminator"][0].modules():
        if isinstance(module, ChangedInput) and isinstance(module.change, Change):
            module.change.draw = Draw(Device(), 0, "rewound")


@pytest.mark.parametrize("mode", ["hooks", "functorch"])
def test_per_record_gradients_equal_the_loop(mode: Any) -> None:
    private = Private(tiny(), (Augmentation(),), mode=mode, scale=3.0)
    for n in (1, 6):
        rewind(private)
        found = private.samples(rows(n))
        rewind(private)
        expected = private.literal(rows(n))
        assert found.shape == expected.shape == (n + 8, found.shape[1])
        assert float(expected.norm(dim=1).min()) > 0
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        rewind(private)
        summed = private.summed(rows(n))
        expected = clipped_sum(expected, private.clip)
        torch.testing.assert_close(summed.double(), expected, rtol=1e-3, atol=1e-5 * float(expected.norm()))


def test_private_training_keeps_its_claim() -> None:
    for target in (tiny(steps=2), VAE(steps=2, batch_size=8, width=4, latent=4)):
        stack = (Augmentation(), DPSGD(noise_multiplier=1.0))
        assert stack_refuses(stack, target, Schema("image", (1, 10, 12))) is None
        claim = train(request(target, *stack)).claim
        assert claim is not None
        assert claim.epsilon is not None
        assert claim.epsilon > 0


@pytest.mark.parametrize("target", [VAE(), DDPM(width=8)], ids=repr)
def test_without_a_discriminator_the_records_are_changed_and_stay_images(target: Any) -> None:
    defense = Augmentation()
    step = tiny_step(target)
    assert not any(isinstance(m, ChangedInput) for m in defense.adapt_networks(step.networks, step.context).values())
    state = defense.start(step.networks, step.context)
    step = tiny_step(target, networks=step.networks, state=state)
    labels = torch.arange(6)
    x = torch.from_numpy(tiny_records(step.context.schema, 6).floats())
    found = defense.transform_batch(Batch(x, labels, 8, step.context.schema), step)
    state.draw = defense.start(step.networks, step.context).draw
    torch.testing.assert_close(found.x, state(x).clamp(-1, 1))
    assert float(found.x.abs().max()) <= 1
    assert (found.x != x).flatten(1).any(dim=1).all()
    assert found.labels is labels
    assert found.size == 8


def test_with_a_discriminator_the_batch_is_left_alone() -> None:
    defense, step = Augmentation(), tiny_step(tiny())
    batch = Batch(rows(4), None, 8, Schema("image", (1, 10, 12)))
    assert defense.transform_batch(batch, step) is batch


def test_draws_follow_the_seed_the_options_and_the_network() -> None:
    target, draws = tiny(), {}
    light = Augmentation(kinds=["brightness"])
    for defense, seed in ((light, 0), (light, 1), (Augmentation(), 0)):
        networks = build_networks(target, (), context(target))
        pair = {"discriminator": networks["discriminator"] * 2}
        for place, module in enumerate(defense.adapt_networks(pair, context(target, seed=seed))["discriminator"]):
            assert isinstance(module, ChangedInput)
            assert isinstance(module.change, Change)
            draws[defense, seed, place] = tuple(module.change.draw.uniform(4).tolist())
    assert len(set(draws.values())) == len(draws) == 6


@pytest.mark.parametrize(
    ("defense", "target", "schema", "reason"),
    [
        (Augmentation(), CTGAN(), MIXED, "changes images, and a table's row has no brightness"),
        (Augmentation(), Memorizer(), IMAGES, "memorizer has no update that reads records"),
        (Augmentation(), DCGANVAE(), IMAGES, "dcgan_vae compares what its discriminator makes of a record and of its"),
        (Augmentation(translation=0.05), DCGAN(), IMAGES, "translation=0.05 of 8x11 pixels is less than one"),
        (Augmentation(cutout=0.05), VAE(), IMAGES, "cutout=0.05 of 8x11 pixels is less than one; give a larger share"),
    ],
)
def test_refusals(defense: Augmentation, target: Any, schema: Schema, reason: str) -> None:
    found = stack_refuses((defense,), target, schema)
    assert found is not None
    assert reason in found


def test_a_kind_that_is_not_used_may_be_of_any_size() -> None:
    assert stack_refuses((Augmentation(kinds=["brightness"], cutout=0.01),), DCGAN(), IMAGES) is None


def test_after_a_per_record_defense_it_is_refused_with_the_right_order() -> None:
    found = stack_refuses((ClipOnly(), Augmentation()), tiny(), Schema("image", (1, 10, 12)))
    assert found is not None
    assert "write [augmentation, clip_only]" in found


def test_a_discriminator_that_redraws_its_input_is_refused_in_training() -> None:
    with pytest.raises(IncompatibleError, match="gives each row a logit, got one that redraws its input"):
        train(request(BEGAN(steps=1, batch_size=4, width=8, latent=4), Augmentation()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": []}, "at least 1 item"),
        ({"kinds": ["rotation"]}, "Input should be 'brightness', 'contrast', 'translation' or 'cutout'"),
        ({"kinds": ["cutout", "cutout"]}, "expected each kind of change once"),
        ({"probability": 0.0}, "greater than 0"),
        ({"probability": 1.1}, "less than or equal to 1"),
        ({"brightness": 2.5}, "less than or equal to 2"),
        ({"contrast": 1.0}, "less than 1"),
        ({"translation": 0.0}, "greater than 0"),
        ({"cutout": 1.0}, "less than 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize(
    "target",
    [
        DCGAN(width=4, latent=4, conditional=True),
        DCGAN(width=4, latent=4, norm="batch"),
        WGANGP(width=4, latent=4),
        VAE(width=4, latent=4),
        DDPM(width=8, sampling_steps=3),
    ],
    ids=repr,
)
def test_contract(target: Any) -> None:
    report = check_defense(Augmentation(), target=target)
    assert not any(report.values())


def test_behind_other_changes_of_the_discriminator() -> None:
    result = train(request(tiny(steps=2), SpectralNorm(), Augmentation(kinds=["translation"]), Augmentation()))
    assert result.status == "completed"
