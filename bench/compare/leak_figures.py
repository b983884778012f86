"""The tests of a row's leak: its worst attack, overall or of one access level, on each group of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.compare.attacks import AttackPair, AttackPairs, groups
from bench.compare.findings import Finding, Status
from bench.compare.leak import common_seeds, worst_attack, worst_attack_rate
from bench.compare.measures import FIGURES, Figure
from bench.compare.side import Place, Side
from bench.compare.tolerance import Tolerance
from bench.compare.verdicts import Test

_RATES = ("accuracy", "tpr_at_1pct_fpr")


def leak_figures(pairs: AttackPairs, at: Place, now: Place, tolerance: Tolerance) -> Iterator[Test | Finding]:
    """A test per group of attacks on the same candidates.

    A leak on other candidates (of an attack that is told some of them, or that judges only a part) has no worst attack
    in common with the rest, so it is a test of its own: none hides behind another.
    """
    access = _access(tolerance.figure)
    chosen = [pair for pair in pairs.compared if access in (None, pair.access)]
    for place, group in enumerate(groups(chosen)):
        yield _group(group, place, at, now, tolerance)


def attacks_apart(
    pairs: AttackPairs, at: Place, now: Place, tolerances: Sequence[Tolerance], access: Mapping[str, str]
) -> Iterator[Finding]:
    """A finding per attack that cannot be judged, or that BASE lacks, where a figure that was asked for rests on it.

    Args:
        access: attack -> its access.
    """
    asked = {_access(each.figure) for each in tolerances if each.figure.source == "scores"}
    kinds: tuple[tuple[Status, Mapping[str, str]], ...] = (
        ("missing", pairs.missing),
        ("not comparable", pairs.refused),
        ("new", dict.fromkeys(pairs.added, "not completed in BASE")),
    )
    for status, found in kinds:
        for attack, why in found.items():
            if None in asked or access.get(attack) in asked:
                yield Finding(now, at, f"auc of {attack}", status, why, kind=FIGURES["auc"])


def unattacked(
    found: Sequence[Test | Finding], base: Side, new: Side, at: Place, now: Place, tolerance: Tolerance
) -> Iterator[Finding]:
    """A finding where attacks were planned and neither board completed one: nobody knows what the row leaks.

    Args:
        found: what the attacks gave for this figure, and what was said of attacks that cannot be judged.
    """
    access = _access(tolerance.figure)
    planned = [
        entry
        for entry in (*base.attacks[at].values(), *new.attacks[now].values())
        if access is None or (entry["access"] == access and entry["status"] != "not_applicable")
    ]
    done = any(cell["status"] == "completed" for entry in planned for cell in entry["cells"])
    if planned and not done and not found:
        said = "attacks were planned, and neither board completed one"
        yield Finding(now, at, tolerance.figure.name, "missing", said, kind=tolerance.figure)


def _access(figure: Figure) -> str | None:
    """The access level that a figure is of; None for all."""
    return figure.name.removeprefix("auc_") if figure.name.startswith("auc_") else None


def _group(group: Sequence[AttackPair], place: int, at: Place, now: Place, tolerance: Tolerance) -> Test | Finding:
    figure = tolerance.figure
    names = ", ".join(pair.name for pair in group)
    name = figure.name if place == 0 else f"{figure.name} on {len(group[0].ids):,} other candidates ({names})"
    if not all(common_seeds(group)):
        said = f"the attacks {names} have no completed seed in common, so that none of them is the worst"
        return Finding(now, at, name, "not comparable", said, kind=figure)
    if figure.name in _RATES:
        evidence = worst_attack_rate(group, figure.name)
        if evidence is None:
            return Finding(now, at, name, "not comparable", "too few non-members to measure it", kind=figure)
        return Test(now, at, name, tolerance, evidence)
    whole, each = worst_attack(group)
    return Test(now, at, name, tolerance, whole, tuple(each.items()))
