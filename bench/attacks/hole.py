"""Holes around members: the attack on a filter that withholds generated samples which come too near to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks.base import Attack, Chunk, Knowledge
from bench.distances import nearest
from bench.errors import PluginError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng


class Hole(Attack):
    """Minus whether a generated sample lies within a small radius: made against filters of what is too near to members.

    Where samples near members are withheld, none lies near a member, while some lie near other records: a sample within
    the radius speaks against membership. Where nothing is filtered, samples crowd around members and it would read the
    wrong way round: it judges only where a defense of the stack names it as made against itself. The radius is a low
    quantile of the reference records' distances to their nearest sample, so that about that share of the non-members is
    told apart; all others tie, and its AUC is at most (1 + quantile) / 2.
    """

    name = "hole"
    paper = "the suite's own"
    made_against = "a filter of the output"
    access = "samples"
    knowledge = "reference"

    class Options(Attack.Options):
        quantile: float = Field(0.1, gt=0, lt=1)
        """Share of the reference records that have a sample within the radius."""

    options: Options

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> float:
        """The radius."""
        if knowledge.reference is None or not len(knowledge.reference):
            raise PluginError(f"{self.name}: expected reference records to choose its radius on, got none")
        distances, _ = nearest(knowledge.reference.floats(), view.samples, view.device)
        return float(np.quantile(distances[:, 0], self.options.quantile))

    def score_chunk(self, chunk: Chunk, state: float, view: View, rng: RecordRng) -> NDArray[np.float64]:
        distances, _ = nearest(chunk.x, view.samples, view.device)
        return -(distances[:, 0] < state).astype(np.float64)

    def diagnostics(self, state: float) -> dict[str, float]:
        """The radius."""
        return {"radius": state}
