"""Control: the same score for everybody."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Chunk
from bench.release import View
from bench.rng import RecordRng


class Constant(Attack):
    """Control: one constant score; must read exactly chance, or ties are broken by order."""

    name = "constant"
    access = "nothing"
    control = True

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        return np.zeros(len(chunk.ids))
