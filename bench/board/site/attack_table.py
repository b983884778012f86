"""All rows of attacks as compact data for the script that shows them: each text once, each row a list."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bench.board.attack_rows import AttackRow
from bench.board.flags import EXPLANATIONS
from bench.board.site.entry import Entry
from bench.board.site.leaderboard_columns import Column
from bench.board.site.links import group_file
from bench.board.site.threat import ACCESS, KNOWLEDGE

DIGITS = 5
"""Decimals of a figure: three are shown, the others order rows. The CSV file has all of them."""

FIELDS = (
    *("board", "dataset", "target", "defense", "page", "attack", "access", "knowledge", "adaptive", "control"),
    *("auc", "low", "high", "runs_low", "runs_high", "accuracy", "chance", "tpr", "realised", "advantage", "null"),
    *("set_auc", "seeds", "epsilon", "models", "status", "reason", "flags"),
)
"""What a row of the data holds, in its order; texts as places in the pool."""


_MEASURES = (
    *("auc", "auc_low", "auc_high", "auc_seed_low", "auc_seed_high", "accuracy", "accuracy_chance"),
    *("tpr_at_1pct_fpr", "realised_fpr_at_1pct", "advantage", "advantage_null", "set_auc"),
)
"""The attributes of a summary that stand in a row from ``auc`` to ``set_auc``."""


def columns(entries: Sequence[Entry]) -> tuple[Column, ...]:
    """The columns, in their order; of the board only where there are several."""
    rows = [row for entry in entries for row in entry.board.attacks]
    several_sets = len({row.dataset for row in rows}) > 1
    several_targets = len({row.target for row in rows}) > 1
    certified = any(row.audit is not None and row.audit.lower_bound is not None for row in rows)
    return (
        Column("attack", "attack", "The attack, and whether the defense names it as made against it.", fixed=True),
        Column("defense", "defense", "What was done against leakage."),
        *([Column("board", "board", "The board that the row comes from.")] if len(entries) > 1 else []),
        Column("dataset", "data set", "The records.", shown=several_sets),
        Column("target", "target", "The generative model.", shown=several_targets),
        Column("access", "access", "What the attacker may touch."),
        Column("knowledge", "knowledge", "What the attacker knows besides."),
        Column("adaptive", "adaptive", "Whether the defense names this attack as made against it.", shown=False),
        *_figures(certified),
        Column("flags", "flags", "What a reader has to know beside the figures."),
        Column("status", "status", "completed, or why there is no figure."),
    )


def _figures(certified: bool) -> tuple[Column, ...]:
    return (
        Column(
            "auc", "AUC", "Probability that a member scores above a non-member: .5 is chance.",
            "number", "lower", fixed=True,
        ),
        Column(
            "low", "95 % over records", "Interval of the AUC, given these trained models; sorted by its start.",
            "number", "lower",
        ),
        Column(
            "runs_low", "95 % over runs", "Interval of the AUC over training runs, from three on; sorted by its start.",
            "number", "lower",
        ),
        Column(
            "accuracy", "accuracy", "Share of members among as many highest scores; below it, that of guessing.",
            "number", "lower", shown=False,
        ),
        Column(
            "tpr", "TPR at 1 % FPR", "Members found while 1 % of non-members are accused; empty below 1,000 of those.",
            "number", "lower",
        ),
        Column(
            "advantage", "advantage", "Largest TPR - FPR; below it what chance exceeds in one of twenty cases.",
            "number", "lower", shown=False,
        ),
        Column(
            "set_auc", "set AUC", "AUC of whole sets that are all in or all out, of the matrix's first size.",
            "number", "lower",
        ),
        Column("seeds", "runs", "Training runs on which the attack was completed.", "number", "higher"),
        Column(
            "epsilon", "epsilon, certified", "Certified lower bound on epsilon, where coins decided who is a member.",
            "number", "lower", shown=certified,
        ),
        Column("models", "models trained", "Models that the attack asked for.", "number", "lower", shown=False),
    )  # fmt: skip


def data(entries: Sequence[Entry]) -> dict[str, Any]:
    """``fields``, the ``pool`` of texts, ``rows`` and the meanings of flags and threat models, as JSON values."""
    pool: dict[str, int] = {}
    rows = [_row(entry, row, pool) for entry in entries for row in entry.board.attacks]
    return {
        "fields": FIELDS,
        "pool": list(pool),
        "rows": rows,
        "flags": EXPLANATIONS,
        "access": ACCESS,
        "knowledge": KNOWLEDGE,
    }


def facets(entries: Sequence[Entry]) -> list[tuple[str, str, list[str]]]:
    """Key, title and values of each filter that tells rows apart; controls have one of their own."""
    rows = [(entry.title, row) for entry in entries for row in entry.board.attacks]
    raised = {flag.name for _, row in rows for flag in row.flags}
    found = [
        ("board", "board", [title for title, _ in rows]),
        ("dataset", "data set", [row.dataset for _, row in rows]),
        ("target", "target", [row.target for _, row in rows]),
        ("defense", "defense", [row.defense for _, row in rows]),
        ("access", "access", sorted((row.access for _, row in rows), key=_rank(ACCESS))),
        ("knowledge", "knowledge", sorted((row.knowledge for _, row in rows), key=_rank(KNOWLEDGE))),
        ("status", "status", [row.status for _, row in rows]),
    ]
    told = [(key, title, list(dict.fromkeys(values))) for key, title, values in found]
    flags = [("flags", "flags", [name for name in EXPLANATIONS if name in raised])] if raised else []
    return [each for each in told if len(each[2]) > 1] + flags


def _rank(listed: dict[str, str]) -> Callable[[str], tuple[int, str]]:
    order = list(listed)
    return lambda level: (order.index(level) if level in listed else len(order), level)


def _row(entry: Entry, row: AttackRow, pool: dict[str, int]) -> list[Any]:
    def text(value: str) -> int:
        return pool.setdefault(value, len(pool))

    s = row.summary
    return [
        *(text(label) for label in (entry.title, *row.row, group_file(entry, row.row), row.attack)),
        *(text(label) for label in (row.access, row.knowledge)),
        int(row.adaptive),
        int(row.control),
        *(None if s is None else _short(getattr(s, name)) for name in _MEASURES),
        len(row.completed),
        _short(row.audit.lower_bound) if row.audit else None,
        max(cell.models_trained for cell in row.cells),
        text(row.status),
        text(row.reason),
        [[text(flag.name), text(flag.seen)] for flag in row.flags],
    ]


def _short(value: float | None) -> float | None:
    # What is not finite was not measured, and JSON has no word for it.
    return None if value is None or not math.isfinite(value) else round(value, DIGITS)
