"""Makes a record of results from what a board publishes, the same that the board was computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.board.payload import score_file, split_file
from bench.board.set_readings import Composer
from bench.errors import BenchError
from bench.published.read import Published
from bench.results import Cell, Lines, Results, Trial
from bench.verify.facts import AttackFacts, BoardFacts, CellFacts, SnapshotFacts
from bench.verify.records import check_scores, check_splits, read_ids
from bench.verify.report import Report


def rebuild(published: Published, facts: BoardFacts, report: Report) -> Results | None:
    """The results behind a board, with all scores and ids checked; None where some cannot be read."""
    before = len(report.problems)
    splits = _splits(published, facts, report)
    check_splits(splits, report)
    composer = Composer(facts.settings.sets)
    cells = [_cell(published, a, c, None, splits, composer, report) for a in facts.attacks for c in a.cells]
    snapshots = [_cell(published, s, s, s.at_step, splits, composer, report) for s in facts.snapshots]
    if len(report.problems) > before:
        return None
    return Results(
        name=facts.name,
        matrix_text=facts.matrix,
        settings=published.payload["settings"],
        stamp=facts.stamp,
        trials=tuple(
            Trial(
                **{name: getattr(t, name) for name in _TRIAL},
                costs=t.costs,
                artifacts=t.artifacts,
            )
            for t in facts.trials
        ),
        cells=tuple(cells),
        lines=tuple(Lines(n.dataset, n.target, n.real, n.untrained, n.pca_gaussian) for n in facts.lines),
        splits=splits,
        fingerprints={name: d.fingerprint for name, d in facts.datasets.items() if d.fingerprint is not None},
        duplicates={name: d.duplicates for name, d in facts.datasets.items() if d.duplicates is not None},
        membership={name: d.membership for name, d in facts.datasets.items() if d.membership is not None},
        snapshots=tuple(snapshots),
        plugins=facts.plugins,
    )


_TRIAL = (
    *("dataset", "target", "defense", "seed", "status", "reason", "key", "control"),
    *("quality", "stability", "claim", "caveats", "adaptive", "filtered"),
)
_CELL = (
    "seed",
    "status",
    "reason",
    "tuned_on_labels",
    "capped",
    "known",
    "models_trained",
    "models_s",
    "key",
    "artifact",
)
_PLACE = ("dataset", "target", "defense", "attack", "access", "knowledge", "adaptive")


def _splits(published: Published, facts: BoardFacts, report: Report) -> dict[str, dict[str, NDArray[np.int64]]]:
    splits: dict[str, dict[str, NDArray[np.int64]]] = {}
    for dataset, data in facts.datasets.items():
        for role, split in data.splits.items():
            if split.file != (expected := split_file(dataset, role)):
                report.problem(f"datasets: {dataset}: {role}: expected the file {expected}, got {split.file!r}")
                continue
            ids = read_ids(published, split.file, split.records, report)
            if ids is not None:
                splits.setdefault(dataset, {})[role] = ids
    return splits


def _cell(
    published: Published,
    place: AttackFacts | SnapshotFacts,
    facts: CellFacts,
    at_step: int | None,
    splits: Mapping[str, Mapping[str, NDArray[np.int64]]],
    composer: Composer,
    report: Report,
) -> Cell:
    common: dict[str, Any] = {
        **{name: getattr(place, name) for name in _PLACE},
        **{name: getattr(facts, name) for name in _CELL},
        "control": isinstance(place, AttackFacts) and place.control,
        "diagnostics": facts.diagnostics,
        "cost": facts.costs,
        "at_step": at_step,
    }
    bare = Cell(**common)
    if facts.scores is None:
        # Without its scores an attack on a snapshot stands beside no row; it only says which attacks judge snapshots.
        return Cell(**{**common, "status": "missing"}) if bare.status == "completed" else bare
    if facts.scores != score_file(bare):
        report.problem(f"attacks: expected the scores of {_name(bare)} in {score_file(bare)}, got {facts.scores!r}")
        return bare
    try:
        arrays = published.arrays(facts.scores)
    except BenchError as error:
        report.problem(str(error).replace(f"{published.folder}/", ""))
        return bare
    if not check_scores(bare, arrays, splits.get(bare.dataset, {}), composer, report):
        return bare
    return Cell(
        **common,
        record_ids=arrays["record_id"],
        membership=arrays["membership"],
        scores=arrays["score"],
        part=arrays.get("part", bare.part),
        named_part=arrays.get("named_part", bare.named_part),
        set_scores={int(n.removeprefix(OWN_SETS)): a for n, a in arrays.items() if n.startswith(OWN_SETS)},
    )


OWN_SETS = "set_score_"


def _name(cell: Cell) -> str:
    return f"{cell.dataset} / {cell.target} / {cell.defense} / {cell.attack} / {cell.seed}"
