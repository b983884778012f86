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
    from collections.abc import Sequence

    from bench.release import Access, Model, View

WITH_REFERENCE = ("reference", "labelled", "shadow", "shadow + candidates")
"""Knowledge levels that own the reference records."""

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
        sizes: role of the split -> number of records; where coins decided who is a member, the expected ones.
        target, defenses: the trial's specs, as JSON.
        seed: the trial's seed.
        samples: number of generated records per trial.
        updates: whether the release holds the updates of federated clients.
        adaptive: names of the attacks that some defense of the stack names as made against itself.
        training_size: number of records that a model of the same kind trains on, where a defense of the stack adds
            some to the members; None: as many as ``members``.
    """

    schema: Schema
    members: int
    sizes: Mapping[str, int]
    target: Mapping[str, Any]
    defenses: tuple[Mapping[str, Any], ...]
    seed: int
    samples: int
    updates: bool = False
    adaptive: frozenset[str] = frozenset()
    training_size: int | None = None


@dataclass(frozen=True)
class Shares:
    """Which shares of the candidates' members and non-members the attacker knows the truth of, in [0, 1)."""

    members: float = 0.0
    nonmembers: float = 0.0

    def __bool__(self) -> bool:
        return self.members > 0 or self.nonmembers > 0

    def counts(self, members: int, nonmembers: int) -> dict[bool, int]:
        """How many of so many members (True) and non-members (False) those are."""
        return {True: round(self.members * members), False: round(self.nonmembers * nonmembers)}


@dataclass(frozen=True)
class ModelRequest:
    """A model that an attack wants trained: a train step of the graph like any other, shared and cached.

    Where ``known`` or ``against`` is given, the model learns to tell two kinds of records apart: its records are
    labelled 1 (``source`` and the known members) and 0 (``against`` and the known non-members).

    Attributes:
        name: under which it arrives in ``knowledge.models``.
        target: spec of the model, ``{"name": ..., options}``.
        defenses: stack it is trained under; None: the trial's own.
        source: what it trains on: the trial's generated samples, or records of the split.
        size: how many of them, a seeded subset; None: all.
        seed: seed of the subset and of the training.
        part: which of the disjoint subsets of ``size`` records that one seed gives, from 0.
        known: shares of the candidates whose truth is known, and which join.
        against: what is to be told apart from ``source``; None: nothing.
        samples: whether as many records as the trial's are generated from the model too.
    """

    name: str
    target: Mapping[str, Any]
    source: Source
    defenses: tuple[Mapping[str, Any], ...] | None = ()
    size: int | None = None
    seed: int = 0
    part: int = 0
    known: Shares = Shares()
    against: Source | None = None
    samples: bool = False


@dataclass(frozen=True)
class Knowledge:
    """What an attacker knows besides the release; only what the declared level grants is filled in.

    Attributes:
        reference: records from the same source, disjoint from all candidates; None without that knowledge.
        known: candidates whose truth is known, which are not judged; None without that knowledge.
        membership: record id -> truth: of ``known``; for ``labels`` (controls only) of every candidate.
        models: the attack's own models by request name.
        members, nonmembers: public sizes: how many candidates were trained on, and how many were not; where coins
            decided that, half of them each.
    """

    reference: Records | None = None
    known: Records | None = None
    membership: Mapping[int, bool] | None = None
    models: Mapping[str, Model] = field(default_factory=dict)
    members: int = 0
    nonmembers: int = 0


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
    """What an attack found.

    Attributes:
        scores: float64, one per candidate, in the order in which the candidates were given.
        diagnostics: further figures that the attack reports of itself.
    """

    scores: NDArray[np.float64]
    diagnostics: Mapping[str, float] = field(default_factory=dict)


class Attack(Plugin):
    """Base class of attacks. Larger score = more likely a member, for every attack.

    ``access``, ``knowledge``, ``data``, ``needs_roles``, ``reads_samples``, ``fair_to_reference``, ``known`` and
    ``cap`` may be set by an instance, from its options.

    Attributes:
        access: what it touches of the release.
        knowledge: what it knows besides.
        data: kinds of records it can judge.
        needs_roles: networks that the target must have, else the attack is not applicable.
        reads_samples: whether it reads the trial's generated records; if not, the view has none.
        fair_to_reference: whether a reference record's score is on one scale with a candidate's; not so where the
            attack was fitted on the reference records.
        made_against: what it is made against, where it says nothing unless a defense names it as adaptive; or "".
        scores_sets: whether ``score_sets`` is an attack of its own on sets of candidates.
        names_parts: whether ``name_parts`` says which part of divided records holds a candidate.
        known: the shares of the candidates whose truth it is told.
        cap: how many candidates it judges at most; None: all.
        control: whether it measures the instrument instead of the defense; never in a headline.
        cost: rough cost class, for listings.
        tuned_on_labels: flag that this attack's rows carry.
    """

    class Options(PluginOptions):
        """No options."""

    access: Access
    knowledge: KnowledgeLevel = "nothing"
    data: frozenset[str] = frozenset({"image", "table"})
    needs_roles: frozenset[str] = frozenset()
    reads_samples: bool = True
    fair_to_reference: bool = True
    made_against: ClassVar[str] = ""
    scores_sets: ClassVar[bool] = False
    names_parts: ClassVar[bool] = False
    known: Shares = Shares()
    cap: int | None = None
    control: ClassVar[bool] = False
    cost: ClassVar[CostClass] = "seconds"
    tuned_on_labels: ClassVar[bool] = False

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
        if self.knowledge == "reference" and not trial.sizes.get("reference", 1):
            return f"{self.name} needs reference records, and there are none; set `reference`"
        if self.made_against and self.name not in trial.adaptive:
            return (
                f"{self.name} is made against {self.made_against}, and no defense of this stack names it as made "
                "against itself"
            )
        if self.access == "latent" and not roles & {"generator", "decoder"}:
            return f"{self.name} searches the latents of a generator or decoder, and {trial.target['name']} has none"
        if self.access == "updates" and not trial.updates:
            return f"{self.name} observes federated updates, and no defense of this stack releases any"
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

    def score_sets(
        self, sets: Sequence[Records], view: View, knowledge: Knowledge, rng: RecordRng
    ) -> NDArray[np.floating[Any]]:
        """Scores ``(len(sets),)`` of sets of candidates, each all in or all out; called where ``scores_sets``."""
        raise NotImplementedError

    def name_parts(self, candidates: Records, view: View) -> NDArray[np.integer[Any]]:
        """Which part holds each candidate if it is a member, ``(n,)``; -1: cannot say. Called where there are parts."""
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


class JointAttack(Attack):
    """Base class of attacks that judge all candidates in one call."""

    def score_all(
        self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng
    ) -> NDArray[np.floating[Any]] | Scored:
        """Scores ``(len(candidates),)`` of the candidates, which come sorted by id, in that order.

        With figures of its own to report, an attack returns ``Scored``.
        """
        raise NotImplementedError

    @final
    def prepare(self, candidates: Records, view: View, knowledge: Knowledge, rng: RecordRng) -> _Joint:
        found = self.score_all(candidates, view, knowledge, rng)
        given, figures = (found.scores, found.diagnostics) if isinstance(found, Scored) else (found, {})
        scores = np.asarray(given, dtype=np.float64)
        if scores.shape != (len(candidates),):
            raise PluginError(
                f"{self!r}: expected one score per candidate, {(len(candidates),)}, got shape {scores.shape}"
            )
        return _Joint(candidates.ids, scores, dict(figures))

    @final
    def score_chunk(self, chunk: Chunk, state: _Joint, view: View, rng: RecordRng) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = state.scores[np.searchsorted(state.ids, chunk.ids)]
        return scores

    @final
    def diagnostics(self, state: _Joint) -> dict[str, float]:
        return state.diagnostics


@dataclass(frozen=True)
class _Joint:
    ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    diagnostics: dict[str, float]
