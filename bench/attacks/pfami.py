"""PFAMI: how much a model's loss rises around a record, which members sit at the bottom of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._diffusion import Time, chunk_noise, noisy, norm_power, on_device, predicted, times_of
from bench.attacks.base import Attack, Chunk, Knowledge, TrialSpec
from bench.attacks.reconstruction import Reconstruction
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

if TYPE_CHECKING:
    import torch

# Least |L| that a rise is read against: that of noise predicted to 1e-4 of its standard deviation. No trained model
# gets there; below it float32 rounds, and the rise of a model that knows a record by heart would be divided by 0.
FLOOR = 1e-8

Loss = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True)
class _Plan:
    """What is asked of the target: at which times (None: its encoder), and of crops of which height and width."""

    times: list[Time] | None
    sides: list[tuple[int, int]]


class PFAMI(Attack):
    """The mean relative rise of the loss from a record to its centre crops: trained records lie in a dip of the loss.

    The score is the mean over crops, and over times, of (L(crop) - L(x)) / |L(x)|. For diffusion models L is the mean
    squared error per value of the noise prediction at one time; for others with an encoder, of the reconstructions, as
    the divergence of a bound on the likelihood has a weight that only the target knows. A crop and its record share
    their noise or encodings (the authors draw anew), so that the rise is not theirs. No crop or time is picked on the
    records that are scored (the authors' code reads one crop); factors that give the same crop of a small image count
    once. |L| is taken to be at least 1e-8 per value. The paper's calibration by a reference model is a wrapper's
    business.
    """

    name = "pfami"
    paper = (
        "Fu, Wang, Gao, Liu, Li and Jiang, A Probabilistic Fluctuation based Membership Inference Attack for Diffusion "
        "Models, arXiv:2308.12143, 2023, section 4"
    )
    access = "white_box"
    reads_samples = False
    data = frozenset({"image"})
    cost = "minutes"

    class Options(Attack.Options):
        times: list[Annotated[int, Field(ge=0, lt=1000)]] = Field([*range(50, 451, 100)], min_length=1)
        """Diffusion times, on a linear schedule of 1000, which become the target's own of the same ratio of signal to
        noise: half of the authors' ten, which run from 0 to 450 in steps of 50."""
        noises: int = Field(1, ge=1)
        """Draws of the noise per time; of no effect on targets without a denoiser."""
        encodings: int = Field(10, ge=1)
        """Draws of the latent per record or crop; of no effect on targets with a denoiser."""
        factors: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
            [round(0.95 - 0.25 * i / 9, 4) for i in range(10)], min_length=1
        )
        """Sides of the crops, as shares of the image's."""

    options: Options

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        if (reason := super().not_applicable(trial, roles)) is not None:
            return reason
        if not roles & {"denoiser", "encoder"}:
            return f"{self.name} needs the target's denoiser or encoder, and {trial.target['name']} has neither"
        return None

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> _Plan:
        height, width = candidates.schema.shape[1:]
        sides = [(_shorter(height, factor), _shorter(width, factor)) for factor in self.options.factors]
        times = times_of(self.options.times, view.alpha_bar()) if "denoiser" in view.networks else None
        return _Plan(times, list(dict.fromkeys(sides)))

    def score_chunk(self, chunk: Chunk, state: _Plan, view: View, rng: RecordRng) -> NDArray[np.float64]:
        rises = []
        for loss in self._losses(chunk, state, view, rng):
            original = loss(chunk.x)
            rises += [relative_rise(loss(centre_crop(chunk.x, *side)), original) for side in state.sides]
        mean: NDArray[np.float64] = np.mean(rises, axis=0)
        return mean

    def _losses(self, chunk: Chunk, plan: _Plan, view: View, rng: RecordRng) -> Iterator[Loss]:
        """What to read the rise of, once for every time: each record's loss, of any images in the records' place."""
        if plan.times is None:
            encoded = Reconstruction(encodings=self.options.encodings)
            yield lambda x: -encoded.score_chunk(replace(chunk, x=x), None, view, rng)
            return
        for time in plan.times:
            draws = range(self.options.noises)
            noise = [chunk_noise(rng, chunk, time.published, draw, view) for draw in draws]
            yield partial(_noise_error, noise, time, chunk, view)

    def diagnostics(self, state: _Plan) -> dict[str, float]:
        """How many crops differ, and how many of the target's own times the published ones became."""
        found = {"distinct_crops": float(len(state.sides))}
        if state.times is not None:
            found["distinct_times"] = float(len({time.own for time in state.times}))
        return found


def relative_rise(loss: NDArray[np.float64], original: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L - L0) / |L0|, above 0 where the loss has risen, whatever its sign; |L0| is at least ``FLOOR``."""
    risen: NDArray[np.float64] = (loss - original) / np.maximum(np.abs(original), FLOOR)
    return risen


def centre_crop(x: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The middle ``height`` times ``width`` pixels of images ``(n, channels, *size)``, resized bilinearly to them."""
    import torch
    from torch.nn.functional import interpolate

    size = x.shape[2:]
    # Where it cannot be in the middle, one pixel up or left, by the parity of round(), as torchvision crops.
    top, left = (round((whole - part) / 2) for whole, part in zip(size, (height, width), strict=True))
    part = torch.from_numpy(x[:, :, top : top + height, left : left + width])
    resized: NDArray[np.float32] = interpolate(part, size=size, mode="bilinear", align_corners=False).numpy()
    return resized


def _shorter(side: int, factor: float) -> int:
    """Whole pixels of a side's share, at least one; a share that is whole but for rounding stays whole."""
    return max(1, int(side * factor + 1e-9))


def _noise_error(
    noise: list[torch.Tensor], time: Time, chunk: Chunk, view: View, x: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Mean squared error per value of the noise predicted in ``x``, over draws of the noise, ``(n,)``."""
    images = on_device(x, view)
    errors = [norm_power(predicted(view, noisy(images, eps, time.left), time, chunk.labels) - eps) for eps in noise]
    mean: NDArray[np.float64] = np.mean(errors, axis=0) / images[0].numel()
    return mean
