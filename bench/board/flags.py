"""Flags: what a reader has to know beside a number, each a small rule with its reason in plain words.

A rule takes figures and answers with a ``Flag`` that says what was seen, or with None. ``EXPLANATIONS`` says
what each flag means wherever it stands.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from bench.metrics.intervals import ALPHA
from bench.metrics.roc import MIN_FALSE_POSITIVES, measurable

EXPLANATIONS = {
    "dp_violation": (
        "The certified lower bound on epsilon lies above the claimed epsilon: the training does not keep the "
        "differential privacy that it claims."
    ),
    "sign_flipped": (
        "The attack ranks non-members above members, beyond its interval for all attacks at once: members do differ, "
        "but the attack reads it the wrong way round, or its score has the wrong sign."
    ),
    "black_box_beats_white_box": (
        "An attack that sees less did clearly better than every attack that sees the networks: the "
        "white-box attacks that ran are weak, so the true risk may be higher than shown."
    ),
    "split_distinguishable": (
        "A classifier that never saw the model tells members from non-members: the split itself differs, "
        "and every AUC of this data set may be due to that."
    ),
    "many_ties": (
        "More than half of the candidates share their score with another one: the attack cannot tell those apart."
    ),
    "few_seeds": (
        "Fewer than three training runs behind the figure: nothing can be said about how another run would come out."
    ),
    "quality_gone": "The samples are no better than those of the untrained model: private because useless.",
    "not_adaptive": (
        "The defense names attacks made against it, and none of them ran: a defense that only faced attacks "
        "that do not know it may look better than it is."
    ),
    "underpowered": (
        "Too few records for a figure: a true-positive rate at 1 % false positives needs 1,000 non-members, else its "
        "column is empty; and a claimed epsilon above epsilon_detectable cannot be refuted by this run, whatever leaks."
    ),
    "tuned_on_labels": (
        "A setting of the attack was chosen with the labels that it is scored on: its figures are too high."
    ),
    "capped": "The attack judged only a seeded part of the candidates, because it is expensive.",
    "defense_inert": (
        "The defended model gave exactly the same samples as the undefended one of the same seed, and no attack "
        "reads anything else of it: the defense did nothing."
    ),
    "control_failed": (
        "A control did not read what it must: the instrument is at fault, and no figure of this row is to be trusted."
    ),
}
"""What each flag means, for tables, legends and titles."""


@dataclass(frozen=True)
class Flag:
    """A flag that was raised.

    Attributes:
        name: one of ``EXPLANATIONS``.
        seen: the figures that raised it, in words.
    """

    name: str
    seen: str

    def __str__(self) -> str:
        return f"{self.name}: {EXPLANATIONS[self.name]} Here: {self.seen}"


def names(flags: Iterable[Flag]) -> str:
    """The names, each once, in the order of ``EXPLANATIONS``, joined by ``;``: a CSV cell.

    >>> names([Flag("capped", ""), Flag("sign_flipped", ""), Flag("capped", "")])
    'sign_flipped;capped'
    """
    raised = {flag.name for flag in flags}
    return ";".join(name for name in EXPLANATIONS if name in raised)


def merged(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Each flag once, in the order of ``EXPLANATIONS``, with everything that was seen."""
    seen: dict[str, dict[str, None]] = {}
    for flag in flags:
        seen.setdefault(flag.name, {})[flag.seen] = None
    return tuple(Flag(name, " ".join(seen[name])) for name in EXPLANATIONS if name in seen)


def stretch(tried: int) -> float:
    """By how much a normal 95 % interval is longer when it has to hold for so many tries at once (Bonferroni).

    >>> round(stretch(20), 2)
    1.54
    """
    return NormalDist().inv_cdf(1 - ALPHA / 2 / tried) / NormalDist().inv_cdf(1 - ALPHA / 2)


def sign_flipped(attack: str, auc: float, high: float, tried: int = 1, chance: float = 0.5) -> Flag | None:
    """AUC below .5 beyond its interval, held for all attacks of the row at once, and below what chance may read.

    Of twenty attacks that know nothing, two in five rows have one whose own interval ends below .5. So the interval is
    stretched to the level 1 - .05 / ``tried`` (Bonferroni): by the ratio of the normal quantiles. Far out in its tail a
    bootstrap's interval is itself unsure, so the exact null has to agree.

    Args:
        attack: its name.
        auc: what it reads.
        high: the upper end of its shown 95 % interval.
        tried: completed attacks of its row.
        chance: the lowest AUC that a score without information may read at this level.
    """
    end = auc + (high - auc) * stretch(tried)
    if end >= 0.5 or auc >= chance:
        return None
    among = f", for {tried} attacks at once" if tried > 1 else ""
    return Flag("sign_flipped", f"{attack}: AUC {auc:.3f}, interval ends at {end:.3f}{among}.")


def black_box_beats_white_box(black_box: tuple[str, float] | None, white_box: tuple[str, float] | None) -> Flag | None:
    """The best attack without the networks starts above where the best white-box attack's interval ends.

    Args:
        black_box: the attack with the highest lower end among ``samples``, ``latent``, ``decision``, and
        that end.
        white_box: the attack with the highest upper end among ``white_box``, and that end.
    """
    if black_box is None or white_box is None or black_box[1] <= white_box[1]:
        return None
    seen = f"{black_box[0]} starts at {black_box[1]:.3f}, {white_box[0]} ends at {white_box[1]:.3f}."
    return Flag("black_box_beats_white_box", seen)


def split_distinguishable(auc: float, p_values: Sequence[float]) -> Flag | None:
    """The ``blind`` control's permutation test says p < .001, in the median over seeds (which differ in folds)."""
    if not p_values or (p := statistics.median(p_values)) >= 0.001:
        return None
    return Flag("split_distinguishable", f"AUC {auc:.3f}, permutation p {p:.2g}.")


def many_ties(attack: str, tied_fraction: float) -> Flag | None:
    """More than half of the candidates have a score that another has too, at the seed with most of them."""
    if tied_fraction <= 0.5:
        return None
    return Flag("many_ties", f"{attack}: {tied_fraction:.0%} of the candidates are tied.")


def few_seeds(seeds: int) -> Flag | None:
    """Some, but fewer than three, completed training runs."""
    return Flag("few_seeds", f"{seeds} completed.") if 0 < seeds < 3 else None


def quality_gone(
    value: float | None, high: float | None, untrained: float | None, title: str = "KID", digits: int = 1
) -> Flag | None:
    """The interval of the row's distance reaches up to or beyond the untrained line: ``high >= untrained``.

    Without an interval the distance itself takes its place; without one of the two figures the rule is silent.

    Args:
        value, high: the distance and the upper end of its interval.
        untrained: the distance of the untrained model's samples.
        title, digits: what the distance is called, and its decimals.
    """
    end = value if high is None else high
    if value is None or end is None or untrained is None or end < untrained:
        return None
    seen = f"{title} {value:.{digits}f}, interval up to {end:.{digits}f}; untrained {untrained:.{digits}f}."
    return Flag("quality_gone", seen)


def not_adaptive(named: Iterable[str], ran: Iterable[str]) -> Flag | None:
    """The defense names adaptive attacks, and no adaptive attack of the row was completed.

    Args:
        named: the attacks that the defense names.
        ran: the completed attacks of the row that are adaptive.
    """
    wanted = list(named)
    return Flag("not_adaptive", f"named: {', '.join(wanted)}.") if wanted and not list(ran) else None


def underpowered(nonmembers: int, fpr: float = 0.01) -> Flag | None:
    """Fewer than ten non-members are expected at this FPR: ``nonmembers * fpr < 10``."""
    if measurable(fpr, nonmembers):
        return None
    return Flag("underpowered", f"{nonmembers:,} non-members, {MIN_FALSE_POSITIVES / fpr:,.0f} needed.")


def claim_out_of_reach(claimed: float | None, detectable: float | None, coin: bool = False) -> Flag | None:
    """``underpowered`` for a claim: had every guess been right, the audit's figure would still lie below it.

    Args:
        claimed, detectable: epsilon as claimed, and the largest that this run could have shown; None where there is
            none.
        coin: whether coins decided who is a member, so that a claim was to be tested.
    """
    if coin and claimed is not None and detectable is None:
        return Flag(
            "underpowered", f"epsilon {claimed:.3g} is claimed, and no attack of this run can certify anything."
        )
    if claimed is None or detectable is None or detectable >= claimed:
        return None
    return Flag("underpowered", f"epsilon {claimed:.3g} is claimed, and this run could show {detectable:.3g} at most.")


def dp_violation(claimed: float | None, bound: float | None, delta: float, attack: str | None) -> Flag | None:
    """The certified lower bound exceeds the claim; an estimate never raises this.

    Args:
        claimed, bound: epsilon as claimed, and its certified lower bound; None where there is none.
        delta: at which both hold.
        attack: whose guesses gave the bound.
    """
    if claimed is None or bound is None or bound <= claimed:
        return None
    seen = f"{attack}: epsilon is at least {bound:.3g} at delta {delta:.3g}, and {claimed:.3g} is claimed."
    return Flag("dp_violation", seen)


def tuned_on_labels(attack: str, tuned: bool) -> Flag | None:
    """The attack's result says that a setting was chosen on the scored labels."""
    return Flag("tuned_on_labels", f"{attack}.") if tuned else None


def capped(attack: str, was_capped: bool, judged: int) -> Flag | None:
    """The attack's result says that it judged only some of the candidates."""
    return Flag("capped", f"{attack}: {judged:,} candidates judged.") if was_capped else None


def defense_inert(seeds: Iterable[int]) -> Flag | None:
    """The seeds, as ``bench.board.inert`` finds them, at which the release is that of the undefended trial."""
    same = ", ".join(str(seed) for seed in seeds)
    return Flag("defense_inert", f"the same samples, and the same to every attack, at seed {same}.") if same else None


def control_failed(problems: Iterable[str]) -> Flag | None:
    """A control does not read what it must; ``problems`` as ``bench.board.controls`` words them."""
    found = list(problems)
    return Flag("control_failed", " ".join(found)) if found else None
