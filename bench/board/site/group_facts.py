"""From what a trial group was computed: data, options, cost, versions, keys and hashes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bench.board.rows import Row
from bench.board.trial_rows import largest
from bench.board.words import EMPTY, number
from bench.results import Cost, Results

STEPS = ("train", "sample", "quality")

Facts = list[tuple[str, str]]


def configuration(results: Results, row: Row) -> list[dict[str, Any]]:
    """Data set, target and each defense of the stack, with every option as it was run, defaults included."""
    made = []
    for kind, plural, label in zip(
        ("data set", "target", "defense"), ("datasets", "targets", "defenses"), row.place, strict=True
    ):
        specs = results.settings.get("configurations", {}).get(plural, {}).get(label, ())
        described = results.plugins.get(plural, {}).get(label, ())
        for index in range(max(1, len(specs), len(described))):
            spec = specs[index] if index < len(specs) else {}
            entry = described[index] if index < len(described) else {}
            made.append(
                {
                    "kind": kind,
                    "name": entry.get("name") or spec.get("name") or label,
                    "summary": entry.get("summary", ""),
                    "paper": entry.get("paper", ""),
                    "options": [(key, _option(value)) for key, value in spec.items() if key != "name"],
                }
            )
    return made


def _option(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def data_facts(results: Results, dataset: str) -> Facts:
    """Sizes of the split, how membership was decided, and the hash of the records."""
    splits = results.splits.get(dataset, {})
    known = {
        "records": ", ".join(f"{len(ids):,} {name}" for name, ids in splits.items()),
        "membership": results.membership.get(dataset, ""),
        "exact duplicates across the split": f"{results.duplicates[dataset]:,}"
        if dataset in results.duplicates
        else "",
        "fingerprint": results.fingerprints.get(dataset, ""),
    }
    return [(name, text) for name, text in known.items() if text]


def cost(row: Row) -> dict[str, Any]:
    """Seconds of each seed by step, and in sum; memory and device."""
    listed = []
    for trial in row.trials:
        attacks = [c.cost for a in row.attacks for c in a.cells if c.seed == trial.seed and c.cost is not None]
        seconds = [trial.costs[step].wall_s if step in trial.costs else None for step in STEPS]
        seconds.append(_sum(found.wall_s for found in attacks))
        own = [trial.costs[step] for step in STEPS if step in trial.costs]
        listed.append((f"seed {trial.seed}", seconds, [*own, *attacks]))
    totals = [_sum(seconds[place] for _, seconds, _ in listed) for place in range(len(STEPS) + 1)]
    rows = [_cost_row(*each) for each in listed]
    if len(listed) > 1:
        rows.append(_cost_row("all seeds", totals, [each for _, _, costs in listed for each in costs]))
    return {"rows": rows, "known": any(costs for _, _, costs in listed)}


def _cost_row(label: str, seconds: list[float | None], costs: list[Cost]) -> dict[str, Any]:
    return {
        "label": label,
        "seconds": [number(each, 1) for each in (*seconds, _sum(seconds))],
        "memory": number(largest(each.peak_mem_mib for each in costs), 0),
        "gpu": number(largest(each.gpu_peak_mem_mib for each in costs), 0),
        "device": ", ".join(sorted({f"{each.device} {each.precision}" for each in costs})) or EMPTY,
    }


def _sum(seconds: Iterable[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [each for each in seconds if each is not None]
    return sum(known) if known else None


def artifacts(row: Row) -> list[dict[str, Any]]:
    """Key and hashes of what each seed left: two runs with the same ones found the same."""
    return [
        {"seed": trial.seed, "key": trial.key or EMPTY, "hashes": sorted(trial.artifacts.items())}
        for trial in row.trials
    ]


def stamp(stamp: Mapping[str, Any]) -> Facts:
    """Versions, platform and the state of the code, as text."""
    return [(str(key), _stamped(key, value)) for key, value in stamp.items() if key != "sources"]


def _stamped(key: str, value: Any) -> str:
    if key == "git":
        if not isinstance(value, Mapping):
            return "no checkout"
        return f"{value.get('commit', EMPTY)}{', with uncommitted changes' if value.get('dirty') else ''}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version or 'not installed'}" for name, version in value.items())
    return str(value)
