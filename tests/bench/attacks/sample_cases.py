"""A small model that overfits within a second, its shadows, and what they all generate: for attacks on samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Knowledge, Scored, TrialSpec
from bench.devices import Device
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import Model, Release, View
from bench.rng import RecordRng, generator
from targets.training import TrainingRequest, generate, train
from targets.vae import VAE

SCHEMA = Schema("image", (1, 8, 8))
MEMBERS, NONMEMBERS, REFERENCE, SAMPLES, SHADOWS = 40, 120, 120, 1000, 3
STEPS = 300
NULL = 4 * ((MEMBERS + NONMEMBERS + 1) / (12 * MEMBERS * NONMEMBERS)) ** 0.5  # four standard deviations of an AUC


@dataclass(frozen=True)
class Overfitted:
    """A trained target as an attack meets it.

    Attributes:
        candidates: images of blurred noise.
        membership: bool, which of them the target was trained on.
        reference: further images.
        view: of the target's samples.
        shadows: models of the reference, with their samples.
    """

    candidates: Records
    membership: NDArray[np.bool_]
    reference: Records
    view: View
    shadows: dict[str, Model]

    def score(self, attack: Attack) -> Scored:
        sizes = {"members": MEMBERS, "nonmembers": NONMEMBERS, "reference": REFERENCE}
        trial = TrialSpec(SCHEMA, MEMBERS, sizes, {"name": "vae"}, (), 0, SAMPLES)
        models = {request.name: self.shadows[request.name] for request in attack.needs(trial)}
        knowledge = Knowledge(self.reference, models=models, members=MEMBERS, nonmembers=NONMEMBERS)
        return attack.score(self.candidates, self.view, knowledge, RecordRng(0, "attack", attack.name))

    def auc(self, attack: Attack) -> float:
        return auc(self.score(attack).scores, self.membership)


def images(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """Noise, blurred so that a generator of some hundred steps can draw it."""
    noise = generator(seed, "blurred noise").normal(size=(n, 1, 10, 10))
    sums = sum(noise[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3))
    return np.clip(127.5 + 40 * np.asarray(sums), 0, 255).astype(np.uint8)


@cache
def overfitted() -> Overfitted:
    """A target that has learnt its members too well."""
    return _subject(STEPS)


@cache
def untrained() -> Overfitted:
    """One that has not seen them."""
    return _subject(0)


def _subject(steps: int) -> Overfitted:
    roles = _roles()
    judged = _everyone().take(np.sort(np.concatenate([roles[0], *roles[SHADOWS + 1 :]])))
    reference = _everyone().take(np.sort(np.concatenate(roles[1 : SHADOWS + 1])))
    view = View("samples", SCHEMA, Device(), lambda: _samples(0, steps))
    shadows = {
        f"offline-{k - 1}": Model(
            SCHEMA, Device(), lambda k=k: _trained(k, steps), lambda k=k: _samples(k, steps), np.sort(roles[k])
        )
        for k in range(1, SHADOWS + 1)
    }
    return Overfitted(judged, np.isin(judged.ids, roles[0]), reference, view, shadows)


def _everyone() -> Records:
    n = MEMBERS + NONMEMBERS + REFERENCE
    return Records(np.arange(n, dtype=np.int64), images(n), None, SCHEMA)


def _roles() -> list[NDArray[np.int64]]:
    """Ids: of the members, of each shadow's records, and of the rest."""
    order = generator(0, "roles").permutation(MEMBERS + NONMEMBERS + REFERENCE)
    return np.split(order, [MEMBERS * (k + 1) for k in range(SHADOWS + 1)])


@cache
def _trained(role: int, steps: int) -> Release:
    """Only when somebody looks at it."""
    records = _everyone().take(np.sort(_roles()[role]))
    target = VAE(width=8, latent=16, steps=steps, batch_size=20, learning_rate=3e-3, beta=0.1)
    result = train(TrainingRequest(target, (), records, len(records), records, role, Device()))
    assert result.status == "completed"
    return Release(target, result.networks, SCHEMA, Device())


def _samples(role: int, steps: int) -> NDArray[np.generic]:
    release = _trained(role, steps)
    return generate(release.target, release.networks, SCHEMA, SAMPLES, 0, Device())
