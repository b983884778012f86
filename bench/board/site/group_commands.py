"""The commands that repeat a trial group."""

from __future__ import annotations

import re
import shlex

from bench.board.rows import Row
from bench.results import Results


def commands(results: Results, row: Row) -> list[tuple[str, str]]:
    """(what it does, the command), for the folder that ``matrix.yaml`` was saved to."""
    place, device = "/".join(row.place), _other_device(results)
    option = f" --device {shlex.quote(device)}" if device else ""
    made = [
        (
            "Train, attack and measure this row again, with the code of the commit below",
            f"python -m bench run matrix.yaml --only {shlex.quote(place)}{option}",
        )
    ]
    cell = row.worst.row.completed[0] if row.worst else None
    if cell is not None:
        figure = shlex.quote(f"{place}/{cell.seed}/{cell.attack}")
        made.append(
            (
                f"Where the figure of the worst attack at seed {cell.seed} comes from, step by step",
                f"python -m bench show {figure} --matrix matrix.yaml{option}",
            )
        )
    folder = shlex.quote(f"results/{results.name}{f'-{device}' if device else ''}")
    made.append(
        (
            "Compute every number of the board again from its scores, without training",
            f"python -m bench verify {folder}",
        )
    )
    return made


def _other_device(results: Results) -> str:
    """The device that took the place of the matrix's own; empty where none did."""
    used = str(results.settings.get("device") or "")
    found = re.search(r"^device:[ \t]*['\"]?(\w+)", results.matrix_text, re.MULTILINE)
    return "" if used == (found[1] if found else "cpu") else used
