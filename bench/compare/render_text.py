"""A comparison as a table for the terminal."""

from __future__ import annotations

import io

from bench.compare import words
from bench.compare.findings import Comparison
from bench.compare.printable import printable

PLAIN_WIDTH = 150  # columns where there is no terminal to ask

_STYLES = {"worse": "bold red", "missing": "yellow", "not comparable": "yellow", "better": "green", "new": "dim"}


def render_text(comparison: Comparison, width: int | None = PLAIN_WIDTH, colour: bool = False) -> str:
    """Notes, the table, what lies behind each finding that is not "same", and the verdict as the last line.

    Args:
        width: columns; None takes the terminal's own.
        colour: whether to mark text with ANSI codes.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    for note in comparison.notes:
        console.print(Text(printable(note), style="bold"))
    title = Text(printable(f"BASE {comparison.base_name}  NEW {comparison.new_name}"))
    table = Table(title=title, title_justify="left", expand=False)
    for name in ("row", "figure", "BASE", "NEW", "change", "95 %", "allowed", "seen from", "runs", "verdict"):
        right = name in ("BASE", "NEW", "change", "allowed", "seen from")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right or name == "runs")
    for finding in comparison.findings:
        cells = (
            words.label(finding),
            finding.figure,
            words.number(finding.base, finding.kind),
            words.number(finding.new, finding.kind),
            words.number(finding.difference, finding.kind, signed=True),
            words.interval(finding),
            words.allowed(finding),
            words.seen_from(finding),
            words.runs(finding),
            finding.status,
        )
        # Text, not str: a label such as [bold] is data, not markup.
        table.add_row(*(Text(printable(cell)) for cell in cells), style=_STYLES.get(finding.status, ""))
    console.print(table)
    for finding in comparison.findings:
        if finding.status != "same" or words.beyond(finding):
            console.print(
                Text.assemble(
                    (f"{finding.status}: ", "bold"), printable(f"{words.label(finding)}: {words.sentence(finding)}")
                )
            )
    for finding in comparison.findings:
        if finding.attacks and finding.status in ("worse", "better"):
            shifts = "; ".join(
                f"{a.name} {a.base:.3f} -> {a.new:.3f} ({a.low:+.3f} to {a.high:+.3f})" for a in finding.attacks
            )
            console.print(Text(printable(f"attacks on {words.label(finding)}: {shifts}")))
    console.print(Text(words.asked(comparison)))
    console.print(Text(words.summary(comparison), style="bold"))
    return out.getvalue()
