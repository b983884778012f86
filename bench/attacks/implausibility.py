"""Implausibility: how improbable it is that samples come so near a record without its having been trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._posterior import brier, cross_fitted, fit_posterior, refined
from bench.attacks._shadows import offline_bank, too_few_reference
from bench.attacks._statistic import joined, trained_on
from bench.attacks.base import Attack, JointAttack, Knowledge, KnowledgeLevel, ModelRequest, Scored, TrialSpec
from bench.devices import Device
from bench.distances import nearest
from bench.errors import InputError, PluginError
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

TINY = 1e-6  # of the reference's spread: what a distance counts as at least, so that a copy's has a logarithm
REFERENCE = 1.5  # shadows' sizes that the reference must have, so that shadows leave records out
FEWEST = 10  # known members, and known non-members, that a density is estimated from

Values = NDArray[np.float64]


class Implausibility(JointAttack):
    """The probability of membership given how much nearer the samples are than those of models that never saw a record.

    u = log d(x, S) - mean over shadows of log d(x, S_out), where d is the distance to the k-th nearest sample. Each
    shadow is attacked in turn with the others: its u of reference records that it was and was not trained on give the
    densities f1 and f0, and with the share of members among the candidates, which is public, the score is Bayes'
    P(member | u), made monotone. Cross-fitted over shadows, its Brier score stands in the diagnostics beside that of
    the share alone. Equal probabilities are told apart by u, at a millionth; so scores order records as -u does, and
    fitting decides what they mean.

    A record of the reference is compared with the shadows that left it out, fewer than a candidate is, so that its u
    varies a little more, and probabilities come out a little too cautious. With ``shadows: 0`` there is nothing to
    calibrate by: u is log d(x, S), and the score the share of reference records (non-members) with as large a u or
    larger, which is no probability of membership. The suite's own.
    """

    name = "implausibility"
    access = "samples"
    knowledge: KnowledgeLevel = "shadow"
    cost = "many trainings"

    class Options(Attack.Options):
        shadows: int = Field(8, ge=0)
        """Shadow models, on random reference records; 0: none (an uncalibrated p-value), 1 is too few."""
        defended: bool = True
        """Whether shadows are trained under the target's own defenses."""
        k: int = Field(1, ge=1)
        """Which nearest sample counts."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if self.options.shadows == 1:
            raise InputError(f"{self.name}: expected 0 shadows or at least 2, to compare one with the others; got 1")
        if not self.options.shadows:
            self.knowledge = "reference"

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        reason = too_few_reference(self.name, trial, REFERENCE) if self.options.shadows else None
        return super().not_applicable(trial, roles) or reason

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        return offline_bank(trial, self.options.shadows, defended=self.options.defended, samples=True)

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Scored:
        reference, models = knowledge.reference, list(knowledge.models.values())
        if reference is None or len(models) != self.options.shadows:
            raise PluginError(
                f"{self.name}: expected reference records and {self.options.shadows} shadows, got "
                f"{'none' if reference is None else len(reference)} and {len(models)}"
            )
        # As many samples of each model: the more there are, the nearer the nearest is.
        count = min([len(view.samples), *(len(model.samples) for model in models)])
        x, smallest = joined(candidates, reference).floats(), TINY * spread(reference)
        own = log_distances(x, view.samples[:count], view.device, self.options.k, smallest)
        # One model after the other: their samples are large.
        shadows = [log_distances(x, m.samples[:count], view.device, self.options.k, smallest) for m in models]
        own, own_reference = np.split(own, [len(candidates)])
        if not models:
            return Scored(refined(p_values(own, own_reference), own, own_reference), {"calibrated": 0.0})
        far, far_reference = np.split(np.stack(shadows), [len(candidates)], axis=1)
        known = pseudo_targets(far_reference, trained_on(reference, models))
        return self._calibrated(own - far.mean(axis=0), known, _prior(knowledge))

    def _calibrated(self, u: Values, known: Sequence[tuple[Values, Values]], prior: float) -> Scored:
        members, nonmembers = (np.concatenate(values) for values in zip(*known, strict=True))
        if min(len(members), len(nonmembers)) < FEWEST:
            raise InputError(
                f"{self.name}: expected at least {FEWEST} reference records that a shadow was trained on and others "
                f"were not, and as many that it was not, got {len(members)} and {len(nonmembers)}; "
                "ask for more shadows or a larger reference"
            )
        posterior = fit_posterior(members, nonmembers, prior)
        figures = {"calibrated": 1.0, "prior": prior, "brier_prior": prior * (1 - prior)}
        inside, outside = cross_fitted(known, prior)
        if len(inside) and len(outside):
            figures["brier"] = brier(inside, outside, prior)
        return Scored(refined(posterior(u), u, nonmembers), figures)


def log_distances(x: NDArray[np.float32], samples: NDArray[np.float32], device: Device, k: int, least: float) -> Values:
    """Logarithm ``(n,)`` of each record's distance to the ``k``-th nearest sample, where that is ``least`` or more."""
    distances, _ = nearest(x, samples, device, k)
    found: Values = np.log(np.maximum(distances[:, k - 1], least))
    return found


def spread(records: Records) -> float:
    """Root mean squared distance of the records from their mean.

    Raises:
        InputError: it is 0.
    """
    x = records.floats().reshape(len(records), -1).astype(np.float64)
    found = float(np.sqrt(np.square(x - x.mean(axis=0)).sum(axis=1).mean()))
    if found == 0:
        raise InputError(f"expected reference records that differ from each other, got {len(records)} equal ones")
    return found


def pseudo_targets(far: Values, trained: NDArray[np.bool_]) -> list[tuple[Values, Values]]:
    """u of reference records under each shadow, as if it were the target: of its members, and of its non-members.

    Args:
        far: log distances ``(shadows, n)``.
        trained: whether each shadow was trained on each record.

    Returns:
        per shadow, u of those records that it was, and was not, trained on, where at least one other was not.
    """
    left_out = np.where(trained, 0.0, far)
    # All but a shadow's own, where it left the record out.
    others = (~trained).sum(axis=0) - ~trained
    compared = others > 0
    u = far - (left_out.sum(axis=0) - left_out) / np.maximum(others, 1)
    return [(row[c & t], row[c & ~t]) for row, c, t in zip(u, compared, trained, strict=True)]


def p_values(u: Values, nonmembers: Values) -> Values:
    """Share ``(n,)`` of non-members with as large a ``u`` or larger, the record itself counted in."""
    below = np.searchsorted(np.sort(nonmembers), u, side="left")
    shares: Values = (len(nonmembers) - below + 1) / (len(nonmembers) + 1)
    return shares


def _prior(knowledge: Knowledge) -> float:
    """The public share of members among all candidates."""
    if not (knowledge.members > 0 and knowledge.nonmembers > 0):
        raise PluginError(
            f"expected the public numbers of members and non-members, got {knowledge.members} and "
            f"{knowledge.nonmembers}"
        )
    return knowledge.members / (knowledge.members + knowledge.nonmembers)
