"""The page of a trial group: everything that is known of one row of the leaderboard."""

from __future__ import annotations

from bench.board.pictures import RowPictures
from bench.board.rows import Row
from bench.board.site.entry import Entry
from bench.board.site.environment import render
from bench.board.site.exposed import exposed
from bench.board.site.group_attacks import attack_view, idle_view, unmeasured
from bench.board.site.group_commands import commands
from bench.board.site.group_facts import artifacts, configuration, cost, data_facts, stamp
from bench.board.site.group_privacy import audit_facts, claim_facts, claim_words
from bench.board.site.group_samples import sample_rows
from bench.board.site.group_training import lines_words, seed_views
from bench.board.site.links import GROUPS, group_file
from bench.board.site.row_view import CHIPS, families, flag_view
from bench.board.verdict import access_words, verdict, verdict_in_short
from bench.board.words import number
from bench.board.words import status as status_words

ROOT = "../"


def page(entry: Entry, row: Row, name: str, several: bool) -> str:
    """The page of one row.

    Args:
        entry: the board that the row is of.
        row: the row.
        name: of the site.
        several: whether the site has other boards too, so that this one has to be named.
    """
    board = entry.board
    short, measured = verdict_in_short(row), [a for a in row.attacks if a.summary is not None]
    attacks = sorted(measured, key=lambda a: -a.summary.auc if a.summary else 0.0)
    return render(
        "group.html.j2",
        name=name,
        root=ROOT,
        here=group_file(entry, row.place),
        files=f"{ROOT}{entry.files}",
        several=several,
        entry=entry,
        row=row,
        short=short,
        chip=CHIPS.get(short, ""),
        status=status_words(row),
        families=families(entry, row.place),
        threat=access_words(row.worst.row) if row.worst else "",
        auc=number(row.worst.headline.auc if row.worst else None),
        flags=[flag_view(flag) for flag in row.flags],
        verdict=verdict(row),
        changes=entry.compared.changes.get(row.place, ()) if entry.compared else (),
        neighbours=_neighbours(entry, row),
        pictures=entry.drawn.rows.get(row.place, RowPictures()),
        sample_rows=sample_rows(board, row, with_real=not entry.without_records),
        seeds=seed_views(row),
        lines_words=lines_words(row, board.results.settings),
        filtered=any(trial.filtered for trial in row.trials),
        attacks=[attack_view(a, board.results) for a in attacks],
        not_run=[idle_view(a, board.results) for a in row.attacks if a.summary is None],
        unmeasured=unmeasured(row),
        audited=any(a.audit is not None and a.audit.lower_bound is not None for a in row.attacks),
        exposed=exposed(entry, row),
        claim_words=claim_words(row),
        claims=claim_facts(row),
        audit=audit_facts(row),
        caveats=row.trials[0].caveats,
        configuration=configuration(board.results, row),
        data_facts=data_facts(board.results, row.dataset),
        cost=cost(row),
        artifacts=artifacts(row),
        stamp=stamp(board.results.stamp),
        commands=commands(board.results, row),
    )


def _neighbours(entry: Entry, row: Row) -> list[tuple[str, str, str]]:
    """Relation, label and link of the rows before and after this one."""
    rows = entry.board.rows
    at = next(index for index, other in enumerate(rows) if other.place == row.place)
    near = [("prev", at - 1), ("next", at + 1)]
    # Pages of groups lie side by side.
    return [
        (relation, rows[index].label, group_file(entry, rows[index].place).removeprefix(f"{GROUPS}/"))
        for relation, index in near
        if 0 <= index < len(rows)
    ]
