"""Gathers what the store holds of a plan into ``Results``, the input of the board."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.described import described
from bench.matrix import ResolvedMatrix
from bench.metrics.quality import QualityRecord
from bench.metrics.stability import StabilityRecord, stability_of_history
from bench.metrics.table_quality import TableQualityRecord
from bench.plan.findings import DIVERGED
from bench.plan.graph import Plan, PlannedCell, PlannedData, PlannedLines, PlannedTrial, Step
from bench.plan.status import State, cell_state, step_states
from bench.published.strict_json import IN_TEXT
from bench.records import Records
from bench.results import Cell, CellStatus, Cost, Lines, PrivacyClaim, Results, Trial, TrialStatus
from bench.sources import sources
from bench.stamp import make_stamp
from bench.steps.attack import MODEL_SAMPLES, NAMED_PART, PART, SET_SCORE
from bench.store import Artifact, Store

SHEET = 64  # generated records shown per trial

_CELL_STATUS: dict[str, CellStatus] = {
    "cached": "completed", "new": "missing", "no data": "missing", "not applicable": "not_applicable",
    "blocked": "blocked", "diverged": "diverged", "failed": "failed",
}  # fmt: skip

NOBODY = np.zeros(0, np.int64)  # no part is known of anybody


def collect(resolved: ResolvedMatrix, plan: Plan, store: Store) -> Results:
    """Everything that is stored of a plan; what is not there is a row with its status and reason."""
    states = step_states(plan, store)
    return Results(
        name=resolved.matrix.name,
        matrix_text=resolved.path.read_text("utf-8"),
        settings={**_settings(resolved), "configurations": plan.configurations},
        stamp={**make_stamp(), "sources": sources(resolved, plan)},
        trials=tuple(_trial(trial, store, states) for trial in plan.trials),
        cells=tuple(_cell(cell, store, states) for cell in plan.cells),
        lines=tuple(_lines(lines, store) for lines in plan.lines),
        splits={label: dict(data.split.ids) for label, data in plan.data.items()},
        fingerprints={label: data.fingerprint for label, data in plan.data.items()},
        duplicates={label: data.split.duplicates() for label, data in plan.data.items()},
        snapshots=tuple(_cell(cell, store, states) for cell in plan.snapshots),
        membership={label: data.split.membership for label, data in plan.data.items()},
        plugins=described(resolved, plan),
        candidates={label: _candidates(data) for label, data in plan.data.items()},
    )


def _settings(resolved: ResolvedMatrix) -> dict[str, Any]:
    matrix = resolved.matrix
    return {
        "samples": matrix.samples,
        "quality": matrix.quality.model_dump(mode="json"),
        "sets": list(matrix.sets),
        "resamples": matrix.resamples,
        "device": matrix.device,
        "precision": matrix.precision,
        "seeds": list(resolved.seeds),
    }


def _candidates(data: PlannedData) -> Callable[[], Records]:
    return lambda: data.split.candidates()[0]


def _cost(artifact: Artifact | None) -> Cost | None:
    raw = artifact.cost() if artifact else None
    return Cost(**{k: v for k, v in raw.items() if k in Cost.model_fields}) if raw and "wall_s" in raw else None


def _plain(reason: str) -> str:
    """A reason without control characters: an error's text may be coloured, and a board is refused for such."""
    return IN_TEXT.sub("?", reason)


def _find(store: Store, step: Step | None) -> Artifact | None:
    return store.find(step.kind, step.key) if step is not None else None


def _trial(trial: PlannedTrial, store: Store, states: Mapping[str, State]) -> Trial:
    found = {kind: _find(store, step) for kind, step in trial.steps.items()}
    status, reason = _trial_status(trial, found, states)
    train, sample, quality = found.get("train"), found.get("sample"), found.get("quality")
    claim, history = None, {}
    if train is not None:
        facts, history = train.json("result.json"), train.arrays("history.npz")
        claim = PrivacyClaim(**facts["claim"]) if facts["claim"] else None
    return Trial(
        dataset=trial.dataset,
        target=trial.target,
        defense=trial.defense,
        seed=trial.seed,
        status=status,
        reason=_plain(reason),
        control=trial.control,
        key=trial.steps["train"].key if trial.steps else "",
        quality=_quality(quality),
        stability=_stability(train, quality),
        claim=claim,
        caveats=trial.caveats,
        adaptive=trial.adaptive,
        filtered=trial.filtered,
        artifacts={kind: a.digest for kind, a in found.items() if a is not None and kind != "preflight"},
        costs={kind: cost for kind, a in found.items() if (cost := _cost(a)) is not None},
        history=history,
        sheet=_sheet(sample),
        samples=None if sample is None else _samples(sample),
    )


def _trial_status(
    trial: PlannedTrial, found: Mapping[str, Artifact | None], states: Mapping[str, State]
) -> tuple[TrialStatus, str]:
    if trial.absent:
        return "missing", trial.absent
    if trial.refused:
        return "not_applicable", trial.refused
    for kind in ("train", "sample", "quality"):
        state = states[trial.steps[kind].id]
        if state.state == "blocked":
            return ("diverged" if state.reason.startswith(DIVERGED) else "blocked"), state.reason
        if found.get(kind) is None:
            return ("failed", f"{kind}: {state.reason}") if state.reason else ("missing", f"{kind} has not been run")
    return "completed", ""


def _quality(artifact: Artifact | None) -> QualityRecord | TableQualityRecord | None:
    """Of images or of tables: the record says which."""
    if artifact is None:
        return None
    raw = artifact.json("quality.json")
    return TableQualityRecord(**raw) if raw.get("kind") == "table" else QualityRecord(**raw)


def _sheet(sample: Artifact | None) -> NDArray[np.uint8] | None:
    """The first generated images; rows of a table are none."""
    samples = sample.arrays("samples.npz")["samples"] if sample else None
    return None if samples is None or samples.dtype != np.uint8 else samples[:SHEET]


def _samples(sample: Artifact) -> Callable[[], NDArray[Any]]:
    """Read when asked: a board that is still current needs none of them."""
    return lambda: sample.arrays("samples.npz")["samples"]


def _stability(train: Artifact | None, quality: Artifact | None) -> StabilityRecord | None:
    """From the quality step; of a diverged training, which has none, from its history alone."""
    if quality is not None:
        return StabilityRecord(**quality.json("stability.json"))
    if train is None:
        return None
    facts, history = train.json("result.json"), train.arrays("history.npz")
    return stability_of_history(history, facts["status"], facts["steps_done"])


def _cell(cell: PlannedCell, store: Store, states: Mapping[str, State]) -> Cell:
    state, reason = cell_state(cell, states)
    attack, trial = cell.attack, cell.trial
    common: dict[str, Any] = {
        "dataset": trial.dataset,
        "target": trial.target,
        "defense": trial.defense,
        "seed": trial.seed,
        "attack": cell.name,
        "access": attack.access,
        "knowledge": attack.knowledge,
        "status": _CELL_STATUS[state],
        "reason": _plain(reason) or ("has not been run" if state == "new" else ""),
        "control": attack.control,
        "adaptive": any(part.name in trial.adaptive for part in (attack, *attack.parts())),
        "tuned_on_labels": attack.tuned_on_labels,
        "models_trained": len({step.id for step in cell.models}),
        "models_s": _models_s(cell, store),
        "key": cell.step.key if cell.step else "",
        "at_step": cell.at_step,
    }
    artifact = _find(store, cell.step)
    if state != "cached" or artifact is None:
        return Cell(**common)
    arrays = artifact.arrays("scores.npz")
    result = artifact.json("result.json")
    return Cell(
        **common,
        capped=result["capped"],
        known=result["known"],
        artifact=artifact.digest,
        cost=_cost(artifact),
        diagnostics=result["diagnostics"],
        record_ids=arrays["record_id"],
        membership=arrays["membership"],
        scores=arrays["score"].astype(np.float64),
        part=arrays.get(PART, NOBODY),
        named_part=arrays.get(NAMED_PART, NOBODY),
        set_scores={
            int(name.removeprefix(SET_SCORE)): each.astype(np.float64)
            for name, each in arrays.items()
            if name.startswith(SET_SCORE)
        },
    )


def _models_s(cell: PlannedCell, store: Store) -> float | None:
    """Seconds behind the models of a cell; None where one of them is not there, or what it cost was not kept."""
    if cell.step is None:
        return None
    drawn = (step for role, step in cell.step.upstream.items() if role.startswith(MODEL_SAMPLES))
    steps = {step.id: step for step in (*cell.models, *drawn)}
    return _sum(cost.wall_s if (cost := _cost(_find(store, step))) else None for step in steps.values())


def _sum(seconds: Iterable[float | None]) -> float | None:
    total = 0.0
    for each in seconds:
        if each is None:
            return None
        total += each
    return total


def _lines(lines: PlannedLines, store: Store) -> Lines:
    def read(name: str) -> QualityRecord | TableQualityRecord | None:
        return _quality(_find(store, lines.steps.get(name)))

    return Lines(lines.dataset, lines.target, read("real"), read("untrained"), read("pca_gaussian"))
