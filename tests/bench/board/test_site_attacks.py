from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from planted_board import cell, controls, idle, results, small, trial

from bench.board.attack_rows import AttackRow
from bench.board.rows import Board, build
from bench.board.site import attack_table, attacks
from bench.board.site.attack_table import FIELDS
from bench.board.site.entry import Entry
from bench.board.site.heat import LONGEST, STEPS, WIDEST, Heat, HeatCell, heats, shade
from bench.board.site.links import group_file
from bench.board.site.sets import sets
from bench.board.words import interval, number

CSS = Path(attacks.__file__).parents[1] / "assets" / "heat.css"
QUICK = {"sets": [10], "resamples": 20}
EVIL = "</script><script>alert(1)</script>\u2028"


@pytest.fixture(scope="module")
def board() -> Board:
    return build(replace(small(), settings=QUICK))


@pytest.fixture(scope="module")
def heat(board: Board) -> Heat:
    (found,) = heats([Entry(board, "planted")])
    return found


@pytest.fixture(scope="module")
def mixed() -> Board:
    """Attacks of several kinds, one of them on one defense alone, one adaptive, one that failed for a long reason."""
    cells = [
        cell("zeta", shift=2.0, access="updates"),
        cell("beta", shift=-2.0),
        cell("alpha", shift=0.0, access="white_box", knowledge="shadow"),
        cell("alpha", "mixup", shift=0.0, access="white_box", knowledge="shadow", adaptive=True),
        idle("beta", "failed", "x" * 500, "mixup"),
        cell("other", access="a new level", dataset="faces"),
        *controls(),
    ]
    trials = (trial(), trial("mixup", adaptive=("alpha",)), trial(dataset="faces"))
    return build(results(trials, tuple(cells), lines=(), settings=QUICK))


def cells_of(heat: Heat) -> dict[tuple[str, str], HeatCell | None]:
    return {
        (row.attack, defense): cell
        for group in heat.groups
        for row in group.rows
        for (defense, _), cell in zip(heat.columns, row.cells, strict=True)
    }


def attack_of(board: Board, attack: str, defense: str) -> AttackRow:
    (found,) = (row for row in board.attacks if (row.attack, row.defense) == (attack, defense))
    return found


def test_a_cell_has_the_auc_interval_and_page_of_its_row(board: Board, heat: Heat) -> None:
    entry, found = Entry(board, "planted"), cells_of(heat)
    for row in board.attacks:
        if row.control:
            assert (row.attack, row.defense) not in found
            continue
        cell = found[row.attack, row.defense]
        assert cell is not None
        assert cell.page == group_file(entry, row.row)
        if row.summary is None or row.interval is None:
            assert (cell.text, cell.shade, cell.tip) == ("–", "idle", "not applicable: no encoder")  # noqa: RUF001
            continue
        assert cell.text == number(row.summary.auc)
        assert cell.shade == shade(row.summary.auc)
        assert cell.told == (row.interval.low > 0.5)
        assert cell.tip.startswith(f"{interval(row.interval.low, row.interval.high)} over {row.interval.over}")
    assert {cell.told for cell in found.values() if cell} == {True, False}


def test_the_worst_of_each_column_is_the_attack_that_the_leaderboard_names(board: Board, heat: Heat) -> None:
    worst = {(a, d) for (a, d), cell in cells_of(heat).items() if cell and cell.worst}
    assert worst == {(row.worst.headline.worst_attack, row.defense) for row in board.rows if row.worst}


def test_rows_go_by_access_then_name_and_columns_as_on_the_board(mixed: Board) -> None:
    digits, faces = heats([Entry(mixed, "planted")])
    assert [(g.title, [r.attack for r in g.rows]) for g in digits.groups] == [
        ("samples", ["beta"]),
        ("white box", ["alpha"]),
        ("updates", ["zeta"]),
    ]
    assert [defense for defense, _ in digits.columns] == ["none", "mixup"]
    assert [(g.title, [r.attack for r in g.rows]) for g in faces.groups] == [("a new level", ["other"])]
    assert digits.id != faces.id


def test_many_defenses_stand_in_several_maps_of_which_each_has_its_own_attacks() -> None:
    defenses = [f"defense_{index}" for index in range(2 * WIDEST + 1)]
    cells = (*(cell("alpha", d, members=10, nonmembers=10) for d in defenses), cell("beta", members=10, nonmembers=10))
    trials = (trial(sheet=None), *(trial(d, sheet=None) for d in defenses))
    entry = Entry(build(results(trials, cells, lines=(), settings=QUICK)), "planted")
    found = heats([entry])
    assert [len(heat.columns) for heat in found] == [WIDEST, WIDEST, 2]
    assert [place for heat in found for place in heat.columns] == [
        (row.defense, group_file(entry, row.place)) for row in entry.board.rows
    ]
    assert [heat.part for heat in found] == [
        f"defenses {first} to {last} of 102" for first, last in ((1, 50), (51, 100), (101, 102))
    ]
    with_beta = ["beta" in {row.attack for group in heat.groups for row in group.rows} for heat in found]
    assert with_beta == ["none" in dict(heat.columns) for heat in found]
    assert len({heat.id for heat in found}) == 3
    assert 'aria-label="Heat map of digits / dcgan, defenses 101 to 102 of 102"' in attacks.page([entry], "Site")


def test_what_was_not_asked_for_is_empty_and_what_failed_says_why(mixed: Board) -> None:
    found = cells_of(heats([Entry(mixed, "planted")])[0])
    assert found["zeta", "mixup"] is None
    failed, low, adaptive = found["beta", "mixup"], found["beta", "none"], found["alpha", "mixup"]
    assert failed is not None
    assert failed.tip == f"failed: {'x' * (LONGEST - 1)}…"
    assert low is not None
    assert (low.shade, low.told) == ("below", False)
    assert adaptive is not None
    assert adaptive.tip.endswith("; made against this defense")


def test_equal_numbers_stand_on_equal_grounds() -> None:
    grounds = {}
    for step in range(20001):
        auc = step / 20000
        grounds.setdefault(number(auc), set()).add(shade(auc))
    assert all(len(found) == 1 for found in grounds.values())
    assert [grounds[text] for text in ("0.499", "0.500", "0.549", "0.550", "0.949", "0.950", "1.000")] == [
        {"below"}, {"h0"}, {"h0"}, {"h1"}, {"h8"}, {"h9"}, {"h9"},
    ]  # fmt: skip


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_ground_has_readable_text_and_they_grow_steadily_in_both_schemes() -> None:
    light, dark = CSS.read_text("utf-8").split("@media screen and (prefers-color-scheme: dark)", 1)
    for scheme, towards in ((light, -1), (dark, 1)):
        rules = re.findall(r"\.h(\d) \{ background: (#\w{6}); color: (#\w{6}); \}", scheme)
        assert [int(step) for step, _, _ in rules] == list(range(STEPS))
        grounds = [luminance(ground) for _, ground, _ in rules]
        for (_, _, text), ground in zip(rules, grounds, strict=True):
            bright, faint = max(luminance(text), ground), min(luminance(text), ground)
            assert (bright + 0.05) / (faint + 0.05) >= 4.5
        assert grounds == sorted(grounds, reverse=towards < 0)
        assert max(grounds) - min(grounds) > 0.7


def test_the_data_of_the_table_are_those_of_the_csv_file(board: Board) -> None:
    entry = Entry(board, "planted")
    data = attack_table.data([entry])
    pool = data["pool"]
    assert len(pool) == len(set(pool))
    assert len(data["rows"]) == len(board.attacks)
    same = {
        **{
            "auc": "auc",
            "low": "auc_low",
            "high": "auc_high",
            "runs_low": "auc_seed_low",
            "runs_high": "auc_seed_high",
        },
        **{"accuracy": "accuracy", "chance": "accuracy_chance", "tpr": "tpr_at_1pct_fpr", "set_auc": "set_auc"},
        **{"realised": "realised_fpr_at_1pct", "advantage": "advantage", "null": "advantage_null"},
        **{"seeds": "seeds", "models": "models_trained", "epsilon": "epsilon_lower_bound"},
    }
    for values, row in zip(data["rows"], board.attacks, strict=True):
        read, columns = dict(zip(FIELDS, values, strict=True)), row.columns()
        for field, column in same.items():
            assert read[field] == (None if columns[column] is None else pytest.approx(columns[column], abs=6e-6)), field
        for field in ("dataset", "target", "defense", "attack", "access", "knowledge", "status", "reason"):
            assert pool[read[field]] == columns[field]
        assert (bool(read["adaptive"]), bool(read["control"])) == (row.adaptive, row.control)
        assert [(pool[name], pool[seen]) for name, seen in read["flags"]] == [(f.name, f.seen) for f in row.flags]
        assert pool[read["page"]] == group_file(entry, row.row)


def test_filters_are_there_for_what_tells_rows_apart(board: Board, mixed: Board) -> None:
    assert {key: values for key, _, values in attack_table.facets([Entry(board, "planted")])} == {
        "defense": ["none", "dropout(rate=0.5)"],
        "access": ["samples", "white_box", "none"],
        "knowledge": ["nothing", "labels"],
        "status": ["completed", "not_applicable"],
        "flags": ["underpowered"],
    }
    two = [Entry(board, "one", files="one/"), Entry(mixed, "two", files="two/")]
    assert [key for key, _, _ in attack_table.facets(two)][:2] == ["board", "dataset"]
    assert [column.key for column in attack_table.columns(two)][:3] == ["attack", "defense", "board"]


class Tags(HTMLParser):
    """Tags with their attributes, and the text outside of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_hostile_labels_stay_text() -> None:
    made = build(
        results(
            (trial(EVIL), trial("../../x")),
            (cell(EVIL, EVIL), idle(EVIL, "failed", EVIL, "../../x"), *controls(EVIL)),
            lines=(),
        )
    )
    page = attacks.page([Entry(made, EVIL)], EVIL)
    read = Tags()
    read.feed(page)
    scripts = [attrs for tag, attrs in read.tags if tag == "script"]
    assert all("src" in attrs or attrs["type"] == "application/json" for attrs in scripts)
    assert len(scripts) == page.count("<script")
    held = re.search(r'<script type="application/json" id="attack-data">(.*?)</script>', page, re.DOTALL)
    assert held is not None
    assert not set("<>&\u2028\u2029") & set(held[1])
    assert EVIL in json.loads(held[1])["pool"]
    links = [attrs["href"] for tag, attrs in read.tags if tag == "a" and "tip" in str(attrs.get("class"))]
    assert len(links) == 4  # two heads of columns, two cells
    assert all(re.fullmatch(r"trials/[a-z0-9_-]+\.html", str(link)) for link in links)


def test_several_boards_have_maps_and_links_of_their_own(board: Board) -> None:
    page = attacks.page([Entry(board, "one", files="one/"), Entry(board, "two", files="two/")], "Site")
    read = Tags()
    read.feed(page)
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert page.count('<section class="heat"') == 2
    assert 'href="one/attacks.csv"' in page
    assert 'href="two/attacks.csv"' in page


def test_a_cell_of_the_page_is_small(board: Board) -> None:
    """Ten thousand of them have to open quickly: a link, a number and its interval, and nothing else."""
    page = attacks.page([Entry(board, "planted")], "Site")
    cells = re.findall(r"<td class=.*?</td>", page)
    assert len(cells) == 6
    for found in cells:
        href = re.search(r'href="([^"]*)"', found)
        text = re.search(r'<b class="vh">([^<]*)', found)
        assert href is not None
        assert text is not None
        assert len(found) - len(href[1]) - len(text[1]) < 90


def test_sets_of_several_sizes_stand_in_a_table_of_their_own(board: Board) -> None:
    assert "sets of 10" not in attacks.page([Entry(board, "planted")], "Site")
    made = build(
        results((trial(),), (cell("alpha"), cell("beta")), lines=(), settings={"sets": [10, 50], "resamples": 20})
    )
    page = attacks.page([Entry(made, "planted")], "Site")
    for size in (10, 50):
        assert f'class="n">sets of {size}</th>' in page
    first, second = made.attacks[0].sets
    assert f"<small>{first.summary.member_sets} + {first.summary.nonmember_sets} sets</small>" in page
    assert f'<td class="n">{number(second.summary.set_auc)}<small>' in page
    assert [row["attack"] for row in sets(made)] == ["alpha", "beta"]


def test_a_board_without_attacks_or_figures_has_a_page() -> None:
    page = attacks.page([Entry(build(results((trial(),), ())), "planted")], "Site")
    assert "No attack was asked for." in page
    only_idle = results((trial(),), (idle("alpha", "failed", "broken"),))
    assert "failed: broken" in attacks.page([Entry(build(only_idle), "planted")], "Site")
