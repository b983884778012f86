"""Calibration: how much more the target makes of a record than models that never saw it do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._shadow_attack import ShadowAttack
from bench.attacks._statistic import ShadowOptions
from bench.attacks.base import Knowledge
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng


class Calibrated(ShadowAttack):
    """A statistic under the target minus its mean under models trained on the reference records.

    A record that is easy to generate scores high whether it was trained on or not; what counts is by how much the
    target does better than models that never saw it. GAN-Leaks subtracts losses, of which a smaller one means a
    member; scores are larger for members, so that here the target's comes first and the references' is taken off.

    It departs from GAN-Leaks where there are several reference models, whose mean is taken as Watson et al. do; one is
    the paper's. They are trained on as many records as the target.
    """

    name = "calibrated"
    paper = (
        "Chen, Yu, Zhang and Fritz, GAN-Leaks, CCS 2020, on attack calibration; Watson et al., On the Importance of "
        "Difficulty Calibration in Membership Inference Attacks, ICLR 2022, section 3"
    )

    class Options(ShadowOptions):
        models: int = Field(1, ge=1)
        """How many reference models."""

    options: Options

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> NDArray[np.float64]:
        expected = self.shadow_scores(candidates, self.shadows(candidates, knowledge), knowledge, rng).mean(axis=0)
        difference: NDArray[np.float64] = self.scores(candidates, view, knowledge, rng) - expected
        return difference
