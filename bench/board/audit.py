"""What the attacks on a row say of its epsilon: the certified bound, the estimate, and what could have been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.board.audit_terms import Place, Terms, audit_terms
from bench.metrics.epsilon_estimate import Cut, choose_cut, estimate_at, largest_estimate
from bench.metrics.headline import halves
from bench.metrics.one_run import largest_one_run_bound, one_run_bound
from bench.metrics.roc import Bools
from bench.rng import derive_seed

if TYPE_CHECKING:
    from bench.board.attack_rows import AttackRow
    from bench.results import Results

SEES_TRUTH = ("labels",)
"""Knowledge that holds the truth of the very records that are judged."""

SEES_COINS = ("labels", "labelled")
"""Knowledge that holds the truth of any audit record: no such guess can certify anything."""


@dataclass(frozen=True)
class AttackAudit:
    """The audit of one attack on one row; figures are None where they could not be measured.

    Attributes:
        lower_bound: certified lower bound on epsilon, of the seed with the largest; only under coin membership.
        estimate: lower estimate of epsilon, which certifies nothing.
        detectable: the bound, or without coins the estimate, if every guess were right.
    """

    lower_bound: float | None
    estimate: float | None
    detectable: float | None


@dataclass(frozen=True)
class RowAudit:
    """The audit of one row of the leaderboard; figures are None where they could not be measured.

    Attributes:
        lower_bound: certified lower bound on epsilon, of the attack with the largest one; only under coin membership.
        estimate: lower estimate, which certifies nothing, of the attack that was chosen on other records.
        detectable: the bound, or without coins the estimate, if every guess were right.
        attack: whose ``lower_bound`` is shown, or where that is 0 or None, whose ``estimate``.
        delta: at which all of them hold.
    """

    lower_bound: float | None
    estimate: float | None
    detectable: float | None
    attack: str | None
    delta: float


class Audited(NamedTuple):
    """The rows of attacks with their audits, and the audits of the rows of the leaderboard."""

    attacks: tuple[AttackRow, ...]
    rows: Mapping[Place, RowAudit]


def audit_rows(attacks: Sequence[AttackRow], results: Results) -> Audited:
    """The audit of each attack and row, corrected for all attacks, seeds and claims that were tried."""
    terms = audit_terms(results)
    of_attack: dict[int, AttackAudit] = {}
    of_row: dict[Place, RowAudit] = {}
    known: dict[bytes, Bools] = {}
    for place, own in terms.items():
        here = [row for row in attacks if row.row == place]
        judged = [row for row in here if row.completed and _estimates(row)]
        if not judged:
            continue
        # Whatever became of it, an attack that the matrix asked for was a try, and is paid for.
        tried = sum(row.status != "not_applicable" and _estimates(row) and _certifies(row, own) for row in here)
        found, of_row[place] = _row_audit(judged, own, max(1, tried), known)
        of_attack |= {id(row): audit for row, audit in zip(judged, found, strict=True)}
    return Audited(tuple(replace(row, audit=of_attack.get(id(row))) for row in attacks), of_row)


def _estimates(row: AttackRow) -> bool:
    """Whether an attack says something of epsilon: it does not know the truth of what it judges."""
    tuned = any(cell.tuned_on_labels for cell in row.cells)
    return not (row.control or tuned or row.knowledge in SEES_TRUTH)


def _certifies(row: AttackRow, terms: Terms) -> bool:
    """Whether an attack's guesses can certify a bound: coins decided, and it saw none of them."""
    return terms.coin and row.knowledge not in SEES_COINS and not any(cell.known for cell in row.completed)


def _row_audit(
    judged: Sequence[AttackRow], terms: Terms, tried: int, known: dict[bytes, Bools]
) -> tuple[list[AttackAudit], RowAudit]:
    certifying = [_certifies(row, terms) for row in judged]
    alpha = terms.certified_alpha(tried)
    chosen = _chosen(judged, terms, known)
    found = [
        AttackAudit(
            lower_bound=_bound(row, terms.delta, alpha) if certified else None,
            estimate=choice.estimate if choice else None,
            detectable=_detectable(row, choice, terms, alpha, certified),
        )
        for row, certified, choice in zip(judged, certifying, chosen, strict=True)
    ]
    bounds = [(audit.lower_bound, row.attack) for row, audit in zip(judged, found, strict=True)]
    largest = max(((b, name) for b, name in bounds if b is not None), key=lambda pair: pair[0], default=None)
    promising = max(
        ((choice, row.attack) for row, choice in zip(judged, chosen, strict=True) if choice is not None),
        key=lambda pair: pair[0].cut.promise,
        default=None,
    )
    shown = largest if largest and largest[0] > 0 else promising
    return found, RowAudit(
        lower_bound=largest[0] if largest else None,
        estimate=promising[0].estimate if promising else None,
        detectable=max((a.detectable for a in found if a.detectable is not None), default=None),
        attack=shown[1] if shown else None,
        delta=terms.delta,
    )


def _seed(row: AttackRow) -> int:
    return derive_seed(0, "audit", row.dataset)


def _bound(row: AttackRow, delta: float, alpha: float) -> float:
    """The largest certified bound over the seeds, each of which was charged for."""
    return max(one_run_bound(run, row.membership, row.record_ids, delta, alpha, _seed(row)) for run in row.scores)


class _Choice(NamedTuple):
    """What one half of the records chose, and what the other half says of it, with its members and non-members."""

    cut: Cut
    estimate: float
    members: int
    nonmembers: int


def _chosen(judged: Sequence[AttackRow], terms: Terms, known: dict[bytes, Bools]) -> list[_Choice | None]:
    """For each attack its seed, direction and threshold; all attacks choose on the same half of the records."""
    ids, where = np.unique(np.concatenate([row.record_ids for row in judged]), return_index=True)
    membership = np.concatenate([row.membership for row in judged])[where]
    seed = _seed(judged[0])
    key = seed.to_bytes(8, "big") + ids.tobytes() + membership.tobytes()
    if key not in known:
        known[key] = halves(ids, membership, seed)
    return [_choice(row, known[key][np.searchsorted(ids, row.record_ids)], terms) for row in judged]


def _choice(row: AttackRow, first: Bools, terms: Terms) -> _Choice | None:
    member, alpha = row.membership, terms.estimate_alpha
    members, nonmembers = int((member & ~first).sum()), int((~member & ~first).sum())
    if not (members and nonmembers and (member & first).any() and (~member & first).any()):
        return None  # too few records to choose on some and to measure on others
    cuts = [choose_cut(run[first], member[first], terms.delta, alpha) for run in row.scores]
    best = max(range(len(cuts)), key=lambda index: cuts[index].promise)
    estimate = estimate_at(cuts[best], row.scores[best][~first], member[~first], terms.delta, alpha)
    return _Choice(cuts[best], estimate, members, nonmembers)


def _detectable(row: AttackRow, choice: _Choice | None, terms: Terms, alpha: float, certified: bool) -> float | None:
    if terms.coin:
        return largest_one_run_bound(len(row.record_ids), terms.delta, alpha) if certified else None
    return largest_estimate(choice.members, choice.nonmembers, terms.delta, terms.estimate_alpha) if choice else None


def audit_columns(audit: RowAudit | None) -> dict[str, Any]:
    """The cells of ``leaderboard.csv`` that an audit fills."""
    return {
        "epsilon_lower_bound": audit.lower_bound if audit else None,
        "epsilon_estimate": audit.estimate if audit else None,
        "epsilon_detectable": audit.detectable if audit else None,
        "epsilon_attack": audit.attack if audit else None,
        "audit_delta": audit.delta if audit else None,
    }
