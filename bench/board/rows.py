"""Rows of the leaderboard: a data set x target x defense, judged by its worst attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bench.board import controls, flags
from bench.board.attack_rows import AttackRow, Shown, attack_rows, joint_status, shown
from bench.board.audit import RowAudit, audit_columns, audit_rows
from bench.board.columns import ACCESS_COLUMNS
from bench.board.equal_kid import EqualKid, equal_kid, equal_kid_columns
from bench.board.exposure import RowExposure, row_exposures
from bench.board.flags import Flag
from bench.board.inert import inert_seeds
from bench.board.measures import Measure, measure_of
from bench.board.trial_rows import lines_by_place, row_columns
from bench.board.verdict import verdict
from bench.board.worst import Worst, worst_attack, worst_per_access
from bench.metrics.ranks import rank_rows
from bench.results import Lines, Results, Trial

UNDEFENDED = "none"
BLACK_BOX = ("samples", "latent", "decision")


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the leaderboard.

    Attributes:
        status, reason: of its trials together.
        trials: a seed each.
        attacks, controls: its attack rows, all statuses.
        worst: None when no attack was completed.
        per_access: access level -> the worst attack of that level.
        measured: quality, stability, cost and claim, as columns.
        flags: what was raised, the worst attack's own included.
        rank: 1 + the rows of the same data set that leak significantly less, or None.
        undefended: the row without a defense, of the same data set and target.
        equal_kid: that row's training, stopped where its samples were first as good as this row's.
        audit: what the attacks say of epsilon.
        membership: ``fixed`` or ``coin``: how it was decided who is a member.
    """

    dataset: str
    target: str
    defense: str
    status: str
    reason: str
    trials: tuple[Trial, ...]
    attacks: tuple[AttackRow, ...]
    controls: tuple[AttackRow, ...]
    worst: Worst | None
    per_access: Mapping[str, Worst]
    measured: Mapping[str, Any]
    lines: Lines | None
    flags: tuple[Flag, ...] = ()
    rank: int | None = None
    undefended: Row | None = None
    equal_kid: EqualKid | None = None
    audit: RowAudit | None = None
    membership: str | None = None

    @property
    def label(self) -> str:
        """Data set, target and defense, for people."""
        return f"{self.dataset} / {self.target} / {self.defense}"

    @property
    def place(self) -> tuple[str, str, str]:
        """Data set, target and defense."""
        return self.dataset, self.target, self.defense

    @property
    def interval(self) -> Shown | None:
        """The headline's interval as shown."""
        if self.worst is None:
            return None
        h = self.worst.headline
        return shown(h.auc_low, h.auc_high, h.auc_seed_low, h.auc_seed_high)

    @property
    def measure(self) -> Measure:
        """The figure that its sample quality is compared by."""
        return measure_of(self.trials, self.lines)

    def raised(self, name: str) -> bool:
        """Whether the flag of this name was raised."""
        return any(flag.name == name for flag in self.flags)

    def columns(self) -> dict[str, Any]:
        """The cells of ``leaderboard.csv``; what was not measured is None."""
        h = self.worst.headline if self.worst else None
        summary = self.worst.row.summary if self.worst else None
        plain = self.undefended
        return {
            "dataset": self.dataset,
            "target": self.target,
            "defense": self.defense,
            "worst_attack": h.worst_attack if h else None,
            "access": self.worst.row.access if self.worst else None,
            **{
                name: getattr(h, name, None) if h else None
                for name in ("auc", "auc_low", "auc_high", "auc_seed_low", "auc_seed_high")
            },
            **{
                f"auc_{level}": self.per_access[level].headline.auc if level in self.per_access else None
                for level in ACCESS_COLUMNS
            },
            "accuracy": summary.accuracy if summary else None,
            "tpr_at_1pct_fpr": summary.tpr_at_1pct_fpr if summary else None,
            **self.measured,
            "rank": self.rank,
            "flags": flags.names(self.flags),
            "verdict": verdict(self),
            "status": self.status,
            "members": h.members if h else None,
            "nonmembers": h.nonmembers if h else None,
            "smallest_detectable_auc": h.smallest_detectable_auc if h else None,
            "attacks_run": ";".join(row.attack for row in self.attacks if row.summary is not None) or None,
            "attacks_not_run": ";".join(f"{row.attack} ({row.status})" for row in self.attacks if row.summary is None)
            or None,
            "undefended_auc": plain.worst.headline.auc if plain and plain.worst else None,
            "undefended_kid": plain.measured["kid"] if plain else None,
            "undefended_marginal_distance": plain.measured["marginal_distance"] if plain else None,
            **{
                f"auc_{level}_{end}": getattr(self.per_access[level].headline, f"auc_{end}")
                if level in self.per_access
                else None
                for level in ACCESS_COLUMNS
                for end in ("low", "high")
            },
            **equal_kid_columns(self.equal_kid),
            **audit_columns(self.audit),
            "membership": self.membership,
        }


@dataclass(frozen=True, eq=False)
class Board:
    """Everything that tables, plots and the page are made of."""

    results: Results
    rows: tuple[Row, ...]
    attacks: tuple[AttackRow, ...]

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What the rows' sample quality is compared by, each once; several where images and tables stand together."""
        return tuple(dict.fromkeys(row.measure for row in self.rows))

    @property
    def at_equal_kid(self) -> bool:
        """Whether some row is read beside the undefended model at equal quality."""
        return any(row.equal_kid is not None for row in self.rows)

    @cached_property
    def exposures(self) -> tuple[RowExposure, ...]:
        """Which records each row leaks; reads generated samples."""
        return row_exposures(self)

    @property
    def violations(self) -> tuple[str, ...]:
        """The claims that an audit refutes, one line per row of the leaderboard."""
        return tuple(f"{row.label}: {f.seen}" for row in self.rows for f in row.flags if f.name == "dp_violation")

    @property
    def faults(self) -> tuple[str, ...]:
        """What controls read that they must not, one line per row of the leaderboard."""
        return tuple(
            f"{row.label}: {found}" for row in self.rows for c in row.controls if (found := controls.problem(c))
        )


def build(results: Results) -> Board:
    """All rows of ``results``."""
    attacks, audits = audit_rows(attack_rows(results), results)
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in results.trials:
        groups.setdefault((trial.dataset, trial.target, trial.defense), []).append(trial)
    lines = lines_by_place(results.lines)
    rows = [_row(trials, attacks, lines.get(place[:2]), results) for place, trials in groups.items()]
    plain = {(row.dataset, row.target): row for row in rows if row.defense == UNDEFENDED}
    rows = [replace(row, undefended=_other(plain.get((row.dataset, row.target)), row)) for row in rows]
    rows = [replace(row, equal_kid=found) for row, found in zip(rows, equal_kid(rows, results), strict=True)]
    rows = [replace(row, audit=audits.get(row.place)) for row in rows]
    rows = [replace(row, flags=_raised(row, attacks)) for row in rows]
    ranks = _ranks(rows)
    return Board(results, tuple(replace(row, rank=ranks.get(_key(row))) for row in rows), attacks)


def _other(plain: Row | None, row: Row) -> Row | None:
    return None if plain is row else plain


def _row(trials: Sequence[Trial], attacks: Sequence[AttackRow], lines: Lines | None, results: Results) -> Row:
    first = trials[0]
    place = (first.dataset, first.target, first.defense)
    own = tuple(row for row in attacks if row.row == place and not row.control)
    resamples = int(results.settings["resamples"])
    worst = worst_attack(own, resamples)
    status, reason = joint_status((trial.status, trial.seed, trial.reason) for trial in trials)
    return Row(
        *place,
        status=status,
        reason=reason,
        trials=tuple(trials),
        attacks=own,
        controls=tuple(row for row in attacks if row.row == place and row.control),
        worst=worst,
        per_access=worst_per_access(own, resamples, worst),
        measured=row_columns(trials, lines),
        lines=lines,
        membership=results.membership.get(first.dataset),
    )


def _raised(row: Row, attacks: Sequence[AttackRow]) -> tuple[Flag, ...]:
    raised: list[Flag | None] = []
    done = [a for a in row.attacks if a.summary is not None]
    headline = row.worst.headline if row.worst is not None else None
    # The flags of the attacks that a headline is made of belong to it; a flipped sign hides a leak in any attack.
    behind = {headline.worst_attack, *headline.chosen} if headline is not None else set()
    for attack in done:
        raised += [f for f in attack.flags if attack.attack in behind or f.name == "sign_flipped"]
    ends = [(a.attack, a.access, a.interval) for a in done]
    black = max(((n, i.low) for n, access, i in ends if i and access in BLACK_BOX), key=lambda e: e[1], default=None)
    white = max(
        ((n, i.high) for n, access, i in ends if i and access == "white_box"),
        key=lambda e: e[1],
        default=None,
    )
    raised.append(flags.black_box_beats_white_box(black, white))
    for attack in attacks:  # the blind control never sees a release, so it speaks of the data set as a whole
        s = attack.summary
        if s and attack.control and attack.dataset == row.dataset and controls.name_of(attack.attack) == "blind":
            raised.append(flags.split_distinguishable(s.auc, controls.permutation_p(attack)))
    # Attacks are compared on the runs that all of them judged, which may be fewer than were trained.
    raised.append(flags.few_seeds(min([row.measured["seeds"], *([headline.seeds] if headline is not None else [])])))
    gone = [
        flags.quality_gone(
            row.measured[column],
            row.measured[f"{column}_high"],
            row.measured[f"{column}_untrained"],
            title,
            row.measure.digits,
        )
        for column, title in row.measure.judged()
    ]
    if all(gone):
        raised += gone
    if done:
        raised.append(flags.not_adaptive(row.trials[0].adaptive, [a.attack for a in done if a.adaptive]))
    raised.append(flags.defense_inert(inert_seeds(row)))
    raised.append(flags.control_failed(found for c in row.controls if (found := controls.problem(c))))
    claimed, audit = row.measured["epsilon_claimed"], row.audit
    if audit is not None:
        raised.append(flags.dp_violation(claimed, audit.lower_bound, audit.delta, audit.attack))
    if row.measured["claim_unit"] == "record":
        coin = row.membership == "coin"
        raised.append(flags.claim_out_of_reach(claimed, audit.detectable if audit else None, coin))
    return flags.merged(flag for flag in raised if flag is not None)


def _ranks(rows: Sequence[Row]) -> dict[str, int | None]:
    """Ranks per data set, among the rows judged on the same candidates: the largest such group of it."""
    ranks: dict[str, int | None] = {}
    for dataset in dict.fromkeys(row.dataset for row in rows):
        judged: dict[str, list[Row]] = {}
        for row in rows:
            if row.dataset == dataset and row.worst is not None and not row.trials[0].control:
                judged.setdefault(row.worst.replicates.pairing, []).append(row)
        if judged:
            paired = max(judged.values(), key=len)
            excluded = [_key(row) for row in paired if row.raised("quality_gone") or row.measured["diverged_runs"]]
            replicates = {_key(row): row.worst.replicates for row in paired if row.worst is not None}
            ranks |= rank_rows(replicates, excluded)
    return ranks


def _key(row: Row) -> str:
    return "\x1f".join(row.place)
