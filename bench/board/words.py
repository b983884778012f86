"""Figures as people read them: the same in page, Markdown and terminal; what is None is a dash."""

from __future__ import annotations

from collections.abc import Sequence

from bench.board.attack_rows import AttackRow
from bench.board.measures import Measure
from bench.board.rows import Row

EMPTY = "–"  # noqa: RUF001 (a dash is meant)


def number(value: float | int | None, digits: int = 3) -> str:
    """A figure with so many decimals.

    >>> number(0.51234), number(None), number(-0.01, 1)
    ('0.512', '–', '0.0')
    """
    if value is None:
        return EMPTY
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no negative zero


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """``low to high``, or nothing."""
    return "" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def auc_interval(row: Row | AttackRow) -> str:
    """The interval as shown, without what it is over."""
    shown = row.interval
    return "" if shown is None else interval(shown.low, shown.high)


def qualities(row: Row, measures: Sequence[Measure]) -> list[tuple[str, str, str]]:
    """Head, figure and interval of each column of sample quality; a row has figures in the one that it is judged by."""
    shown = []
    for measure in measures:
        value, low, high = measure.figures(row.measured)
        shown.append((measure.head, number(value, measure.digits), interval(low, high, measure.digits)))
    return shown


def epsilon(row: Row) -> str:
    """The claimed epsilon; ``void`` where a claim is void, a dash where nothing is claimed."""
    m = row.measured
    if m["claim_unit"] is None:
        return EMPTY
    return "void" if m["epsilon_claimed"] is None else f"{m['epsilon_claimed']:.3g}"


def delta(row: Row) -> str:
    """``at delta ..., per record``, or nothing: an epsilon of clients is not one of records."""
    m = row.measured
    return "" if m["epsilon_claimed"] is None else f"at delta {m['delta']:.2g}, per {m['claim_unit']}"


def certified(row: Row) -> str:
    """The certified lower bound on epsilon, or nothing where coins did not decide who is a member."""
    bound = row.audit.lower_bound if row.audit else None
    return "" if bound is None else f"at least {bound:.3g}, certified"


def equal_kid(row: Row) -> tuple[str, str, str]:
    """AUC of the undefended model at the row's sample quality; its interval; and after how many steps that was."""
    found = row.equal_kid
    if found is None:
        return EMPTY, "", ""
    h = found.headline
    return number(h.auc), interval(h.auc_low, h.auc_high), f"at {found.step:,} of {found.steps:,} steps"


def seeds(row: Row) -> str:
    """Completed of all trials where they differ."""
    done, asked = row.measured["seeds"], row.measured["trials"]
    return str(done) if done == asked else f"{done} of {asked}"


def status(row: Row) -> str:
    """Empty for a completed row, else its status in words."""
    return "" if row.status == "completed" else row.status.replace("_", " ")
