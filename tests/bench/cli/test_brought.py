"""The whole path for models that were trained elsewhere: the user's own records, samples and weights."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from run_matrix import bench_here, write_matrix

from bench.data.sets.digits import Digits
from bench.devices import Device
from bench.records import Records

MATRIX = """\
name: tiny
dataset: {name: npz, members: members.npz, nonmembers: nonmembers.npz, holdout: holdout.npz}
targets:
  - {name: samples, path: samples.npz}
  - {name: checkpoint, path: weights.safetensors, target: {name: dcgan, width: 4, latent: 8}}
defenses: [none, dropout]
attacks:
  - logan_white_box
  - nearest_sample
seeds: [0]
samples: 120
quality: {records: 100, extractor: efficientnet_lite0-64, snapshot_records: 100}
resamples: 100
"""


def digits() -> dict[str, Records]:
    records = Digits().load(Path())
    assert isinstance(records, Records)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(records))
    ends = {"members": (0, 40), "nonmembers": (40, 120), "holdout": (120, 240)}
    return {role: records.take(order[slice(*end)]) for role, end in ends.items()}


def write_weights(folder: Path, members: Records) -> None:
    """What a tiny training elsewhere left."""
    from safetensors.torch import save_file

    from targets.base import to_tensors
    from targets.dcgan import DCGAN
    from targets.training import TrainingRequest, train

    target = DCGAN(width=4, latent=8, steps=20, batch_size=16)
    nobody = members.take(np.zeros(0, np.int64))
    trained = train(TrainingRequest(target, (), members, len(members), nobody, 0, Device()))
    tensors = {name: tensor.contiguous() for name, tensor in to_tensors(trained.networks).items()}
    save_file(tensors, folder / "weights.safetensors")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brought")
    roles = digits()
    for role, records in roles.items():
        np.savez(folder / f"{role}.npz", images=records.x[:, 0])
    # What a model that copies its members would generate; more than are asked for, so that seeds draw from them.
    np.savez(folder / "samples.npz", images=np.concatenate([roles["members"].x[:, 0]] * 4))
    write_weights(folder, roles["members"])
    done = bench_here("run", write_matrix(folder, MATRIX), "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    return folder


def rows(folder: Path, table: str) -> dict[tuple[str, ...], dict[str, str]]:
    keys = [key for key in ("target", "defense", "attack", "seed") if key != "attack" or table == "attacks.csv"]
    with (folder / "results" / "tiny" / table).open(newline="") as file:
        found = list(csv.DictReader(file))
    return {tuple(row[key] for key in keys if key in row): row for row in found}


def test_samples_that_are_copies_of_members_give_them_away(ran: Path) -> None:
    read = rows(ran, "attacks.csv")
    assert float(read["samples", "none", "nearest_sample"]["auc"]) > 0.97
    assert 0 < float(read["checkpoint", "none", "nearest_sample"]["auc"]) < 1
    assert float(read["samples", "none", "constant"]["auc"]) == 0.5


def test_what_needs_networks_has_them_or_says_so(ran: Path) -> None:
    read = rows(ran, "attacks.csv")
    assert 0 < float(read["checkpoint", "none", "logan_white_box"]["auc"]) < 1
    assert read["samples", "none", "logan_white_box"]["auc"] == ""
    planned = bench_here("plan", ran / "tiny.yaml", "--results", ran / "results")
    assert "logan_white_box needs the target's discriminator, and samples has none" in planned.stdout
    assert "samples was trained elsewhere, so dropout cannot change its training" in planned.stdout


def test_nothing_is_trained_and_quality_is_measured(ran: Path) -> None:
    trials, boards = rows(ran, "trials.csv"), rows(ran, "leaderboard.csv")
    for target in ("samples", "checkpoint"):
        row = trials[target, "none", "0"]
        assert row["status"] == "completed"
        assert row["kid"] != ""
        assert (boards[target, "none"]["kid_untrained"] != "") == (target == "checkpoint")
    assert not list((ran / "results" / ".store").glob("preflight/*"))


def test_other_weights_are_another_trial(ran: Path, tmp_path: Path) -> None:
    """The content of the files is part of a step's identity, their place is not."""
    for file in ran.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    same = bench_here("plan", tmp_path / "tiny.yaml", "--results", ran / "results")
    assert same.returncode == 0, same.stderr
    assert "new " not in same.stdout
    np.savez(tmp_path / "samples.npz", images=np.zeros((120, 8, 8), np.uint8))
    other = bench_here("plan", tmp_path / "tiny.yaml", "--results", ran / "results")
    new = [line for line in other.stdout.splitlines() if line.startswith("new")]
    assert new
    assert all("/samples/" in line for line in new)


def test_a_file_that_is_not_there_is_the_users_mistake(ran: Path, tmp_path: Path) -> None:
    for file in ran.glob("*.npz"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    done = bench_here("plan", write_matrix(tmp_path, MATRIX), "--results", tmp_path / "results")
    assert done.returncode == 2
    assert "checkpoint: expected a file or folder as 'path', but there is no" in done.stderr
