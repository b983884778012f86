"""What a board comes to, in a few sentences."""

from __future__ import annotations

from bench.board.rows import Board


def summary(board: Board) -> str:
    """What was run and what came of it."""
    rows = board.rows
    judged = [row for row in rows if row.worst is not None]
    useful = [row for row in judged if not row.raised("quality_gone")]
    leaking = [row for row in judged if row.interval is not None and row.interval.low > 0.5]
    attacks = len({row.attack for row in board.attacks if row.summary is not None and not row.control})
    runs = sum(trial.status == "completed" for trial in board.results.trials)
    parts = [
        f"{runs} of {len(board.results.trials)} training runs completed; {len(judged)} of {len(rows)} "
        "combinations of data set, target and defense were attacked, "
        f"by {attacks} attack{'s' if attacks != 1 else ''}.",
        f"{len(leaking)} leak membership beyond chance.",
    ]
    if len(useful) < len(judged):
        parts.append(f"{len(judged) - len(useful)} gave samples no better than an untrained model's.")
    return " ".join(parts)
