"""The contract of attacks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import WITH_REFERENCE, Attack, KnowledgeLevel
from bench.contracts.planted import Leak, Planted
from bench.contracts.rules import Report, Rule, check, declaration, expect, instance
from bench.errors import AccessError
from bench.metrics.roc import auc
from bench.records import Kind, Records
from bench.release import GRANTS, Access
from bench.rng import RecordRng

MEMORISED_AUC = 0.99
NULL_DEVIATIONS = 4.0  # an attack that works stays within this many standard deviations but once in 16,000
CHUNKS = (64, 37)  # beside the default; neither divides the number of candidates


@dataclass(frozen=True)
class _Subject:
    attack: Attack
    planted: Planted
    cache: dict[Leak, NDArray[np.float64]] = field(default_factory=dict)

    def scores(self, leak: Leak = "memorised", candidates: Records | None = None, **chunk: int) -> NDArray[np.float64]:
        found = self.attack.score(
            candidates or self.planted.judged(self.attack),
            self.planted.view(self.attack.access, leak),
            self.planted.knowledge(self.attack, leak),
            RecordRng(0, "attack", self.attack.name),
            **chunk,
        )
        return found.scores

    def base(self, leak: Leak = "memorised") -> NDArray[np.float64]:
        """The scores of the candidates sorted by id, in chunks of the default size."""
        if leak not in self.cache:
            self.cache[leak] = self.scores(leak)
        return self.cache[leak]

    def membership(self) -> NDArray[np.bool_]:
        """Which of the judged candidates are members."""
        return np.isin(self.planted.judged(self.attack).ids, self.planted.roles["members"].ids)


def declares(subject: _Subject) -> None:
    attack = subject.attack
    expect(isinstance(attack, Attack), f"expected a subclass of Attack, got {type(attack).__name__}")
    declaration(attack)
    accesses, levels = get_args(Access), get_args(KnowledgeLevel)
    expect(getattr(attack, "access", None) in accesses, f"expected `access` to be one of {accesses}")
    expect(attack.knowledge in levels, f"expected `knowledge` to be one of {levels}, got {attack.knowledge!r}")
    expect(attack.data <= {"image", "table"} and attack.data, f"expected `data` of image, table, got {attack.data}")
    if not attack.control:
        expect(attack.access != "nothing", "only a control judges records without any release")
        expect(attack.knowledge != "labels", "only a control may know the labels that it is scored on")


def says_what_it_needs(subject: _Subject) -> None:
    """``not_applicable`` and ``needs`` come from configuration alone, and ask for what the attack may have."""
    attack, trial = subject.attack, subject.planted.trial()
    for kind in (kind for kind in get_args(Kind) if kind not in attack.data):
        other = replace(trial, schema=replace(trial.schema, kind=kind))
        expect(attack.not_applicable(other, _ROLES), f"expected a reason not to judge {kind} records")
    if attack.needs_roles:
        expect(
            attack.not_applicable(trial, frozenset()),
            f"expected a reason not to attack a target without {sorted(attack.needs_roles)}",
        )
    requests = attack.needs(trial)
    again = type(attack).from_spec(attack.spec()).needs(trial)
    expect(isinstance(requests, tuple) and requests == again, "expected needs() to give the same tuple twice")
    names = [request.name for request in requests]
    expect(len(set(names)) == len(names), f"expected each requested model to have a name of its own, got {names}")
    sizes = {**trial.sizes, "samples": trial.samples, "candidates": trial.sizes["members"] + trial.sizes["nonmembers"]}
    for request in requests:
        what = f"the requested model {request.name!r}"
        expect(request.source != "members" or attack.control, f"{what} would train on the members themselves")
        expect(
            request.source != "samples" or "samples" in GRANTS[attack.access],
            f"{what} trains on generated samples, beyond the access {attack.access!r}",
        )
        expect(
            request.source != "reference" or attack.knowledge in WITH_REFERENCE,
            f"{what} trains on reference records, beyond the knowledge {attack.knowledge!r}",
        )
        expect(
            request.source != "candidates" or attack.knowledge == "shadow + candidates",
            f"{what} trains on candidates, beyond the knowledge {attack.knowledge!r}",
        )
        expect(
            request.against is None or request.against != "reference" or attack.knowledge in WITH_REFERENCE,
            f"{what} is told reference records, beyond the knowledge {attack.knowledge!r}",
        )
        expect(
            not request.known or (attack.knowledge == "labelled" and request.known == attack.known),
            f"{what} is told the truth of candidates, beyond what the attack declares as `known`",
        )
        expect(
            request.size is None or 0 < request.size <= sizes[request.source],
            f"{what} asks for {request.size} of {sizes[request.source]} records",
        )


def scores_every_candidate(subject: _Subject) -> None:
    scores, n = subject.base(), len(subject.planted.judged(subject.attack))
    expect(scores.shape == (n,), f"expected one score per candidate, {(n,)}, got shape {scores.shape}")
    expect(bool(np.isfinite(scores).all()), "expected finite scores")


def order_changes_nothing(subject: _Subject) -> None:
    candidates = subject.planted.judged(subject.attack)
    order = RecordRng(0).shared("order").permutation(len(candidates))
    shuffled = subject.scores(candidates=candidates.take(order))
    expect(
        np.array_equal(shuffled, subject.base()[order]),
        "expected exactly the same score for a record wherever it stands: draw by record id, and treat rows alike",
    )


def chunk_size_changes_nothing(subject: _Subject) -> None:
    base = subject.base()
    for chunk in CHUNKS:
        scores = subject.scores(chunk=chunk)
        apart = float(np.abs(scores - base).max())
        expect(
            np.allclose(scores, base, rtol=1e-4, atol=1e-4 * float(base.std())),
            f"expected the same scores in chunks of {chunk}, got differences up to {apart:.3g}: a score may depend "
            "on its own record alone, and padding must not count",
        )


def stays_within_its_access(subject: _Subject) -> str | None:
    """The view of its own access suffices (every other rule uses it); every view of less access does not."""
    attack, planted = subject.attack, subject.planted
    if attack.access == "nothing":
        return "it touches no release"
    if any(request.source == "samples" for request in attack.needs(planted.trial())):
        return "it may touch the release only through a model trained on the samples"
    for less in (access for access in get_args(Access) if GRANTS[access] < GRANTS[attack.access]):
        try:
            attack.score(planted.judged(attack), planted.view(less), planted.knowledge(attack), RecordRng(0))
        except AccessError:
            continue
        expect(False, f"declares the access {attack.access!r}, but {less!r} is enough: declare that")
    return None


def finds_planted_members(subject: _Subject) -> str | None:
    if (reason := _cannot_be_planted(subject)) is not None:
        return reason
    found = auc(subject.base(), subject.membership())
    expect(
        found > MEMORISED_AUC,
        f"expected an AUC above {MEMORISED_AUC} where the release has memorised its members, got {found:.3f}; "
        "larger scores must mean members",
    )
    return None


def finds_nothing_where_nothing_is(subject: _Subject) -> str | None:
    if (reason := _cannot_be_planted(subject)) is not None:
        return reason
    planted = subject.planted
    found = auc(subject.base("never saw"), subject.membership())
    m, n = planted.members, planted.nonmembers
    # Standard deviation of the Mann-Whitney statistic where both classes are alike; ties only make it smaller.
    allowed = NULL_DEVIATIONS * float(np.sqrt((m + n + 1) / (12 * m * n)))
    expect(
        abs(found - 0.5) <= allowed,
        f"expected an AUC of .5 within {allowed:.3f} where the release never saw the candidates, got {found:.3f}",
    )
    return None


_ROLES = frozenset({"generator", "discriminator"})


def _cannot_be_planted(subject: _Subject) -> str | None:
    if subject.attack.control:
        return "a control measures the instrument, not the release"
    return None


RULES: tuple[Rule[_Subject], ...] = (
    declares,
    says_what_it_needs,
    scores_every_candidate,
    order_changes_nothing,
    chunk_size_changes_nothing,
    stays_within_its_access,
    finds_planted_members,
    finds_nothing_where_nothing_is,
)


def check_attack(
    attack: Attack | type[Attack], *, planted: Planted | None = None, leave_out: Collection[str] = ()
) -> Report:
    """Check an attack: declared fully, one finite score per record that nothing but the record decides, access kept;
    it finds the members of a release that memorised them, and nothing in one that never saw them.

    Models that it asks for are planted too: each has memorised the records that it would have been trained on. So
    an attacker's GAN scores by the distance to the nearest generated sample, which is what a perfect one would know.

    Args:
        attack: the attack, or its class where every option has a default.
        planted: the planted trials; pass a subclass of ``Planted`` where the attack needs other networks.
        leave_out: names of rules not to check.

    Raises:
        AssertionError: names every rule that it breaks.
    """
    found = instance(attack)
    trials = planted or Planted("image" if "image" in found.data else "table")
    missing = found.needs_roles - frozenset(trials.target.roles)
    expect(not missing, f"{found!r} needs {sorted(missing)}: pass `planted` with a target that has these networks")
    return check(RULES, _Subject(found, trials), repr(found), leave_out)
