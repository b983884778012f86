"""What an attack declares and computes; the base class owns the public call.

``score`` is final: it sorts candidates by record id, hands them out in chunks of a fixed size, and checks what comes
back. So the order of the candidates changes nothing, and the chunk size nothing that matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from bench.errors import PluginError
from bench.plugin import Plugin, PluginOptions
from bench.records import Records, Schema
from bench.rng import RecordRng

if TYPE_CHECKING:
    from bench.release import Access, Release, View

KnowledgeLevel = Literal["nothing", "reference", "labelled", "shadow", "shadow + candidates", "labels"]
CostClass = Literal["seconds", "minutes", "one training", "many trainings"]
Source = Literal["members", "samples", "reference", "candidates"]

CHUNK = 512  # candidates per call; the last chunk is padded, so every call has the same shape


@dataclass(frozen=True)
class TrialSpec:
    """What is known of a trial before anything has run; all that ``needs`` may depend on.

    Attributes:
        schema: shape of the records.
        members: number of records the trial trains on (the public, expected one).
        sizes: role of the split -> number of records.
        target, defenses: the trial's specs, as JSON.
        seed: the trial's seed.
        samples: number of generated records per trial.
    """

    schema: Schema
    members: int
    sizes: Mapping[str, int]
    target: Mapping[str, Any]
    defenses: tuple[Mapping[str, Any], ...]
    seed: int
    samples: int


@dataclass(frozen=True)
class ModelRequest:
    """A model that an attack wants trained: a train step of the graph like any other, shared and cached.

    Attributes:
        name: under which it arrives in ``knowledge.models``.
        target: spec of the model, ``{"name": ..., options}``.
        defenses: stack it is trained under; None: the trial's own.
        source: what it trains on: the trial's generated samples, or records of the split.
        size: how many of them, a seeded subset; None: all.
        seed: seed of the subset and of the training.
    """

    name: str
    target: Mapping[str, Any]
    source: Source
    defenses: tuple[Mapping[str, Any], ...] | None = ()
    size: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Knowledge:
    """What an attacker knows besides the release; only what the declared level grants is filled in.

    Attributes:
        reference: records from the same source, disjoint from all candidates; None without that knowledge.
        membership: record id -> truth, for ``labels`` (controls only).
        models: the attack's own models by request name.
    """

    reference: Records | None = None
    membership: Mapping[int, bool] | None = None
    models: Mapping[str, Release] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """Some of the candidates, as an attack gets to judge them; the last ones may repeat (padding).

    Attributes:
        ids: int64 ``(n,)``, what random draws are keyed by.
        x: float32 ``(n, *shape)``.
        labels: int64 ``(n,)`` or None: a record's label is part of the record.
    """

    ids: NDArray[np.int64]
    x: NDArray[np.float32]
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Scored:
    """What an attack step found.

    Attributes:
        scores: float64, one per candidate, in the order in which the candidates were given.
        diagnostics: further figures that the attack reports of itself.
    """

    scores: NDArray[np.float64]
    diagnostics: Mapping[str, float]


class Attack(Plugin):
    """Base class of attacks. Larger score = more likely a member, for every attack.

    Attributes:
        access: what it touches of the release.
        knowledge: what it knows besides.
        data: kinds of records it can judge.
        needs_roles: networks that the target must have, else the attack is not applicable.
        control: whether it measures the instrument instead of the defense; never in a headline.
        cost: rough cost class, for listings.
        tuned_on_labels, capped: flags that this attack's rows carry.
    """

    class Options(PluginOptions):
        """No options."""

    access: ClassVar[Access]
    knowledge: ClassVar[KnowledgeLevel] = "nothing"
    data: ClassVar[frozenset[str]] = frozenset({"image", "table"})
    needs_roles: ClassVar[frozenset[str]] = frozenset()
    control: ClassVar[bool] = False
    cost: ClassVar[CostClass] = "seconds"
    tuned_on_labels: ClassVar[bool] = False
    capped: ClassVar[bool] = False

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        """Why this attack cannot judge such a trial, or None; a row of the plan, not a failure.

        Args:
            trial: the trial.
            roles: the target's networks.
        """
        if trial.schema.kind not in self.data:
            return f"{self.name} judges {' and '.join(sorted(self.data))} records, not {trial.schema.kind} records"
        if missing := sorted(self.needs_roles - roles):
            return f"{self.name} needs the target's {' and '.join(missing)}, and {trial.target['name']} has none"
        if self.access in ("latent", "white_box") and not roles:
            return f"{self.name} needs the target's networks, and {trial.target['name']} has samples alone"
        if self.access == "decision" and "discriminator" not in roles:
            return f"{self.name} asks the target's discriminator, and {trial.target['name']} has none"
        return None

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        """The models to train for this attack, from configuration alone."""
        return ()

    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> Any:
        """Work done once for all candidates, which come sorted by id; the result goes to every ``score_chunk``."""
        return None

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> NDArray[np.floating[Any]]:
        """Scores ``(len(chunk),)`` of some candidates.

        Each score may depend on its own record alone; draws come from ``rng`` by record id.
        """
        raise NotImplementedError

    def diagnostics(self, state: Any) -> dict[str, float]:
        """Figures that the attack reports of itself, such as a p-value."""
        return {}

    @final
    def score(
        self,
        candidates: Records,
        view: View,
        knowledge: Knowledge,
        rng: RecordRng,
        chunk: int = CHUNK,
    ) -> Scored:
        """Judge every candidate.

        Raises:
            PluginError: the attack returned another number of scores, or one that is not finite.
            AccessError: the attack touched more than it declares.
        """
        order = np.argsort(candidates.ids, kind="stable")
        ordered = candidates.take(order)
        state = self.prepare(ordered, view, knowledge, rng)
        x, found = ordered.floats(), np.empty(len(ordered), dtype=np.float64)
        for start in range(0, len(ordered), chunk):
            real = min(chunk, len(ordered) - start)
            index = np.minimum(np.arange(start, start + chunk), len(ordered) - 1)
            labels = None if ordered.labels is None else ordered.labels[index]
            given = Chunk(ordered.ids[index], x[index], labels)
            part = np.asarray(self.score_chunk(given, state, view, rng), dtype=np.float64)
            if part.shape != (chunk,):
                raise PluginError(f"{self!r}: expected one score per candidate, {(chunk,)}, got shape {part.shape}")
            found[start : start + real] = part[:real]
        if not np.isfinite(found).all():
            bad = ordered.ids[~np.isfinite(found)]
            raise PluginError(
                f"{self!r}: expected finite scores, got {len(bad)} that are not (record {bad[0]} first); "
                "stay in log or distance space"
            )
        scores = np.empty_like(found)
        scores[order] = found
        return Scored(scores, self.diagnostics(state))
