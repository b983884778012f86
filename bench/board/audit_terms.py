"""On which terms each row's attacks are audited: against which claim, at which delta, and at which level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.board.trial_rows import weakest_claim
from bench.results import PrivacyClaim, Results, Trial

Place = tuple[str, str, str]

ALPHA = 0.05
"""Probability with which any true claim of a board may be refuted; bounds of rows without claims hold a row each."""

DEFAULT_DELTA = 1e-5
"""Where no row of the data set claims one."""


@dataclass(frozen=True)
class Terms:
    """The terms of one row.

    Attributes:
        delta: of the row's own claim; else the largest that is claimed on the data set, so that rows can be compared.
        claims: the claims of the whole board that are audited or may yet be, at least 1.
        seeds: training runs that the matrix asks for in the row, whatever became of them: one that failed, diverged or
            is still to be done may be left out for what it showed.
        coin: whether coins decided who is a member.
    """

    delta: float
    claims: int
    seeds: int
    coin: bool

    def certified_alpha(self, attacks: int) -> float:
        """The level of one attack's bound at one seed, when so many attacks are audited: Bonferroni's."""
        return ALPHA / (attacks * self.seeds * self.claims)

    @property
    def estimate_alpha(self) -> float:
        """The level of a row's estimate: attack and seed are chosen on other records, so only claims are charged."""
        return ALPHA / self.claims


def audit_terms(results: Results) -> dict[Place, Terms]:
    """The terms of each row of the leaderboard that records can audit; rows without completed trials have none.

    A row whose claim is per client is left out. Its claim takes as given which client holds which record, but clients
    are dealt records by their place among all that train: where one record stays out, others change hands. Trainings
    that differ in one coin then differ in many clients, and of those the claim says nothing.
    """
    groups: dict[Place, list[Trial]] = {}
    for trial in results.trials:
        groups.setdefault((trial.dataset, trial.target, trial.defense), []).append(trial)
    weakest = {place: weakest_claim(trials) for place, trials in groups.items()}
    claims = {place: claim for place, claim in weakest.items() if claim is not None and claim.epsilon is not None}
    tested = {place: claim for place, claim in claims.items() if claim.unit == "record"}
    pending = [place for place, trials in groups.items() if weakest[place] is None and _may_claim(trials)]
    found: dict[Place, Terms] = {}
    for place, trials in groups.items():
        if any(trial.status == "completed" for trial in trials) and (place in tested or place not in claims):
            coin = results.membership.get(place[0]) == "coin"
            seeds = len({trial.seed for trial in trials if trial.status != "not_applicable"})
            found[place] = Terms(_delta(place, tested), max(1, len(tested) + len(pending)), seeds, coin)
    return found


def _may_claim(trials: Sequence[Trial]) -> bool:
    """Whether the row has none to show but some of its runs, which may yet come, could claim something."""
    return trials[0].defense != "none" and any(t.status in ("failed", "blocked", "missing") for t in trials)


def _delta(place: Place, tested: Mapping[Place, PrivacyClaim]) -> float:
    if place in tested:
        return tested[place].delta or 0.0
    same = [claim.delta or 0.0 for other, claim in tested.items() if other[0] == place[0]]
    return max(same, default=DEFAULT_DELTA)
