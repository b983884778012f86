"""What is stored of a training is what was trained: bit-identical logits and samples after a round trip."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from training_cases import noise_records

from bench.data.split import ROLES, Split
from bench.devices import Device
from bench.errors import StoreError
from bench.plan.graph import PlannedData
from bench.release import Release
from bench.steps.data import store_data
from bench.steps.execute import execute
from bench.steps.task import Job, Task
from bench.steps.train import load_release, request_of
from bench.store import Store, write_json
from defenses.base import Defense
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.none import NoDefense
from defenses.weight_norm import WeightNorm
from targets.base import snapshot_steps
from targets.dcgan import DCGAN
from targets.training import generate, train

DP = DPSGD(noise_multiplier=1.0)
STACKS: list[tuple[Defense, ...]] = [
    (NoDefense(),),
    (WeightNorm(),),
    (WeightNorm(roles=["generator"]),),
    (Dropout(),),
    (DP,),
    (WeightNorm(), Dropout(), DP),
]


def split(n: int = 60) -> Split:
    records = noise_records(n)
    share = n // len(ROLES)
    ids = {role: records.ids[i * share : (i + 1) * share] for i, role in enumerate(ROLES)}
    return Split(records, ids, "fixed", share)


def train_task(stack: tuple[Defense, ...], **changed: Any) -> Task:
    config: dict[str, Any] = {
        "target": DCGAN(steps=6, batch_size=8, width=4, latent=5).spec(),
        "defenses": [defense.spec() for defense in stack],
        "device": "cpu",
        "precision": "float32",
        "seed": 3,
        "records": {"source": "members"},
        "snapshot_records": 2,
        "profile": "test",
        **changed,
    }
    return Task("train", "a" * 64, config, {"data": ("data", "d" * 64)}, None, {}, "train", "test", 6)


def stored(root: Path, stack: tuple[Defense, ...], **changed: Any) -> tuple[Store, Task]:
    store, task = Store(root), train_task(stack, **changed)
    planned = SimpleNamespace(step=SimpleNamespace(key="d" * 64), split=split())
    store_data(cast("PlannedData", planned), store)
    outcome = execute(task, root)
    assert outcome.status == "done", outcome.reason + outcome.traceback
    return store, task


@pytest.mark.parametrize("stack", STACKS, ids=repr)
def test_a_release_from_the_store_is_the_trained_target(stack: tuple[Defense, ...], tmp_path: Path) -> None:
    store, task = stored(tmp_path, stack)
    artifact = store.find("train", task.key)
    assert artifact is not None
    request = request_of(Job(task, store, tmp_path, Device(), lambda done, total: None))
    again = train(request)  # the same bytes, so these are the networks that were stored
    release = load_release(artifact, {}, Device())
    x = noise_records(20, seed=8).floats()
    live = Release(request.target, again.networks, request.records.schema, Device())
    assert np.array_equal(release.logits(x), live.logits(x))
    made = [generate(request.target, r.networks, request.records.schema, 7, 3, Device()) for r in (release, live)]
    assert np.array_equal(made[0], made[1])
    assert all(not module.training for (module,) in release.networks.values())
    facts = artifact.json("result.json")
    assert (facts["status"], facts["steps_done"], facts["expected_records"]) == ("completed", 6, 12)
    assert (facts["claim"] is not None) == (DP in stack)


def test_snapshots_of_the_networks_are_those_that_made_the_snapshots_of_the_samples(tmp_path: Path) -> None:
    plain_store, plain = stored(tmp_path / "plain", (NoDefense(),))
    store, task = stored(tmp_path / "kept", (NoDefense(),), snapshot_networks=True)
    artifact, without = store.find("train", task.key), plain_store.find("train", plain.key)
    assert artifact is not None
    assert without is not None
    extra = {f"snapshot-{step}.safetensors" for step in snapshot_steps(6)[:-1]}
    assert len(extra) == 5
    assert set(artifact.files) - set(without.files) == extra
    same = set(without.files) - {"config.json"}  # keeping networks changes no result
    assert {name: artifact.files[name] for name in same} == {name: without.files[name] for name in same}
    snapshots = artifact.arrays("snapshots.npz")
    for index, step in enumerate(snapshots["steps"].tolist()[:-1]):
        release = load_release(artifact, {}, Device(), snapshot=step)
        made = generate(release.target, release.networks, release.schema, 2, task.config["seed"], Device())
        assert np.array_equal(made, snapshots["records"][index])
    last, first = load_release(artifact, {}, Device()), load_release(artifact, {}, Device(), snapshot=1)
    x = noise_records(20, seed=8).floats()
    assert not np.array_equal(last.logits(x), first.logits(x))
    with pytest.raises(StoreError, match=r"expected a file snapshot-6\.safetensors"):
        load_release(artifact, {}, Device(), snapshot=6)  # the end of the training is no snapshot


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    store, task = stored(tmp_path, (NoDefense(),))
    artifact = store.find("train", task.key)
    assert artifact is not None
    with store.write("train", "b" * 64) as folder:
        for name in ("weights.safetensors", "result.json"):
            (folder / name).write_bytes((artifact.folder / name).read_bytes())
        write_json(folder / "config.json", {**task.config, "defenses": [WeightNorm().spec()]})
    other = store.find("train", "b" * 64)
    assert other is not None
    with pytest.raises(StoreError, match="the weights do not fit discriminator"):
        load_release(other, {}, Device())
