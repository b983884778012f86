"""The page of a trial group: everything known of a row, safe whatever it is called, also of what went wrong."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planted_board import candidates, cell, claim, controls, idle, results, table_quality, trial

from bench.board.exposure import SHOWN
from bench.board.flags import EXPLANATIONS
from bench.board.plots_sheets import SHEET_RECORDS
from bench.board.rows import Board, Row, build
from bench.board.site import group
from bench.board.site.entry import Change, Compared, Entry, Verified
from bench.board.site.group_commands import commands
from bench.board.site.group_facts import cost
from bench.board.site.group_privacy import claim_words
from bench.board.site.links import group_file
from bench.board.unseen import unseen
from bench.board.verdict import verdict
from bench.board.write import BoardFiles, write_board
from bench.data.tables import encode
from bench.metrics.stability import StabilityRecord
from bench.records import Column, Records, Schema
from bench.results import Results
from bench.rng import generator

IDS, MEMBER = candidates()
NASTY = "<script>alert('x')</script>"
UP = "../../up/<b>"
DIVERGED = StabilityRecord(
    status="diverged", diverged_step=1, loss_oscillation=None, grad_norm_spike=None,
    kid_best=None, kid_final=None, kid_regression=None, steps_to_best=None,
)  # fmt: skip


def pictures() -> Records:
    """Members are dark, non-members bright."""
    x = generator(0, "group pictures").integers(0, 100, (len(IDS), 1, 8, 8)).astype(np.uint8)
    x[~MEMBER] += 150
    return Records(IDS, x, None, Schema("image", (1, 8, 8)))


def mixed() -> Results:
    """An undefended row of which a run diverged at once, a nasty one with a claim, and one that failed."""
    records = pictures()
    lost = trial(
        seed=2, status="diverged", reason="diverged at step 1", quality=None, stability=DIVERGED, sheet=None,
        history={"loss_generator": np.array([np.nan])}, costs={},
    )  # fmt: skip
    sheet = records.x[:SHEET_RECORDS]
    given: dict[str, Any] = {"sheet": sheet, "samples": lambda: records.x[::-1]}
    failed = trial(UP, status="failed", reason=NASTY, quality=None, stability=None, history={}, sheet=None, costs={})
    trials = (
        trial(seed=0, **given), trial(seed=1, history={}, **given), lost,
        *(trial(NASTY, s, claim=claim(), caveats=(f"holds {NASTY}",), adaptive=("made",), **given) for s in range(3)),
        failed,
    )  # fmt: skip
    cells = []
    for defense, seeds in (("none", 2), (NASTY, 3)):
        for seed in range(seeds):
            cells += [cell("white", defense, seed, 1.0, access="white_box"), *controls(defense, seed)]
            cells.append(cell(f"a/{NASTY}", defense, seed, 0.3, adaptive=defense == NASTY))
            cells.append(idle("other", "not_applicable", f"no {NASTY}", defense, seed))
    cells += [idle("white", "diverged", "diverged at step 1", seed=2), idle("white", "blocked", "its trial", UP)]
    return results(
        trials,
        tuple(cells),
        candidates={"digits": lambda: records},
        settings={
            "sets": [10], "resamples": 200,
            "quality": {"extractor": "pca", "snapshot_extractor": "pca"},
            "configurations": {
                "targets": {"dcgan": [{"name": "dcgan", "steps": 1000, "roles": ["generator"], "note": NASTY}]},
                "defenses": {NASTY: [{"name": "dp_sgd", "epsilon": 8.0}, {"name": "dropout", "rate": 0.5}]},
            },
        },
        plugins={
            "datasets": {"digits": [{"name": "digits", "summary": "Planted digits.", "paper": "Nobody 1999"}]},
            "defenses": {
                NASTY: [
                    {"name": "dp_sgd", "summary": "Noise.", "paper": "Abadi 2016", "family": "privacy"},
                    {"name": "dropout", "summary": "Thins.", "paper": "", "family": "regulariser"},
                ]
            },
            "attacks": {"white": [{"name": "white", "summary": "Reads the networks.", "paper": ""}]},
        },
        stamp={"leakboard": "9.9", "git": {"commit": "abc123", "dirty": True}, "packages": {"torch": "2", "x": None}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def board() -> Board:
    return build(mixed())


@pytest.fixture(scope="module")
def written(board: Board, tmp_path_factory: pytest.TempPathFactory) -> BoardFiles:
    return write_board(board, tmp_path_factory.mktemp("group") / "board")


class Page(HTMLParser):
    """Ids, links, headings and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.tags.append((tag, own))
        self.ids += [str(own["id"])] if "id" in own else []
        self.links += [str(own[name]) for name in ("href", "src") if name in own]


def row_of(board: Board, defense: str) -> Row:
    return next(row for row in board.rows if row.defense == defense)


def page(board: Board, defense: str, **changed: Any) -> str:
    """Rendered without pictures, which are not needed for words."""
    exposures = tuple(exposure.shown() for exposure in board.exposures)
    entry = replace(Entry(board, "planted", exposures=exposures), **changed)
    return group.page(entry, row_of(board, defense), "planted", several=bool(entry.files))


def section(text: str, name: str) -> str:
    start = text.index(f'<h2 id="{name}">')
    return re.sub(r"<[^>]*>", " ", text[start : (text + "<h2 ").index("<h2 ", start + 1)]).replace("&#39;", "'")


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


# the page as a whole


def test_every_row_has_a_page_and_every_link_leads_somewhere(written: BoardFiles, board: Board) -> None:
    entry = Entry(board, "planted")
    for row in board.rows:
        path = written.folder / group_file(entry, row.place)
        text = path.read_text("utf-8")
        found = Page(text)
        assert len(set(found.ids)) == len(found.ids)
        assert [name for name in found.ids if f'<h2 id="{name}">' in text] == [
            "samples", "training", "attacks", "exposed", "privacy", "configuration", "cost", "repeat",
        ]  # fmt: skip
        for link in found.links:
            if link.startswith("#"):
                assert link[1:] in found.ids
            elif not link.startswith("data:"):
                target = (path.parent / link).resolve()
                assert target.is_relative_to(written.folder), link
                assert target.is_file(), link
        assert not any(tag == "script" and "src" not in own for tag, own in found.tags)
        assert not any(tag == "b" or name.startswith("on") for tag, own in found.tags for name in own)
        assert all(own.get("alt") for tag, own in found.tags if tag == "img")
        assert all("scope" in own for tag, own in found.tags if tag == "th")


def test_rows_are_linked_in_the_boards_order(written: BoardFiles, board: Board) -> None:
    entry = Entry(board, "planted")
    files = [Path(group_file(entry, row.place)).name for row in board.rows]
    for index, name in enumerate(files):
        own = Page((written.folder / "trials" / name).read_text("utf-8"))
        near = {rel["rel"]: rel["href"] for tag, rel in own.tags if tag == "a" and rel.get("rel")}
        assert near == {
            **({"prev": files[index - 1]} if index else {}),
            **({"next": files[index + 1]} if index + 1 < len(files) else {}),
        }


def test_the_head_says_verdict_threat_flags_and_what_changed(board: Board) -> None:
    row = row_of(board, NASTY)
    changes = {row.place: (Change("auc", "worse", f"AUC rose {NASTY}."), Change("kid", "better", "KID fell."))}
    text = page(
        board, NASTY, verified=Verified("9.9", "7 files", "ff" * 32), compared=Compared("base <x>", "s", (), changes),
        problems=("scores differ <y>",), files="planted/", title="Planted board",
    )  # fmt: skip
    head = words(re.sub(r"<[^>]*>", " ", text[: text.index('id="samples"')]).replace("&#39;", "'"))
    assert words(verdict(row)).replace("<", "&lt;").replace(">", "&gt;") in head
    assert re.search(rf" leaks .* threat model: white box access .*rank {row.rank} on digits", head)
    for flag in row.flags:
        assert EXPLANATIONS[flag.name].split("'")[0] in head
    assert row.flags
    assert f"sha256 of leaderboard.json: {'ff' * 32}" in head
    assert "Since base &lt;x&gt;" in head
    assert head.index("AUC rose") < head.index("KID fell.")
    assert "scores differ &lt;y&gt;" in head
    assert "Of the board Planted board." in head
    assert 'href="../planted/attacks.csv"' in text
    for absent in ("verified", "Since", "Of the board", "alarm", "does not say"):
        assert absent not in page(board, UP)[: page(board, UP).index('id="samples"')].split("</head>")[1]


# samples


def test_real_records_beside_samples_are_never_members(written: BoardFiles) -> None:
    (real,) = [name for name in written.files if name.startswith("plots/real-")]
    with Image.open(written.folder / real) as image:
        pixels = np.asarray(image.convert("RGB"))
    tiles = [pixels[top : top + 8, left : left + 8] for top in range(0, 36, 9) for left in range(0, 72, 9)]
    assert len(tiles) == SHEET_RECORDS
    assert min(int(tile.min()) for tile in tiles) >= 150  # members are dark
    text = (written.folder / next(n for n in written.files if n.startswith("trials/digits-dcgan-none"))).read_text()
    assert text.count("plots/samples-") == 4  # link and picture of the two seeds that have any
    assert "no target here was trained on" in text


def test_unseen_records_are_spread_over_the_ids(board: Board) -> None:
    found = unseen(board.results, "digits", 5)
    assert found is not None
    nonmembers = np.sort(IDS[~MEMBER])
    assert found.ids.tolist() == nonmembers[[0, 74, 149, 224, 299]].tolist()
    assert unseen(board.results, "else", 5) is None
    few = unseen(board.results, "digits", 10_000)
    assert few is not None
    np.testing.assert_array_equal(few.ids, nonmembers)


def wine() -> Results:
    """A table whose members have their own range of the first column."""
    columns = (Column("age", (), 1.0, 40.0, 10.0), Column("sex", ("f", "<m>")))
    raw = np.stack([np.where(MEMBER, 20.0, 60.0), np.arange(len(IDS)) % 2], axis=1).astype(np.float32)
    records = encode(Records(IDS, raw, None, Schema("table", (2,))), columns)
    own = trial(
        dataset="wine", target="tvae", quality=table_quality(0.1), sheet=None, stability=None, samples=lambda: records.x
    )
    ids = {"members": IDS[MEMBER], "nonmembers": IDS[~MEMBER]}
    return results(
        (own,), (cell(dataset="wine", target="tvae"),), (), splits={"wine": ids}, candidates={"wine": lambda: records}
    )


def test_rows_of_a_table_stand_beside_real_rows_in_words() -> None:
    made = build(wine())
    text = section(page(made, "none"), "samples")
    generated, real = text.split("Real rows that no target here was trained on")
    assert real.split().count("60") == 8  # as many as there are generated ones; members are 20
    assert "20" not in real.split()
    assert len(re.findall(r"&lt;m&gt;", generated)) == 4
    hidden = section(page(made, "none", without_records=True), "samples")
    assert "Real rows" not in hidden
    assert "Generated, seed 0" in hidden
    course = section(page(made, "none"), "training")
    assert "0.100 0.080 to 0.120" in words(course)
    assert "KID" not in course
    assert "values" not in made.exposures[0].entry()  # what is passed on holds no value of a record
    entry = made.exposures[0].shown()
    assert entry["values"]["columns"] == ["age", "sex"]
    assert [len(entry["values"][of]) for of in ("members", "samples")] == [SHOWN, SHOWN]
    leaked = section(page(made, "none"), "exposed")
    assert leaked.split().count("20") == 2 * SHOWN  # the member, and the copy of it that was generated


# training, attacks


def test_a_seed_that_diverged_at_once_is_told_of(board: Board, written: BoardFiles) -> None:
    text = words(section(page(board, "none"), "training"))
    assert "seed 0 seed 1 seed 2" in text
    assert "completed completed diverged diverged at step 1" in text
    assert re.search(r"diverged at : [^.]*\. – – 1 ", text)  # noqa: RUF001
    assert re.search(r"KID : [^.]*\. 24\.0 22\.0 to 26\.0 25\.0 23\.0 to 27\.0 – ", text)  # noqa: RUF001
    assert "20.0 at 900 steps" in text
    assert "KID of reference: real records 0.2, untrained 310.0." in text
    found = Page((written.folder / group_file(Entry(board, ""), row_of(board, "none").place)).read_text())
    (alt,) = [own["alt"] for tag, own in found.tags if tag == "img" and "training-" in str(own["src"])]
    assert "seed 2, diverged at step 1 (x)" in str(alt)
    assert "seed 1: KID from 60.0 to 22.0" in str(alt)


def test_snapshots_of_another_extractor_are_not_held_against_the_lines() -> None:
    found = results((trial(),), (cell(),))
    other = {**found.settings, "quality": {"extractor": "pca", "snapshot_extractor": "other"}}
    text = section(page(build(replace(found, settings=other)), "none"), "training")
    assert "another extractor" in text


def test_attacks_show_both_intervals_and_what_was_not_measured(board: Board) -> None:
    row = row_of(board, NASTY)
    text = words(section(page(board, NASTY), "attacks"))
    white = next(a for a in row.attacks if a.attack == "white").summary
    assert white is not None
    assert white.auc_seed_low is not None
    assert (
        f"white : Reads the networks. white box nothing {white.auc:.3f} {white.auc_low:.3f} to {white.auc_high:.3f} "
        f"{white.auc_seed_low:.3f} to {white.auc_seed_high:.3f} – – {white.accuracy:.3f} 0.400 200 + 300 3" in text  # noqa: RUF001
    )
    assert text.index("Reads the networks") < text.index("adaptive: made against this defense")  # the worst first
    assert f"not applicable no {NASTY}".replace("<", "&lt;").replace(">", "&gt;") in text
    assert "rate of 0.01 needs 1,000 and one of 0.001 needs 10,000 non-members, and there are 300." in text
    assert "epsilon at least" not in text
    many = build(results((trial(),), (cell(members=100, nonmembers=1000),)))
    low = words(section(page(many, "none"), "attacks"))
    s = many.rows[0].attacks[0].summary
    assert s is not None
    assert f"{s.tpr_at_1pct_fpr:.3f} at {s.realised_fpr_at_1pct:.4f} –" in low  # noqa: RUF001
    lost = words(section(page(board, UP), "attacks"))
    assert "No attack was completed." in lost
    assert "white : Reads the networks. samples nothing blocked its trial" in lost


def test_certified_bounds_have_a_column_where_there_are_some() -> None:
    found = results((trial(claim=claim(1.0)),), (cell(shift=4.0),), membership={"digits": "coin"})
    made = build(found)
    text = page(made, "none")
    bound = made.rows[0].audit
    assert bound is not None
    assert bound.lower_bound
    assert "epsilon at least" in section(text, "attacks")
    assert f"{bound.lower_bound:.2f}" in section(text, "attacks")
    audit = words(section(text, "privacy"))
    assert f"certified lower bound epsilon is at least {bound.lower_bound:.3g} (certified at 95 %)" in audit
    assert "a fair coin for each candidate" in audit


# which records leak


def test_exposed_members_come_from_the_published_entry(board: Board) -> None:
    entry = next(e.shown() for e in board.exposures if e.row.defense == NASTY)
    text = words(section(page(board, NASTY), "exposed"))
    out = entry["standing_out"]
    assert "2 attacks, 3 training runs each." in text
    assert f"{out['members']} of 200 are above the 3rd most exposed non-member, where chance puts 2.0." in text
    assert "Benchmark only: an attacker does not know who is a member" in text
    for shown in entry["most_exposed"]:
        assert f" {shown['record_id']} {shown['exposure']:.3f} 2 of 2 " in text
        assert f" {shown['nearest_sample']} {shown['distance']:.3f} " in text
    changed = {**entry, "most_exposed": [{**entry["most_exposed"][0], "record_id": 987654}]}
    assert "987654" in section(page(board, NASTY, exposures=(changed,)), "exposed")
    left_out = page(board, NASTY, without_records=True)
    assert "names no members" in section(left_out, "exposed")
    assert "exposure/" not in left_out
    assert "nothing can be said" in section(page(board, UP), "exposed")


# privacy


def test_a_claim_is_told_in_full(board: Board) -> None:
    text = words(section(page(board, NASTY), "privacy"))
    assert "Claims epsilon 8 at delta 0.0001 per record (add/remove, PRV); membership is fixed" in text
    assert "every seed epsilon 8 epsilon by the RDP accountant 8.5 delta 0.0001 unit record" in text
    assert "noise multiplier 0.9 (Gaussian, over the clip norm) sample rate 0.1 noisy steps 1,000 clip norm 1 " in text
    assert "holds &lt;script" in text
    assert "noisy votes" not in text
    assert "Claims nothing" in section(page(board, "none"), "privacy")
    assert "No training was completed" in section(page(board, UP), "privacy")


def test_claims_that_differ_or_are_void_stand_side_by_side() -> None:
    runs = (trial(claim=claim()), trial(seed=1, claim=claim(None, "no Poisson sampling")))
    text = words(section(page(build(results(runs, (cell(), cell(seed=1)))), "none"), "privacy"))
    assert "No privacy claim: no Poisson sampling." in text
    assert "seed 0 seed 1 epsilon 8 void why void – no Poisson sampling" in text  # noqa: RUF001


def test_claims_of_two_mechanisms_stand_side_by_side() -> None:
    votes = claim().model_copy(update={"queries": 500, "max_grad_norm": None})
    runs = (trial(claim=claim()), trial(seed=1, claim=votes))
    text = words(section(page(build(results(runs, (cell(), cell(seed=1)))), "none"), "privacy"))
    assert "noise multiplier 0.9 (Gaussian, over the clip norm) 0.9 (Laplace, scale over one vote) sample rate" in text
    assert "noisy votes – 500 clip norm 1 – " in text  # noqa: RUF001


def test_the_page_states_a_claim_as_the_verdict_does(board: Board) -> None:
    row = row_of(board, NASTY)
    assert claim_words(row).startswith("Claims epsilon")
    assert claim_words(row) in verdict(row)


# configuration, cost, commands


def test_every_option_is_shown_and_the_stamp_tells_of_a_changed_checkout(board: Board) -> None:
    text = words(section(page(board, NASTY), "configuration"))
    for said in (
        "Data set: digits Planted digits. Nobody 1999 records 200 members, 300 nonmembers",
        "ab" * 32,
        "steps 1000 roles [&#34;generator&#34;] note &lt;script",
        "Defense: dp_sgd Noise. Abadi 2016 epsilon 8.0 Defense: dropout Thins. rate 0.5",
    ):
        assert said in text
    told = words(section(page(board, NASTY), "repeat"))
    assert "git abc123, with uncommitted changes" in told
    assert "torch 2, x not installed" in told
    assert f"sample sample-{NASTY}-1".replace("<", "&lt;").replace(">", "&gt;") in told


def test_cost_is_added_up_over_seeds(board: Board) -> None:
    made = cost(row_of(board, NASTY))
    assert [each["seconds"] for each in made["rows"]] == [
        ["60.0", "2.0", "–", "6.0", "68.0"], ["61.0", "2.0", "–", "6.0", "69.0"],  # noqa: RUF001
        ["62.0", "2.0", "–", "6.0", "70.0"], ["183.0", "6.0", "–", "18.0", "207.0"],  # noqa: RUF001
    ]  # fmt: skip
    assert made["rows"][-1]["memory"] == "562"
    assert "No cost was kept" in section(page(board, UP), "cost")


@pytest.mark.parametrize(
    ("defense", "matrix", "used", "device"),
    [
        ("none", "name: x\n", "cpu", None),
        (NASTY, "device: cuda\n", "cuda", None),
        ("a b'c;$(x)", "name: x\ndevice: 'cpu'\n", "cuda", "cuda"),
        ("none", "{name: x, device: cuda}\n", "cuda", None),
        ("none", "name: x\n'device': cuda\n", "cuda", None),
        ("none", "{name: x, device: cuda}\n", "cpu", "cpu"),
        ("none", "name: |\n  x\n  device: cuda\n", "cuda", "cuda"),
        ("none", "name: [x\n", "cuda", None),
        ("none", "no mapping", "cuda", None),
        ("none", "name: \x00", "cuda", None),
    ],
)
def test_commands_survive_a_shell(defense: str, matrix: str, used: str, device: str | None) -> None:
    found = results((trial(defense),), (cell(defense=defense),), matrix_text=matrix)
    found = replace(found, settings={**found.settings, "device": used}, name="my run")
    made = [shlex.split(command)[3:] for _, command in commands(found, build(found).rows[0])]
    option = ["--device", device] if device else []
    assert made == [
        ["run", "matrix.yaml", "--only", f"digits/dcgan/{defense}", *option],
        ["show", f"digits/dcgan/{defense}/0/nearest_sample", "--matrix", "matrix.yaml", *option],
        ["verify", f"results/my run{f'-{device}' if device else ''}"],
    ]


def test_the_commands_say_what_they_repeat(board: Board) -> None:
    plain, defended = (commands(board.results, row_of(board, defense)) for defense in ("none", NASTY))
    assert defended[0][0] == (
        "Train, attack and measure this row and the undefended one that it is read beside again, with the code of the "
        "commit below; its rank and certified bound need the whole matrix, run without --only"
    )
    assert plain[0][0].startswith("Train, attack and measure this row again, ")
    assert defended[-1][0] == (
        "Compute every figure that scores can tell again, without training; quality, stability, claims and cost are "
        "taken as published"
    )
