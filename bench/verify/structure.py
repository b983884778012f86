"""Whether a board's parts belong together: rows and trials, trials and keys, cells and their trials and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any

from bench.stamp import PACKAGES
from bench.verify.facts import BoardFacts
from bench.verify.report import Report

STAMP = ("leakboard", "python", "platform", "packages", "git", "written")


def check_structure(facts: BoardFacts, report: Report) -> None:
    """Stamp, duplicates, and that nothing stands alone."""
    _check_stamp(facts.stamp, report)
    rows = [(str(r.get("dataset")), str(r.get("target")), str(r.get("defense"))) for r in facts.leaderboard]
    trials = [(t.dataset, t.target, t.defense) for t in facts.trials]
    runs = {(*place, t.seed) for place, t in zip(trials, facts.trials, strict=True)}
    _once("leaderboard", rows, report)
    _once("trials", [(*place, t.seed) for place, t in zip(trials, facts.trials, strict=True)], report)
    _once("lines", [(line.dataset, line.target) for line in facts.lines], report)
    for place in sorted(set(rows) - set(trials)):
        report.problem(f"leaderboard: {_label(place)}: expected a trial behind each row, found none")
    for place in sorted(set(trials) - set(rows)):
        report.problem(f"trials: {_label(place)}: expected a row of the leaderboard for each trial, found none")
    for dataset in sorted({t.dataset for t in facts.trials if t.status == "completed"} - set(facts.datasets)):
        report.problem(f"datasets: expected {dataset}, which has trials, found no such data set")
    keys: dict[tuple[str, str, str], Counter[str]] = {}
    for place, trial in zip(trials, facts.trials, strict=True):
        if trial.status == "completed" and not trial.key:
            report.problem(f"trials: {_label((*place, trial.seed))}: expected the key of its training, found none")
        elif trial.key:
            keys.setdefault(place, Counter())[trial.key] += 1
    for place, counts in keys.items():
        for key in (key for key, count in counts.items() if count > 1):
            report.problem(f"trials: {_label(place)}: expected a training per seed, got the key {key} at several seeds")
    _check_cells(facts, runs, report)
    _what_is_left_out(facts, report)


def _check_stamp(stamp: dict[str, Any], report: Report) -> None:
    for name in STAMP:
        if name not in stamp or (stamp[name] is None and name != "git"):
            report.problem(f"stamp: expected {name}, which says what the board was made with; it is missing")
    packages = stamp.get("packages")
    if isinstance(packages, dict):
        for name in PACKAGES:
            if name not in packages:
                report.problem(f"stamp: expected the version of {name}, it is missing")
    git = stamp.get("git")
    if isinstance(git, dict) and git.get("dirty"):
        report.note("the board was made from a work tree with changes that its commit does not have")


def _check_cells(facts: BoardFacts, runs: set[tuple[Any, ...]], report: Report) -> None:
    attacks = [(a.dataset, a.target, a.defense, a.attack) for a in facts.attacks]
    cells = [(*place, None, cell) for place, a in zip(attacks, facts.attacks, strict=True) for cell in a.cells] + [
        (s.dataset, s.target, s.defense, s.attack, s.at_step, s) for s in facts.snapshots
    ]
    _once("attacks", attacks, report)
    names = [(*place, *(() if at is None else (f"step {at}",)), cell.seed) for *place, at, cell in cells]
    _once("cells", names, report)
    for (dataset, target, defense, _, at, cell), name in zip(cells, names, strict=True):
        label = _label(name)
        if (dataset, target, defense, cell.seed) not in runs:
            report.problem(f"attacks: {label}: expected the trial that it attacked, found none")
        if cell.status == "completed":
            if not cell.key or not cell.artifact:
                report.problem(f"attacks: {label}: expected the key and the hash of its artifact, found none")
            if cell.scores is None and at is None:
                report.problem(f"attacks: {label}: expected a file of scores of a completed cell, found none")
        elif cell.scores is not None:
            report.problem(f"attacks: {label}: expected no scores of a cell that is {cell.status}, got {cell.scores}")
    _once("scores", [(cell.scores,) for *_, cell in cells if cell.scores is not None], report)
    report.checked["rows"] += len(facts.leaderboard)
    report.checked["trials"] += len(facts.trials)
    report.checked["cells"] += sum(cell.scores is not None for *_, cell in cells)


def _what_is_left_out(facts: BoardFacts, report: Report) -> None:
    """A matrix may exclude seeds, so a row with fewer is no error; but neither is it hidden."""
    seeds: dict[tuple[str, ...], set[int]] = {}
    for trial in facts.trials:
        seeds.setdefault((trial.dataset, trial.target, trial.defense), set()).add(trial.seed)
    for place, found in seeds.items():
        if left := sorted(set(facts.settings.seeds) - found):
            report.note(f"{_label(place)} has no trial at seeds {', '.join(map(str, left))} of the matrix")


def _once(what: str, items: Iterable[tuple[Hashable, ...]], report: Report) -> None:
    for item, count in Counter(items).items():
        if count > 1:
            report.problem(f"{what}: expected {_label(item)} once, found it {count} times")


def _label(place: Iterable[Any]) -> str:
    return " / ".join(map(str, place))
