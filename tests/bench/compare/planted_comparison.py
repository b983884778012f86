"""Two boards of one matrix in memory, with planted leaks and qualities, as two trainings would give them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import MissingError
from bench.published.read import Published
from bench.rng import generator
from bench.stamp import PACKAGES

ATTACKS = {
    "logan_white_box": ("white_box", "nothing"),
    "logan_black_box": ("samples", "nothing"),
    "nearest_sample": ("samples", "nothing"),
    "domias": ("samples", "reference"),
}


@dataclass(frozen=True)
class Row:
    """What a defense is like, over all runs of it.

    Attributes:
        auc: of the worst attack; the others find a half, a quarter and none of it.
        kid: its level.
        auc_sd: standard deviation of a run's AUC, before records are drawn.
        kid_sd: the same of KID, as a share of it.
    """

    auc: float = 0.6
    kid: float = 1000.0
    auc_sd: float = 0.02
    kid_sd: float = 0.08


HOLDOUT = "splits/holdout.npz"

QUICKSTART = {
    "none": Row(0.93, 1070),
    "weight_norm": Row(0.91, 1390),
    "dropout": Row(0.51, 3640),
    "dp_sgd": Row(0.51, 7780),
}


@dataclass(frozen=True, eq=False)
class Planted(Published):
    """A board whose files are in memory."""

    files: Mapping[str, dict[str, NDArray[Any]]] = field(default_factory=dict)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        if name not in self.files:
            raise MissingError(f"{name}: expected the file that leaderboard.json names, found none")
        return self.files[name]


def shift_of(auc: float) -> float:
    """The shift, in standard deviations, at which two normal scores have this AUC."""
    return float(np.sqrt(2) * NormalDist().inv_cdf(min(max(auc, 1e-4), 1 - 1e-4)))


def board(
    rows: Mapping[str, Row],
    seeds: Sequence[int],
    draw: int,
    members: int = 250,
    nonmembers: int = 1000,
    attacks: Sequence[str] = tuple(ATTACKS),
    common: float = 0.5,
    root: int = 0,
) -> Planted:
    """One board.

    Args:
        draw: which trainings: another draw is other runs of the same defenses on the same records.
        common: share of a score's variance that belongs to the record, whatever the run.
        root: which records.
    """
    ids = np.arange(members + nonmembers, dtype=np.int64) * 3
    membership = generator(root, "membership").permutation(len(ids)) < members
    files: dict[str, dict[str, NDArray[Any]]] = {HOLDOUT: {"indices": np.arange(1, 50, dtype=np.int64)}}
    cells, trials = [], []
    for defense, row in rows.items():
        runs = {seed: generator(root, "run", draw, defense, seed) for seed in seeds}
        reached = {seed: row.auc + row.auc_sd * rng.normal() for seed, rng in runs.items()}
        for seed, rng in runs.items():
            kid = row.kid * (1 + row.kid_sd * rng.normal())
            trials.append(trial(defense, seed, kid))
        for place, attack in enumerate(attacks):
            own = generator(root, "records", defense, attack).normal(size=len(ids))
            entries = []
            for seed, rng in runs.items():
                auc = 0.5 + (reached[seed] - 0.5) * (0.5**place if place < 3 else 0)
                noise = np.sqrt(common) * own + np.sqrt(1 - common) * rng.normal(size=len(ids))
                name = f"scores/{defense}-{attack}-{seed}.npz"
                files[name] = {
                    "record_id": ids,
                    "membership": membership,
                    "score": noise + shift_of(auc) * membership,
                }
                entries.append({"seed": seed, "status": "completed", "reason": "", "scores": name})
            cells.append(attack_entry(defense, attack, entries))
    payload = {
        "format": 2,
        "name": "planted",
        "settings": {
            "samples": 2000,
            "resamples": 1000,
            "device": "cpu",
            "precision": "float32",
            "seeds": list(seeds),
            "configurations": {
                "targets": {"dcgan": [{"name": "dcgan", "steps": 1500}]},
                "defenses": {defense: [{"name": defense}] for defense in rows},
                "attacks": {attack: [{"name": attack}] for attack in attacks},
            },
        },
        "leaderboard": [leaderboard_entry(defense, len(seeds)) for defense in rows],
        "attacks": cells,
        "trials": trials,
        "datasets": {"digits": {"fingerprint": "ab" * 32, "splits": {"holdout": {"records": 49, "file": HOLDOUT}}}},
        "faults": [],
        "stamp": {
            "leakboard": "0.1.0",
            "packages": dict.fromkeys(PACKAGES, "1.0"),
            "sources": {
                "targets": {"dcgan": "11"},
                "attacks": dict.fromkeys(attacks, "22"),
                "defenses": {defense: ["33"] for defense in rows},
            },
        },
    }
    return Planted(Path("planted"), payload, files)


PLACE = {"dataset": "digits", "target": "dcgan"}


def leaderboard_entry(defense: str, seeds: int, **changed: Any) -> dict[str, Any]:
    counts = {"diverged_runs": 0, "collapsed_runs": 0, "epsilon_claimed": None, "epsilon_lower_bound": None}
    entry = {**PLACE, "defense": defense, "status": "completed", "reason": "", "seeds": seeds, "membership": "fixed"}
    return {**entry, **counts, "flags": "", **changed}


def trial(defense: str, seed: int, kid: float, **changed: Any) -> dict[str, Any]:
    half = 1.96 * 0.03 * kid
    return {
        **PLACE,
        "defense": defense,
        "seed": seed,
        "status": "completed",
        "kid": kid,
        "kid_low": kid - half,
        "kid_high": kid + half,
        "coverage": 0.3,
        "extractor": "pca",
        "n": 1500,
        "k": 5,
        **changed,
    }


def attack_entry(defense: str, attack: str, cells: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    access, knowledge = ATTACKS[attack]
    entry = {
        **PLACE,
        "defense": defense,
        "attack": attack,
        "access": access,
        "knowledge": knowledge,
        "control": False,
        "status": "completed",
        "reason": "",
    }
    return {**entry, "cells": cells, **changed}


def changed(given: Planted) -> Planted:
    """A copy whose payload can be changed."""
    return Planted(given.folder, copy.deepcopy(dict(given.payload)), given.files)


def entry(given: Planted, part: str, **where: Any) -> dict[str, Any]:
    """The one entry of a part of the payload that has these values."""
    (found,) = [each for each in given.payload[part] if all(each[key] == value for key, value in where.items())]
    entry: dict[str, Any] = found
    return entry


def write(given: Planted, folder: Path) -> Path:
    """The board as a folder."""
    for name in given.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "leaderboard.json").write_text(json.dumps(given.payload), "utf-8")
    for name, arrays in given.files.items():
        np.savez(folder / name, **arrays)  # type: ignore[arg-type]
    return folder
