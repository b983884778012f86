"""Attacks that compare a statistic of the target with the same statistic of shadow models."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from bench.attacks._shadows import offline_bank, online_bank, too_few_candidates, too_few_reference
from bench.attacks._statistic import ShadowOptions, StatisticAttack, trained_on
from bench.attacks.base import Attack, Knowledge, KnowledgeLevel, ModelRequest, TrialSpec
from bench.errors import PluginError
from bench.records import Records
from bench.release import Model
from bench.rng import RecordRng


class OnlineOptions(ShadowOptions):
    """Options of attacks that may train their shadows on candidates."""

    online: bool = False
    """Whether shadows are trained on random subsets of the candidates, instead of the reference records."""


class ShadowAttack(StatisticAttack):
    """Base class of attacks around a statistic that compare the target with shadows of one bank.

    The statistic must mean the same under the target and under a shadow: not so where a setting of it follows from all
    candidates together, of which the target may know half and an offline shadow none.

    Attributes:
        subsets: of how many training sets' size the reference must be at least, offline.
        online: whether the shadows are trained on candidates.
    """

    knowledge: KnowledgeLevel = "shadow"
    cost = "many trainings"
    subsets: ClassVar[int] = 1
    online: bool = False

    options: ShadowOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(self.options, OnlineOptions) and self.options.online:
            self.online, self.knowledge = True, "shadow + candidates"

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        reason = super().not_applicable(trial, roles)
        reason = reason or needs_defense(self.name, self.statistic, self.options.defended)
        if reason is not None:
            return reason
        defended = self.options.defended
        if self.online:
            return too_few_candidates(self.name, trial, defended)
        return too_few_reference(self.name, trial, self.subsets, defended)

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        bank = online_bank if self.online else offline_bank
        return bank(trial, self.options.models, defended=self.options.defended, samples=self.reads_samples)

    def shadows(self, candidates: Records, knowledge: Knowledge) -> list[Model]:
        """The bank that was asked for; see ``shadow_models``."""
        return shadow_models(
            self.name, "online" if self.online else "offline", self.options.models, candidates, knowledge
        )


def needs_defense(owner: str, statistic: Attack, defended: bool) -> str | None:
    """Why a statistic says nothing of shadows that are trained without the target's defenses, or None."""
    if defended or not statistic.made_against:
        return None
    return f"{owner} with defended=false has shadows without what {statistic.name} is made against"


def shadow_models(
    owner: str, bank: Literal["offline", "online"], models: int, candidates: Records, knowledge: Knowledge
) -> list[Model]:
    """The shadows of a bank, in order.

    Raises:
        PluginError: one is missing, or one of the offline bank was trained on a candidate.
    """
    names = [f"{bank}-{k}" for k in range(models)]
    if missing := [name for name in names if name not in knowledge.models]:
        raise PluginError(f"{owner}: expected the models {names}, got none named {missing}")
    found = [knowledge.models[name] for name in names]
    if bank == "offline" and (seen := int(trained_on(candidates, found).any(axis=0).sum())):
        raise PluginError(f"{owner}: expected shadows that never saw a candidate, got {seen} candidates that one saw")
    return found


def population(knowledge: Knowledge, most: int | None, rng: RecordRng) -> Records:
    """The reference records, or a random subset of at most so many, sorted by id.

    Raises:
        PluginError: the attack has none.
    """
    if knowledge.reference is None or not len(knowledge.reference):
        raise PluginError("expected reference records, got none")
    reference = knowledge.reference
    chosen = rng.shared("population").permutation(len(reference))[:most]
    return reference.take(chosen[np.argsort(reference.ids[chosen])])
