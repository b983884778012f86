"""What the store holds of a cell, as the board gets it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.attacks.nearest_sample import NearestSample
from bench.collect import _cell
from bench.plan.graph import PlannedCell, PlannedTrial, Step, StepKind
from bench.plan.status import State
from bench.results import Cell
from bench.store import COST, Store, write_arrays, write_json


def step(kind: StepKind, name: str, upstream: Mapping[str, Step] | None = None) -> Step:
    return Step(kind, name * 64, {}, upstream or {}, {}, f"{kind} {name}", 1)


MODELS = (step("train", "a"), step("train", "b"))
DRAWN = step("sample", "c")
ATTACK = step(
    "attack",
    "d",
    {"model/one": MODELS[0], "model/two": MODELS[1], "model/again": MODELS[0], "model samples/one": DRAWN},
)
ARRAYS: dict[str, Any] = {
    "record_id": np.arange(6),
    "membership": np.arange(6) < 3,
    "score": np.linspace(0, 1, 6, dtype=np.float32),
    "set_score_2": np.array([2.0, 1.0], dtype=np.float32),
    "set_score_3": np.array([4.0, 3.0]),
}


def stored(root: Path, costs: Mapping[str, float]) -> Store:
    store = Store(root)
    with store.write("attack", ATTACK.key) as folder:
        write_arrays(folder / "scores.npz", ARRAYS)
        write_json(folder / "result.json", {"diagnostics": {"p": 0.5}, "capped": True, "known": 4})
    for made in (*MODELS, DRAWN):
        with store.write(made.kind, made.key) as folder:
            write_json(folder / "result.json", {})
        if made.label in costs:
            write_json(store.folder(made.kind, made.key) / COST, {"wall_s": costs[made.label], "label": made.label})
    return store


def collected(
    store: Store, models: tuple[Step, ...] = (MODELS[0], MODELS[1], MODELS[0]), attack: Step = ATTACK
) -> Cell:
    planned = PlannedTrial("digits", "dcgan", "none", 0, "", {"train": MODELS[0], "sample": DRAWN})
    cell = PlannedCell(planned, NearestSample(), "co", "", attack, models)
    every = (attack, *MODELS, DRAWN)
    return _cell(cell, store, {each.id: State("cached", "") for each in every})


def test_scores_of_sets_and_what_was_known_are_kept(tmp_path: Path) -> None:
    cell = collected(stored(tmp_path, {}))
    assert cell.status == "completed"
    assert (cell.capped, cell.known, dict(cell.diagnostics)) == (True, 4, {"p": 0.5})
    assert {size: scores.tolist() for size, scores in cell.set_scores.items()} == {2: [2.0, 1.0], 3: [4.0, 3.0]}
    assert {scores.dtype for scores in (cell.scores, *cell.set_scores.values())} == {np.dtype(np.float64)}


def test_models_are_counted_once_and_cost_training_and_sampling(tmp_path: Path) -> None:
    cell = collected(stored(tmp_path, {"train a": 10.0, "train b": 20.0, "sample c": 0.5}))
    assert (cell.models_trained, cell.models_s) == (2, pytest.approx(30.5))


def test_a_cost_that_was_not_kept_is_not_zero(tmp_path: Path) -> None:
    assert collected(stored(tmp_path, {"train a": 10.0, "sample c": 0.5})).models_s is None


def test_an_attack_without_models_costs_none(tmp_path: Path) -> None:
    plain = Step("attack", ATTACK.key, {}, {}, {}, "attack d", 1)
    cell = collected(stored(tmp_path, {}), (), plain)
    assert (cell.models_trained, cell.models_s) == (0, 0.0)


def test_a_reason_steers_no_terminal(tmp_path: Path) -> None:
    """A library may colour the text of its errors."""
    planned = PlannedTrial("digits", "dcgan", "none", 0, "", {"train": MODELS[0], "sample": DRAWN})
    cell = PlannedCell(planned, NearestSample(), "co", "", ATTACK, ())
    states = {each.id: State("cached", "") for each in (*MODELS, DRAWN)}
    states[ATTACK.id] = State("new", "\x1b[31mno\x07\tmemory\nat all\ud800")
    found = _cell(cell, Store(tmp_path), states)
    assert found.status == "failed"
    assert found.reason.endswith("tried again: ?[31mno?\tmemory\nat all?")
