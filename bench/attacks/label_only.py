"""The label-only attack: how often a hard real/fake answer survives when the record is perturbed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._augment import rotated, shifted
from bench.attacks.base import Attack, Chunk
from bench.release import View
from bench.rng import RecordRng

Radius = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class LabelOnly(Attack):
    """Share of a record's perturbed copies that the target's discriminator calls real, by hard answers alone.

    The paper perturbs what a classifier labels, and asks whether the label stays; here the answer is real or fake, at
    the threshold that the release fixes. A record lies the deeper within what is real, the more of its copies do. The
    copies are a fixed ladder of kinds and radii instead of a search for the nearest boundary: the record itself, noise,
    shifts and rotations, each copy counting the same. Nothing is tuned, and every record has noise of its own by its
    id, the same directions at each radius. Rows of a table get noise alone, on their encoded values. A discriminator
    that always gives one answer gives every record the same score.
    """

    name = "label_only"
    paper = (
        "after Choquette-Choo, Tramèr, Carlini and Papernot, Label-Only Membership Inference Attacks, ICML 2021, "
        "section 3"
    )
    access = "decision"
    reads_samples = False
    needs_roles = frozenset({"discriminator"})

    class Options(Attack.Options):
        noise: list[Radius] = Field([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])
        """Standard deviations of the noise, in values of records (images: -1 to 1)."""
        draws: int = Field(4, ge=1)
        """Copies at each of them."""
        shifts: list[Annotated[int, Field(ge=1)]] = Field([1, 2, 4])
        """Distances of the shifts in pixels; each up, down, left and right."""
        rotations: list[Radius] = Field([2.0, 4.0, 8.0, 16.0])
        """Angles of the rotations in degrees; each both ways."""

    options: Options

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        answers = [view.decision(x, chunk.labels).astype(np.float64) for x in self._copies(chunk, rng)]
        shares: NDArray[np.float64] = np.mean(answers, axis=0)
        largest: NDArray[np.float64] = shares.max(axis=0)  # a member of one part is known to its discriminator alone
        return largest

    def _copies(self, chunk: Chunk, rng: RecordRng) -> Iterator[NDArray[np.float32]]:
        """Every candidate as it is, then perturbed in one way after another, ``(n, *shape)`` each."""
        o, x = self.options, chunk.x
        images = x.ndim == 4
        yield x
        directions = np.stack([directions_of(rng, int(i), o.draws, x.shape[1:]) for i in chunk.ids], axis=1)
        for deviation in o.noise:
            for direction in directions:
                noisy = x + np.float32(deviation) * direction
                yield np.clip(noisy, -1, 1) if images else noisy
        if not images:
            return
        for distance in o.shifts:
            for down, right in ((distance, 0), (-distance, 0), (0, distance), (0, -distance)):
                yield shifted(x, np.full(len(x), down), np.full(len(x), right))
        for angle in o.rotations:
            yield rotated(x, angle)
            yield rotated(x, -angle)


def directions_of(rng: RecordRng, record: int, draws: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The standard normal noise ``(draws, *shape)`` of one record, which is the same at every radius."""
    return rng.record(record, "noise").standard_normal((draws, *shape), dtype=np.float32)
