from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from planted_board import cell, controls, idle, results, small, trial

from bench.attacks.base import KnowledgeLevel
from bench.board.flags import EXPLANATIONS
from bench.board.rows import Board, build
from bench.board.site import idle as idles
from bench.board.site import method
from bench.board.site.control_table import control_table
from bench.board.site.entry import Entry
from bench.board.site.idle import Idle
from bench.board.site.meanings import COLUMNS, MEANINGS, OWN, SHARED
from bench.board.site.threat import ACCESS, KNOWLEDGE, access_order, threat
from bench.release import Access

EVIL = "</pre><script>alert(1)</script>"


@pytest.fixture(scope="module")
def board() -> Board:
    plugins = {
        "attacks": {"logan_white_box": [{"name": "logan_white_box", "summary": "A logit.", "paper": "Hayes et al."}]},
        "defenses": {
            "dropout(rate=0.5)": [{"name": "dropout", "summary": "Drops.", "paper": "", "family": "regulariser"}]
        },
    }
    settings = {
        "sets": [10],
        "resamples": 20,
        "configurations": {
            "defenses": {"dropout(rate=0.5)": [{"name": "dropout", "rate": 0.5, "roles": ["discriminator"]}]}
        },
    }
    return build(replace(small(), plugins=plugins, settings=settings, membership={"digits": "coin"}))


@pytest.fixture(scope="module")
def page(board: Board) -> str:
    return method.page([Entry(board, "planted")], "Site")


@pytest.mark.parametrize(("file", "columns"), COLUMNS.items())
def test_every_column_has_a_meaning(file: str, columns: tuple[str, ...]) -> None:
    assert list(MEANINGS[file]) == list(columns)
    for column, text in MEANINGS[file].items():
        assert text.endswith("."), column
        assert text[0].isupper() or text.startswith(("1", "99th", "95 %", "completed", "kid_final")), column
        assert text.count(". ") == 0, f"{column}: one sentence"


def test_no_meaning_is_left_without_its_column() -> None:
    assert set(SHARED) <= {column for columns in COLUMNS.values() for column in columns}
    for file, own in OWN.items():
        assert set(own) <= set(COLUMNS[file]), file
    used = {column for file, columns in COLUMNS.items() for column in columns if column not in OWN[file]}
    assert set(SHARED) <= used, "a meaning that every file has an own one for"


def test_intervals_say_what_they_are_over() -> None:
    for file, meanings in MEANINGS.items():
        for column, text in meanings.items():
            if column.endswith(("_seed_low", "_seed_high")):
                assert "over training runs; empty with fewer than three" in text, (file, column)
            elif column.endswith(("_low", "_high")):
                assert re.search(r"over (records|sets|members)", text), (file, column)
                assert text.startswith("Lower" if column.endswith("_low") else "Upper"), (file, column)


def test_every_threat_model_is_explained() -> None:
    assert set(ACCESS) == set(Access.__args__)
    assert set(KNOWLEDGE) == set(KnowledgeLevel.__args__)
    assert sorted(["unheard", *ACCESS], key=access_order) == [*ACCESS, "unheard"]
    assert threat("samples", "labelled") == f"{ACCESS['samples']} {KNOWLEDGE['labelled']}"
    assert threat("unheard", "unheard") == ""


def test_the_page_explains_every_column_flag_and_threat_model(page: str) -> None:
    for meanings in MEANINGS.values():
        for column, text in meanings.items():
            assert f"<code>{column}</code></th><td>{html.escape(text, quote=False)}" in page.replace("&#39;", "'")
    for name in EXPLANATIONS:
        assert f'id="flag-{name}"' in page
    for level in (*ACCESS, *KNOWLEDGE):
        assert f">{level.replace('_', ' ')}</th>" in page
    for anchor in ("columns", "controls", "not-run", "intervals", "ranks", "equal-kid", "threat"):
        assert f'id="{anchor}"' in page


def test_links_within_the_page_lead_somewhere(page: str) -> None:
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_page_holds_what_the_board_was_made_from(page: str) -> None:
    for text in (
        "ab" * 32,
        "rate: 0.5, roles: discriminator",
        "Drops. (regulariser)",
        "<small>Hayes et al.</small>",
        "a fair coin for each candidate",
        'href="matrix.yaml"',
        'href="references.bib"',
        'href="leaderboard.json"',
        "<dd><code>2.15</code></dd>",
    ):
        assert text in page
    assert re.search(r'<a href="splits/[a-z0-9-]+/members-[0-9a-f]+\.npz">members</a> 200', page)
    assert "name: planted  # &lt;script&gt;" in page


def test_files_of_several_boards_lie_in_their_folders(board: Board) -> None:
    entries = [Entry(board, "one", files="one-1/"), Entry(board, "two", files="two-2/")]
    page = method.page(entries, "Site")
    for folder in ("one-1/", "two-2/"):
        assert f'href="{folder}attacks.csv"' in page
        assert f'href="{folder}references.bib"' in page
        assert f'href="{folder}splits/' in page
    assert 'href="attacks.csv"' not in page


def test_a_site_without_records_links_to_no_file_that_names_members(board: Board) -> None:
    page = method.page([Entry(board, "planted", without_records=True)], "Site")
    assert "leaderboard.json" not in re.findall(r'href="([^"]+)"', page)
    assert "splits/" not in page
    assert "scores/" not in page
    assert "members 200" in page


def test_what_was_not_measured_is_told_once_with_its_reason() -> None:
    trials = (
        trial(),
        trial("mixup", status="failed", reason="boom"),
        trial("late"),
        trial("late", 1, status="diverged"),
    )
    cells = (
        idle("alpha", "not_applicable", "no encoder"),
        idle("alpha", "blocked", "its trial failed", "mixup"),
        cell("alpha", "late"),
        idle("alpha", "diverged", "", "late", 1),
        idle("constant", "failed", "broken", control=True),
    )
    found = idles.idle(build(results(trials, cells, lines=())))
    assert [replace(each, dataset="", target="") for each in found] == [
        Idle("", "", "none", "alpha", "0", "not applicable", "no encoder"),
        Idle("", "", "none", "constant", "0", "failed", "broken"),
        Idle("", "", "mixup", "", "0", "failed", "boom"),
        Idle("", "", "late", "", "1", "diverged", "seed 1 diverged"),
        Idle("", "", "late", "alpha", "1", "diverged", "seed 1 diverged"),
    ]


def test_controls_that_were_computed_once_are_shown_once(board: Board) -> None:
    shared = tuple(replace(c, artifact=f"artifact-{c.attack}") for d in ("none", "mixup") for c in controls(d))
    table = control_table(build(results((trial(), trial("mixup")), shared, lines=())))
    assert [row.attack for row in table] == ["constant", "random", "oracle", "blind"]
    assert [row.verdict for row in table] == ["as expected"] * 4
    assert len(control_table(board)) == 8  # artifacts of their own per defense


def test_a_control_at_fault_says_so() -> None:
    broken = tuple(replace(c, scores=-c.scores) for c in controls() if c.attack == "oracle")
    made = build(results((trial(),), (*broken, idle("random", "failed", "broken", control=True)), lines=()))
    oracle, random = control_table(made)
    assert oracle.fault
    assert oracle.verdict == "Fault. oracle: expected AUC 1 and accuracy 1, got 0.0 and 0.0."
    assert (random.fault, random.verdict, random.auc) == (False, "failed: broken", "–")  # noqa: RUF001
    assert "<strong>Fault. oracle" in method.page([Entry(made, "planted")], "Site")


def test_hostile_words_stay_text() -> None:
    evil = {"name": EVIL, "summary": EVIL, "paper": EVIL, "family": EVIL}
    made = build(
        results(
            (trial(EVIL, status="failed", reason=EVIL),),
            (idle(EVIL, "failed", EVIL, EVIL),),
            lines=(),
            matrix_text=EVIL,
            plugins={"attacks": {EVIL: [evil, evil]}},
            stamp={EVIL: EVIL},
            settings={"sets": [10], "resamples": 20, EVIL: EVIL, "configurations": {"attacks": {EVIL: [{EVIL: EVIL}]}}},
            fingerprints={EVIL: EVIL},
            duplicates={},
        )
    )
    page = method.page([Entry(made, EVIL)], EVIL)
    assert page.count("<script") == 1  # assets/tip.js
    assert "</pre><script>" not in page
    assert "exact duplicates across the split: not counted" in page
