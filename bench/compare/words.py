"""A comparison in words and figures, the same in every format."""

from __future__ import annotations

from bench.compare.findings import STATUS, Comparison, Finding
from bench.compare.measures import Figure

DASH = "–"  # noqa: RUF001 (a dash is meant)


def number(value: float | None, figure: Figure | None, signed: bool = False) -> str:
    """A figure with its decimals and unit; a dash for none.

    >>> number(0.51234, None), number(None, None), number(0.02, None, signed=True)
    ('0.512', '–', '+0.020')
    """
    if value is None:
        return DASH
    digits, unit = (3, "") if figure is None else (figure.digits, figure.unit)
    return f"{round(value, digits) + 0.0:{'+' if signed else ''}.{digits}f}{unit}"  # + 0.0: no negative zero


def allowed(finding: Finding) -> str:
    """What was allowed, signed in the bad direction."""
    if finding.limit is None or finding.kind is None:
        return ""
    return number(finding.kind.sign * finding.limit, finding.kind, signed=True)


def seen_from(finding: Finding) -> str:
    """The smallest change for the worse that could have been told from chance, signed; a smaller one may be there."""
    if finding.detectable is None or finding.kind is None:
        return ""
    return number(finding.kind.sign * finding.detectable, finding.kind, signed=True)


def interval(finding: Finding) -> str:
    """The 95 % interval of the difference, or nothing."""
    if finding.judged is None or (finding.evidence is not None and finding.evidence.identical):
        return ""
    ends = (number(end, finding.kind, signed=True) for end in (finding.judged.low, finding.judged.high))
    return " to ".join(ends)


def runs(finding: Finding) -> str:
    """How many training runs on each side: ``2/3``."""
    e = finding.evidence
    return "" if e is None else f"{len(e.base_runs)}/{len(e.new_runs)}"


def label(finding: Finding) -> str:
    """The row, and what it was called in BASE where that differs."""
    row, other = finding.row, finding.base_row
    if other is None or other == row:
        return str(row)
    return f"{row} (BASE: {other.defense if other[:2] == row[:2] else other})"


def sentence(finding: Finding) -> str:
    """What happened to one figure of one row, in plain words."""
    if finding.figure == STATUS:
        return f"{finding.reason}."
    parts = []
    if finding.base is not None or finding.new is not None:
        parts.append(f"{finding.figure} {number(finding.base, finding.kind)} -> {number(finding.new, finding.kind)}")
        if finding.evidence is not None and finding.evidence.identical:
            parts.append("measured from byte for byte the same results")
        elif finding.judged is not None:
            parts.append(
                f"changed by {number(finding.difference, finding.kind, signed=True)} (95 % {interval(finding)}; "
                f"{runs(finding)} runs)"
            )
        if finding.limit is not None:
            parts.append(f"{allowed(finding)} allowed")
    if finding.judged is not None and finding.status in ("worse", "better"):
        parts.append(f"p {_p(finding.p)} over all comparisons")
    elif finding.judged is not None and beyond(finding):
        parts.append("beyond the tolerance, but no more than chance does between so few runs")
    return ", ".join([*parts, *([finding.reason] if finding.reason else [])]) + "."


def beyond(finding: Finding) -> bool:
    """Whether the change is for the worse by more than is allowed, whatever chance does."""
    difference = finding.difference
    if finding.kind is None or finding.limit is None or difference is None:
        return False
    return finding.kind.sign * difference > finding.limit


def _p(p: float | None) -> str:
    return DASH if p is None else "< .001" if p < 0.001 else f"{p:.3f}"


def summary(comparison: Comparison) -> str:
    """The verdict on one line."""
    n = comparison.counts
    told = ", ".join(f"{count} {status}" for status, count in n.items() if count)
    verdict = {
        0: "Nothing is worse",
        1: "WORSE",
        3: "NOT JUDGED in full" if comparison.judged else "NOT JUDGED",
    }[comparison.exit_code]
    return f"{verdict}: {told or 'nothing was compared'}."


def asked(comparison: Comparison) -> str:
    """What was compared, as ``--fail-on`` would write it."""
    rules = ",".join(str(tolerance) for tolerance in comparison.tolerances)
    return f"Compared by default: {rules} (choose with --fail-on)." if comparison.default else f"Compared: {rules}."
