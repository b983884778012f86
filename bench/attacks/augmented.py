"""Any statistic, averaged over augmented copies: what knows that the target was trained on such copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._augment import covered, mirrored, recoloured, shifted
from bench.attacks._statistic import StatisticAttack
from bench.attacks.base import Knowledge
from bench.records import Records, to_stored
from bench.release import View
from bench.rng import RecordRng


class Augmented(StatisticAttack):
    """A statistic's mean over a record and seeded augmented copies of it: made against augmentation as a defense.

    A target that was trained on augmented records may know a member's copies better than the member itself. Each copy
    is flipped, shifted, recoloured and made noisy by amounts of its own, which follow the record's id, and is rounded
    to the 256 levels of a stored image. The paper's attack trains a classifier on the hard answers for all copies; a
    mean needs no labels, and takes any statistic.
    """

    name = "augmented"
    paper = (
        "after Choquette-Choo, Tramèr, Carlini and Papernot, Label-Only Membership Inference Attacks, ICML 2021, "
        "section 3"
    )

    class Options(StatisticAttack.Options):
        copies: int = Field(8, ge=1)
        """Augmented copies per record, beside the record itself."""
        flips: bool = False
        """Whether a copy is flipped left to right every other time."""
        shift: int = Field(1, ge=0)
        """Pixels by which a copy is shifted at most, each way."""
        brightness: float = Field(0.1, ge=0, le=2)
        """What is added to a copy's values at most, of 2 from black to white."""
        contrast: float = Field(0.1, ge=0, lt=1)
        """By which share a copy's contrast is changed at most."""
        grey: bool = False
        """Whether what a shift uncovers is grey, as in differentiable augmentation, in place of the edge's value."""
        cutout: float = Field(0.0, ge=0, lt=1)
        """Sides of a grey rectangle on every copy, as a share of height and width; 0: none."""
        noise: float = Field(0.02, ge=0, allow_inf_nan=False)
        """Standard deviation of the noise on a copy's values, which go from -1 to 1."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.data = self.statistic.data & {"image"}

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> NDArray[np.float64]:
        total = self.scores(candidates, view, knowledge, rng)
        for copy in range(self.options.copies):
            total = total + self.scores(self.copied(candidates, copy, rng), view, knowledge, rng)
        return total / (self.options.copies + 1)

    def copied(self, records: Records, copy: int, rng: RecordRng) -> Records:
        """One augmented copy of each record, under the same ids."""
        o = self.options
        draws = [rng.record(int(i), "augmented", copy) for i in records.ids]
        flip = np.array([o.flips and draw.random() < 0.5 for draw in draws], dtype=np.bool_)
        moves = np.array([draw.integers(-o.shift, o.shift + 1, 2) for draw in draws], dtype=np.int64).reshape(-1, 2)
        tones = np.array([draw.uniform(-1, 1, 2) for draw in draws], dtype=np.float32).reshape(-1, 2)
        x = shifted(mirrored(records.floats(), flip), moves[:, 0], moves[:, 1], grey=o.grey)
        x = recoloured(x, o.brightness * tones[:, 0], 1 + o.contrast * tones[:, 1])
        if o.cutout:
            x = covered(x, np.array([draw.random(2) for draw in draws]).reshape(-1, 2), o.cutout)
        if o.noise:
            grain = [draw.standard_normal(x.shape[1:], dtype=np.float32) for draw in draws]
            x = x + np.float32(o.noise) * np.array(grain, dtype=np.float32).reshape(x.shape)
        return replace(records, x=to_stored(x, records.schema))
