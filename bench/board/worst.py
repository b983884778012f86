"""Which attacks of a row are compared for its headline, and the headline of each access level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.board.attack_rows import AttackRow, bootstrap_seed
from bench.board.columns import ACCESS_COLUMNS
from bench.metrics.headline import Headline, RowReplicates, headline


@dataclass(frozen=True)
class Worst:
    """The worst attack of a row.

    Attributes:
        headline: point and interval, corrected for the choice among ``headline.attacks``.
        replicates: for the ranking.
        row: the attack row of ``headline.worst_attack``.
        apart: completed attacks that were not compared, since they judged other candidates or other seeds.
    """

    headline: Headline
    replicates: RowReplicates
    row: AttackRow
    apart: tuple[AttackRow, ...]


def worst_attack(rows: Sequence[AttackRow], resamples: int) -> Worst | None:
    """The worst of the completed attacks of one row, or None where there is none.

    Attacks can be compared, and the choice corrected for, on the same candidates and seeds only. The headline is that
    of the group with the most candidates. An attack on other candidates (a capped one, or one that knows some of them)
    takes its place only when its own group's interval lies above the whole of that one: a clear leak is never left out,
    and a noisy figure on few records does not stand for a row. Fewer than two members or non-members have no headline.
    """
    rows = [row for row in rows if row.summary is not None and not row.control]
    found = [_of_group(group, rows, resamples) for group in _groups(rows) if _enough(group[0])]
    if not found:
        return None
    main = found[0]
    clear = [other for other in found[1:] if other.headline.auc_low > main.headline.auc_high]
    return max([main, *clear], key=lambda worst: worst.headline.auc)


def worst_per_access(rows: Sequence[AttackRow], resamples: int, overall: Worst | None) -> dict[str, Worst]:
    """The worst attack of each access level that was attacked."""
    done = [row for row in rows if row.summary is not None and not row.control]
    levels: dict[str, Worst] = {}
    for access in ACCESS_COLUMNS:
        own = [row for row in done if row.access == access]
        found = overall if own and len(own) == len(done) else worst_attack(own, resamples)
        if found is not None:
            levels[access] = found
    return levels


def _enough(row: AttackRow) -> bool:
    """Whether there are two of each class, which a headline needs: it is chosen on one half and read on the other."""
    return min(int(row.membership.sum()), int((~row.membership).sum())) >= 2


def _groups(rows: Sequence[AttackRow]) -> list[list[AttackRow]]:
    """Rows on the same candidates that have a seed in common: most candidates first, then most attacks."""
    by_candidates: dict[bytes, list[AttackRow]] = {}
    for row in rows:
        by_candidates.setdefault(row.record_ids.tobytes(), []).append(row)
    groups = []
    for same in by_candidates.values():
        rest = sorted(same, key=lambda row: -len(row.completed))
        while rest:
            group: list[AttackRow] = []
            for row in rest:
                if not group or _seeds([*group, row]):
                    group.append(row)
            groups.append(group)
            rest = [row for row in rest if row not in group]
    return sorted(groups, key=lambda group: (-len(group[0].record_ids), -len(group)))


def _seeds(rows: Sequence[AttackRow]) -> list[int]:
    """Seeds at which every one of the attacks was completed."""
    common = set.intersection(*({cell.seed for cell in row.completed} for row in rows))
    return sorted(common)


def _of_group(group: Sequence[AttackRow], rows: Sequence[AttackRow], resamples: int) -> Worst:
    seeds = _seeds(group)
    scores = {
        row.attack: np.stack([cell.scores for seed in seeds for cell in row.completed if cell.seed == seed])
        for row in group
    }
    first = group[0]
    made, replicates = headline(scores, first.membership, first.record_ids, bootstrap_seed(first.dataset), resamples)
    named = {row.attack: row for row in group}
    apart = tuple(row for row in rows if row.attack not in named)
    return Worst(made, replicates, named[made.worst_attack], apart)
