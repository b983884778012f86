"""The page of attacks: heat maps, the table of all rows, and sets of records."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2.utils import htmlsafe_json_dumps

from bench.board.site import attack_table
from bench.board.site.entry import Entry, is_large
from bench.board.site.environment import render
from bench.board.site.heat import STEPS, heats
from bench.board.site.links import ATTACKS
from bench.board.site.sets import sets
from bench.board.site.threat import ACCESS, KNOWLEDGE, access_name


def page(entries: Sequence[Entry], name: str) -> str:
    """``attacks.html``."""
    shown = heats(entries)
    used = {group.access for heat in shown for group in heat.groups}
    known = {row.knowledge for heat in shown for group in heat.groups for row in group.rows}
    rows = [row for entry in entries for row in entry.board.attacks]
    return render(
        "attacks.html.j2",
        name=name,
        root="",
        here=ATTACKS,
        entries=entries,
        heats=shown,
        large=is_large(entries),
        shades=[(f"h{step}", f"{0.5 + step / (2 * STEPS):.2f}") for step in range(STEPS)],
        access=[(access_name(level), text) for level, text in ACCESS.items() if level in used],
        knowledge=[(level, text) for level, text in KNOWLEDGE.items() if level in known],
        columns=attack_table.columns(entries),
        facets=attack_table.facets(entries),
        controls=any(row.control for row in rows),
        data=htmlsafe_json_dumps(attack_table.data(entries), separators=(",", ":"), allow_nan=False),
        count=len(rows),
        sets=[
            (entry, entry.board.results.settings["sets"], found) for entry in entries if (found := sets(entry.board))
        ],
    )
