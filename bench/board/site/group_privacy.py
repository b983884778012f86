"""What a trial group claims of its privacy, and what the audit found, in words."""

from __future__ import annotations

from typing import NamedTuple

from bench.board.audit_words import MEMBERSHIP
from bench.board.rows import Row
from bench.board.verdict import claimed
from bench.board.words import EMPTY
from bench.results import PrivacyClaim


class Claims(NamedTuple):
    """A table: heads of its columns, and (what, a value per column)."""

    heads: tuple[str, ...]
    facts: tuple[tuple[str, tuple[str, ...]], ...]


def claim_words(row: Row) -> str:
    """The claim of the row as its verdict has it, or that there is none."""
    if said := claimed(row):
        return said
    if all(trial.status != "completed" for trial in row.trials):
        return "No training was completed, so nothing is claimed."
    return "Claims nothing: no bound on what the training may give away follows from how it was done."


def claim_facts(row: Row) -> Claims | None:
    """The accounting of each seed, or of all in one column where they agree; None where none claims anything."""
    claims = {f"seed {trial.seed}": trial.claim for trial in row.trials if trial.claim is not None}
    if not claims:
        return None
    if len(set(claims.values())) == 1 and len(claims) == len(row.trials) > 1:
        claims = {"every seed": next(iter(claims.values()))}
    listed = [_facts(claim) for claim in claims.values() if claim is not None]
    facts = ((name, tuple(own[name] for own in listed)) for name in listed[0])
    return Claims(tuple(claims), tuple(fact for fact in facts if set(fact[1]) != {EMPTY}))


def _facts(claim: PrivacyClaim) -> dict[str, str]:
    noise = "Laplace, scale over one vote" if claim.queries is not None else "Gaussian, over the clip norm"
    multiplier = _figure(claim.noise_multiplier)
    return {
        "epsilon": "void" if claim.epsilon is None else f"{claim.epsilon:.4g}",
        "why void": claim.void_reason or EMPTY,
        "epsilon by the RDP accountant": _figure(claim.epsilon_rdp),
        "delta": _figure(claim.delta),
        "unit": claim.unit,
        "adjacency": claim.adjacency,
        "accountant": claim.accountant.upper(),
        "noise multiplier": f"{multiplier} ({noise})",
        "sample rate": _figure(claim.sample_rate),
        "noisy steps": f"{claim.steps:,}",
        "noisy votes": EMPTY if claim.queries is None else f"{claim.queries:,}",
        "clip norm": _figure(claim.max_grad_norm),
    }


def _figure(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.4g}"


def audit_facts(row: Row) -> list[tuple[str, str]]:
    """What the audit of the row says, and on which terms; nothing where there was none."""
    audit = row.audit
    if audit is None:
        return []
    bound = "none" if audit.lower_bound is None else f"epsilon is at least {audit.lower_bound:.3g} (certified at 95 %)"
    guess = "none" if audit.estimate is None else f"{audit.estimate:.3g}; an indication, which certifies nothing"
    reach = EMPTY if audit.detectable is None else f"{audit.detectable:.3g}, had every guess been right"
    return [
        ("certified lower bound", bound),
        ("estimate", guess),
        ("most that this run could show", reach),
        ("by the attack", audit.attack or EMPTY),
        ("at delta", f"{audit.delta:.3g}"),
        ("membership", MEMBERSHIP.get(row.membership or "", "unknown")),
    ]
