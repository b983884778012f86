"""How a row's trainings went: losses, the distance of snapshots and gradient norms, a line per seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.board.kid_axis import kid_axis
from bench.board.palette import style
from bench.board.plots import save

CURVE_POINTS = 80
DWARFED = 30.0
"""From so many times the ninth decile on, the largest value of a column would flatten all others on a linear axis."""

LARGEST = 1e30
"""Beyond it an axis cannot be laid out; no loss says anything there."""


@dataclass(frozen=True)
class Course:
    """One training.

    Attributes:
        seed: its seed.
        history: column -> array over training steps; a phase that does not run on every step has fewer values, spread
            over the same steps.
        diverged_step: None where it did not diverge.
        snapshots, snapshot_kid: training steps, and KID x 1000 there.
        note: what the legend says besides, such as a status.
    """

    seed: int
    history: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    diverged_step: int | None = None
    snapshots: Sequence[int] = ()
    snapshot_kid: Sequence[float] = ()
    note: str = ""

    @property
    def label(self) -> str:
        """For a legend."""
        end = "" if self.diverged_step is None else f", diverged at step {self.diverged_step:,} (x)"
        return f"seed {self.seed}{end}{f', {self.note}' if self.note else ''}"

    @property
    def steps(self) -> int:
        """Training steps that the history covers: its own, since another seed may have ended earlier."""
        return max(map(len, self.history.values()), default=0)


def draw_training(path: Path, title: str, courses: Sequence[Course], lines: Mapping[str, float]) -> None:
    """Losses first, then the KID of snapshots, then everything else: a panel each, below one another.

    Args:
        courses: of the row's seeds, at least one of which has a history or snapshots.
        lines: name -> KID x 1000 of each reference line that snapshots can be read against.
    """
    columns = dict.fromkeys(name for course in courses for name in course.history)
    losses = [name for name in columns if name.startswith("loss")]
    kids = [kid for course in courses for kid in course.snapshot_kid]
    panels = [*losses, *([None] if kids else []), *(name for name in columns if name not in losses)]
    figure = Figure(
        figsize=(5.6, 0.9 + 0.2 * len(courses) + 1.2 * len(panels) + (0.6 if kids else 0)), layout="constrained"
    )
    figure.suptitle(title, fontsize=10, parse_math=False)
    heights = [1.5 if column is None else 1.0 for column in panels]
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, column in zip(grid, panels, strict=True):
        if column is None:
            _snapshots(axes, courses, lines)
        else:
            _column(axes, courses, column)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
        for index, course in enumerate(courses):
            if course.diverged_step is not None:
                axes.axvline(course.diverged_step, color=style(index).colour, linestyle=":", linewidth=1)
    # Of one step alone there is no range to choose.
    grid[-1].set_xlim(left=0, right=None if grid[-1].get_xlim()[1] > 1 else 1)
    grid[-1].set_xlabel("training step", fontsize=8)
    figure.legend(
        handles=[_key(grid[0], index, course) for index, course in enumerate(courses)],
        ncols=1 if any(len(course.label) > 12 for course in courses) else 4,
        fontsize=8, loc="outside lower left", frameon=False,
    )  # fmt: skip
    save(figure, path)


def _key(axes: Axes, index: int, course: Course) -> Any:
    look = style(index)
    (handle,) = axes.plot([], [], color=look.colour, linestyle=look.line, label=course.label)
    return handle


def _column(axes: Axes, courses: Sequence[Course], column: str) -> None:
    """One column of the histories; the last finite value of a diverged training is marked."""
    seen = []
    for index, course in enumerate(courses):
        if column not in course.history:
            continue
        look, values = style(index), np.asarray(course.history[column], dtype=np.float64)
        values = np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), np.nan)
        finite = np.flatnonzero(np.isfinite(values))
        place, mean = thinned(values)
        if course.diverged_step is not None and len(finite):
            # Up to the very value before the divergence, which the mean of its stretch would hide.
            shown = place < finite[-1]
            place, mean = np.append(place[shown], finite[-1]), np.append(mean[shown], values[finite[-1]])
        x = (place + 1) * course.steps / max(1, len(values))  # the first value is of the first step
        there = mean[np.isfinite(mean)]
        seen.append(there)
        axes.plot(
            x, mean, color=look.colour, linestyle=look.line, linewidth=1, marker="." if len(there) == 1 else None
        )  # fmt: skip
        if course.diverged_step is not None and len(finite):
            axes.plot(x[-1], mean[-1], color=look.colour, marker="x", markersize=7, markeredgewidth=1.6)
    _scale(axes, np.concatenate([np.zeros(0), *seen]))
    axes.set_ylabel(column.replace("_", " ").replace("/", "\n", 1), fontsize=8, parse_math=False)


def _scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """Logarithmic beyond what most values reach, where a few dwarf them, as before a divergence."""
    usual = float(np.quantile(np.abs(values), 0.9)) if len(values) else 0.0
    if usual > 0 and float(np.abs(values).max()) > DWARFED * usual:
        axes.set_yscale("symlog", linthresh=usual)


def _snapshots(axes: Axes, courses: Sequence[Course], lines: Mapping[str, float]) -> None:
    for name, kid in lines.items():
        axes.axhline(kid, color="0.55", linestyle=":", linewidth=1)
        axes.annotate(
            name, (1, kid), xycoords=("axes fraction", "data"), xytext=(-3, 2), textcoords="offset points",
            ha="right", fontsize=7, color="0.35",
        )  # fmt: skip
    for index, course in enumerate(courses):
        look = style(index)
        axes.plot(
            course.snapshots, course.snapshot_kid, color=look.colour, linestyle=look.line, marker=look.mark,
            markersize=4, linewidth=1,
        )  # fmt: skip
    kid_axis(axes, [*(kid for course in courses for kid in course.snapshot_kid), *lines.values()], 6)
    axes.set_ylabel("KID x 1000\nof snapshots", fontsize=8)


def thinned(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Over at most ``CURVE_POINTS`` equal stretches the middle and the mean of the steps that have a finite value.

    A stretch without any has its own middle, and NaN.
    """
    parts = np.array_split(np.arange(len(values)), min(CURVE_POINTS, len(values))) if len(values) else []
    usable = [part[np.isfinite(values[part])] for part in parts]
    place = [(kept if len(kept) else part).mean() for part, kept in zip(parts, usable, strict=True)]
    return np.array(place), np.array([values[kept].mean() if len(kept) else np.nan for kept in usable])
