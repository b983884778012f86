"""Verifies an opened board: files, structure, records, then every number."""

from __future__ import annotations

from bench.board.rows import Board
from bench.errors import InputError
from bench.published.read import Published
from bench.results import Results
from bench.verify.facts import read_facts
from bench.verify.files import check_files
from bench.verify.rebuild import rebuild
from bench.verify.recompute import recompute
from bench.verify.report import Report
from bench.verify.settings import check_settings
from bench.verify.structure import check_structure

TAKEN = (
    "taken as published, since only the models and records could tell: sample quality, training stability, claims and "
    "cost of each trial, fingerprints and duplicates of the data; nearest samples; pictures and pages; the stamp "
    "(versions, platform, commit, time); the matrix, and settings that no table is computed with (samples, device, "
    "precision, quality, configurations), which were only compared with the matrix where it gives them"
)


def verify(published: Published) -> tuple[Report, Results | None]:
    """Everything that can be checked of a board without its models; what is wrong is collected.

    Returns:
        What was found; and the results behind the board, None where they could not be read.
    """
    report, results, _ = verify_board(published)
    return report, results


def verify_board(published: Published) -> tuple[Report, Results | None, Board | None]:
    """The same with the board that was computed again, None where that could not be done."""
    report = Report()
    violations = check_files(published.folder, report)
    try:
        facts = read_facts(published.payload)
    except InputError as error:
        report.problem(*error.problems)
        return report, None, None
    check_structure(facts, report)
    check_settings(facts, report)
    results = rebuild(published, facts, report)
    _check_unnamed(published, report)
    board = None
    if results is None:
        report.note("no number was recomputed, since scores or splits are not what they should be")
    else:
        board = recompute(results, published, violations, report)
    report.note(TAKEN)
    return report, results, board


def _check_unnamed(published: Published, report: Report) -> None:
    """Files of scores and splits that the JSON does not name."""
    payload = published.payload
    named = {cell["scores"] for row in payload["attacks"] for cell in row["cells"]}
    named |= {cell["scores"] for cell in payload["snapshots"]}
    named |= {split["file"] for data in payload["datasets"].values() for split in data["splits"].values()}
    for pattern in ("scores/**/*", "splits/**/*"):
        for path in sorted(published.folder.glob(pattern)):
            name = path.relative_to(published.folder).as_posix()
            if path.is_file() and name not in named:
                report.problem(f"{name}: expected files that leaderboard.json names, it does not name this one")
