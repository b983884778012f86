"""Steps on a Dask cluster: order, failures that do not stop the rest, and a scheduler of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.data.split import Split
from bench.errors import InputError
from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plan.graph import Plan
from bench.plan.status import new_steps, step_states
from bench.runner import _died, run_steps
from bench.steps.data import load_split, store_data
from bench.steps.execute import execute
from bench.steps.task import Outcome, Task
from bench.store import Store

MATRIX = {
    "name": "running",
    "dataset": {"name": "digits", "members": 40, "nonmembers": 80, "reference": 120, "validation": 40, "holdout": 120},
    "targets": [{"name": "dcgan", "width": 4, "latent": 4, "steps": 3, "batch_size": 8}],
    "defenses": ["none"],
    "attacks": ["nearest_sample"],
    "samples": 120,
    "quality": {"records": 100, "extractor": "efficientnet_lite0-64", "snapshot_records": 100},
}


class Listener:
    def __init__(self) -> None:
        self.ended: list[Outcome] = []

    def step_progress(self, step_id: str, done: int, total: int) -> None:
        assert 0 <= done <= total

    def step_ended(self, outcome: Outcome) -> None:
        self.ended.append(outcome)


def prepare(folder: Path) -> tuple[Plan, Store]:
    (folder / "matrix.yaml").write_text(yaml.safe_dump(MATRIX), "utf-8")
    plan, store = build_plan(load_matrix(folder / "matrix.yaml")), Store(folder / "store")
    for data in plan.data.values():
        store_data(data, store)
    return plan, store


def test_the_stored_split_is_the_planned_one(tmp_path: Path) -> None:
    plan, store = prepare(tmp_path)
    (data,) = plan.data.values()
    artifact = store.find("data", data.step.key)
    assert artifact is not None
    loaded: Split = load_split(artifact)
    assert loaded.records.fingerprint() == data.fingerprint
    for role, ids in data.split.ids.items():
        assert loaded.ids[role].tolist() == ids.tolist()
    assert (loaded.membership, loaded.expected_members) == (data.split.membership, data.split.expected_members)


def test_steps_run_on_a_scheduler_of_the_users(tmp_path: Path) -> None:
    from distributed import LocalCluster

    plan, store = prepare(tmp_path)
    controls = [s for s in new_steps(plan, step_states(plan, store)) if s.label.endswith(("constant", "oracle"))]
    listener = Listener()
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs="ERROR"
    ) as cluster:
        outcomes = run_steps(controls, store.root, listener, workers=1, cluster=cluster.scheduler_address)
    assert [o.status for o in outcomes] == ["done", "done"]
    assert listener.ended == outcomes


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, store = prepare(tmp_path)
    monkeypatch.setattr("bench.runner.CONNECT_TIMEOUT", "1s")
    with pytest.raises(InputError, match=r"expected a Dask scheduler at tcp://127\.0\.0\.1:1"):
        run_steps(
            new_steps(plan, step_states(plan, store))[:1],
            store.root,
            Listener(),
            workers=1,
            cluster="tcp://127.0.0.1:1",
        )


def test_an_address_that_is_none_is_the_users_error(tmp_path: Path) -> None:
    plan, store = prepare(tmp_path)
    steps = new_steps(plan, step_states(plan, store))[:1]
    with pytest.raises(InputError, match="expected a Dask scheduler at http://x:1"):
        run_steps(steps, store.root, Listener(), workers=1, cluster="http://x:1")


def test_a_killed_worker_is_a_failure_of_its_step_alone(tmp_path: Path) -> None:
    plan, store = prepare(tmp_path)
    train = next(s for s in plan.steps if s.kind == "train" and s.work)
    sample = next(s for s in plan.steps if s.kind == "sample" and s.upstream.get("train") is train)
    killed = RuntimeError("killed")
    killed.task = train.id  # type: ignore[attr-defined]  # as Dask's KilledWorker names the task
    assert _died(train, killed, store).status == "failed"
    assert _died(sample, killed, store).status == "skipped"
    assert list(store.failures()) == [train.id]


def test_nothing_to_run_starts_no_cluster(tmp_path: Path) -> None:
    assert run_steps([], tmp_path, Listener(), workers=2) == []


def test_what_follows_a_failure_is_skipped_with_its_reason(tmp_path: Path) -> None:
    plan, store = prepare(tmp_path)
    train = next(s for s in plan.steps if s.kind == "train" and s.work)
    sample = next(s for s in plan.steps if s.kind == "sample" and s.upstream.get("train") is train)
    failed = Outcome("train", train.key, train.label, "failed", "planted")
    skipped = execute(Task.of(sample), store.root, (failed,))
    assert skipped.status == "skipped"
    assert skipped.reason == f"{train.label} failed: planted"
    assert execute(Task.of(sample), store.root, (skipped,)).reason == skipped.reason


def test_a_missing_input_is_a_failure_that_says_so(tmp_path: Path) -> None:
    plan, store = prepare(tmp_path)
    sample = next(s for s in plan.steps if s.kind == "sample" and s.config["source"] == "trained")
    outcome = execute(Task.of(sample), store.root)
    assert outcome.status == "failed"
    assert "expected its input" in outcome.reason
    assert store.failures() == {sample.id: outcome.reason}


def test_a_step_is_done_once_and_measured(tmp_path: Path) -> None:
    plan, store = prepare(tmp_path)
    train = next(s for s in plan.steps if s.kind == "train" and s.work)
    assert execute(Task.of(train), store.root).status == "done"
    assert execute(Task.of(train), store.root).status == "cached"
    artifact = store.find("train", train.key)
    assert artifact is not None
    cost = artifact.cost()
    assert cost is not None
    assert cost["wall_s"] > 0
    assert cost["peak_mem_mib"] > 0
    assert cost["gpu_peak_mem_mib"] is None
    assert cost["items"] == 3
    assert "cost.json" not in artifact.files


def test_a_diverged_training_stops_what_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from targets.dcgan import DCGAN

    monkeypatch.setattr(DCGAN, "loss_limit", 1e-6)  # every loss is beyond it
    plan, store = prepare(tmp_path)
    train = next(s for s in plan.steps if s.kind == "train" and s.work)
    assert execute(Task.of(train), store.root).status == "done"
    sample = next(s for s in plan.steps if s.kind == "sample" and s.upstream.get("train") is train)
    outcome = execute(Task.of(sample), store.root)
    assert (outcome.status, outcome.reason) == ("skipped", "training diverged at step 1")
    states = step_states(plan, store)
    assert states[sample.id].state == "blocked"
