"""Mixup: real records are never shown as they are, but mixed in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from bench.errors import IncompatibleError
from bench.records import Schema
from bench.rng import generator
from defenses.base import Defense, Step, TrainingContext
from targets.base import Batch, Networks, Target

if TYPE_CHECKING:
    from numpy.random import Generator


class Mixup(Defense):
    """Each real row of a batch becomes l a + (1 - l) b: a record a and another record b of the batch.

    The share l ~ Beta(alpha, alpha) is drawn for each row and folded to max(l, 1 - l), so that every record of the
    batch dominates one row, whose label it gives. Each record is also the lesser part of one other row: partners are
    the neighbours on a random circle, so that none is mixed with itself.

    Departures: the paper mixes the records' classes as well; here both of a pair have the same target, to be real or to
    be modelled, and a conditional target takes one label, not two by halves. Its code draws one l per batch. Generated
    rows are left alone, for they hold nothing of a record. Numbers of a table are mixed as the model sees them, after
    their transform. Nothing else about the training changes.
    """

    name = "mixup"
    paper = (
        "Zhang, Cisse, Dauphin and Lopez-Paz, mixup: Beyond Empirical Risk Minimization, ICLR 2018, equation 1; as a "
        "defense: Li, Li and Ribeiro, Membership Inference Attacks and Defenses in Classification Models, CODASPY 2021"
    )
    adaptive = ("mixed_pairs",)
    mixes_records = "every row of a batch is a mixture of two records"
    caveat = "A generative model that is trained on mixtures learns to generate mixtures, which costs quality."

    class Options(Defense.Options):
        alpha: float = Field(1.0, gt=0, allow_inf_nan=False)
        """Of the Beta distribution of the shares; 1: uniform; less: most rows are almost one record; more: halves."""

    options: Options

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        if (reason := super().refuses(target, schema, before)) is not None:
            return reason
        if any(column.categories for column in schema.columns):
            return f"{self.name} would make rows that are partly in one category and partly in another"
        if not any(phase.private for phase in target.phases()):
            return f"{self.name} mixes what a target is trained on, and {target.name} has no update that reads records"
        return None

    def start(self, networks: Networks, context: TrainingContext) -> Generator:
        return generator(context.seed, self.name, repr(self))

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        import torch

        n, rng = len(batch.x), step.state
        if n < 2:
            raise IncompatibleError(f"{self.name} mixes pairs: expected batches of at least 2 records, got {n}")
        circle, partner = rng.permutation(n), np.empty(n, np.int64)
        partner[circle] = np.roll(circle, 1)
        share = rng.beta(self.options.alpha, self.options.alpha, n)
        share = torch.from_numpy(np.maximum(share, 1 - share)).to(batch.x)
        share = share.reshape(-1, *[1] * (batch.x.dim() - 1))
        other = batch.x[torch.from_numpy(partner).to(batch.x.device)]
        return replace(batch, x=share * batch.x + (1 - share) * other)
