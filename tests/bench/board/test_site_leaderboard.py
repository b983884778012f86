"""The leaderboard's page: what it says, what its script is given, and that labels stay text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from planted_board import cell, claim, controls, quality, results, small, tables, trial

from bench.board.rows import Board, build
from bench.board.site import leaderboard
from bench.board.site.entry import Change, Compared, Entry, Verified
from bench.board.site.leaderboard_columns import columns
from bench.board.site.row_view import row_views
from bench.board.verdict import verdict_in_short
from bench.board.write import write_board

NASTY = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Ids, links, cells and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src"):
                self.links.append(value or "")
            assert not name.startswith("on"), f"an event handler in a page: {name}"

    def handle_data(self, data: str) -> None:
        self.text += data


def facts(html: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="leaderboard-rows">(.*?)</script>', html, re.DOTALL)
    assert found
    read: list[dict[str, Any]] = json.loads(found[1])
    return read


@pytest.fixture(scope="module")
def board() -> Board:
    return build(small())


def entry(board: Board, **changed: Any) -> Entry:
    return Entry(board, board.results.name, **changed)


def test_the_script_gets_what_the_board_holds(board: Board) -> None:
    rows = facts(leaderboard.page([entry(board)], "planted"))
    by_rank = sorted(board.rows, key=lambda row: row.rank or 99)
    assert [row["cells"]["defense"] for row in rows] == [row.defense for row in by_rank]
    for fact, row in zip(rows, by_rank, strict=True):
        assert row.worst is not None
        assert fact["cells"]["kid"] == row.measured["kid"]
        assert fact["cells"]["rank"] == row.rank
        assert fact["levels"]["any"]["auc"] == row.worst.headline.auc
        for level, worst in row.per_access.items():
            assert fact["levels"][level] == {
                "auc": worst.headline.auc,
                "attack": worst.headline.worst_attack,
                "tpr": worst.row.summary.tpr_at_1pct_fpr if worst.row.summary else None,
            }
        assert fact["facets"]["access"] == ["any", *row.per_access]


def test_every_row_and_figure_stands_in_the_page_itself(board: Board) -> None:
    html = leaderboard.page([entry(board)], "planted")
    page = Page(html)
    for row in board.rows:
        assert row.worst is not None
        h = row.worst.headline
        for said in (f"{h.auc:.3f}", f"{h.auc_low:.3f} to {h.auc_high:.3f}", f"{h.auc_seed_low:.3f} to "):
            assert said in page.text
    assert "white box access" in page.text  # the threat model
    assert len(page.ids) == len(set(page.ids))


def test_a_column_that_says_one_thing_is_hidden_and_said_above(board: Board) -> None:
    shown = {column.key: column.shown for column in columns([entry(board)])}
    assert not shown["dataset"]
    assert not shown["target"]
    assert "data set <strong>digits</strong>" in leaderboard.page([entry(board)], "planted")
    other = build(results((trial(), trial(dataset="wine")), (cell(), cell(dataset="wine")), ()))
    shown = {column.key: column.shown for column in columns([entry(other)])}
    assert shown["dataset"]
    assert not shown["target"]


def test_rows_that_share_a_rank_say_so() -> None:
    same = ("none", "other", "third")
    found = build(results(tuple(trial(d) for d in same), tuple(cell(defense=d, shift=0.8) for d in same)))
    views = row_views([entry(found)], columns([entry(found)]))
    assert {view.shown["ties"] for view in views} == {2}
    assert [view.shown["first"] for view in views] == [True, False, False]


def test_rows_without_a_figure_stand_last_and_have_none() -> None:
    failed = trial("broken", status="failed", reason="out of memory", quality=None, history={}, sheet=None)
    found = build(results((failed, trial()), (cell(),)))
    views = row_views([entry(found)], columns([entry(found)]))
    assert [view.shown["place"][2] for view in views] == ["none", "broken"]
    assert views[1].fact["levels"] == {}
    assert views[1].fact["cells"]["kid"] is None
    assert views[1].fact["facets"]["access"] == []
    assert "out of memory" in leaderboard.page([entry(found)], "x")


@pytest.mark.parametrize(
    ("shift", "kid", "short"),
    [
        (2.0, 20.0, "leaks"),
        (0.0, 20.0, "no leak seen"),
        (0.0, 400.0, "private because useless"),
        (2.0, 400.0, "useless, and leaks"),
    ],
)
def test_the_verdict_in_short(shift: float, kid: float, short: str) -> None:
    found = build(results((trial(quality=quality(kid)),), (cell(shift=shift, members=200), *controls())))
    assert verdict_in_short(found.rows[0]) == short
    assert f">{short}</span>" in leaderboard.page([entry(found)], "x")


def test_nothing_attacked_has_no_verdict() -> None:
    assert verdict_in_short(build(results((trial(),), ())).rows[0]) == "not attacked"


def test_families_come_from_what_defenses_say_of_themselves() -> None:
    said = {"defenses": {"both": [{"name": "a", "family": "privacy"}, {"name": "b", "family": "release"}]}}
    found = build(results((trial("both"),), (cell(defense="both"),), plugins=said))
    fact = facts(leaderboard.page([entry(found)], "x"))[0]
    assert fact["facets"]["family"] == ["privacy", "release"]


def test_a_claim_shows_its_column() -> None:
    assert {c.key: c.shown for c in columns([entry(build(results((trial(),), (cell(),))))])}["epsilon"] is False
    found = build(results((trial(claim=claim()),), (cell(),)))
    assert {c.key: c.shown for c in columns([entry(found)])}["epsilon"] is True
    assert "at delta 0.0001" in leaderboard.page([entry(found)], "x")


def test_a_figure_that_is_not_finite_is_none_to_the_script() -> None:
    found = build(results((trial(claim=claim(epsilon=float("inf"))),), (cell(),)))
    assert facts(leaderboard.page([entry(found)], "x"))[0]["cells"]["epsilon"] is None


def test_badge_comparison_and_problems_are_said(board: Board) -> None:
    plain = leaderboard.page([entry(board)], "x")
    assert "bench verify" not in plain
    assert "since the baseline" not in plain
    place = board.rows[1].place
    compared = Compared(
        "old <b>",
        "1 worse",
        ("other versions",),
        {place: (Change("auc", "worse", "from .51 to .94"),)},
        (("a", "b", "c"),),
    )
    verified = Verified("0.1.0", "12 files", "ab" * 32)
    html = leaderboard.page([entry(board, verified=verified, compared=compared)], "x")
    for said in ("auc worse", "from .51 to .94", "12 files", "ab" * 32, "old &lt;b&gt;", "other versions", "a / b / c"):
        assert said in html
    changes = {fact["cells"]["defense"]: fact["facets"]["change"] for fact in facts(html)}
    assert changes == {row.defense: (["worse"] if row.place == place else []) for row in board.rows}
    nothing = leaderboard.page([entry(board, compared=Compared("old", "Not compared: other versions", (), {}))], "x")
    assert ">same<" not in nothing
    broken = leaderboard.page([entry(board, problems=("scores/x.npz: <changed>",))], "x")
    assert "Not verified." in broken
    assert "&lt;changed&gt;" in broken
    hidden = leaderboard.page([entry(board, without_records=True)], "x")
    assert "without records" in hidden
    assert 'href="leaderboard.json"' not in hidden


def test_two_boards_on_one_page_keep_their_rows_apart(board: Board) -> None:
    pair = [replace(entry(board), title="one", files="one/"), replace(entry(board), title="two", files="two/")]
    html = leaderboard.page(pair, "both")
    rows = facts(html)
    assert len({row["id"] for row in rows}) == len(rows) == 2 * len(board.rows)
    assert {row["cells"]["board"] for row in rows} == {"one", "two"}
    page = Page(html)
    assert len({link for link in page.links if link.startswith("trials/")}) == len(rows)
    assert {"one/leaderboard.csv", "two/leaderboard.csv"} <= set(page.links)


def test_tables_have_a_measure_of_their_own() -> None:
    found = build(tables({"none": 0.1, "noisy": 0.2}))
    html = leaderboard.page([entry(found)], "x")
    assert "marginal" in html
    assert sorted(row["cells"]["marginal_distance"] for row in facts(html)) == [0.1, 0.2]
    assert "kid" not in facts(html)[0]["cells"]


def test_labels_stay_text_on_every_page(tmp_path: Path) -> None:
    names = (NASTY, "../../up", "A", "a", '"><img src=x>', "javascript:alert(1)", "</script><b>")
    found = results(
        tuple(trial(name) for name in names), tuple(cell(NASTY, name) for name in names), name=NASTY,
        plugins={"defenses": {NASTY: [{"name": NASTY, "family": NASTY, "paper": NASTY, "summary": NASTY}]}},
    )  # fmt: skip
    made = write_board(build(found), tmp_path / "in" / "board")
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["board"]
    pages = {name: Page((made.folder / name).read_text("utf-8")) for name in made.files if name.endswith(".html")}
    assert len(pages) == 3 + len(names)
    for name, page in pages.items():
        raw = (made.folder / name).read_text("utf-8")
        assert NASTY not in raw, name
        assert "</script><b>" not in raw, name
        assert "<img src=x>" not in raw, name
        assert NASTY in page.text, name
        assert not [link for link in page.links if link.startswith("javascript:")], name


def test_every_link_leads_somewhere_and_nowhere_else(tmp_path: Path) -> None:
    made = write_board(build(small()), tmp_path / "board")
    pages = {name: Page((made.folder / name).read_text("utf-8")) for name in made.files if name.endswith(".html")}
    followed = 0
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name
        for link in page.links:
            if link == "data:,":
                continue
            assert not re.match(r"[a-z]+:|//", link), (name, link)
            file, _, anchor = link.partition("#")
            to = (made.folder / name).parent / file if file else made.folder / name
            assert to.resolve().is_relative_to(made.folder.resolve()), (name, link)
            assert to.is_file(), (name, link)
            if anchor:
                assert anchor in pages[to.resolve().relative_to(made.folder.resolve()).as_posix()].ids, (name, link)
            followed += 1
    assert followed > 50
    for asset in (made.folder / "assets").iterdir():
        text = asset.read_text("utf-8")
        assert not re.search(r"https?:|@import|url\(|innerHTML|eval\(|document\.write", text), asset.name
