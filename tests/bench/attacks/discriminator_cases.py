"""A small discriminator that overfits within a second: for attacks on discriminators, of any defense stack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Knowledge
from bench.devices import Device
from bench.metrics.roc import auc
from bench.records import Records, Schema
from bench.release import Access, Release, View
from bench.rng import RecordRng, generator
from defenses.base import Defense
from targets.logan_attacker import LoganAttacker
from targets.training import TrainingRequest, train

SCHEMA = Schema("image", (1, 8, 8))
MEMBERS, NONMEMBERS, REFERENCE, FAKES = 20, 80, 40, 40


@dataclass(frozen=True)
class Trained:
    """A trained target as an attack meets it.

    Attributes:
        candidates: images of noise.
        membership: bool, which of them it was trained on.
        reference: further images.
        release: its networks.
    """

    candidates: Records
    membership: NDArray[np.bool_]
    reference: Records
    release: Release

    def scores(self, attack: Attack, access: Access | None = None) -> NDArray[np.float64]:
        view = View(access or attack.access, SCHEMA, Device(), release=lambda: self.release)
        reference = self.reference if attack.knowledge == "reference" else None
        knowledge = Knowledge(reference, members=MEMBERS, nonmembers=NONMEMBERS)
        return attack.score(self.candidates, view, knowledge, RecordRng(0, "attack", attack.name)).scores

    def auc(self, attack: Attack) -> float:
        return auc(self.scores(attack), self.membership)


@cache
def overfitted(*defenses: Defense, steps: int = 300) -> Trained:
    """A discriminator of members against other noise, which it must learn by heart; of no steps, it knows nothing."""
    n = MEMBERS + NONMEMBERS + REFERENCE + FAKES
    x = generator(0, "noise images").integers(0, 256, (n, *SCHEMA.shape), dtype=np.uint8)
    everyone = Records(np.arange(n, dtype=np.int64), x, None, SCHEMA)
    candidates = everyone.take(np.arange(MEMBERS + NONMEMBERS))
    reference = everyone.take(np.arange(MEMBERS + NONMEMBERS, n - FAKES))
    membership = np.arange(len(candidates)) % 5 == 0
    places = np.concatenate([np.flatnonzero(membership), np.arange(n - FAKES, n)])
    labels = np.repeat([1, 0], [MEMBERS, FAKES])
    records = replace(everyone.take(places), labels=labels, schema=replace(SCHEMA, classes=2))
    target = LoganAttacker(width=16, latent=4, steps=steps, batch_size=20, generates=False, balanced=True)
    trained = train(TrainingRequest(target, defenses, records, len(records), records, 0, Device()))
    assert trained.status == "completed"
    return Trained(candidates, membership, reference, Release(target, trained.networks, SCHEMA, Device()))
