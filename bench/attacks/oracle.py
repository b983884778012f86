"""Control: the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Chunk, Knowledge
from bench.errors import PluginError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng


class Oracle(Attack):
    """Control: knows who is a member; must read exactly 1, or scores and labels are out of step."""

    name = "oracle"
    access = "nothing"
    knowledge = "labels"
    control = True

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> dict[int, bool]:
        if knowledge.membership is None:
            raise PluginError("oracle: expected the membership of every candidate, got none")
        return dict(knowledge.membership)

    def score_chunk(self, chunk: Chunk, state: dict[int, bool], view: View, rng: RecordRng) -> NDArray[np.float64]:
        return np.array([state[int(i)] for i in chunk.ids], dtype=np.float64)
