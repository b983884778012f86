"""Control: chance itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Chunk
from bench.release import View
from bench.rng import RecordRng


class Random(Attack):
    """Control: a score drawn by record id; must read chance within its interval."""

    name = "random"
    access = "nothing"
    control = True

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        return rng.uniform(chunk.ids, "score")
