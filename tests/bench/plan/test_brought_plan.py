"""What is planned of a model that was trained elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.steps.preflight import _shortened
from targets.dcgan import DCGAN

MATRIX = """
name: mine
dataset: {name: digits, members: 40, nonmembers: 80, reference: 120, validation: 40, holdout: 120}
targets:
  - {name: samples, path: made.npz}
  - {name: dcgan, width: 4, steps: 30}
defenses: [none, dropout]
attacks: [nearest_sample]
seeds: [0, 1, 2]
samples: 200
quality: {records: 100}
"""


def test_a_brought_model_is_one_training_whatever_the_seeds(tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", images=np.zeros((300, 8, 8), np.uint8))
    (tmp_path / "mine.yaml").write_text(MATRIX, "utf-8")
    plan = build_plan(load_matrix(tmp_path / "mine.yaml"))
    found = [(t.target, t.defense, t.seed, bool(t.refused)) for t in plan.trials]
    assert [f for f in found if f[0] == "samples"] == [("samples", "none", 0, False), ("samples", "dropout", 0, True)]
    assert len([f for f in found if f[0] == "dcgan"]) == 6
    (refused,) = {t.refused for t in plan.trials if t.refused}
    assert refused == "samples was trained elsewhere, so dropout cannot change its training"
    (lines,) = [line for line in plan.lines if line.target == "samples"]
    assert set(lines.steps) == {"real", "pca_gaussian"}


def test_a_preflight_finds_files_where_the_matrix_has_them(tmp_path: Path) -> None:
    assert _shortened(DCGAN().at(tmp_path), 1).base_dir == tmp_path
