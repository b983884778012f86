"""A classifier that learnt on shadow models what statistics of trained records look like."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks._likelihood import standardised
from bench.attacks._shadow_attack import needs_defense, population, shadow_models
from bench.attacks._shadows import offline_bank, too_few_reference
from bench.attacks._statistic import as_option, joined, score_statistic, statistic_of, trained_on
from bench.attacks.base import Attack, JointAttack, Knowledge, ModelRequest, Scored, TrialSpec
from bench.errors import InputError
from bench.plugin import Plugin
from bench.records import Records
from bench.release import GRANTS, Access, View
from bench.rng import RecordRng


class ShadowClassifier(JointAttack):
    """An attack classifier on several statistics, trained on the reference records in and out of shadow models.

    Each shadow is trained on reference records; the classifier learns from the statistics of those, and of the other
    reference records, to tell a model's training records, and judges the target's statistics of the candidates. Every
    model's statistics are in units of the reference records that it was not trained on (median, and mean distance from
    it), so that the target's level does not matter. Both classes weigh the same.

    It departs from the paper, whose statistics are a classifier's confidences and whose attack is one network per
    class, by asking a generative model for any statistics and by having one classifier for all records. With one
    statistic, the logistic classifier orders candidates as the statistic does, or the other way round where shadows
    say so; it is several that it combines.
    """

    name = "shadow_classifier"
    paper = "Shokri et al., Membership Inference Attacks Against Machine Learning Models, S&P 2017, section V"
    knowledge = "shadow"
    cost = "many trainings"

    class Options(Attack.Options):
        statistics: list[str | dict[str, Any]] = Field(["nearest_sample"], min_length=1)
        """The attacks whose scores are combined: names, or mappings with name and options; all must suit the target."""
        classifier: Literal["logistic", "gradient_boosting"] = "logistic"
        """Logistic regression, whose scores are smooth, or boosted trees, which find other shapes and tie scores."""
        models: int = Field(8, ge=1)
        """How many shadow models."""
        defended: bool = True
        """Whether shadows are trained under the target's own defenses; if not, the attacker does not know of those."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = tuple(statistic_of(self.name, given, fair=True) for given in self.options.statistics)
        self.options = self.options.model_copy(update={"statistics": [as_option(one) for one in self.inner]})
        self.access = widest(self.inner)
        self.fair_to_reference = all(one.fair_to_reference for one in self.inner)
        self.data = frozenset.intersection(*(one.data for one in self.inner))
        if not self.data:
            raise InputError(f"{self.name}: expected statistics that judge the same records, got images and tables")
        self.needs_roles = frozenset().union(*(one.needs_roles for one in self.inner))
        self.reads_samples = any(one.reads_samples for one in self.inner)
        self.cap = min((one.cap for one in self.inner if one.cap is not None), default=None)

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "statistics": [one.spec() for one in self.inner]}

    def parts(self) -> tuple[Plugin, ...]:
        return tuple(part for one in self.inner for part in (one, *one.parts()))

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        for one in self.inner:
            if (reason := one.not_applicable(trial, roles)) is not None:
                return reason
            if one.needs(trial):
                return f"{self.name} needs statistics that train no models of their own, and {one.name} does"
            if (reason := needs_defense(self.name, one, self.options.defended)) is not None:
                return reason
        return super().not_applicable(trial, roles) or too_few_reference(self.name, trial, 2)

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        return offline_bank(trial, self.options.models, defended=self.options.defended, samples=self.reads_samples)

    def score_all(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Scored:
        reference = population(knowledge, self.cap, rng)
        both, is_reference = (
            joined(candidates, reference),
            np.arange(len(candidates) + len(reference)) >= len(candidates),
        )
        models = shadow_models(self.name, "offline", self.options.models, candidates, knowledge)
        trained = trained_on(both, models)
        rows = [
            self._features(both, model.view(self.access), is_reference & ~own, knowledge, rng)[is_reference]
            for model, own in zip(models, trained, strict=True)
        ]
        truth = trained[:, is_reference].ravel()
        if truth.all() or not truth.any():
            raise InputError(
                f"{self.name}: expected reference records in and out of the shadows, got one kind; add more"
            )
        classifier = fitted(self.options.classifier, np.concatenate(rows), truth, rng)
        target = self._features(both, view, is_reference, knowledge, rng)[~is_reference]
        return Scored(classifier.decision_function(target), self._weights(classifier))

    def _features(
        self, records: Records, view: View, base: NDArray[np.bool_], knowledge: Knowledge, rng: RecordRng
    ) -> NDArray[np.float64]:
        """The statistics ``(n, statistics)`` under one model, each in units of the records at ``base``."""
        columns = [score_statistic(one, records, view, knowledge, rng) for one in self.inner]
        return np.stack([standardised(column, base) for column in columns], axis=1)

    def _weights(self, classifier: Any) -> dict[str, float]:
        if self.options.classifier != "logistic":
            return {}
        names = [f"weight_{k}_{one.name}" for k, one in enumerate(self.inner)]
        return dict(zip(names, classifier.coef_[0].tolist(), strict=True))


def widest(attacks: tuple[Attack, ...]) -> Access:
    """The least access that grants all that these attacks declare.

    Raises:
        InputError: there is none.
    """
    needed = frozenset[Access]().union(*(GRANTS[one.access] for one in attacks))
    enough = [access for access in get_args(Access) if needed <= GRANTS[access]]
    if not enough:
        got = " and ".join(sorted({one.access for one in attacks}))
        raise InputError(f"expected statistics whose accesses go together, got {got}")
    return min(enough, key=lambda access: len(GRANTS[access]))


def fitted(kind: str, x: NDArray[np.float64], y: NDArray[np.bool_], rng: RecordRng) -> Any:
    """A classifier of rows ``(n, statistics)`` into trained on or not, both classes weighing the same."""
    if kind == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(class_weight="balanced", max_iter=1000).fit(x, y)
    from sklearn.ensemble import HistGradientBoostingClassifier

    seed = int(rng.shared("classifier").integers(2**31))
    boosting = HistGradientBoostingClassifier(
        class_weight="balanced", early_stopping=False, max_leaf_nodes=8, random_state=seed
    )
    return boosting.fit(x, y)
