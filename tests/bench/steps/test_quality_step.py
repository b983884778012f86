"""The quality step on planted tables: a copy of the distribution against noise, from stored artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.data.fitted import fit_on_reference
from bench.data.sets.breast_cancer import BreastCancer
from bench.data.split import ROLES, Split
from bench.devices import Device
from bench.errors import InputError
from bench.metrics.stability import StabilityRecord
from bench.metrics.table_quality import TableQualityRecord
from bench.rng import generator
from bench.steps import quality
from bench.steps.data import _write
from bench.steps.task import Job, Task
from bench.store import Store, write_arrays, write_json


@pytest.fixture(scope="module")
def split() -> Split:
    records = BreastCancer().load(Path())
    ends = np.cumsum([0, 60, 100, 200, 40, 169])
    order = generator(0, "test split").permutation(len(records))
    ids = {role: np.sort(order[a:b]) for role, a, b in zip(ROLES, ends, ends[1:], strict=False)}
    return fit_on_reference(Split(records, ids, "fixed", 60))


def run(folder: Path, split: Split, trained: bool = False, **samples: NDArray[Any]) -> tuple[Any, Path]:
    """The step's record, from a store that holds the split and, if given, generated rows."""
    store, inputs = Store(folder / "store"), {"data": ("data", "d" * 64)}
    with store.write(*inputs["data"]) as place:
        _write(place, split)
    if samples:
        inputs["sample"] = ("sample", "e" * 64)
        with store.write(*inputs["sample"]) as place:
            write_arrays(place / "samples.npz", samples)
    if trained:
        inputs["train"] = ("train", "f" * 64)
        with store.write(*inputs["train"]) as place:
            write_json(place / "result.json", {"status": "completed", "steps_done": 300})
            write_arrays(place / "history.npz", {"loss/decoder": np.linspace(2, 1, 300)})
    config = {"records": 200, "extractor": "table"}
    task = Task("quality", "0" * 64, config, inputs, None, {}, "quality", "quality/table", 200)
    quality.compute(Job(task, store, folder, Device("cpu"), lambda done, total: None))
    return TableQualityRecord(**json.loads((folder / "quality.json").read_text())), folder


def fresh(split: Split, noise: bool) -> dict[str, Any]:
    """Real rows that nobody was trained on, with their labels; or rows that know neither spread nor class."""
    real = split.role("nonmembers")
    assert real.labels is not None
    if noise:
        drawn = 0.1 * generator(0, "test noise").normal(size=real.x.shape)
        return {"samples": drawn.astype(np.float32), "labels": np.arange(len(real), dtype=np.int64) % 2}
    return {"samples": real.x, "labels": real.labels}


def test_planted_rows_are_judged_rightly(tmp_path: Path, split: Split) -> None:
    for name in ("real", "good", "noise"):
        (tmp_path / name).mkdir()
    real, _ = run(tmp_path / "real", split)
    good, folder = run(tmp_path / "good", split, trained=True, **fresh(split, noise=False))
    noise, _ = run(tmp_path / "noise", split, **fresh(split, noise=True))
    assert (real.n, good.n) == (169, 100)
    assert good.marginal_distance_high < noise.marginal_distance_low
    assert good.correlation_distance_high < noise.correlation_distance_low
    assert real.marginal_distance < good.marginal_distance_high
    assert real.utility is None
    assert good.utility > 0.9 > 0.75 > noise.utility
    assert noise.utility_real == good.utility_real > 0.9
    assert (good.utility_n, good.member_proximity_n) == (100, 60)
    assert good.member_proximity_low < 0 < good.member_proximity_high
    kept = StabilityRecord(**json.loads((folder / "stability.json").read_text()))
    assert kept.loss_oscillation == pytest.approx(1)
    assert (kept.kid_final, kept.snapshots) == (None, ())
    assert not (tmp_path / "noise" / "stability.json").exists()


def test_rows_without_labels_have_no_utility(tmp_path: Path, split: Split) -> None:
    found, _ = run(tmp_path, split, samples=fresh(split, noise=False)["samples"])
    assert (found.utility, found.utility_real, found.utility_n) == (None, None, None)


def test_rows_of_another_table_are_refused(tmp_path: Path, split: Split) -> None:
    with pytest.raises(InputError, match=r"samples rows of shape \(n, 30\), got \(100, 29\)"):
        run(tmp_path, split, samples=fresh(split, noise=False)["samples"][:, :29])
