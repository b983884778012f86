"""Diffusion models for the tests of attacks: one in closed form, and one that is overfitted within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks.base import Attack, Knowledge, Scored
from bench.devices import Device
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import Release, View
from bench.rng import RecordRng, generator
from targets.base import Networks, Target
from targets.ddpm import DDPM
from targets.nets.diffusion import alpha_bar
from targets.training import TrainingRequest, train

MEAN, SPREAD = 0.1, 0.3
RNG = RecordRng(0, "test")


class Gaussian(Target):
    """The best denoiser of pixels N(MEAN, SPREAD^2), on a short cosine schedule; a label adds an error of its size."""

    name = "gaussian"
    roles = ("denoiser",)
    private_roles = ("denoiser",)

    class Options(Target.Options):
        conditional: bool = False
        schedule: str = "cosine"
        times: int = 300

    def alpha_bar(self) -> NDArray[np.float64]:
        return alpha_bar(self.options.schedule, self.options.times)

    def predict_noise(
        self, networks: Networks, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        a = torch.from_numpy(self.alpha_bar())[t][:, None, None, None]
        found = (1 - a).sqrt() * (x - a.sqrt() * MEAN) / (a * SPREAD**2 + 1 - a)
        return found if labels is None else found + labels[:, None, None, None]


def gaussian_noise(x: NDArray[np.float64], left: float, label: int = 0) -> NDArray[np.float64]:
    """What ``Gaussian`` sees in records of which the share ``left`` of the variance is left, in float64."""
    seen: NDArray[np.float64] = np.sqrt(1 - left) * (x - np.sqrt(left) * MEAN) / (left * SPREAD**2 + 1 - left) + label
    return seen


def gaussian_records(n: int, classes: int | None = None, shape: tuple[int, ...] = (1, 8, 8)) -> Records:
    """Images whose grey levels are N(MEAN, SPREAD^2), up to the rounding to 256 of them."""
    rng = generator(0, "test records")
    x = np.rint(np.clip(rng.normal(MEAN, SPREAD, (n, *shape)) + 1, 0, 2) * 127.5).astype(np.uint8)
    labels = None if classes is None else rng.integers(0, classes, n)
    return Records(np.arange(100, 100 + n, dtype=np.int64), x, labels, Schema("image", shape, classes))


def view_of(target: Target, networks: Networks, schema: Schema) -> View:
    return View("white_box", schema, Device(), release=lambda: Release(target, networks, schema, Device()))


def judged(attack: Attack, candidates: Records, **options: Any) -> Scored:
    """What the attack finds in ``Gaussian`` with these options."""
    view = view_of(Gaussian(**options), {"denoiser": (torch.nn.Identity(),)}, candidates.schema)
    return attack.score(candidates, view, Knowledge(), RNG)


def scores(attack: Attack, candidates: Records, **options: Any) -> NDArray[np.float64]:
    return judged(attack, candidates, **options).scores


@cache
def noise_images(n: int, shape: Sequence[int] = (1, 8, 8)) -> Records:
    x = generator(0, "noise images").integers(0, 256, (n, *shape), dtype=np.uint8)
    return Records(np.arange(n, dtype=np.int64), x, None, Schema("image", tuple(shape)))


MEMBERSHIP = np.arange(80) % 4 == 0


@cache
def trained(target: Target) -> Networks:
    """A target's networks after it was trained on the members among 80 images of noise."""
    everyone = noise_images(80)
    members, others = (everyone.take(np.flatnonzero(which)) for which in (MEMBERSHIP, ~MEMBERSHIP))
    result = train(TrainingRequest(target, (), members, len(members), others, 0, Device()))
    assert result.status == "completed"
    return result.networks


def small_ddpm(steps: int) -> DDPM:
    """A diffusion model that learns 20 images of noise by heart within 300 steps."""
    return DDPM(width=16, steps=steps, batch_size=20, learning_rate=4e-3, decay=0.98)


def read(attack: Attack, target: Target) -> float:
    """The AUC of an attack on a target trained on noise."""
    everyone = noise_images(80)
    view = view_of(target, trained(target), everyone.schema)
    return auc(attack.score(everyone, view, Knowledge(), RNG).scores, MEMBERSHIP)


NULL = 0.3
"""Allowed distance from .5 where nothing was learnt: four standard deviations of 20 members against 60 others."""
