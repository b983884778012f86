"""A comparison as JSON, for programs."""

from __future__ import annotations

import json
from typing import Any

from bench.compare import words
from bench.compare.findings import Comparison, Finding

FORMAT = 1
"""Version of this structure; raised when a reader would have to change."""


def comparison_entry(comparison: Comparison) -> dict[str, Any]:
    """The structure: numbers are numbers, what is not known is null, and the order is that of the tables."""
    return {
        "format": FORMAT,
        "exit_code": comparison.exit_code,
        "summary": words.summary(comparison),
        "base": comparison.base_name,
        "new": comparison.new_name,
        "notes": list(comparison.notes),
        "fail_on": [
            {"figure": t.figure.name, "better": t.figure.better, "tolerance": t.size, "percent": t.percent}
            for t in comparison.tolerances
        ],
        "default_fail_on": comparison.default,
        "counts": dict(comparison.counts),
        "findings": [finding_entry(finding) for finding in comparison.findings],
    }


def finding_entry(finding: Finding) -> dict[str, Any]:
    """One finding; ``tolerance`` is in the figure's own unit, ``p`` is Holm-adjusted."""
    judged, evidence = finding.judged, finding.evidence
    return {
        "dataset": finding.row.dataset,
        "target": finding.row.target,
        "defense": finding.row.defense,
        "base_row": None if finding.base_row is None else list(finding.base_row),
        "figure": finding.figure,
        "status": finding.status,
        "reason": finding.reason,
        "base": finding.base,
        "new": finding.new,
        "difference": finding.difference,
        "low": None if judged is None else judged.low,
        "high": None if judged is None else judged.high,
        "tolerance": finding.limit,
        "detectable": finding.detectable,
        "p": finding.p,
        "run_spread": None if judged is None else judged.spread,
        "base_runs": None if evidence is None else list(evidence.base_runs),
        "new_runs": None if evidence is None else list(evidence.new_runs),
        "identical": evidence is not None and evidence.identical,
        "attacks": [
            {"attack": a.name, "base": a.base, "new": a.new, "low": a.low, "high": a.high} for a in finding.attacks
        ],
    }


def render_json(comparison: Comparison) -> str:
    """``comparison_entry`` as text, in ASCII, so that any terminal and encoding can show it."""
    return json.dumps(comparison_entry(comparison), indent=1, allow_nan=False) + "\n"
