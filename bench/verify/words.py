"""What is written for people: derived sentences and texts, whose words may change from one version to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.published.limits import MAX_JSON
from bench.stamp import make_stamp
from bench.verify.report import Report
from bench.verify.same import Worded, same_figures

HEADING = "worded otherwise by this version of the suite, with the same figures"


def read_text(path: Path, report: Report) -> str | None:
    """A file of the board as text; None where there is none, or with a problem where it cannot be read."""
    if not path.is_file():
        return None
    if (size := path.stat().st_size) > MAX_JSON:
        report.problem(f"{path.name}: expected at most {MAX_JSON} bytes, got {size}")
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        report.problem(f"{path.name}: expected text in UTF-8, which cannot be read: {error}")
        return None


def text_differences(stored: str, made: str, name: str) -> Iterator[str]:
    """Where two texts differ, a line each; ``Worded`` where all of their figures are the same."""
    kind = Worded if same_figures(stored, made) else str
    old, new = stored.splitlines(), made.splitlines()
    for number, (one, other) in enumerate(zip(old, new, strict=False), 1):
        if one.rstrip() != other.rstrip():
            yield kind(f"{name}: line {number}: stored {one!r}, recomputed {other!r}")
    if len(old) != len(new):
        yield kind(f"{name}: stored {len(old)} lines, recomputed {len(new)}")


def settle(lines: Sequence[str], stamp: Mapping[str, Any], report: Report) -> None:
    """All differences as problems; but other words for the same figures as notes, if other code wrote them."""
    if all(isinstance(line, Worded) for line in lines) and not report.problems and other_code(stamp):
        for line in lines:
            report.note(f"{HEADING}: {line}")
    else:
        report.problem(*map(str, lines))


def other_code(stamp: Mapping[str, Any]) -> bool:
    """Whether a board was written by another version or commit than this one; an unknown commit is another."""
    ours = make_stamp()
    commits = [side["git"].get("commit") if isinstance(side.get("git"), dict) else None for side in (stamp, ours)]
    return stamp.get("leakboard") != ours["leakboard"] or commits[0] is None or commits[0] != commits[1]
