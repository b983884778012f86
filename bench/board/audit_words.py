"""What the audit of a claim found, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.board.audit import RowAudit
    from bench.board.rows import Row

MEMBERSHIP = {
    "coin": "a fair coin for each candidate, so that a lower bound on epsilon can be certified",
    "fixed": "a fixed number of records, drawn once and not by coins, so that nothing can be certified",
}
"""How it was decided who is a member, and what follows for an audit."""


def audit_words(row: Row) -> str:
    """The rest of the sentence that states a claim; the row has one."""
    claimed, audit = row.measured["epsilon_claimed"], row.audit
    if row.measured["claim_unit"] != "record":
        return "coins and candidates are records here, which do not test a claim per client."
    if audit is None:
        return "no attack of this run tests the claim."
    if row.membership != "coin":
        return f"membership is fixed, so nothing is certified for or against it.{_indication(audit)}"
    if audit.lower_bound is None or audit.detectable is None:
        return f"every attack of this run was told of members, so none can certify anything.{_indication(audit)}"
    if audit.lower_bound > claimed:
        return (
            f"the audit refutes the claim: epsilon is at least {audit.lower_bound:.3g} (certified at 95 %, by "
            f"{audit.attack}). VIOLATED."
        )
    reach = (
        f"not even {audit.detectable:.3g}, the most that this run could have shown, would have refuted it"
        if audit.detectable < claimed
        else f"this run could have shown {audit.detectable:.3g} at most"
    )
    bound = f"epsilon is at least {audit.lower_bound:.3g} (certified at 95 %)"
    return f"the audit does not refute the claim: {bound}; {reach}."


def _indication(audit: RowAudit) -> str:
    """A sentence on the estimate, which is never put as a finding."""
    if audit.estimate is None:
        return ""
    if audit.estimate == 0:
        return " No attack indicates an epsilon above 0, which proves none."
    return f" As an indication, which refutes nothing, {audit.attack} puts epsilon at {audit.estimate:.3g} or more."
