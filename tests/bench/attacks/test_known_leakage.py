"""Every attack on targets whose leakage is known: it finds the memorizer's members, and nothing in the resampler.

The steps are those of a run, so an attack's knowledge and the models that it asks for come about as they do there.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pytest

from bench.attacks.base import Attack
from bench.matrix import load_matrix
from bench.metrics.roc import auc
from bench.plan.build import build_plan
from bench.plan.graph import Plan, PlannedCell, Step
from bench.registry import get, names
from bench.steps.execute import execute
from bench.steps.task import Task
from bench.store import Store

# Members and non-members: few members, so that an attacker's GAN of seconds can learn them by heart; and many of both,
# so that chance is narrow.
SIZES = {"memorizer": (25, 175), "resampler": (150, 150)}
FOUND = 0.95
NULL_DEVIATIONS = 3.29  # 99.9 % of a normal distribution lies within; the records and seeds are fixed

# Attack -> options with which it works within seconds; every other attack runs as it is.
SMALL: dict[str, dict[str, Any]] = {
    "logan_black_box": {"steps": 1000, "width": 16, "batch_size": 16, "learning_rate": 2e-3},
    # The paper's other radius: its median lets half of all candidates have samples near, and few are members here.
    "monte_carlo": {"radius": 0.001},
    "reconstruction": {"encodings": 5},
    "logan_discriminative": {"steps": 1500, "width": 16, "batch_size": 32, "learning_rate": 2e-3},
    "generated_classifier": {"steps": 1500, "width": 16, "batch_size": 32, "learning_rate": 2e-3},  # the same model
    "logan_generative": {"steps": 600, "width": 16, "batch_size": 32, "learning_rate": 2e-3},
    "gan_leaks_partial": {"evaluations": 100},
    "gan_leaks_white_box": {"evaluations": 30},
    "co_membership": {"steps": 100, "restarts": 1},
    "augmented": {"shift": 0},  # of 8 pixels one is a lot: a shifted digit is far from all that the release knows
}
ATTACKS = [name for name in names("attacks") if not cast("type[Attack]", get("attacks", name)).control]


class Bench:
    """A matrix of one target and every attack, whose steps are computed when a cell is asked for."""

    def __init__(self, target: str, folder: Path) -> None:
        self.target = target
        self.folder = folder
        self.store = Store(folder / "store")

    @cached_property
    def plan(self) -> Plan:
        members, nonmembers = SIZES[self.target]
        matrix = {
            "name": "known-leakage",
            "dataset": {"name": "digits", "members": members, "nonmembers": nonmembers, "reference": 300},
            "targets": [self.target],
            "defenses": ["none"],
            "attacks": [{"name": name, **SMALL.get(name, {})} for name in ATTACKS],
            "samples": 500,
            "quality": {"records": 100, "snapshot_records": 100},
            "controls": False,
        }
        path = self.folder / "matrix.yaml"
        path.write_text(json.dumps(matrix), "utf-8")
        return build_plan(load_matrix(path))

    def cell(self, attack: str) -> PlannedCell:
        (found,) = [cell for cell in self.plan.cells if cell.attack.name == attack]
        return found

    def auc(self, attack: str) -> float:
        """What the attack reads; skips the test where it is not applicable."""
        step = self.cell(attack).step
        if step is None:
            pytest.skip(self.cell(attack).not_applicable)
        self._compute(step)
        found = self.store.find("attack", step.key)
        assert found is not None
        arrays = found.arrays("scores.npz")
        return auc(arrays["score"], arrays["membership"])

    def _compute(self, step: Step) -> None:
        from bench.steps.data import store_data

        for before in step.upstream.values():
            self._compute(before)
        if step.kind == "data":
            for data in self.plan.data.values():
                store_data(data, self.store)
            return
        outcome = execute(Task.of(step), self.store.root)
        assert outcome.ok, outcome.traceback or outcome.reason


@pytest.fixture(scope="module")
def memorizer(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench("memorizer", tmp_path_factory.mktemp("memorizer"))


@pytest.fixture(scope="module")
def resampler(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench("resampler", tmp_path_factory.mktemp("resampler"))


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_finds_the_members_of_the_memorizer(memorizer: Bench, attack: str) -> None:
    read = memorizer.auc(attack)
    print(f"{attack} on the memorizer: AUC {read:.3f}")
    assert read >= FOUND


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_reads_chance_on_the_resampler(resampler: Bench, attack: str) -> None:
    read = resampler.auc(attack)
    print(f"{attack} on the resampler: AUC {read:.3f}")
    # Standard deviation of the Mann-Whitney statistic where members and non-members are alike; ties make it smaller.
    m, n = SIZES["resampler"]
    assert abs(read - 0.5) <= NULL_DEVIATIONS * ((m + n + 1) / (12 * m * n)) ** 0.5


def test_most_attacks_apply_to_the_controls(memorizer: Bench) -> None:
    """A skip above must stay the exception, or nothing is tested."""
    applicable = [name for name in ATTACKS if memorizer.cell(name).step is not None]
    assert len(applicable) >= 0.8 * len(ATTACKS)
