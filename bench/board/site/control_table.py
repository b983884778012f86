"""What the controls of a board read, and what they must read."""

from __future__ import annotations

from dataclasses import dataclass

from bench.board import controls, words
from bench.board.attack_rows import AttackRow
from bench.board.flags import split_distinguishable
from bench.board.rows import Board
from bench.board.words import EMPTY, number


@dataclass(frozen=True)
class Control:
    """A control as a table shows it; ``fault`` where it read something else than it must."""

    dataset: str
    attack: str
    expected: str
    auc: str
    interval: str
    over: str
    accuracy: str
    chance: str
    verdict: str
    fault: bool


def control_table(board: Board) -> tuple[Control, ...]:
    """Controls see no release, so those of one data set are computed once and shown once."""
    shown: dict[object, Control] = {}
    for row in board.attacks:
        if row.control:
            computed = tuple(cell.artifact for cell in row.completed)
            shown.setdefault((row.dataset, row.attack, computed or (row.target, row.defense)), _control(row))
    return tuple(shown.values())


def _control(row: AttackRow) -> Control:
    expected = controls.EXPECTED.get(controls.name_of(row.attack))
    s, shown, found = row.summary, row.interval, controls.problem(row)
    if s is None:
        judged = f"{row.status.replace('_', ' ')}{f': {row.reason}' if row.reason else ''}"
    elif found:
        judged = f"Fault. {found}"
    elif split_distinguishable(s.auc, controls.permutation_p(row)) is not None:
        judged = "The split itself can be told apart."
    else:
        judged = "as expected" if expected else EMPTY
    return Control(
        row.dataset,
        row.attack,
        expected.words if expected else EMPTY,
        number(s.auc if s else None),
        words.auc_interval(row),
        f"over {shown.over}" if shown else "",
        number(s.accuracy if s else None),
        number(s.accuracy_chance) if s else "",
        judged,
        bool(found),
    )
