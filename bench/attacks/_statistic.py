"""Attacks around a statistic: any attack that needs neither labels nor models of its own serves as one.

Likelihood ratios, calibration and averages are told once, here and in the files that build on this, and not once for
every statistic: they score the same records under the target's view and under the view of each shadow model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks.base import Attack, JointAttack, Knowledge, TrialSpec
from bench.errors import InputError, PluginError
from bench.plugin import Plugin, inner_plugin
from bench.records import Records
from bench.registry import get
from bench.release import Model, View
from bench.rng import RecordRng


class StatisticAttack(JointAttack):
    """Base class of attacks around a statistic, whose access and reach they take over.

    Attributes:
        judges_reference: whether it scores reference records too, and so can use no statistic that was fitted on them.
        statistic: the attack whose scores it works with.
    """

    judges_reference: bool = False

    class Options(Attack.Options):
        statistic: str | dict[str, Any] = "nearest_sample"
        """The attack whose scores are used: its name, or a mapping with its name and options."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        inner = statistic_of(self.name, self.options.statistic, fair=self.judges_reference)
        self.statistic = inner
        # One statistic is one option, however it was written.
        self.options = self.options.model_copy(update={"statistic": as_option(inner)})
        self.access, self.data, self.needs_roles = inner.access, inner.data, inner.needs_roles
        self.reads_samples, self.cap = inner.reads_samples, inner.cap
        self.fair_to_reference = inner.fair_to_reference
        if self.knowledge == "nothing":
            self.knowledge = inner.knowledge

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "statistic": self.statistic.spec()}

    def parts(self) -> tuple[Plugin, ...]:
        return (self.statistic, *self.statistic.parts())

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        if (reason := self.statistic.not_applicable(trial, roles)) is not None:
            return reason
        if self.statistic.needs(trial):
            return f"{self.name} needs a statistic that trains no models of its own, and {self.statistic.name} does"
        return super().not_applicable(trial, roles)

    def scores(self, records: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> NDArray[np.float64]:
        """The statistic of records ``(n,)`` under one view; draws follow the record, so they are the same under all."""
        return score_statistic(self.statistic, records, view, knowledge, rng)

    def shadow_scores(
        self, records: Records, models: Sequence[Model], knowledge: Knowledge, rng: RecordRng
    ) -> NDArray[np.float64]:
        """The statistic of records under each model, ``(models, n)``."""
        return np.stack([self.scores(records, model.view(self.access), knowledge, rng) for model in models])


def statistic_of(owner: str, given: str | dict[str, Any], *, fair: bool) -> Attack:
    """The attack that an option of ``owner`` names.

    Args:
        owner: name of the attack around it, for messages.
        given: a name, or a mapping with name and options.
        fair: whether reference records are scored too, so that it must not have been fitted on those.

    Raises:
        InputError: it has no name, needs labels or models of its own, or was fitted on reference records.
        PluginError: it is no attack.
    """
    spec = {"name": given} if isinstance(given, str) else given
    if "name" not in spec:
        raise InputError(f"{owner}: expected the statistic's name, got {spec}")
    name = str(spec["name"])
    if ":" in name:
        raise InputError(
            f"{owner}: expected the name of an attack that is installed as statistic, got the file {name!r}; publish "
            "it as a package with an entry point, or put it into bench/attacks"
        )
    inner = inner_plugin(f"{owner}: statistic", get("attacks", name), spec)
    if not isinstance(inner, Attack):
        raise PluginError(f"{owner}: expected an attack as statistic, got {inner!r}")
    if inner.control or inner.knowledge not in ("nothing", "reference") or inner.known:
        raise InputError(
            f"{owner}: expected a statistic that needs no labels and no models of its own, got {inner.name}, "
            f"which needs {inner.knowledge}"
        )
    if fair and not inner.fair_to_reference:
        raise InputError(
            f"{owner} scores reference records too, and {inner.name} was fitted on those: they would look "
            "unlike the candidates; take another statistic"
        )
    return inner


def as_option(statistic: Attack) -> str | dict[str, Any]:
    """How an option names a statistic: by its name, with the options that differ from their defaults."""
    spec = statistic.short_spec()
    return spec if len(spec) > 1 else statistic.name


def score_statistic(
    statistic: Attack, records: Records, view: View, knowledge: Knowledge, rng: RecordRng
) -> NDArray[np.float64]:
    """A statistic of records ``(n,)`` under one view, with no more knowledge than it declares."""
    ordinary = Knowledge(
        reference=knowledge.reference if statistic.knowledge == "reference" else None,
        members=knowledge.members,
        nonmembers=knowledge.nonmembers,
    )
    return statistic.score(records, view, ordinary, rng).scores


def trained_on(records: Records, models: Sequence[Model]) -> NDArray[np.bool_]:
    """Which records each model was trained on, ``(models, n)``.

    Raises:
        PluginError: a model was trained on records that have no ids.
    """
    ids = [model.trained_on for model in models]
    if any(one is None for one in ids):
        raise PluginError("expected shadows that were trained on records of the split, got one that was not")
    return np.stack([np.isin(records.ids, one) for one in ids if one is not None])


def joined(candidates: Records, reference: Records) -> Records:
    """Candidates and reference records together, in that order: a statistic that looks at all of them sees the same.

    Raises:
        PluginError: they overlap, so that a candidate would be its own reference.
    """
    if len(both := np.intersect1d(candidates.ids, reference.ids)):
        raise PluginError(f"expected reference records that are no candidates, got {len(both)} that are")
    labels = None
    if candidates.labels is not None and reference.labels is not None:
        labels = np.concatenate([candidates.labels, reference.labels])
    ids, x = np.concatenate([candidates.ids, reference.ids]), np.concatenate([candidates.x, reference.x])
    return Records(ids, x, labels, candidates.schema)


class ShadowOptions(StatisticAttack.Options):
    """Options of attacks around a statistic that compare the target with shadow models."""

    models: int = Field(8, ge=1)
    """How many shadow models."""
    defended: bool = True
    """Whether shadows are trained under the target's own defenses; if not, the attacker does not know of those."""
