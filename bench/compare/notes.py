"""What must stand at the top of a comparison, before any figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.compare.conditions import spec_difference, version_differences
from bench.compare.measures import SPREAD_DF
from bench.compare.side import Place, Side
from bench.compare.sources import defense_notes, source_differences
from bench.compare.verdicts import Test


def notes(
    base: Side, new: Side, pairs: Sequence[tuple[Place, Place]], tests: Sequence[Test], across_versions: bool
) -> Iterator[str]:
    """A sentence each."""
    other = [*version_differences(base, new), *source_differences(base, new, pairs)] if across_versions else []
    if other:
        yield f"Compared ACROSS VERSIONS, so a difference may be theirs: {'; '.join(other)}."
    for at, now in pairs:
        specs = [side.setting("configurations", "defenses", where.defense) for side, where in ((base, at), (new, now))]
        if specs[0] != specs[1]:
            yield f"{now} is configured otherwise than {at.defense} in BASE: {spec_difference(*specs)}."
    yield from defense_notes(base, new, pairs)
    yield from _fewer(base, new, pairs)
    single = sum(len(t.evidence.base_runs) == len(t.evidence.new_runs) == 1 and not t.evidence.identical for t in tests)
    if single:
        yield (
            f"One training run each in {single} of {len(tests)} comparisons: there, what a run does by chance cannot "
            "be told from a change by these two runs. They are judged by the spread between runs of the suite's "
            f"published boards (counted as {SPREAD_DF} degrees of freedom), so only a large difference is called "
            "worse; train more seeds."
        )


def _fewer(base: Side, new: Side, pairs: Sequence[tuple[Place, Place]]) -> Iterator[str]:
    """Fewer completed runs than BASE planned; that runs diverged is judged elsewhere, fewer seeds are a choice."""
    runs = [(str(now), len(new.completed(now)), len(base.trials[at])) for at, now in pairs]
    said = [f"{label} ({has} of {had})" for label, has, had in runs if 0 < has < had]
    if said:
        yield f"Fewer training runs were completed in NEW than BASE has, which shows less: {', '.join(said)}."
