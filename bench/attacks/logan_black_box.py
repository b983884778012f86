"""LOGAN's black-box attack: a GAN trained on the target's samples, and its discriminator's opinion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks.base import Attack, Chunk, Knowledge, ModelRequest, TrialSpec
from bench.errors import PluginError
from bench.records import Records
from bench.release import Release, View
from bench.rng import RecordRng


class LoganBlackBox(Attack):
    """Train an attacker DCGAN on generated samples alone; its discriminator's logit is the score.

    The paper trains the attacker for as long as the target; the default is 10,000 steps of Adam at 2e-4 with
    beta1 .5. A short attacker is a weaker attack: the options stand among the board's configurations. It finds members
    where samples are near copies of them; where the target overfits in its discriminator alone, it reads chance.
    """

    name = "logan_black_box"
    paper = "Hayes et al., LOGAN, PoPETs 2019, section 4.2"
    access = "samples"
    data = frozenset({"image"})
    cost = "one training"

    class Options(Attack.Options):
        steps: int = Field(10_000, ge=1)
        """Training steps of the attacker GAN."""
        width: int = Field(32, ge=4)
        """Channels of its discriminator's first layer."""
        batch_size: int = Field(64, ge=2)
        """Generated samples per step."""
        learning_rate: float = Field(2e-4, gt=0)
        """Adam's step size."""

    options: Options

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        # One step size for both networks and no average, as in the paper; only the discriminator is of use.
        spec = {"name": "dcgan", **self.options.model_dump(), "discriminator_learning_rate": None, "average": None}
        return (ModelRequest("attacker", spec, "samples", seed=trial.seed),)

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Release:
        if "attacker" not in knowledge.models:
            raise PluginError(f"{self.name}: expected the requested model 'attacker', got {sorted(knowledge.models)}")
        return knowledge.models["attacker"].release

    def score_chunk(self, chunk: Chunk, state: Release, view: View, rng: RecordRng) -> NDArray[np.float64]:
        logits: NDArray[np.float64] = state.logits(chunk.x, chunk.labels)[0]
        return logits
