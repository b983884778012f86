"""LOGAN's white-box attack: the discriminator's own opinion."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Chunk
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng


class LoganWhiteBox(Attack):
    """The target's discriminator on the candidate: an overfitted one calls its training records more real.

    The score is the logit, not the probability of the paper, which saturates into ties in float32; the order is
    the same. Networks are in eval mode.
    """

    name = "logan_white_box"
    paper = "Hayes et al., LOGAN, PoPETs 2019, section 4.1"
    access = "white_box"
    reads_samples = False
    needs_roles = frozenset({"discriminator"})
    names_parts = True

    class Options(Attack.Options):
        combine: Literal["max", "mean", "spread"] = "max"
        """How the opinions of several discriminators become one; ``spread``: the largest minus their mean, for those
        that were trained on parts of the records, one of which knows a member. Of a single one it is 0 for all."""

    options: Options

    def name_parts(self, candidates: Records, view: View) -> NDArray[np.int64]:
        """The part whose discriminator calls the candidate most real; none, -1, where there is one for all."""
        logits = view.logits(candidates.floats(), candidates.labels)
        best: NDArray[np.int64] = logits.argmax(axis=0)
        return best if len(logits) > 1 else np.full(len(candidates), -1, dtype=np.int64)

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        logits = view.logits(chunk.x, chunk.labels)
        largest: NDArray[np.float64] = logits.max(axis=0)
        mean: NDArray[np.float64] = logits.mean(axis=0)
        return {"max": largest, "mean": mean, "spread": largest - mean}[self.options.combine]
