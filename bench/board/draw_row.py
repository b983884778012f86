"""Draws the pictures of one row of a board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.board.exposure import RowExposure
from bench.board.names import slug
from bench.board.pictures import EXPOSED, TRAINING, Picture, exposed_file, samples_file, training_file
from bench.board.plots_roc import RocLine, draw_roc
from bench.board.plots_sheets import SHEET_RECORDS, Pair, draw_pairs, draw_sheet
from bench.board.plots_training import Course, draw_training
from bench.board.rows import Board, Row
from bench.board.words import number
from bench.results import Trial


def draw_roc_curves(board: Board, row: Row, folder: Path) -> Picture | None:
    """The curve of each completed attack; an attack looks the same in all plots of a board."""
    attacks = [attack for attack in row.attacks if attack.summary is not None]
    if not attacks:
        return None
    names = dict.fromkeys(attack.attack for attack in board.attacks if not attack.control)
    styles = {name: index for index, name in enumerate(names)}
    lines = []
    for attack in attacks:
        s = attack.summary
        assert s is not None
        measured = ((s.realised_fpr_at_1pct, s.tpr_at_1pct_fpr), (s.realised_fpr_at_0_1pct, s.tpr_at_0_1pct_fpr))
        lines.append(
            RocLine(
                f"{attack.attack} (AUC {number(s.auc)})",
                attack.scores,
                attack.membership,
                styles[attack.attack],
                [None if fpr is None or tpr is None else (fpr, tpr) for fpr, tpr in measured],
            )
        )
    file = f"plots/roc-{slug(*row.place)}.png"
    draw_roc(folder / file, row.label, lines)
    return Picture(
        file,
        "The ROC curve of each attack, mean over training runs",
        f"ROC curves of {row.label}: {', '.join(line.label for line in lines)}.",
    )


def draw_exposed(exposure: RowExposure, folder: Path) -> Picture | None:
    """The most exposed members and the samples nearest to them; None for tables."""
    near, found = exposure.nearest, exposure.found
    if near is None or near.records.schema.kind != "image":
        return None
    pairs = [
        Pair(member, sample, f"exposure\n{number(found.exposure[place])}")
        for member, sample, place in zip(near.records.x, near.samples, exposure.top, strict=True)
    ]
    picture = exposed_picture(exposure)
    draw_pairs(folder / picture.file, pairs)
    return picture


def exposed_picture(exposure: RowExposure) -> Picture:
    """Where a row's most exposed members are drawn, and what the picture says in words."""
    found, row = exposure.found, exposure.row
    said = ", ".join(f"{found.record_ids[place]} ({number(found.exposure[place])})" for place in exposure.top)
    alt = f"The most exposed members of {row.label}, each above the generated sample nearest to it: records {said}."
    return Picture(exposed_file(row.place), EXPOSED, alt)


def draw_sheets(row: Row, folder: Path) -> list[Picture]:
    """The first generated records of each trial that has images."""
    made = []
    for trial in row.trials:
        if trial.sheet is not None and len(trial.sheet):
            file = samples_file(row.place, trial.seed)
            draw_sheet(folder / file, trial.sheet)
            shown = min(SHEET_RECORDS, len(trial.sheet))
            alt = f"The first {shown} generated records of {row.label}, seed {trial.seed}."
            made.append(Picture(file, f"Generated, seed {trial.seed}", alt))
    return made


def draw_curves(row: Row, settings: Mapping[str, Any], folder: Path) -> Picture | None:
    """The course of every training that left one, those that diverged included."""
    courses = [_course(trial) for trial in row.trials]
    if not any(course.history or course.snapshot_kid for course in courses):
        return None
    file = training_file(row.place)
    draw_training(folder / file, row.label, courses, snapshot_lines(row, settings))
    return Picture(file, TRAINING, f"{row.label}: losses, and KID of snapshots, by step. {_said(courses)}.")


def _course(trial: Trial) -> Course:
    s = trial.stability
    history = {name: values for name, values in trial.history.items() if len(values)}
    note = "" if trial.status in ("completed", "diverged") else trial.status.replace("_", " ")
    if not history and not (s and s.snapshots):
        note = ", ".join(part for part in (note, "no history") if part)
    return Course(
        trial.seed,
        history,
        s.diverged_step if s else None,
        s.snapshots if s else (),
        s.snapshot_kid if s else (),
        note,
    )


def _said(courses: list[Course]) -> str:
    parts = []
    for course in courses:
        kid = f": KID from {course.snapshot_kid[0]:.1f} to {course.snapshot_kid[-1]:.1f}" if course.snapshot_kid else ""
        parts.append(f"{course.label}{kid}")
    return "; ".join(parts)


def snapshot_lines(row: Row, settings: Mapping[str, Any]) -> dict[str, float]:
    """Name -> KID of the lines that snapshots can be read against: none where another extractor measured these."""
    quality = settings.get("quality") or {}
    if row.measure.column != "kid" or row.lines is None:
        return {}
    if "extractor" not in quality or quality.get("snapshot_extractor") != quality["extractor"]:
        return {}
    return row.measure.lines(row.lines)
