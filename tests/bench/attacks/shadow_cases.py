"""A target and shadows whose statistic is given, number by number; and real ones that overfit within a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks._shadow_attack import ShadowAttack
from bench.attacks.base import Attack, Chunk, Knowledge, Scored, TrialSpec
from bench.candidates import model_records
from bench.devices import Device
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import Model, Release, View
from bench.rng import RecordRng, generator
from targets.training import TrainingRequest, train
from targets.vae import VAE

ROW = Schema("table", (1,))
GREY = Schema("image", (1, 8, 8))


class Lookup(Attack):
    """The value that a view has for each record: its samples hold one row per record id, one column per statistic."""

    name = "lookup"
    access = "samples"

    def __init__(self, column: int = 0) -> None:
        super().__init__()
        self.column = column

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.float64]:
        return view.samples[chunk.ids, self.column].astype(np.float64)


def rows(ids: NDArray[np.int64]) -> Records:
    return Records(ids, ids[:, None].astype(np.float32), None, ROW)


@dataclass(frozen=True)
class World:
    """A statistic of candidates (ids from 0) and reference records (the ids after) under a target and its shadows.

    Attributes:
        target: float32 ``(n, statistics)``.
        shadows: float32 ``(models, n, statistics)``.
        trained: bool ``(models, n)``.
        candidates: how many of the records are candidates.
    """

    target: NDArray[np.float32]
    shadows: NDArray[np.float32]
    trained: NDArray[np.bool_]
    candidates: int

    @property
    def ids(self) -> NDArray[np.int64]:
        return np.arange(len(self.target))

    def knowledge(self, bank: str) -> Knowledge:
        models = {
            f"{bank}-{k}": Model(ROW, Device(), _nothing, lambda v=values: v, self.ids[mask])  # type: ignore[misc]
            for k, (values, mask) in enumerate(zip(self.shadows, self.trained, strict=True))
        }
        return Knowledge(rows(self.ids[self.candidates :]), models=models)

    def judge(self, attack: Attack, order: NDArray[np.int64] | None = None) -> Scored:
        """What an attack around ``Lookup`` says of the candidates."""
        if isinstance(attack, ShadowAttack):
            attack.statistic = Lookup()
        bank = "online" if attack.knowledge == "shadow + candidates" else "offline"
        given = rows(self.ids[: self.candidates] if order is None else order)
        view = View("samples", Schema("table", self.target.shape[1:]), Device(), lambda: self.target)
        return attack.score(given, view, self.knowledge(bank), RecordRng(3, "attack", attack.name))

    def with_shadows(self, shadows: NDArray[np.float32]) -> World:
        return replace(self, shadows=shadows)


def _nothing() -> Release:
    raise AssertionError("nobody needs the networks of a model whose statistic is given")


def world(
    *,
    candidates: int = 60,
    reference: int = 90,
    models: int = 6,
    online: bool = False,
    shift: float = 2.0,
    noise: float = 1.0,
    difficulty: float = 3.0,
    share: float = 0.4,
    seed: int = 0,
) -> World:
    """Normal statistics: a mean of the record's own, plus ``shift`` where it was trained on, plus noise.

    The first half of the candidates are the target's members. Shadows are trained on a random ``share`` of candidates
    (online) or reference records.
    """
    rng, n = generator(seed, "world"), candidates + reference
    mean = difficulty * rng.normal(size=n)
    trained = rng.random((models, n)) < share
    trained[:, candidates:] &= not online
    trained[:, :candidates] &= online
    member = np.arange(n) < candidates // 2
    target = mean + shift * member + noise * rng.normal(size=n)
    shadows = mean + shift * trained + noise * rng.normal(size=(models, n))
    return World(target[:, None].astype(np.float32), shadows[:, :, None].astype(np.float32), trained, candidates)


def member_auc(of: World, scores: NDArray[np.float64]) -> float:
    return auc(scores, np.arange(of.candidates) < of.candidates // 2)


MEMBERS, CANDIDATES, REFERENCE = 20, 80, 60
SIZES: Mapping[str, int] = {"members": MEMBERS, "nonmembers": CANDIDATES - MEMBERS, "reference": REFERENCE}
NULL = 4 * ((CANDIDATES + 1) / (12 * MEMBERS * (CANDIDATES - MEMBERS))) ** 0.5  # four standard deviations of an AUC


def trial(target: Mapping[str, Any] | None = None) -> TrialSpec:
    return TrialSpec(GREY, MEMBERS, SIZES, target or {"name": "vae"}, (), 0, 100)


@cache
def images() -> Records:
    """Noise of a contrast that differs by record: what has little is reconstructed well by any model."""
    n, rng = CANDIDATES + REFERENCE, generator(0, "images of many contrasts")
    contrast = np.linspace(0.3, 1, n)[rng.permutation(n), None, None, None]
    x = 127.5 + 127.5 * contrast * rng.uniform(-1, 1, (n, *GREY.shape))
    return Records(np.arange(n), x.astype(np.uint8), None, GREY)


def member_ids() -> NDArray[np.int64]:
    return np.sort(generator(0, "members").permutation(CANDIDATES)[:MEMBERS])


@cache
def _trained(ids: tuple[int, ...], seed: int, steps: int) -> Release:
    """Attacks that ask for the same model share it, as in a run."""
    target = VAE(width=8, latent=8, steps=steps, batch_size=20, learning_rate=3e-3, beta=0.5)
    records, others = images().take(np.array(ids)), images().take(np.arange(CANDIDATES, CANDIDATES + REFERENCE))
    result = train(TrainingRequest(target, (), records, len(records), others, seed, Device()))
    assert result.status == "completed"
    return Release(target, result.networks, GREY, Device())


def read_on_a_fitted_target(attack: Attack, steps: int = 300) -> float:
    """The AUC of an attack on a VAE that has learnt its members too well; its shadows are trained like it."""
    everyone = images()
    candidates, reference = everyone.take(np.arange(CANDIDATES)), everyone.take(np.arange(CANDIDATES, len(everyone)))
    membership = np.isin(candidates.ids, member_ids())
    models, sources = {}, {"candidates": candidates, "reference": reference}
    for k, request in enumerate(attack.needs(trial())):
        asked = {
            "source": request.source,
            "size": request.size,
            "seed": request.seed,
            "part": request.part,
            "known": [0, 0],
            "against": None,
        }
        ids = model_records(asked, sources.__getitem__, candidates, membership).ids
        release = _trained(tuple(ids.tolist()), 1 + k, steps)
        models[request.name] = Model(GREY, Device(), lambda r=release: r, None, ids)  # type: ignore[misc]
    target = _trained(tuple(member_ids().tolist()), 0, steps)
    view = View("white_box", GREY, Device(), None, lambda: target)
    knowledge = Knowledge(reference, models=models, members=MEMBERS, nonmembers=CANDIDATES - MEMBERS)
    return auc(attack.score(candidates, view, knowledge, RecordRng(0, "attack", attack.name)).scores, membership)
