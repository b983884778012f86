"""Distance to the nearest generated sample: GAN-Leaks' full black-box attack, LOGAN's Euclidean baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Chunk
from bench.distances import nearest
from bench.release import View
from bench.rng import RecordRng


class NearestSample(Attack):
    """Minus the Euclidean distance to the nearest generated sample, in [-1, 1] pixels."""

    name = "nearest_sample"
    paper = "Chen et al., GAN-Leaks, CCS 2020, section 4.2; Hayes et al., LOGAN, PoPETs 2019, section 5"
    access = "samples"

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        distances, _ = nearest(chunk.x, view.samples, view.device)
        return -distances[:, 0]
