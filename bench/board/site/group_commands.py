"""The commands that repeat a trial group."""

from __future__ import annotations

import shlex

from bench.board.rows import Row
from bench.errors import InputError
from bench.matrix.yaml_lines import parse_yaml
from bench.results import Results


def commands(results: Results, row: Row) -> list[tuple[str, str]]:
    """(what it does, the command), for the folder that ``matrix.yaml`` was saved to."""
    place, device = "/".join(row.place), _other_device(results)
    option = f" --device {shlex.quote(device)}" if device else ""
    beside = " and the undefended one that it is read beside" if row.undefended is not None else ""
    # The level at which a claim is tested is shared by all rows that claim something, or may yet.
    of_all = "its rank and certified bound need" if row.audit is not None else "its rank needs"
    made = [
        (
            f"Train, attack and measure this row{beside} again, with the code of the commit below; {of_all} the whole "
            "matrix, run without --only",
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
            "Compute every figure that scores can tell again, without training; quality, stability, claims and cost "
            "are taken as published",
            f"python -m bench verify {folder}",
        )
    )
    return made


def _other_device(results: Results) -> str:
    """The device that took the place of the matrix's own; empty where none did, or where the matrix cannot be read."""
    try:
        matrix = parse_yaml(results.matrix_text, "matrix.yaml").data
    except (InputError, ValueError):
        return ""
    used = str(results.settings.get("device") or "")
    return used if isinstance(matrix, dict) and used != matrix.get("device", "cpu") else ""
