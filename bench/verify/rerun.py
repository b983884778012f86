"""Trains some cells of a published board again and compares: the only check of what no board can hold, its models.

The matrix and the plugins are the auditor's own; nothing that a bundle names is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.board.payload import plain
from bench.canonical import canonical_json
from bench.devices import KINDS
from bench.errors import InputError
from bench.matrix import ResolvedMatrix, load_matrix
from bench.metrics.roc import auc
from bench.plan import only
from bench.plan.graph import Plan, PlannedCell, Step
from bench.results import Cell, Results, Trial
from bench.rng import generator
from bench.verify.report import Report
from bench.verify.same import same_number

TOLERANCE = 0.02
"""Largest difference of a cell's AUC where the stamps differ (another machine or other versions)."""

STAMPED = ("leakboard", "python", "platform", "packages")
"""What of a stamp must be equal for equal bytes to be expected."""

THOUGH = "though the stamp is the same, which gives the same bytes on the same kind of CPU"


def load_same(path: Path, published: Results) -> ResolvedMatrix:
    """The auditor's matrix, for the device that the board was made on.

    Raises:
        InputError: the matrix cannot be read, or the board names no device.
    """
    resolved = load_matrix(path)
    device = published.settings.get("device")
    if device not in KINDS:
        raise InputError(f"expected the settings of the board to name a device of {', '.join(KINDS)}, got {device!r}")
    return replace(resolved, matrix=resolved.matrix.model_copy(update={"device": device}))


def check_same(ours: Results, published: Results) -> None:
    """Whether the auditor's matrix asks for what the board says it shows.

    Args:
        ours: what a board of the matrix would be made from, computed or not.

    Raises:
        InputError: settings, configurations, splits or records that differ, each named.
    """
    asked, theirs = plain(ours.settings), plain(published.settings)
    problems = [
        f"--matrix: expected the board's settings, {name} differs: the matrix has {_short(asked.get(name))}, the board "
        f"{_short(theirs.get(name))}"
        for name in sorted(set(asked) | set(theirs))
        if asked.get(name) != theirs.get(name)
    ]
    for label, fingerprint in ours.fingerprints.items():
        if published.fingerprints.get(label) != fingerprint:
            problems.append(f"--matrix: expected the board's records of {label}, whose fingerprint differs from ours")
        roles = published.splits.get(label, {})
        problems += [
            f"--matrix: expected the board's split of {label}, the {role} differ"
            for role, ids in ours.splits[label].items()
            if role not in roles or not np.array_equal(roles[role], ids)
        ]
    if problems:
        raise InputError(problems)


def draw(published: Results, count: int, seed: int) -> tuple[Cell, ...]:
    """So many completed cells that are no controls, at random.

    Raises:
        InputError: there is none.
    """
    done = [cell for cell in published.cells if cell.status == "completed" and not cell.control]
    if not done:
        raise InputError("--rerun: expected a board with completed attacks, found none to run again")
    places = generator(seed, "verify rerun").permutation(len(done))[:count]
    return tuple(done[place] for place in sorted(places.tolist()))


def planned(plan: Plan, drawn: Iterable[Cell]) -> tuple[PlannedCell, ...]:
    """The plan's cells that go by the same place.

    Raises:
        InputError: the plan has no such cell, or cannot run it.
    """
    known = {_place(cell.trial, cell.name): cell for cell in plan.cells if cell.step is not None}
    wanted = [_place(cell, cell.attack) for cell in drawn]
    if absent := [" / ".join(map(str, place)) for place in wanted if place not in known]:
        raise InputError([f"--matrix: expected the cell {place}, which the matrix does not give" for place in absent])
    return tuple(known[place] for place in wanted)


def steps_behind(plan: Plan, cells: Iterable[PlannedCell]) -> Sequence[Step]:
    """What must be computed for these cells and the quality of their trials, in the plan's order."""
    ends = [step for cell in cells for step in (cell.step, cell.trial.steps.get("quality")) if step is not None]
    return [step for step in only.steps_behind(plan, ends) if step.kind != "data"]


def compare(published: Results, again: Results, drawn: Sequence[Cell], report: Report) -> None:
    """Scores and quality of the drawn cells, beside those published.

    With an equal stamp, on the CPU, the model must come out the same to the byte, and so must all that is read from it:
    the hash that the board tells of its model is no excuse. On another platform, or with other versions, AUCs may
    differ by ``TOLERANCE``, and the report says so.
    """
    cells = {_place(cell, cell.attack): cell for cell in again.cells}
    trials = {(t.dataset, t.target, t.defense, t.seed): t for t in again.trials}
    theirs = {(t.dataset, t.target, t.defense, t.seed): t for t in published.trials}
    same = same_place(published, again)
    for cell in drawn:
        _compare_cell(cell, cells[_place(cell, cell.attack)], same, report)
    for run in dict.fromkeys((c.dataset, c.target, c.defense, c.seed) for c in drawn):
        _compare_model(theirs[run], trials[run], same, report)
        _compare_quality(theirs[run], trials[run], same, report)
    ours, stamp = again.stamp, published.stamp
    for name in (*STAMPED, "git"):
        if ours.get(name) != stamp.get(name):
            report.note(
                f"run again with another {name} than published: {_short(ours.get(name))}, was {_short(stamp.get(name))}"
            )
    report.checked["cells run again"] += len(drawn)


def same_place(published: Results, again: Results) -> bool:
    """Whether equal bytes are to be expected: the same platform, versions and packages, and the CPU."""
    equal = all(published.stamp.get(name) == again.stamp.get(name) for name in STAMPED)
    return equal and published.settings.get("device") == "cpu"


def _compare_cell(old: Cell, new: Cell, same: bool, report: Report) -> None:
    label = f"rerun of {' / '.join(map(str, _place(old, old.attack)))}"
    if new.status != "completed":
        report.problem(f"{label}: expected scores, the run says {new.status}: {new.reason}")
        return
    if not np.array_equal(old.record_ids, new.record_ids) or not np.array_equal(old.membership, new.membership):
        report.problem(f"{label}: expected the published candidates and membership, got others")
        return
    if np.array_equal(old.scores, new.scores):
        report.note(f"{label}: the same scores, to the byte")
        return
    apart = abs(auc(old.scores, old.membership) - auc(new.scores, new.membership))
    said = (
        f"{label}: scores differ by up to {np.abs(old.scores - new.scores).max():.3g}, AUC by {apart:.4f} (published "
        f"{auc(old.scores, old.membership):.4f}, now {auc(new.scores, new.membership):.4f})"
    )
    if same:
        report.problem(f"{said}, {THOUGH}")
    elif apart > TOLERANCE:
        report.problem(f"{said}: expected AUCs within {TOLERANCE} of one another")
    else:
        report.note(f"{said}: within {TOLERANCE}; the same machine, code and versions would give the same bytes")


def _compare_model(old: Trial, new: Trial, same: bool, report: Report) -> None:
    """Hashes of the files that training and sampling gave."""
    apart = [kind for kind in ("train", "sample") if old.artifacts.get(kind) != new.artifacts.get(kind)]
    if apart:
        said = f"rerun of {_run(old)}: {' and '.join(apart)} gave other files than published"
        if same:
            report.problem(f"{said}, {THOUGH}")
        else:
            report.note(f"{said}, as on another machine or with other versions they may")


def _compare_quality(old: Trial, new: Trial, same: bool, report: Report) -> None:
    label = f"rerun of {_run(old)}"
    if old.quality is None or new.quality is None:
        if old.quality is not None:
            report.problem(f"{label}: expected a sample quality, the run measured none: {new.reason}")
        elif same and new.quality is not None:
            report.problem(f"{label}: expected no sample quality as published, the run measured one")
        return
    one, other = old.quality.model_dump(), new.quality.model_dump()
    apart = [f"{name} {one[name]} (now {other.get(name)})" for name in one if not _equal(one[name], other.get(name))]
    if not apart:
        report.note(f"{label}: the same sample quality")
    elif same:
        report.problem(f"{label}: quality differs, {THOUGH}: {', '.join(apart)}")
    else:
        report.note(f"{label}: quality differs, as the model may: {', '.join(apart)}")


def _run(of: Trial) -> str:
    return f"{of.dataset} / {of.target} / {of.defense} / {of.seed}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return same_number(one, other)
    return bool(one == other)


def _place(of: Any, attack: str) -> tuple[str, str, str, int, str]:
    return of.dataset, of.target, of.defense, of.seed, attack


def _short(value: Any) -> str:
    text = canonical_json(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
