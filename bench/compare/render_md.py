"""A comparison as Markdown, for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bench.compare import words
from bench.compare.findings import STATUSES, Comparison, Finding
from bench.compare.printable import printable

_HEAD = ("row", "figure", "BASE", "NEW", "change", "95 %", "allowed", "seen from", "runs", "verdict")
_RIGHT = {"BASE", "NEW", "change", "allowed", "seen from"}
_OPEN = ("worse", "missing", "not comparable")


def escape(text: str) -> str:
    r"""Text that shows as itself on one line: no markup, no HTML, no cell's end, no link, and nobody is mentioned.

    >>> escape("<b>|*x* @me #1 https://x.y $a$")
    '&lt;b&gt;\\|\\*x\\* @&#8203;me \\#&#8203;1 https:&#8203;//x.y &#36;a&#36;'
    """
    shown = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = re.sub(r"([\\`*_~\[\]|#])", r"\\\1", shown)
    # A zero-width space: a label must not call people, open issues' pages or become a link; and $ begins a formula.
    for mark, apart in (("#", "#&#8203;"), ("@", "@&#8203;"), ("://", ":&#8203;//")):
        shown = re.sub(rf"(?<!&){mark}", apart, shown)
    return re.sub(r"(?i)\bwww\.", "www&#8203;.", shown).replace("$", "&#36;")


def render_md(comparison: Comparison) -> str:
    """Verdict first, then what is not fine in plain words, then every figure and attack, collapsed."""
    graver = [finding for finding in comparison.findings if finding.status in _OPEN]
    lines = [f"**{escape(words.summary(comparison))}**", ""]
    lines += [f"> {escape(note)}\n" for note in comparison.notes]
    if graver:
        lines += [*_table(graver), ""]
        lines += [f"- **{f.status}**: {escape(words.label(f))}: {escape(words.sentence(f))}" for f in graver]
        lines.append("")
    rest = [finding for finding in comparison.findings if finding.status not in _OPEN]
    if rest:
        lines += _collapsed(f"{len(rest)} figures that are fine or new", _table(rest))
    attacks = [finding for finding in comparison.findings if finding.attacks]
    if attacks:
        lines += _collapsed("Each attack by itself (shown; the worst one is what is judged)", _attacks(attacks))
    lines += _collapsed("How to read this", _reading(comparison))
    return "\n".join(lines).rstrip() + "\n"


def _table(findings: Sequence[Finding]) -> list[str]:
    rows = [
        (
            words.label(finding),
            finding.figure,
            words.number(finding.base, finding.kind),
            words.number(finding.new, finding.kind),
            words.number(finding.difference, finding.kind, signed=True),
            words.interval(finding),
            words.allowed(finding),
            words.seen_from(finding),
            words.runs(finding),
        )
        for finding in findings
    ]
    marks = (f"**{f.status}**" if f.status == "worse" else f.status for f in findings)
    return [
        f"| {' | '.join(_HEAD)} |",
        f"|{'|'.join('---:' if name in _RIGHT else '---' for name in _HEAD)}|",
        *(f"| {' | '.join(map(escape, row))} | {mark} |" for row, mark in zip(rows, marks, strict=True)),
    ]


def _attacks(findings: Sequence[Finding]) -> list[str]:
    lines = ["| row | attack | BASE | NEW | change, 95 % |", "|---|---|---:|---:|---|"]
    for finding in findings:
        for a in finding.attacks:
            change = f"{a.new - a.base:+.3f} ({a.low:+.3f} to {a.high:+.3f})"
            lines.append(
                f"| {escape(words.label(finding))} | {escape(a.name)} | {a.base:.3f} | {a.new:.3f} | {change} |"
            )
    return lines


def _reading(comparison: Comparison) -> Iterator[str]:
    yield f"BASE is {escape(comparison.base_name)}, NEW is {escape(comparison.new_name)}."
    yield escape(words.asked(comparison))
    yield ""
    yield from (f"- {status}: {meaning}" for status, meaning in STATUSES.items())
    yield ""
    yield (
        "Changes are NEW less BASE. Intervals are over training runs and records, for one figure; verdicts are "
        "adjusted for all of them together (Holm, one-sided, 5 %). "
        "`seen from` is the smallest change for the worse that so few runs and records could have shown: a smaller one "
        "may have happened."
    )


def _collapsed(title: str, lines: Sequence[str] | Iterator[str]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]
