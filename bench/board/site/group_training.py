"""How the trainings of a group went, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.board import words
from bench.board.draw_row import snapshot_lines
from bench.board.rows import Row
from bench.board.trial_rows import is_collapsed
from bench.board.words import EMPTY, number
from bench.results import Trial


class Head(NamedTuple):
    """What a figure is called, and what it says."""

    title: str
    text: str


IMAGES = (
    Head("KID", "KID x 1000 of the samples against held-out real records, with its 95 % interval; lower is better."),
    Head("FID", "Fréchet distance of features; lower is better, and it depends on the number of records."),
    Head("precision", "Share of samples that lie among real records."),
    Head("recall", "Share of real records that lie among samples."),
    Head("density", "How densely samples lie among real records; may exceed 1."),
    Head("coverage", "Share of real records with a sample near by."),
)
TABLES = (
    Head("marginal", "Mean distance of single columns to held-out real rows, 0 to 1, with its 95 % interval."),
    Head("correlation", "Mean distance of the columns' associations by pairs, 0 to 2, with its 95 % interval."),
    Head("proximity", "Share of rows nearer to a member than to any held-out row, less a half; .5: all are copies."),
    Head("utility", "Accuracy on real rows of a classifier trained on generated ones; below it, on real ones."),
)
COURSE_OF_IMAGES = (
    Head("KID best", "KID x 1000 of the best snapshot, chosen on other records than it is measured on; its step."),
    Head("KID final", "KID x 1000 of the last snapshot, on the same records."),
    Head("collapsed", "Whether the samples show only a small part of the data."),
)
COURSE = (
    Head("oscillation", "Path over range of the smoothed loss in the second half of training, from 1 to 49."),
    Head("gradient spike", "99th percentile over median of the gradient norms, at least 1."),
    Head("diverged at", "Training step at which a loss or weight was not finite, or left the target's limit."),
)


def seed_views(row: Row) -> dict[str, Any]:
    """Status of each seed; and each head with (figure, small print) of every seed: of images or of tables."""
    heads: tuple[Head, ...]
    if row.measure.column == "kid":
        heads = (*IMAGES, *COURSE_OF_IMAGES, *COURSE)
        shown = [[*_image(trial), *_image_course(trial, row), *_course(trial)] for trial in row.trials]
    else:
        heads = (*TABLES, *COURSE)
        shown = [[*_table(trial), *_course(trial)] for trial in row.trials]
    return {
        "heads": [
            {"seed": trial.seed, "status": trial.status.replace("_", " "), "reason": trial.reason}
            for trial in row.trials
        ],
        "figures": list(zip(heads, zip(*shown, strict=True), strict=True)),
    }


def lines_words(row: Row, settings: Mapping[str, Any]) -> str:
    """What real records and the untrained model read, and whether snapshots can be held against that."""
    measure, lines = row.measure, row.lines
    if lines is None or not measure.lines(lines):
        return ""
    said = ", ".join(f"{name} {number(value, measure.digits)}" for name, value in measure.lines(lines).items())
    text = f"{measure.title[0].upper()}{measure.title[1:]} of reference: {said}."
    drawn = bool(snapshot_lines(row, settings)) or not any(t.stability and t.stability.snapshots for t in row.trials)
    return text if drawn else f"{text} Snapshots are measured with another extractor, so the lines are not drawn there."


Shown = tuple[str, str]


def _image(trial: Trial) -> list[Shown]:
    def figure(name: str, digits: int) -> str:
        return number(getattr(trial.quality, name, None), digits)

    low, high = getattr(trial.quality, "kid_low", None), getattr(trial.quality, "kid_high", None)
    rest = [(figure(name, 2), "") for name in ("precision", "recall", "density", "coverage")]
    return [(figure("kid", 1), words.interval(low, high, 1)), (figure("fid", 1), ""), *rest]


def _table(trial: Trial) -> list[Shown]:
    def figure(name: str) -> str:
        return number(getattr(trial.quality, name, None))

    def limits(name: str) -> str:
        return words.interval(getattr(trial.quality, f"{name}_low", None), getattr(trial.quality, f"{name}_high", None))

    real = getattr(trial.quality, "utility_real", None)
    named = ("marginal_distance", "correlation_distance", "member_proximity")
    return [
        *((figure(name), limits(name)) for name in named),
        (figure("utility"), "" if real is None else f"real {number(real)}"),
    ]


def _image_course(trial: Trial, row: Row) -> list[Shown]:
    s, collapsed = trial.stability, is_collapsed(trial, row.lines)
    at = f"at {s.steps_to_best:,} steps" if s and s.steps_to_best is not None else ""
    return [
        (number(s.kid_best if s else None, 1), at),
        (number(s.kid_final if s else None, 1), ""),
        (EMPTY if collapsed is None else "yes" if collapsed else "no", ""),
    ]


def _course(trial: Trial) -> list[Shown]:
    s = trial.stability
    return [
        (number(s.loss_oscillation if s else None, 1), ""),
        (number(s.grad_norm_spike if s else None, 1), ""),
        (f"{s.diverged_step:,}" if s and s.diverged_step is not None else EMPTY, ""),
    ]
