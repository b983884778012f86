"""Releases whose leakage is known: one that has memorised its members, and one that never saw them.

An attack that works tells the members of the first apart, and finds nothing in the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Knowledge, ModelRequest, Source, TrialSpec
from bench.candidates import Candidates, granted, known_mask, model_records
from bench.devices import Device
from bench.records import Kind, Records, Schema
from bench.release import Access, Model, Release, View
from bench.rng import generator
from targets.memorizer import Memorizer
from targets.rounds import Round

if TYPE_CHECKING:
    from targets.base import Networks, Target

Leak = Literal["memorised", "never saw"]

SHAPES: dict[Kind, tuple[int, ...]] = {"image": (1, 8, 8), "table": (12,)}


class PlantedTarget(Memorizer):
    """A toy that knows its training records by heart: what perfect overfitting would look like."""

    name = "planted"


@dataclass(frozen=True)
class Planted:
    """Records whose roles are drawn by chance, and planted trials on them.

    Override ``networks`` and ``target`` for an attack that needs other networks than a generator, a discriminator, an
    encoder and a denoiser.

    Attributes:
        kind: images of 8x8 grey noise, or tables of normal noise.
        members, nonmembers, reference: how many of each.
        seed: draws the records and their roles.
    """

    kind: Kind = "image"
    members: int = 100
    nonmembers: int = 100
    reference: int = 300
    seed: int = 0

    @property
    def target(self) -> Target:
        return PlantedTarget()

    def networks(self, records: Records) -> Networks:
        """The networks of a model that has memorised these records."""
        from targets.nets.memory import memory

        return memory(records.floats(), self.margin)

    @property
    def schema(self) -> Schema:
        return Schema(self.kind, SHAPES[self.kind])

    @cached_property
    def records(self) -> Records:
        """All records; independent and alike, so that only a release can tell their roles."""
        n = self.members + self.nonmembers + self.reference
        rng = generator(self.seed, "planted records", self.kind)
        shape = (n, *self.schema.shape)
        x = rng.integers(0, 256, shape, np.uint8) if self.kind == "image" else rng.normal(size=shape).astype(np.float32)
        return Records(np.arange(n, dtype=np.int64), x, rng.integers(0, 4, n), self.schema)

    @cached_property
    def roles(self) -> Mapping[str, Records]:
        """Role -> its records, roles given by chance."""
        order = generator(self.seed, "planted roles").permutation(len(self.records))
        parts = np.split(order, [self.members, self.members + self.nonmembers])
        names = ("members", "nonmembers", "reference")
        return {name: self.records.take(np.sort(part)) for name, part in zip(names, parts, strict=True)}

    @cached_property
    def candidates(self) -> Records:
        """Members and non-members, sorted by id."""
        return self.records.by_id(np.sort(np.concatenate([self.roles["members"].ids, self.roles["nonmembers"].ids])))

    @property
    def membership(self) -> NDArray[np.bool_]:
        """Which candidates are members."""
        return np.isin(self.candidates.ids, self.roles["members"].ids)

    @cached_property
    def margin(self) -> float:
        """Half of the smallest distance between two records: nearer than that is only a record itself."""
        from scipy.spatial.distance import pdist

        return float(pdist(self.records.floats().reshape(len(self.records), -1)).min()) / 2

    def trained_on(self, leak: Leak) -> Records:
        """What the planted trial has learnt by heart: the members, or as many records of the reference."""
        if leak == "memorised":
            return self.roles["members"]
        return self.roles["reference"].take(np.arange(self.members))

    def release(self, leak: Leak) -> Release:
        """The planted trial's networks."""
        return self._release(self.trained_on(leak))

    def view(self, access: Access, leak: Leak = "memorised") -> View:
        """A view of the planted trial; its generated records are those that it has learnt, exactly."""
        learnt = self.trained_on(leak)
        return View(access, self.schema, Device(), lambda: learnt.x, lambda: self._release(learnt, access == "updates"))

    def trial(self) -> TrialSpec:
        """The planted trial as attacks plan for it."""
        sizes = {name: len(records) for name, records in self.roles.items()}
        spec = {**self.target.spec(), "name": "planted"}
        return TrialSpec(self.schema, self.members, sizes, spec, (), 0, self.members)

    def knowledge(self, attack: Attack, leak: Leak = "memorised") -> Knowledge:
        """What this attack's declared level grants, and its models, each having memorised what it asks to train on."""
        models = {request.name: self._model(request, leak) for request in attack.needs(self.trial())}
        return granted(
            attack, self._told(attack), lambda: self.roles["reference"], models, self.members, self.nonmembers
        )

    def judged(self, attack: Attack) -> Records:
        """The candidates whose truth the attack is not told, sorted by id."""
        return self._told(attack).records

    def _told(self, attack: Attack) -> Candidates:
        """Whom the attack judges, and whom it is told of; a cap does not count here."""
        everyone, membership = self.candidates, self.membership
        known = known_mask(everyone.ids, membership, attack.known)
        judged, told = (everyone.take(np.flatnonzero(part)) for part in (~known, known))
        return Candidates(judged, membership[~known], told, membership[known], capped=False)

    def _release(self, records: Records, federated: bool = False) -> Release:
        rounds = self.updates(records) if federated else ()
        return Release(self.target, self.networks(records), self.schema, Device(), updates=rounds)

    def updates(self, records: Records) -> tuple[Round, ...]:
        """Federated rounds of two clients that have memorised a half of these records each."""
        halves = np.array_split(np.arange(len(records)), 2)
        clients = {client: self.networks(records.take(half)) for client, half in enumerate(halves)}
        return (Round((0, 1), self.networks(records), clients),) * 2

    def _model(self, request: ModelRequest, leak: Leak) -> Model:
        """A requested model: it knows the records by heart that it would take for real ones."""
        asked = {
            "source": request.source,
            "size": request.size,
            "seed": request.seed,
            "part": request.part,
            "known": [request.known.members, request.known.nonmembers],
            "against": request.against,
        }
        records = model_records(asked, lambda source: self._of(source, leak), self.candidates, self.membership)
        told_apart = bool(request.known) or request.against is not None
        if told_apart and records.labels is not None:
            records = records.take(np.flatnonzero(records.labels == 1))
        real = None if request.source == "samples" or told_apart else records.ids
        learnt = records.x
        return Model(
            self.schema, Device(), lambda: self._release(records), (lambda: learnt) if request.samples else None, real
        )

    def _of(self, source: Source, leak: Leak) -> Records:
        if source == "samples":
            return self.trained_on(leak)
        return self.candidates if source == "candidates" else self.roles[source]
