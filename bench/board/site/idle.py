"""What was not measured, and why: nobody shall take an empty place in a table for a good figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.board.rows import Board
from bench.results import Cell, Trial


@dataclass(frozen=True)
class Idle:
    """Runs of one trial group, or of one attack on it, that gave no figure.

    Attributes:
        attack: its label, a control's too; empty for the trials themselves.
        seeds: of the runs without a figure, joined by commas.
        status: of those, in words.
        reason: as the run gave it; may be empty.
    """

    dataset: str
    target: str
    defense: str
    attack: str
    seeds: str
    status: str
    reason: str


def idle(board: Board) -> tuple[Idle, ...]:
    """Trials and attacks without a figure, in the board's order; an attack only where its trial is not the reason."""
    return tuple(_idle(board))


def _idle(board: Board) -> Iterator[Idle]:
    for row in board.rows:
        lost_trials = [trial for trial in row.trials if trial.status != "completed"]
        if lost_trials:
            yield Idle(*row.place, "", *_lost(lost_trials), row.reason)
        for attack in (*row.attacks, *row.controls):
            lost = [cell for cell in attack.cells if cell.status != "completed"]
            if lost and row.status == "completed":
                yield Idle(*row.place, attack.attack, *_lost(lost), attack.reason)


def _lost(runs: Sequence[Trial] | Sequence[Cell]) -> tuple[str, str]:
    """Seeds and statuses, each once."""
    seeds = ", ".join(str(run.seed) for run in runs)
    return seeds, ", ".join(dict.fromkeys(run.status.replace("_", " ") for run in runs))
