"""Every attack against every defense of one data set and target, as a table of AUCs whose ground tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.board.attack_rows import AttackRow
from bench.board.rows import Row
from bench.board.site.entry import Entry
from bench.board.site.links import anchor, group_file
from bench.board.site.threat import access_name, access_order
from bench.board.words import EMPTY, interval, number

STEPS = 10
"""Shades from AUC .5 to 1; assets/heat.css has a class for each."""

LONGEST = 160
"""Characters of a reason that a cell tells; the table of what was not measured has all of it."""


WIDEST = 50
"""Defenses that stand side by side; those of a larger board stand in several maps, one below the other."""


@dataclass(frozen=True)
class HeatCell:
    """One attack on one defense.

    Attributes:
        text: the AUC, or a dash.
        shade: its class: ``h0`` to ``h9`` from .5 to 1, ``below``, or ``idle`` where there is no figure.
        told: whether the interval lies above .5.
        worst: whether the row of the leaderboard is judged by this attack.
        tip: interval, or status and reason.
        page: of the trial group.
    """

    text: str
    shade: str
    told: bool
    worst: bool
    tip: str
    page: str


@dataclass(frozen=True)
class HeatRow:
    """One attack; a cell per defense, None where the matrix does not have it."""

    attack: str
    knowledge: str
    adaptive: bool
    cells: tuple[HeatCell | None, ...]


@dataclass(frozen=True)
class HeatGroup:
    """The attacks of one access level, by name."""

    access: str
    title: str
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True)
class Heat:
    """The heat map of one data set and target of one board, or a part of it.

    Attributes:
        part: which defenses these are, of how many; empty where they are all.
        columns: defense and its page, in the board's order.
    """

    id: str
    board: str
    dataset: str
    target: str
    part: str
    columns: tuple[tuple[str, str], ...]
    groups: tuple[HeatGroup, ...]


def heats(entries: Sequence[Entry]) -> tuple[Heat, ...]:
    """One per board, data set, target and ``WIDEST`` defenses on which an attack was asked for; without controls."""
    return tuple(heat for entry in entries for heat in _heats(entry))


def shade(auc: float) -> str:
    """The class of a cell.

    >>> shade(0.499), shade(0.5), shade(0.55), shade(1.0)
    ('below', 'h0', 'h1', 'h9')
    """
    # Rounded as the cell shows it, so that no two equal numbers stand on different grounds.
    shown = round(auc, 3)
    return "below" if shown < 0.5 else f"h{min(STEPS - 1, int(round((shown - 0.5) * 2000) * STEPS // 1000))}"


def _heats(entry: Entry) -> Iterator[Heat]:
    places: dict[tuple[str, str], list[Row]] = {}
    for row in entry.board.rows:
        places.setdefault(row.place[:2], []).append(row)
    for place, rows in places.items():
        for start in range(0, len(rows), WIDEST):
            found = _heat(entry, place, rows, slice(start, start + WIDEST))
            if found is not None:
                yield found


def _heat(entry: Entry, place: tuple[str, str], rows: Sequence[Row], shown: slice) -> Heat | None:
    """The map of some of the rows of a data set and target; None where no attack was asked for on them."""
    own = [(row, group_file(entry, row.place)) for row in rows[shown]]
    found = {(row.defense, _identity(attack)): attack for row, _ in own for attack in row.attacks}
    attacks = sorted({identity for _, identity in found}, key=lambda each: (access_order(each[0]), *each))
    if not attacks:
        return None
    groups: dict[str, list[HeatRow]] = {}
    for identity in attacks:
        asked = [(found.get((row.defense, identity)), row, page) for row, page in own]
        cells = tuple(None if attack is None else _cell(attack, row, page) for attack, row, page in asked)
        adaptive = any(attack.adaptive for attack, _, _ in asked if attack is not None)
        groups.setdefault(identity[0], []).append(HeatRow(identity[1], identity[2], adaptive, cells))
    part = f"defenses {shown.start + 1:,} to {shown.start + len(own):,} of {len(rows):,}"
    return Heat(
        id=anchor(entry.title, *place, *([str(shown.start)] if shown.start else [])),
        board=entry.title,
        dataset=place[0],
        target=place[1],
        part=part if len(own) < len(rows) else "",
        columns=tuple((row.defense, page) for row, page in own),
        groups=tuple(HeatGroup(access, access_name(access), tuple(each)) for access, each in groups.items()),
    )


def _identity(attack: AttackRow) -> tuple[str, str, str]:
    return attack.access, attack.attack, attack.knowledge


def _cell(attack: AttackRow, row: Row, page: str) -> HeatCell:
    s, shown = attack.summary, attack.interval
    against = "; made against this defense" if attack.adaptive else ""
    if s is None or shown is None:
        reason = attack.reason if len(attack.reason) <= LONGEST else f"{attack.reason[: LONGEST - 1]}…"
        said = f"{attack.status.replace('_', ' ')}{f': {reason}' if reason else ''}{against}"
        return HeatCell(EMPTY, "idle", False, False, said, page)
    worst = row.worst is not None and row.worst.row.attack == attack.attack
    said = f"{interval(shown.low, shown.high)} over {shown.over}{'; worst of its column' if worst else ''}{against}"
    return HeatCell(number(s.auc), shade(s.auc), shown.low > 0.5, worst, said, page)
