"""A small published board with planted scores, and the ways in which somebody may tamper with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from planted_board import candidates, cell, controls, idle, results, stability, trial

from bench.board.current import NOTE
from bench.canonical import canonical_json, sha256_file
from bench.published.open import open_results
from bench.results import Cell, Results, Trial
from bench.rng import generator
from bench.stamp import make_stamp
from bench.verify.check import verify

MEMBERS, NONMEMBERS, SEEDS = 40, 60, (0, 1)
STEPS, KIDS = (500, 900, 1000), {"none": (60.0, 20.0, 22.0), "dropout": (90.0, 50.0, 55.0)}
MATRIX = """\
name: planted
dataset: {name: digits, members: 40, nonmembers: 60}
targets: [./never_looked_up.py:Target]
defenses: [none, dropout]
attacks: [nearest_sample]
seeds: [0, 1]
sets: [10, 5]
resamples: 40
"""
SETTINGS = {
    "samples": 10_000,  # as the matrix has by default, and so have the next two
    "quality": {
        "records": 1500, "extractor": "efficientnet_lite0-96", "snapshot_records": 500,
        "snapshot_extractor": "efficientnet_lite0-64",
    },
    "precision": "float32",
    "sets": [10, 5], "resamples": 40, "seeds": list(SEEDS), "device": "cpu",
}  # fmt: skip
SIZE = {"members": MEMBERS, "nonmembers": NONMEMBERS}


def _trial(defense: str, seed: int) -> Trial:
    kids = KIDS[defense]
    steady = stability().model_copy(
        update={"snapshots": STEPS, "snapshot_kid": kids, "kid_final": kids[-1], "kid_best": min(kids)}
    )
    # What is filtered is not read at equal KID, so the defended row is not filtered.
    said = {"caveats": ("Mind the gap.",), "adaptive": ("adaptive",), "filtered": defense == "none"}
    return trial(defense, seed, stability=steady, **said)


def _cells(defense: str, seed: int) -> list[Cell]:
    shift = 1.2 if defense == "none" else 0.2
    sets = {5: generator(seed, "planted set scores", defense).normal(size=8 + 12)}
    capped = cell("capped", defense, seed, shift, capped=True, **SIZE)
    told = cell("told", defense, seed, shift, knowledge="labelled", known=10, **SIZE)
    kept = np.sort(generator(0, "planted kept").permutation(MEMBERS + NONMEMBERS)[:70])
    part = np.where(told.membership[10:], np.arange(90) % 2, -1)
    return [
        cell("logan_white_box", defense, seed, shift, access="white_box", models_s=4.5, models_trained=2, **SIZE),
        cell("nearest_sample", defense, seed, shift / 2, diagnostics={"p": 0.25}, set_scores=sets, **SIZE),
        _only(capped, kept),
        replace(_only(told, np.arange(10, 100)), part=part, named_part=part),
        idle("reconstruction", "not_applicable", "no encoder", defense, seed, access="white_box"),
        *controls(defense, seed, **SIZE)[::3],  # constant and blind
    ]


def _only(made: Cell, kept: np.ndarray[Any, Any]) -> Cell:
    return replace(made, record_ids=made.record_ids[kept], membership=made.membership[kept], scores=made.scores[kept])


def planted() -> Results:
    """Two defenses, two seeds; attacks that are capped, that know candidates, that judge sets, and snapshots."""
    places = [(defense, seed) for defense in KIDS for seed in SEEDS]
    ids, membership = candidates(MEMBERS, NONMEMBERS)
    snapshots = tuple(
        replace(
            cell(attack, seed=seed, shift=0.3 + step / 1000, **SIZE),
            at_step=step, key=f"key-{attack}-{seed}@{step}", artifact=f"artifact-{attack}-{seed}@{step}",
            scores=generator(seed, "planted snapshot", attack, step).normal(size=len(ids)) + membership,
        )
        for step in STEPS[:-1]
        for attack in ("nearest_sample", "logan_white_box")
        for seed in SEEDS
    )  # fmt: skip
    return results(
        tuple(_trial(*place) for place in places),
        tuple(made for place in places for made in _cells(*place)),
        matrix_text=MATRIX,
        settings=SETTINGS,
        stamp=make_stamp(),
        splits={"digits": {"members": ids[membership], "nonmembers": ids[~membership], "holdout": np.arange(900, 950)}},
        membership={"digits": "fixed"},
        snapshots=snapshots,
    )


def rehash(folder: Path) -> None:
    """Bring the list of hashes up to date, as somebody would who hides what was changed."""
    note = json.loads((folder / NOTE).read_text())
    note["files"] = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NOTE
    }
    (folder / NOTE).write_text(canonical_json(note))


def edit_json(folder: Path, change: Callable[[dict[str, Any]], object], name: str = "leaderboard.json") -> None:
    """Change a JSON file in place, and hide it."""
    payload = json.loads((folder / name).read_text())
    change(payload)
    (folder / name).write_text(json.dumps(payload))
    rehash(folder)


def edit_npz(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the arrays of a file in place, and hide it."""
    with np.load(folder / name) as kept:
        arrays = dict(kept)
    change(arrays)
    np.savez_compressed(folder / name, **arrays)
    rehash(folder)


def scores_of(folder: Path, attack: str, defense: str = "none", seed: int = 0) -> str:
    """The file of a cell's scores."""
    payload = json.loads((folder / "leaderboard.json").read_text())
    (row,) = [row for row in payload["attacks"] if (row["attack"], row["defense"]) == (attack, defense)]
    return str(next(each["scores"] for each in row["cells"] if each["seed"] == seed))


def problems(path: Path) -> list[str]:
    """All that a verification finds wrong."""
    with open_results(path) as published:
        return verify(published)[0].problems
