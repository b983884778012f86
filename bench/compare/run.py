"""The whole comparison of two boards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.compare.attacks import AttackPairs, pair_attacks
from bench.compare.claims import claim_findings
from bench.compare.conditions import board_reasons, row_reasons
from bench.compare.figures import count_figure, lost_runs, row_figure, trial_figure
from bench.compare.findings import STATUS, STATUSES, Comparison, Finding
from bench.compare.leak_figures import attacks_apart, leak_figures, unattacked
from bench.compare.matching import match_rows
from bench.compare.notes import notes
from bench.compare.printable import printable
from bench.compare.row_status import row_status
from bench.compare.side import Place, Side, read_side
from bench.compare.tolerance import Tolerance, parse_tolerances
from bench.compare.verdicts import Test, verdicts
from bench.published.read import Published


def compare_boards(
    base: Published,
    new: Published,
    fail_on: Sequence[str] = (),
    match: Sequence[str] = (),
    across_versions: bool = False,
    names: tuple[str, str] | None = None,
) -> Comparison:
    """Whether anything of NEW is worse than in BASE.

    Args:
        base, new: the boards.
        fail_on: what is compared and how much worse it may get; see ``parse_tolerances``.
        match: rows that are called otherwise, ``NEW=BASE``; see ``match_rows``.
        across_versions: compare although package versions differ, and say so.
        names: what to call the boards; their folders unless given.

    Raises:
        InputError: a rule or a match is wrong, or a board is damaged.
        MissingError: a file that a board names is not there.
    """
    tolerances = parse_tolerances(fail_on)
    ours, theirs = read_side("BASE", base), read_side("NEW", new)
    matched = match_rows(list(ours.rows), list(theirs.rows), match)
    general = board_reasons(ours, theirs, across_versions)
    found: list[Test | Finding] = []
    for at, now in matched.pairs:
        found += claim_findings(ours, theirs, at, now)
        found += _row(ours, theirs, at, now, tolerances, general, across_versions)
    found += [Finding(at, at, STATUS, "missing", "NEW has no such row") for at in matched.missing]
    for now in matched.added:
        found += [Finding(now, None, STATUS, "new", "BASE has no such row"), *claim_findings(ours, theirs, None, now)]
    if fail_on:
        found += _unmeasured(found, tolerances)
    tests = [each for each in found if isinstance(each, Test)]
    judged = iter(verdicts(tests))
    findings = [next(judged) if isinstance(each, Test) else each for each in found]
    gravity = list(STATUSES)
    base_name, new_name = map(printable, names or (str(base.folder), str(new.folder)))
    return Comparison(
        base_name,
        new_name,
        findings=tuple(sorted(findings, key=lambda finding: gravity.index(finding.status))),
        tolerances=tolerances,
        default=not fail_on,
        notes=tuple(notes(ours, theirs, matched.pairs, tests, across_versions)),
    )


def _row(
    base: Side,
    new: Side,
    at: Place,
    now: Place,
    tolerances: Sequence[Tolerance],
    general: Sequence[str],
    across_versions: bool,
) -> list[Test | Finding]:
    """Every asked figure of one row."""
    said, comparable = row_status(base, new, at, now)
    found: list[Test | Finding] = list(said)
    if not comparable:
        return found
    reasons = [*general, *row_reasons(base, new, at, now, across_versions)]
    if reasons:
        why = "; ".join(reasons)
        return found + [Finding(now, at, t.figure.name, "not comparable", why, kind=t.figure) for t in tolerances]
    pairs = AttackPairs()
    if any(tolerance.figure.source == "scores" for tolerance in tolerances):
        pairs = pair_attacks(base, new, at, now, across_versions)
        access = {name: str(entry["access"]) for name, entry in (*base.attacks[at].items(), *new.attacks[now].items())}
        found += attacks_apart(pairs, at, now, tolerances, access)
    for tolerance in tolerances:
        if tolerance.figure.source == "scores":
            measured = list(leak_figures(pairs, at, now, tolerance))
            found += [*measured, *unattacked(measured, base, new, at, now, tolerance)]
            continue
        source = {"trials": trial_figure, "count": count_figure, "row": row_figure}[tolerance.figure.source]
        one = source(base, new, at, now, tolerance)
        lost = lost_runs(base, new, at, now, tolerance) if tolerance.figure.source == "trials" else None
        found += [each for each in (one, lost) if each is not None]
    return found


def _unmeasured(found: Sequence[Test | Finding], tolerances: Sequence[Tolerance]) -> Iterator[Finding]:
    """What was asked for by name and no row has: a gate that judges nothing must not pass."""
    kinds = [each.tolerance.figure if isinstance(each, Test) else each.kind for each in found]
    everywhere = Place("all data sets", "all targets", "all defenses")
    for figure in (tolerance.figure for tolerance in tolerances if tolerance.named):
        if figure not in kinds:
            said = "asked for, and no row that both boards have measures it"
            yield Finding(everywhere, None, figure.name, "missing", said, kind=figure)
