"""Defenses that divide the members, end to end: what the server saw is stored, and parts are named on the board."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from run_matrix import bench_here, write_matrix

from bench.devices import Device
from bench.metrics.parts import read_parts
from bench.steps.train import PARTS, load_release
from bench.store import Artifact, Store
from targets.base import to_tensors

DIVIDED = """\
name: tiny
dataset: {name: digits, members: 40, nonmembers: 80, reference: 120, validation: 60, holdout: 120}
targets:
  - {name: dcgan, width: 4, latent: 4, batch_size: 8, steps: 40, learning_rate: 1.0e-3}
defenses:
  - none
  - {name: federated, clients: 3, sampled: 3, kept_rounds: 2}
  - {name: par_gan, discriminators: 2}
  - {name: more_data, factor: 2}
attacks: [logan_white_box, update_observer, {name: lira, models: 1, statistic: logan_white_box}]
seeds: [0]
controls: false
equal_kid: false
samples: 120
quality: {records: 100, extractor: efficientnet_lite0-64, snapshot_records: 100}
resamples: 100
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("divided")
    done = bench_here("run", write_matrix(folder, DIVIDED), "--results", folder / "results")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def rows(ran: Path, name: str) -> list[dict[str, str]]:
    with (ran / "results" / "tiny" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def trainings(ran: Path) -> dict[str, Artifact]:
    """Name of the defense -> its trial's training."""
    store = Store(ran / "results" / ".store")
    found = {}
    for kind, key in store.entries():
        if kind == "train" and (artifact := store.find(kind, key)) is not None:
            config = artifact.json("config.json")
            if config["records"]["source"] == "members" and config["defenses"]:
                found[config["defenses"][0]["name"]] = artifact
    return found


def test_the_rounds_are_stored_as_the_server_saw_them(ran: Path) -> None:
    artifact = trainings(ran)["federated"]
    release = load_release(artifact, {}, Device(), updates=True)
    assert len(release.updates) == 2
    for seen in release.updates:
        assert seen.cohort == (0, 1, 2)
        assert seen.clients is not None
        mine, others = (to_tensors(seen.clients[client]) for client in (0, 1))
        assert all(not np.array_equal(mine[name].numpy(), others[name].numpy()) for name in mine if "weight" in name)
    last, released = to_tensors(release.updates[-1].aggregate), to_tensors(release.networks)
    assert all(np.array_equal(last[name].numpy(), released[name].numpy()) for name in released)
    assert not load_release(artifact, {}, Device()).updates  # read by those that ask for them alone


def test_the_named_parts_on_the_board_are_those_of_the_scores(ran: Path) -> None:
    named = {row["defense"]: row for row in rows(ran, "attacks.csv") if row["part_accuracy"]}
    assert set(named) == {"federated", "par_gan"}
    attacks = {(row["defense"], row["attack"]) for row in rows(ran, "attacks.csv") if row["part_accuracy"]}
    assert attacks == {("federated", "update_observer"), ("par_gan", "logan_white_box")}
    for defense, parts in (("federated", 3), ("par_gan", 2)):
        stored = trainings(ran)[defense].arrays(PARTS)
        assert sorted(np.bincount(stored["part"]).tolist()) == sorted(
            [40 // parts + (i < 40 % parts) for i in range(parts)]
        )
        (file,) = (ran / "results" / "tiny" / "scores").glob(f"*-{defense}-{named[defense]['attack']}-*.npz")
        with np.load(file) as scores:
            members = scores["part"] >= 0
            assert np.array_equal(members, scores["membership"])
            truth = dict(zip(stored["record_id"].tolist(), stored["part"].tolist(), strict=True))
            assert [truth[i] for i in scores["record_id"][members].tolist()] == scores["part"][members].tolist()
            reading = read_parts(scores["part"][None], scores["named_part"][None])
        assert reading is not None
        assert float(named[defense]["part_accuracy"]) == pytest.approx(reading.accuracy)
        assert float(named[defense]["part_chance"]) == pytest.approx(reading.chance)


def test_the_verdict_says_who_can_be_named_and_what_the_server_sees(ran: Path) -> None:
    verdicts = {row["defense"]: row["verdict"] for row in rows(ran, "leaderboard.csv")}
    assert "update_observer names the part of" in verdicts["federated"]
    assert "The server sees each client's model" in verdicts["federated"]
    assert "names the part" not in verdicts["none"]


def test_more_data_trains_on_more_and_is_judged_on_the_same(ran: Path) -> None:
    found = trainings(ran)
    assert {name: a.json("result.json")["expected_records"] for name, a in found.items()} == {
        "none": 40,
        "federated": 40,
        "par_gan": 40,
        "more_data": 80,
    }
    judged = {
        (row["members"], row["nonmembers"]) for row in rows(ran, "attacks.csv") if row["attack"] == "logan_white_box"
    }
    assert judged == {("40", "80")}
    # Its shadows train on as many records as it does, those of the undefended trial on as many as that.
    store = Store(ran / "results" / ".store")
    sizes = {}
    for kind, key in store.entries():
        if kind == "train" and (artifact := store.find(kind, key)) is not None:
            config = artifact.json("config.json")
            if config["records"]["source"] == "reference":
                sizes[config["defenses"][0]["name"]] = artifact.json("result.json")["expected_records"]
    assert sizes == {"none": 40, "federated": 40, "par_gan": 40, "more_data": 80}


def test_the_board_is_plain_json(ran: Path) -> None:
    board = json.loads((ran / "results" / "tiny" / "leaderboard.json").read_text("utf-8"))
    assert any("part_accuracy" in row for row in board["attacks"])
