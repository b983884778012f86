"""The Monte Carlo attack: how much of what a model generates falls near a record."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._features import Space, distance_blocks, feature_map
from bench.attacks.base import Attack, JointAttack, Knowledge, Scored, TrialSpec
from bench.devices import Device
from bench.errors import PluginError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

if TYPE_CHECKING:
    import torch

    Blocks = Iterable[tuple[slice, torch.Tensor]]

TINY = 1e-6  # of the radius: a nearer sample (a copy, at distance 0) weighs as one at that distance, 13.8
ROUNDING = 1e-9  # of the radius's square: a sample at the very radius (tables of categories) is not within by rounding
HELD = 2**25  # distances that are kept from finding the radius to counting (256 MiB); more are computed twice

Radius = Literal["median"] | Annotated[float, Field(gt=0, lt=1)]


class MonteCarlo(JointAttack):
    """The share of generated samples within a small radius of a record, in a feature space fitted on the reference.

    The radius is the paper's: by default the median over all candidates of the distance to the nearest sample, or else
    a percentile of all distances between candidates and samples. Neither looks at who is a member. With the median,
    half of the scores are exactly 0 by construction, and a row may well be flagged for its many ties: they are what
    the method says, and metrics average over them.

    It departs from the paper in its features, which are fitted on reference records instead of on the candidates, and
    where samples are copies: with `weighted`, a distance of 0 weighs as one of a millionth of the radius, and a
    radius of 0 (more copies than the percentile asks for) becomes a millionth of the candidates' spread.

    HOG and colour histograms tell kinds of images apart rather than records: on small grey ones neither has any power.

    On a set of candidates the paper compares the sums of these scores. Sets that are compared are of equal size, so
    that the mean orders them alike.
    """

    name = "monte_carlo"
    paper = (
        "Hilprecht, Härterich and Bernau, Monte Carlo and Reconstruction Membership Inference, PoPETs 2019, section 4.1"
    )
    access = "samples"
    knowledge = "reference"

    class Options(Attack.Options):
        features: Space = "pca"
        """Feature space: ``pca``, ``hog``, ``colour_histogram`` (both of images alone) or ``identity``."""
        components: int | None = Field(None, ge=1)
        """Principal components; null: 120 for images in colour, 40 for other records."""
        radius: Radius = "median"
        """``median`` over candidates of the distance to the nearest sample, or the share (0.001: the paper's 0.1 %)
        of all distances between candidates and samples that are to lie below the radius."""
        weighted: bool = False
        """Whether a sample within the radius r, at distance d, counts as -ln(d / r) instead of as 1."""

    options: Options

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        if self.options.features in ("hog", "colour_histogram") and trial.schema.kind != "image":
            return f"{self.name} with features={self.options.features} judges images, not {trial.schema.kind} records"
        return super().not_applicable(trial, roles)

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Scored:
        samples, chosen = view.samples, self.options
        if knowledge.reference is None:
            raise PluginError(f"{self.name}: expected reference records to fit features on, got none")
        features = feature_map(chosen.features, knowledge.reference, chosen.components)
        near, radius = count_near(
            features(candidates.floats()), features(samples), view.device, chosen.radius, chosen.weighted
        )
        return Scored(near / len(samples), {"radius": radius, "zero_scores": float((near == 0).mean())})


def count_near(
    x: NDArray[np.float64],
    s: NDArray[np.float64],
    device: Device,
    radius: Radius = "median",
    weighted: bool = False,
    held: int = HELD,
) -> tuple[NDArray[np.float64], float]:
    """How many rows of ``s`` are nearer to each row of ``x`` than the radius, and that radius.

    Args:
        x, s: features ``(n, features)`` and ``(m, features)``.
        device: where the products run.
        radius: how it is chosen, see ``MonteCarlo``.
        weighted: whether a row at distance d counts as ``-ln(d / radius)``.
        held: up to how many distances are kept; more are computed twice, with the same result.

    Returns:
        float64 ``(n,)``, and the radius in the units of the features.
    """
    keep = len(x) * len(s) <= held
    blocks: Blocks = list(distance_blocks(x, s, device)) if keep else distance_blocks(x, s, device)
    squared = _median_squared(blocks) if radius == "median" else _quantile_squared(blocks, radius, len(x) * len(s))
    # Below that, distances are rounding: copies.
    copies = max(TINY**2 * float(np.square(x - s.mean(axis=0)).sum(axis=1).mean()), float(np.finfo(np.float64).tiny))
    squared = max(squared, copies)
    near = np.empty(len(x))
    for rows, block in blocks if keep else distance_blocks(x, s, device):
        within = block < squared * (1 - ROUNDING)
        if weighted:
            # Half the logarithm of squares is that of distances.
            ratio = (block * (block >= copies) / squared).clamp(TINY**2, 1)
            within = within * ratio.log().mul(-0.5)
        near[rows] = within.sum(dim=1).cpu().numpy()
    return near, math.sqrt(squared)


def _median_squared(blocks: Blocks) -> float:
    """The square of the median over rows of the smallest distance."""
    nearest = np.sort(np.concatenate([block.amin(dim=1).cpu().numpy() for _, block in blocks]))
    low, high = nearest[(len(nearest) - 1) // 2], nearest[len(nearest) // 2]
    # Where the median is a row's own distance, that must not be below it by rounding.
    return float(low if low == high else ((math.sqrt(low) + math.sqrt(high)) / 2) ** 2)


def _quantile_squared(blocks: Blocks, share: float, total: int) -> float:
    """The square of the smallest distance that has at least this share of all distances below it or at it."""
    import torch

    wanted, smallest = math.ceil(share * total), None
    for _, block in blocks:
        flat = block.flatten() if smallest is None else torch.cat([smallest, block.flatten()])
        smallest = flat.topk(min(wanted, len(flat)), largest=False, sorted=False).values
    if smallest is None:
        raise ValueError("expected at least one distance, got none")
    return float(smallest.max())
