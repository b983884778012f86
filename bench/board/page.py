"""The board as one plain page that opens from a folder: no script, no request to anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.board import controls, sections, words
from bench.board.attack_rows import AttackRow
from bench.board.draw import Drawn
from bench.board.flags import EXPLANATIONS, split_distinguishable
from bench.board.measures import Measure
from bench.board.payload import split_file
from bench.board.rows import Board, Row
from bench.board.verdict import access_words, verdict
from bench.board.words import number
from bench.results import Cell, Results, Trial


def write_page(board: Board, drawn: Drawn, folder: Path) -> None:
    """``index.html`` in a folder that holds the plots."""
    (folder / "index.html").write_text(render(board, drawn), encoding="utf-8")


def render(board: Board, drawn: Drawn) -> str:
    """The page; every label is text, whatever it contains."""
    environment = Environment(
        loader=PackageLoader("bench.board", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    results = board.results
    return environment.get_template("index.html.j2").render(
        name=results.name,
        summary=summary(board),
        faults=board.faults,
        measures=board.measures,
        equal_kid=board.at_equal_kid,
        rows=[_row(row, board.measures) for row in board.rows],
        attacks=[_attack(row) for row in board.attacks if row.summary is not None and not row.control],
        controls=_controls(board),
        idle=list(_idle(board)),
        scatters=drawn.scatters,
        sizes=results.settings["sets"],
        sets=sections.sets(board),
        rocs=drawn.rocs,
        exposed=[sections.exposed(*each) for each in zip(board.exposures, drawn.exposed, strict=True)],
        sheets=drawn.sheets,
        curves=drawn.curves,
        splits=[
            {"dataset": dataset, "split": split, "size": f"{len(ids):,}", "file": split_file(dataset, split)}
            for dataset, parts in results.splits.items()
            for split, ids in parts.items()
        ],
        data=[
            {"dataset": name, "fingerprint": mark, "duplicates": f"{results.duplicates.get(name, 0):,}"}
            for name, mark in results.fingerprints.items()
        ],
        explanations=EXPLANATIONS,
        configurations=_configurations(results),
        matrix=results.matrix_text,
        stamp=[(str(key), str(value)) for key, value in results.stamp.items() if key != "sources"],
    )


def _controls(board: Board) -> list[dict[str, Any]]:
    """Controls see no release, so those of one data set are computed once and shown once."""
    shown: dict[object, dict[str, Any]] = {}
    for row in board.attacks:
        if row.control:
            computed = tuple(cell.artifact for cell in row.completed)
            shown.setdefault((row.dataset, row.attack, computed or (row.target, row.defense)), _control(row))
    return list(shown.values())


def _configurations(results: Results) -> list[dict[str, Any]]:
    """Every plugin of the matrix with all its options, as text."""
    return [
        {
            "kind": kind.removesuffix("s"),
            "name": name,
            "options": [
                ", ".join(f"{key}: {value}" for key, value in spec.items() if key != "name") or "no options"
                for spec in specs
            ],
        }
        for kind, named in results.settings.get("configurations", {}).items()
        for name, specs in named.items()
    ]


def summary(board: Board) -> str:
    """What was run and what came of it, in a few sentences."""
    rows = board.rows
    judged = [row for row in rows if row.worst is not None]
    useful = [row for row in judged if not row.raised("quality_gone")]
    leaking = [row for row in judged if row.interval is not None and row.interval.low > 0.5]
    attacks = len({row.attack for row in board.attacks if row.summary is not None and not row.control})
    runs = sum(trial.status == "completed" for trial in board.results.trials)
    parts = [
        f"{runs} of {len(board.results.trials)} training runs completed; {len(judged)} of {len(rows)} "
        "combinations of data set, target and defense were attacked, "
        f"by {attacks} attack{'s' if attacks != 1 else ''}.",
        f"{len(leaking)} leak membership beyond chance.",
    ]
    if len(useful) < len(judged):
        parts.append(f"{len(judged) - len(useful)} gave samples no better than an untrained model's.")
    return " ".join(parts)


def _row(row: Row, measures: Sequence[Measure]) -> dict[str, Any]:
    worst, shown = row.worst, row.interval
    tpr = worst.row.summary.tpr_at_1pct_fpr if worst and worst.row.summary else None
    return {
        "measured": worst is not None,
        "dataset": row.dataset,
        "target": row.target,
        "defense": row.defense,
        "rank": number(row.rank, 0),
        "auc": number(worst.headline.auc if worst else None),
        "auc_interval": words.auc_interval(row),
        "auc_over": shown.over if shown else "",
        "worst_attack": worst.headline.worst_attack if worst else words.EMPTY,
        "threat": access_words(worst.row) if worst else "",
        "tpr": number(tpr),
        "qualities": words.qualities(row, measures),
        "equal_kid": words.equal_kid(row),
        "epsilon": words.epsilon(row),
        "delta": words.delta(row),
        "certified": words.certified(row),
        "seeds": words.seeds(row),
        "status": row.status,
        "flags": row.flags,
        "verdict": verdict(row),
    }


def _attack(row: AttackRow) -> dict[str, Any]:
    s = row.summary
    assert s is not None
    return {
        **_names(row),
        "adaptive": row.adaptive,
        "access": row.access.replace("_", " "),
        "knowledge": row.knowledge.replace("_", " "),
        **_reading(row),
        "tpr": number(s.tpr_at_1pct_fpr),
        "realised": "" if s.realised_fpr_at_1pct is None else f"at {number(s.realised_fpr_at_1pct, 4)}",
        "set_auc": number(s.set_auc),
        "seeds": len(row.completed),
        "flags": row.flags,
    }


def _control(row: AttackRow) -> dict[str, Any]:
    expected = controls.EXPECTED.get(controls.name_of(row.attack))
    if row.summary is None:
        judged = f"{row.status.replace('_', ' ')}{f': {row.reason}' if row.reason else ''}"
    elif found := controls.problem(row):
        judged = f"Fault. {found}"
    elif split_distinguishable(row.summary.auc, controls.permutation_p(row)) is not None:
        judged = "The split itself can be told apart."
    else:
        judged = "as expected" if expected else words.EMPTY
    return {
        **_names(row),
        "expected": expected.words if expected else words.EMPTY,
        **_reading(row),
        "verdict": judged,
    }


def _names(row: AttackRow) -> dict[str, Any]:
    return {"dataset": row.dataset, "target": row.target, "defense": row.defense, "attack": row.attack}


def _reading(row: AttackRow) -> dict[str, Any]:
    s, shown = row.summary, row.interval
    return {
        "auc": number(s.auc if s else None),
        "auc_interval": words.auc_interval(row),
        "auc_over": f"over {shown.over}" if shown else "",
        "accuracy": number(s.accuracy if s else None),
        "chance": number(s.accuracy_chance) if s else "",
    }


def _idle(board: Board) -> Iterator[dict[str, Any]]:
    """Trials and attacks without a number, and why; an attack only where its trial is not the reason."""
    for row in board.rows:
        place = {"dataset": row.dataset, "target": row.target, "defense": row.defense}
        lost_trials = [trial for trial in row.trials if trial.status != "completed"]
        if lost_trials:
            yield {**place, "attack": "", **_lost(lost_trials), "reason": row.reason}
        for attack in (*row.attacks, *row.controls):
            lost = [cell for cell in attack.cells if cell.status != "completed"]
            if lost and row.status == "completed":
                yield {**place, "attack": attack.attack, **_lost(lost), "reason": attack.reason}


def _lost(runs: Sequence[Trial] | Sequence[Cell]) -> dict[str, str]:
    return {
        "seeds": ", ".join(str(run.seed) for run in runs),
        "status": ", ".join(dict.fromkeys(run.status.replace("_", " ") for run in runs)),
    }
