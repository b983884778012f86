"""The robust membership-inference attack: a record's likelihood ratio beside those of records of the population."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from pydantic import Field, model_validator

from bench.attacks import _likelihood as likelihood
from bench.attacks._likelihood import Bools, Floats
from bench.attacks._shadow_attack import OnlineOptions, ShadowAttack, population
from bench.attacks._statistic import joined, trained_on
from bench.attacks.base import Knowledge, Scored
from bench.errors import InputError, PluginError
from bench.metrics.roc import auc
from bench.records import Records
from bench.release import View
from bench.rng import RecordRng

# Of equally good values the first is taken: where shadows know their records by heart, every one is. Then a target that
# leaks less is best compared with p_out alone, and the largest gamma leaves the fewest shares of 1.
A = tuple(k / 10 for k in range(10, -1, -1))
GAMMA = (2.0, 1.5, 1.25, 1.1, 1.0)
TIES = 1e-6  # of a score: what the ratio itself adds, which tells equal shares apart
LEAST = 3  # shadows to choose on: with two, no record that a pseudo-target left out may be out of the other


class Rmia(ShadowAttack):
    """The share of reference records z that a candidate x beats: p(x) / pbar(x) is at least gamma times p(z) / pbar(z).

    p is the target's, pbar the average over a world with the record and one without. Offline, it is
    ((1 + a) p_out + 1 - a) / 2, where p_out is the mean over the shadows without the record; online, it is
    (p_in + p_out) / 2. Reference records are non-members of the target; of the shadows, only those without z count.

    It departs from the paper as follows. A statistic is no probability: p is a logistic of the statistic, in units of
    the model itself, which are its values less the median of the reference records that it was not trained on, over
    their mean distance from that. So it is for the target as for each shadow, and no offset or scale of the statistic
    or of a model counts. p is 1/2 half way to the median of the records that shadows were trained on: a classifier's
    confidence, too, is low on records that it has not seen and high on others. pbar(z) is formed like pbar(x), where
    the paper's offline algorithm takes p_out(z) alone; the order of candidates is the same, since all have the same z.
    Online, no shadow was trained on z: its p_in is a p_out + 1 - a as offline, where `a` is what the candidates' means
    say; likewise for a candidate that no shadow was trained on, or every one. `gamma`, and offline `a`, which the paper
    tunes on models of the attacker, are those of a small grid whose mean AUC is the best where each shadow in turn is
    the target of the others, and membership in its training set is what is judged. Shares are multiples of one over
    the number of z, and a gamma that shadows ask for may leave a target that leaks less with 0 for everyone: equal
    shares are told apart by the ratio itself, at a millionth. So the order is that of the ratios, whatever gamma is.
    """

    name = "rmia"
    paper = "Zarifzadeh, Liu and Shokri, Low-Cost High-Power Membership Inference Attacks, ICML 2024, section 3"
    judges_reference = True
    subsets = 2

    class Options(OnlineOptions):
        a: float | None = Field(None, ge=0, le=1)
        """How p_in follows from p_out offline; null: chosen on the shadows."""
        gamma: float | None = Field(None, ge=1)
        """By how much a ratio must exceed another; null: chosen on the shadows."""
        population: int | None = Field(None, ge=1)
        """How many reference records, a seeded subset; null: all, or as many as the statistic judges candidates."""

        @model_validator(mode="after")
        def _enough_to_choose_on(self) -> Rmia.Options:
            fixed = self.gamma is not None and (self.online or self.a is not None)
            if self.models < LEAST and not fixed:
                raise ValueError(
                    f"expected at least {LEAST} models to choose a and gamma on, got {self.models}: give both, or "
                    "train more"
                )
            return self

    options: Options

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Scored:
        reference = population(knowledge, self.options.population or self.cap, rng)
        both, is_z = joined(candidates, reference), np.arange(len(candidates) + len(reference)) >= len(candidates)
        models = self.shadows(candidates, knowledge)
        trained = trained_on(both, models)
        units = np.stack(
            [
                in_units(values, is_z & ~own)
                for values, own in zip(self.shadow_scores(both, models, knowledge, rng), trained, strict=True)
            ]
        )
        middle = half_way(units, trained)
        shadows = likelihood.log_logistic(units - middle)
        target = likelihood.log_logistic(in_units(self.scores(both, view, knowledge, rng), is_z) - middle)
        halves = rng.shared("halves").permutation(len(is_z)) % 2 == 0
        a = self._a(shadows, trained, is_z, halves)
        gamma = self._gamma(a, shadows, trained, is_z, halves)
        ratios = target - self._marginal(shadows, trained, a)
        # Each shadow left some z out, or it would have had no unit: of some z the ratio is known.
        x, z = ratios[~is_z], ratios[is_z & np.isfinite(ratios)]
        scores = likelihood.share_beaten(x, z, gamma) + TIES * (1 + x / (1 + np.abs(x))) / 2
        return Scored(scores, {"gamma": gamma} if a is None else {"a": a, "gamma": gamma})

    def _marginal(self, shadows: Floats, trained: Bools, a: float | None) -> Floats:
        """log pbar ``(n,)`` from log p ``(models, n)`` under shadows; NaN offline for a record that is in all."""
        if self.online:
            return likelihood.log_marginal_online(shadows, trained, a)
        if a is None:
            raise PluginError(f"{self.name}: expected a for the offline marginal, got none")
        return likelihood.log_marginal(likelihood.log_mean_where(shadows, ~trained), a)

    def _a(self, shadows: Floats, trained: Bools, is_z: Bools, halves: Bools) -> float | None:
        """The given ``a``, or offline that with which ratios tell each shadow's training records best by the others."""
        if self.options.a is not None or self.online:
            return self.options.a
        return best(A, lambda a: [auc(x, own) for x, _, own in self._pilots(a, shadows, trained, is_z, halves)])

    def _gamma(self, a: float | None, shadows: Floats, trained: Bools, is_z: Bools, halves: Bools) -> float:
        """The given ``gamma``, or that with which shares tell them best."""
        if self.options.gamma is not None:
            return self.options.gamma
        pilots = list(self._pilots(a, shadows, trained, is_z, halves))
        return best(GAMMA, lambda gamma: [auc(likelihood.share_beaten(x, z, gamma), own) for x, z, own in pilots])

    def _pilots(
        self, a: float | None, shadows: Floats, trained: Bools, is_z: Bools, halves: Bools
    ) -> Iterator[tuple[Floats, Floats, Bools]]:
        """Each shadow as the target of the others: log ratios of x and of z, and which x it was trained on.

        Scored are the records that shadows are trained on: candidates online; offline reference records, of which
        those that the shadow was not trained on are halved, so that none is judged by itself.
        """
        for k, own in enumerate(trained):
            others = np.arange(len(shadows)) != k
            ratios = shadows[k] - self._marginal(shadows[others], trained[others], a)
            x = np.isfinite(ratios) & (~is_z if self.online else is_z & (own | halves))
            z = np.isfinite(ratios) & is_z & ~own & (self.online | ~halves)
            if own[x].any() and not own[x].all() and z.any():
                yield ratios[x], ratios[z], own[x]


def best(grid: tuple[float, ...], success: Callable[[float], list[float]]) -> float:
    """The first value of a grid at which the mean success over pilots is the highest.

    Raises:
        InputError: there is no pilot.
    """
    found = [success(value) for value in grid]
    if not found[0]:
        raise InputError("rmia: expected records in and out of a shadow to choose a and gamma on, got none")
    return grid[int(np.argmax([np.mean(each) for each in found]))]


def in_units(values: Floats, base: Bools) -> Floats:
    """One model's values ``(n,)``, in units of those at ``base``.

    Raises:
        InputError: there are none.
    """
    if not base.any():
        raise InputError("expected reference records that a shadow was not trained on, got none; ask for more of them")
    return likelihood.standardised(values, base)


def half_way(units: Floats, trained: Bools) -> float:
    """Where p is 1/2: half of the shadows' median value ``(models, n)`` of the records that they were trained on.

    Without it, records that a shadow knows by heart would have p near 1 and others p near 1/2, and no ratio could
    exceed 2, which records of a large spread reach by chance.
    """
    return max(0.0, float(np.median(units[trained]))) / 2 if trained.any() else 0.0
