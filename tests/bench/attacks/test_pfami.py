"""PFAMI: crops against torchvision and by hand, scores against literal loops, and models that do leak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from diffusion_cases import (
    NULL,
    RNG,
    gaussian_noise,
    gaussian_records,
    judged,
    noise_images,
    read,
    scores,
    small_ddpm,
    trained,
    view_of,
)
from torchvision.transforms.v2 import functional as images

from bench.attacks._diffusion import ROWS, own_times, record_noise
from bench.attacks.base import Knowledge
from bench.attacks.pfami import FLOOR, PFAMI, centre_crop, relative_rise
from bench.attacks.reconstruction import encoding_noise
from bench.contracts import check_attack
from bench.contracts.planted import Planted, PlantedTarget
from bench.records import Records
from bench.rng import generator
from targets.base import Networks, Target
from targets.nets.diffusion import alpha_bar
from targets.vae import VAE

# --- crops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 9, 13)], ids=str)
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 7])
def test_crops_are_those_of_torchvision(shape: tuple[int, ...], cut: int) -> None:
    x = generator(0, "crops").normal(size=(5, *shape)).astype(np.float32)
    height, width = shape[1] - cut, shape[2] - cut
    cropped = images.center_crop(torch.from_numpy(x), [height, width])
    wanted = images.resize(cropped, list(shape[1:]), images.InterpolationMode.BILINEAR, antialias=False)
    np.testing.assert_allclose(centre_crop(x, height, width), wanted.numpy(), atol=1e-6)


def test_a_crop_by_hand() -> None:
    """Two pixels stretched over four: what lies a quarter of a pixel away counts three quarters, at the edge all."""
    x = np.array([[[[9, 9, 9, 9], [9, 0, 4, 9], [9, 8, 12, 9], [9, 9, 9, 9]]]], dtype=np.float32)
    across = [0, 1, 3, 4]
    wanted = [[value + down for value in across] for down in [0, 2, 6, 8]]
    assert centre_crop(x, 2, 2)[0, 0].tolist() == wanted


@pytest.mark.parametrize(
    ("side", "factors", "sides"),
    [(64, [0.95, 0.9, 0.7], 3), (8, [0.95, 0.9, 0.88, 0.7], 2), (60, [0.95, 0.7], 2), (2, [0.9, 0.1], 1)],
)
def test_crops_that_are_the_same_count_once(side: int, factors: list[float], sides: int) -> None:
    candidates = gaussian_records(2, shape=(1, side, side))
    attack = PFAMI(times=[100], factors=factors)
    assert judged(attack, candidates).diagnostics == {"distinct_crops": sides, "distinct_times": 1}


def test_sides_are_whole_pixels() -> None:
    """29 = .58 x 50 and 58 = .58 x 100, though binary fractions fall short of both; what is left over is cut off."""
    assert (int(50 * 0.58), int(100 * 0.58)) == (28, 57)
    attack = PFAMI(factors=[0.58, 0.7])
    view = view_of(Target, {"denoiser": ()}, gaussian_records(1).schema)  # type: ignore[arg-type]
    view.alpha_bar = lambda: alpha_bar("linear", 1000)  # type: ignore[method-assign]
    candidates = [gaussian_records(1, shape=shape) for shape in [(1, 50, 100), (3, 64, 9)]]
    plans = [attack.prepare(one, view, Knowledge(), RNG).sides for one in candidates]
    assert plans == [[(29, 58), (35, 70)], [(37, 5), (44, 6)]]


# --- the rise of the loss ---------------------------------------------------------------------------------------------


def test_a_loss_that_rises_scores_above_one_that_falls_also_where_losses_are_negative() -> None:
    """Divided by L and not by |L|, the sign would flip on negative losses (known of published calibrated scores)."""
    original = np.array([10.0, 10.0, -10.0, -10.0])
    loss = np.array([12.0, 8.0, -8.0, -12.0])
    assert relative_rise(loss, original).tolist() == pytest.approx([0.2, -0.2, 0.2, -0.2])


def test_a_loss_of_nothing_is_read_against_the_floor() -> None:
    rises = relative_rise(np.array([0.5, 0.0, 2 * FLOOR]), np.array([0.0, 0.0, -FLOOR / 10]))
    assert rises.tolist() == pytest.approx([0.5 / FLOOR, 0.0, 2.1])


# --- scores of diffusion models ---------------------------------------------------------------------------------------


def looped(record: Records, attack: PFAMI, left: list[float], conditional: bool = False) -> float:
    """One record, one time, one crop, one draw of the noise after the other; crops by torchvision."""
    x, side = record.floats(), record.schema.shape[1]
    label = int(record.labels[0]) if conditional and record.labels is not None else 0
    rises = []
    for published, a in zip(attack.options.times, left, strict=True):

        def loss(image: np.ndarray, published: int = published, a: float = a) -> float:
            errors = []
            for draw in range(attack.options.noises):
                eps = record_noise(RNG, int(record.ids[0]), published, draw, record.schema.shape).astype(np.float64)
                seen = math.sqrt(a) * image.astype(np.float64) + math.sqrt(1 - a) * eps
                errors.append(float(((gaussian_noise(seen, a, label) - eps) ** 2).mean()))
            return sum(errors) / len(errors)

        for crop in sorted({int(side * factor) for factor in attack.options.factors}):
            cut = images.center_crop(torch.from_numpy(x), [crop, crop])
            resized = images.resize(cut, [side, side], images.InterpolationMode.BILINEAR, antialias=False)
            rises.append((loss(resized.numpy()[0]) - loss(x[0])) / abs(loss(x[0])))
    return sum(rises) / len(rises)


@pytest.mark.parametrize("conditional", [False, True])
def test_scores_are_those_of_a_literal_loop(conditional: bool) -> None:
    candidates = gaussian_records(ROWS + 4, classes=4)
    attack = PFAMI(times=[60, 250], noises=2, factors=[0.95, 0.9, 0.8, 0.7])
    left = alpha_bar("cosine", 300)
    found = scores(attack, candidates, conditional=conditional)
    own = left[own_times([60, 250], left)].tolist()
    rows = [0, 7, ROWS - 1, ROWS, ROWS + 3]
    wanted = [looped(candidates.take(np.array([row])), attack, own, conditional) for row in rows]
    np.testing.assert_allclose(found[rows], wanted, rtol=1e-4)


def test_a_record_and_its_crops_share_their_noise() -> None:
    """A grey image is its own crop: with the same noise its loss cannot rise, and with other noise it would."""
    grey = gaussian_records(5)
    flat = Records(grey.ids, np.full_like(grey.x, 77), None, grey.schema)
    np.testing.assert_allclose(scores(PFAMI(), flat), 0, atol=1e-6)


def test_a_record_known_by_heart_is_read_against_the_floor_per_value() -> None:
    planted = Planted()
    member, view = planted.roles["members"].take(np.array([5])), planted.view("white_box")
    (found,) = PFAMI(times=[200], factors=[0.8]).score(member, view, Knowledge(), RNG).scores
    crop = torch.from_numpy(centre_crop(member.floats(), 6, 6))
    eps = torch.from_numpy(record_noise(RNG, int(member.ids[0]), 200, 0, (1, 8, 8)))[None]
    a = alpha_bar("linear", 1000)[200]
    seen = view.predict_noise(math.sqrt(a) * crop + math.sqrt(1 - a) * eps, torch.tensor([200]))
    assert found == pytest.approx(float((seen - eps).double().square().sum()) / 64 / 1e-8, rel=1e-4)


def test_times_weigh_the_same_whatever_the_size_of_their_loss() -> None:
    candidates = gaussian_records(20)
    each = [scores(PFAMI(times=[t]), candidates) for t in (50, 400)]
    np.testing.assert_allclose(scores(PFAMI(times=[50, 400]), candidates), np.mean(each, axis=0), rtol=1e-9)


# --- scores of models that encode -------------------------------------------------------------------------------------

AUTOENCODER = VAE(width=8, latent=8, steps=300, batch_size=20, learning_rate=3e-3, beta=0.5)


def test_models_that_encode_are_judged_by_their_reconstructions() -> None:
    networks, candidates = trained(AUTOENCODER), noise_images(80).take(np.arange(6))
    attack = PFAMI(encodings=3, factors=[0.9, 0.7])
    view = view_of(AUTOENCODER, networks, candidates.schema)
    found = attack.score(candidates, view, Knowledge(), RNG, chunk=6)
    wanted = []
    for i, image in zip(candidates.ids.tolist(), torch.from_numpy(candidates.floats()), strict=True):

        def loss(x: torch.Tensor, i: int = i) -> float:
            errors = []
            with torch.no_grad():
                mean, deviation = AUTOENCODER.posterior(networks, x[None])
                for eps in encoding_noise(RNG, i, 3, 8):
                    decoded = AUTOENCODER.decode(networks, mean + deviation * torch.from_numpy(eps))
                    errors.append(float((decoded - x).double().square().mean()))
            return sum(errors) / 3

        crops = [images.center_crop(image, [side, side]) for side in (7, 5)]
        resized = [images.resize(c, [8, 8], images.InterpolationMode.BILINEAR, antialias=False) for c in crops]
        wanted.append(sum((loss(crop) - loss(image)) / loss(image) for crop in resized) / 2)
    np.testing.assert_allclose(found.scores, wanted, rtol=1e-4)
    assert found.diagnostics == {"distinct_crops": 2}


@dataclass(frozen=True)
class Encoding(Planted):
    """The planted trials, of targets without a denoiser."""

    @property
    def target(self) -> Target:
        return EncodingTarget()

    def networks(self, records: Records) -> Networks:
        return {role: found for role, found in super().networks(records).items() if role != "denoiser"}


class EncodingTarget(PlantedTarget):
    roles = ("generator", "discriminator", "encoder")


# --- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("planted", [Planted(), Encoding()], ids=["denoiser", "encoder"])
def test_contract(planted: Planted) -> None:
    report = check_attack(PFAMI(), planted=planted)
    assert {rule: reason for rule, reason in report.items() if reason} == {}


@pytest.mark.parametrize("target", [small_ddpm(300), AUTOENCODER], ids=["diffusion", "autoencoder"])
def test_an_overfitted_model_gives_its_members_away_and_an_untrained_one_does_not(target: Target) -> None:
    untrained = target.untrained()
    assert untrained is not None
    assert read(PFAMI(), target) > 0.95
    assert abs(read(PFAMI(), untrained) - 0.5) < NULL


def test_targets_that_neither_denoise_nor_encode_are_not_applicable() -> None:
    attack, trial = PFAMI(), Planted().trial()
    reason = attack.not_applicable(trial, frozenset({"generator", "discriminator"}))
    assert reason == "pfami needs the target's denoiser or encoder, and planted has neither"
    for roles in ({"denoiser", "average"}, {"encoder", "decoder"}):
        assert attack.not_applicable(trial, frozenset(roles)) is None
    tables = attack.not_applicable(Planted("table").trial(), frozenset({"encoder", "decoder"}))
    assert tables == "pfami judges image records, not table records"


@pytest.mark.parametrize(
    "options", [{"times": [1000]}, {"times": []}, {"factors": [1.0]}, {"factors": [0.0]}, {"factors": []}], ids=str
)
def test_options_out_of_range_are_refused(options: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match=r"times|factors"):
        PFAMI(**options)
