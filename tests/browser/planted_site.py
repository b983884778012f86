"""A board that shows all that a page may have to show: hostile names, a stack, claims, and trials that went wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "bench" / "board"))
from planted_board import candidates, cell, claim, controls, cost, idle, quality, results, table_quality, trial

from bench.board.plots import DPI
from bench.board.rows import build
from bench.board.write import write_board
from bench.records import Column, Records, Schema
from bench.results import Cell, Lines, Results, Trial

SCRIPT, UP = "<script>alert(1)</script>", "../../up"
STACK = "dropout(rate=0.5)+dp_sgd(noise_multiplier=0.9)"
RAISES = "raises"
SHIFTS = {
    "none": 1.4, "dropout(rate=0.5)": 0.7, "Dropout(rate=0.5)": 0.6, STACK: 0.1, SCRIPT: 1.0, UP: 0.05,
}  # fmt: skip
"""Defense -> how far members' scores lie above those of non-members, in standard deviations."""

FAMILIES = {
    "none": "none",
    "dp_sgd(noise_multiplier=0.9)": "privacy",
    SCRIPT: "privacy",
    UP: "output",
    RAISES: "objective",
}
REASON = "the target has no encoder"


def records(dataset: str) -> Records:
    """The candidates: pictures of 8 x 8, or rows."""
    ids, _ = candidates()
    rng = np.random.Generator(np.random.PCG64(len(dataset)))
    if dataset == "wine":
        schema = Schema("table", (4,), columns=tuple(Column(name, power=1.0, centre=0.0, scale=1.0) for name in "abcd"))
        return Records(ids, rng.normal(size=(len(ids), 4)).astype(np.float32), None, schema)
    return Records(ids, rng.integers(0, 256, (len(ids), 1, 8, 8)).astype(np.uint8), None, Schema("image", (1, 8, 8)))


def image_trial(target: str, defense: str, seed: int) -> Trial:
    place: dict[str, Any] = {"target": target, "key": f"key-{target}-{defense}-{seed}"}
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (60, 1, 8, 8)).astype(np.uint8)
    place |= {"sheet": drawn[:16], "samples": lambda: drawn}
    if defense == RAISES:
        return trial(
            defense, seed, **place | {"sheet": None, "samples": None}, status="failed", reason="TypeError: planted",
            quality=None, stability=None, history={}, artifacts={}, costs={},
        )  # fmt: skip
    if (defense, seed) == ("Dropout(rate=0.5)", 2):
        return trial(
            defense, seed, **place | {"sheet": None, "samples": None}, status="diverged",
            reason="the loss of the generator was not finite at step 700", quality=None, stability=None,
            costs={"train": cost(40.0, 700)},
        )  # fmt: skip
    if defense == UP:
        place["quality"] = quality(330.0 + seed, 25.0)  # no better than untrained
    if defense == STACK:
        place |= {"claim": claim(), "quality": quality(90.0 + seed), "adaptive": ("logan_white_box",)}
    if defense == SCRIPT:
        place["claim"] = claim(None, "the discriminator's <b>loss</b> on members ended the training")
    return trial(defense, seed, **place)


def image_cells(target: str, defense: str, seed: int) -> tuple[Cell, ...]:
    place: dict[str, Any] = {"target": target}
    bad = image_trial(target, defense, seed)
    if bad.status != "completed":
        status = "blocked" if bad.status == "failed" else "diverged"
        return tuple(
            idle(attack, status, bad.reason, defense, seed, access=access, **place)
            for attack, access in (("logan_white_box", "white_box"), ("nearest_sample", "samples"))
        )
    shift = SHIFTS[defense]
    sets = {10: np.random.Generator(np.random.PCG64(seed)).normal(size=50)}
    return (
        cell("logan_white_box", defense, seed, shift, access="white_box", adaptive=defense == STACK, **place),
        cell("nearest_sample", defense, seed, shift / 2, **place),
        cell("lira", defense, seed, shift / 3, access="white_box", knowledge="reference", models_trained=4, **place),
        cell("update_observer", defense, seed, shift / 4, access="training", capped=True, set_scores=sets, **place),
        idle("reconstruction", "not_applicable", REASON, defense, seed, access="white_box", **place),
        idle("broken", "failed", f"ValueError: {SCRIPT}", defense, seed, **place),
        *controls(defense, seed, **place),
    )


def table_trial(defense: str, seed: int) -> Trial:
    made = np.random.Generator(np.random.PCG64(seed)).normal(size=(60, 4)).astype(np.float32)
    return trial(
        defense, seed, dataset="wine", target="tvae", key=f"key-wine-{defense}-{seed}", sheet=None, stability=None,
        quality=table_quality(0.12 if defense == "none" else 0.2), samples=lambda: made,
    )  # fmt: skip


def showcase() -> Results:
    """Two data sets, three targets of which one generates rows, seven defenses, three seeds."""
    places = [("dcgan", d, s) for d in (*SHIFTS, RAISES) for s in range(3)]
    places += [("ddpm", d, s) for d in ("none", STACK) for s in range(3)]
    rows = [(d, s) for d in ("none", SCRIPT) for s in range(3)]
    own: dict[str, Any] = {"dataset": "wine", "target": "tvae"}
    lines = (
        Lines("digits", "dcgan", quality(0.2), quality(310.0), quality(140.0)),
        Lines("digits", "ddpm", quality(0.2), quality(290.0), quality(140.0)),
        Lines("wine", "tvae", table_quality(0.08), table_quality(0.45), table_quality(0.1)),
    )
    ids, membership = candidates()
    split = {"members": ids[membership], "nonmembers": ids[~membership]}
    defenses = {d for _, d, _ in places}
    return results(
        (*(image_trial(*place) for place in places), *(table_trial(*row) for row in rows)),
        (
            *(each for place in places for each in image_cells(*place)),
            *(cell("nearest_sample", d, s, SHIFTS[d] / 2, **own) for d, s in rows),
            *(each for d, s in rows for each in controls(d, s, **own)),
        ),
        lines,
        splits={"digits": split, "wine": split},
        fingerprints={"digits": "ab" * 32, "wine": "cd" * 32},
        duplicates={"digits": 0, "wine": 2},
        settings={
            "sets": [10], "resamples": 50, "quality": {"extractor": "pca", "snapshot_extractor": "pca"},
            "configurations": {
                "targets": {"dcgan": [{"name": "dcgan", "steps": 1000, "roles": ["generator"]}]},
                "defenses": {
                    STACK: [{"name": "dropout", "rate": 0.5}, {"name": "dp_sgd", "noise_multiplier": 0.9}],
                    SCRIPT: [{"name": SCRIPT, "note": "</script><b>"}],
                },
            },
        },
        stamp={"leakboard": "0.1.0", "git": {"commit": "abc123", "dirty": True}, "packages": {"torch": "2.15"}},
        candidates={"digits": lambda: records("digits"), "wine": lambda: records("wine")},
        plugins={
            "datasets": {d: [{"name": d, "summary": f"The data set {d}.", "paper": ""}] for d in ("digits", "wine")},
            "targets": {
                t: [{"name": t, "summary": f"The target {t}.", "paper": ""}] for t in ("dcgan", "ddpm", "tvae")
            },
            "defenses": {
                d: [
                    {"name": part.split("(")[0], "summary": f"The defense {part}.", "paper": "Somebody, A Title, 2020",
                     "family": FAMILIES.get(part, "regulariser")}
                    for part in ([d] if d != STACK else d.split("+"))
                ]
                for d in sorted(defenses)
            },
        },
    )  # fmt: skip


def write(folder: Path) -> None:
    """The board of ``showcase`` with its pages; in place of each plot lies a blank picture as large as the plot."""
    with pytest.MonkeyPatch.context() as patched:
        for module in ("plots_roc", "plots_scatter", "plots_sheets", "plots_training"):
            patched.setattr(f"bench.board.{module}.save", blank)
        patched.setattr("bench.board.plots_scatter.save_svg", blank_svg)
        write_board(build(showcase()), folder)


def blank(figure: Figure, path: Path, exact: bool = False) -> None:
    """What ``bench.board.plots.save`` writes, without the drawing, which takes longer than all else of a board."""
    width, height = (int(inches * DPI) for inches in figure.get_size_inches())
    Image.new("L", (width, height), 255).save(path)


def blank_svg(figure: Figure, path: Path) -> None:
    width, height = (round(inches * 72) for inches in figure.get_size_inches())
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt"/>\n', "utf-8")
