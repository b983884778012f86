"""Any statistic, averaged over mixtures with other records: what knows that the target was trained on mixtures."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._statistic import StatisticAttack
from bench.attacks.base import Knowledge
from bench.errors import PluginError
from bench.records import Records, to_stored
from bench.release import View
from bench.rng import RecordRng


class MixedPairs(StatisticAttack):
    """A statistic's mean over mixtures of a record with reference records: made against mixup as a defense.

    A target that was trained with mixup has never seen a member itself, only l x + (1 - l) b with some other member b
    (Zhang et al., equation 1). The attacker does not know the members, so reference records stand for b: the same ones
    for every candidate, so that a partner that the target knows well favours nobody. Images are rounded to the 256
    levels of a stored one. A conditional target is told the candidate's label.
    """

    name = "mixed_pairs"
    paper = "the suite's own, against Zhang, Cisse, Dauphin and Lopez-Paz, mixup, ICLR 2018, section 2"
    knowledge = "reference"

    class Options(StatisticAttack.Options):
        statistic: str | dict[str, Any] = "logan_white_box"
        """The attack whose scores are used: its name, or a mapping with its name and options."""
        weights: list[Annotated[float, Field(gt=0, le=1)]] = Field([0.5, 0.7, 0.9], min_length=1)
        """Shares of the candidate in a mixture."""
        partners: int = Field(8, ge=1)
        """Reference records that every candidate is mixed with."""

    options: Options

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> NDArray[np.float64]:
        reference, o = knowledge.reference, self.options
        if reference is None or len(reference) < o.partners:
            found = 0 if reference is None else len(reference)
            raise PluginError(f"{self!r}: expected at least {o.partners} reference records to mix with, got {found}")
        chosen = np.sort(rng.shared("partners").choice(len(reference), o.partners, replace=False))
        x, partners = candidates.floats(), reference.floats()[chosen]
        total = np.zeros(len(candidates))
        for weight in o.weights:
            for partner in partners:
                mixed = np.float32(weight) * x + np.float32(1 - weight) * partner
                records = replace(candidates, x=to_stored(mixed, candidates.schema))
                total += self.scores(records, view, knowledge, rng)
        return total / (len(o.weights) * o.partners)
