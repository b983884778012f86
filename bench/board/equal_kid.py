"""The undefended model stopped early, at the sample quality that a defense leaves: the cheapest defense of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.board.rows import Row
    from bench.metrics.headline import Headline
    from bench.results import Results


@dataclass(frozen=True)
class EqualKid:
    """The undefended training of the same data set and target at its first snapshot that is as good.

    Attributes:
        step: training steps at the snapshot.
        kid: its KID (x 1000), mean over seeds, as ``kid_best`` and ``kid_final`` are measured.
        headline: the worst of the attacks that need no models of their own, on the snapshot.
    """

    step: int
    kid: float
    headline: Headline


def equal_kid(row: Row, results: Results) -> EqualKid | None:
    """The undefended snapshot to read beside a defended row, or None where there is none."""
    return None


def equal_kid_columns(found: EqualKid | None) -> dict[str, Any]:
    """The cells of ``leaderboard.csv`` that it fills."""
    h = found.headline if found else None
    return {
        "undefended_auc_at_equal_kid": h.auc if h else None,
        "undefended_auc_at_equal_kid_low": h.auc_low if h else None,
        "undefended_auc_at_equal_kid_high": h.auc_high if h else None,
        "equal_kid_step": found.step if found else None,
        "equal_kid": found.kid if found else None,
        "equal_kid_attack": h.worst_attack if h else None,
    }
