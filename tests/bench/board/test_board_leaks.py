"""Which records leak and what sets tell: planted copies, own scores of sets, costs of models."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from planted_board import candidates, cell, controls, idle, results, small, table_quality, tables, trial

from bench.board.columns import ATTACKS, SETS
from bench.board.digest import digest
from bench.board.exposure import SHOWN, Nearest, as_read
from bench.board.rows import Board, build
from bench.board.set_readings import SetReading
from bench.board.write import BoardFiles, write_board
from bench.data.tables import encode
from bench.errors import PluginError
from bench.metrics.roc import auc
from bench.metrics.sets import compose_sets, sets_of
from bench.records import Column, Records, Schema
from bench.results import Cell, Results
from bench.rng import generator

IDS, MEMBER = candidates()


def pictures() -> Records:
    x = generator(0, "planted pictures").integers(0, 256, (len(IDS), 1, 8, 8)).astype(np.uint8)
    return Records(IDS, x, None, Schema("image", (1, 8, 8)))


def copies(records: Records) -> NDArray[Any]:
    """Generated samples: noise, and at position 100 + i the i-th candidate, one grey level off."""
    samples = generator(1, "planted samples").integers(0, 256, (2500, 1, 8, 8)).astype(np.uint8)
    samples[100 : 100 + len(IDS)] = np.where(records.x > 0, records.x - 1, 1)
    return samples


def leaking(seeds: int = 2) -> Results:
    """Two attacks, one of which judged only some candidates, on images of which samples are copies."""
    records = pictures()
    keep = np.arange(0, len(IDS), 2)
    cells: list[Cell] = []
    for seed in range(seeds):
        part = cell("capped", seed=seed, shift=1.5, capped=True)
        cells += [cell(seed=seed, shift=1.0), *controls(seed=seed)]
        cells.append(
            replace(part, record_ids=IDS[keep], membership=MEMBER[keep], scores=part.scores[keep], artifact=f"c{seed}")
        )
    trials = tuple(trial(seed=seed, samples=lambda: copies(records)) for seed in range(seeds))
    return results(trials, tuple(cells), candidates={"digits": lambda: records})


@pytest.fixture(scope="module")
def board() -> Board:
    return build(leaking())


@pytest.fixture(scope="module")
def written(board: Board, tmp_path_factory: pytest.TempPathFactory) -> BoardFiles:
    return write_board(board, tmp_path_factory.mktemp("leaks") / "board")


# which records leak


def group_page(made: BoardFiles) -> str:
    """The page of the only row."""
    (name,) = [name for name in made.files if name.startswith("trials/")]
    return (made.folder / name).read_text()


def test_exposures_leave_controls_out_and_say_what_stands_behind(board: Board) -> None:
    (exposure,) = board.exposures
    assert exposure.found.names == ("capped", "nearest_sample")
    assert exposure.found.seeds == (2, 2)
    np.testing.assert_array_equal(exposure.found.record_ids, IDS)
    np.testing.assert_array_equal(exposure.found.attacks, np.where(np.arange(len(IDS)) % 2 == 0, 2, 1))
    assert MEMBER[exposure.top].all()
    assert len(exposure.top) == SHOWN
    assert (np.diff(exposure.found.exposure[exposure.top]) <= 0).all()


def test_the_nearest_sample_is_the_planted_copy(board: Board) -> None:
    (exposure,) = board.exposures
    near = exposure.nearest
    assert near is not None
    np.testing.assert_array_equal(near.records.ids, IDS[exposure.top])
    np.testing.assert_array_equal(near.position, 100 + exposure.top)  # beyond the first part of the samples too
    np.testing.assert_allclose(near.distance, np.sqrt(64) / 127.5, rtol=1e-5)
    assert near.seed == 0


def test_the_samples_are_of_the_first_completed_run() -> None:
    found = leaking()
    lost = replace(found.trials[0], status="failed", reason="boom", samples=None)
    (exposure,) = build(replace(found, trials=(lost, found.trials[1]))).exposures
    assert exposure.nearest is not None
    assert exposure.nearest.seed == 1


def test_rows_without_attacks_or_samples_show_what_they_have(tmp_path: Path) -> None:
    assert build(results((trial(),), (idle("lira", "failed", "boom"), *controls()))).exposures == ()
    (exposure,) = build(results((trial(),), (cell(),))).exposures
    assert exposure.nearest is None
    entry = exposure.entry()
    assert entry["samples_seed"] is None
    assert {shown["distance"] for shown in entry["most_exposed"]} == {None}
    made = write_board(build(results((trial(),), (cell(),))), tmp_path / "board")
    assert not [name for name in made.files if name.startswith("plots/exposed")]
    assert "Members average" in group_page(made)


def test_exposures_are_published(written: BoardFiles, board: Board) -> None:
    made = json.loads((written.folder / "leaderboard.json").read_text())
    (entry,) = made["exposures"]
    assert (entry["dataset"], entry["target"], entry["defense"]) == ("digits", "dcgan", "none")
    assert entry["attacks"] == [{"name": "capped", "seeds": 2}, {"name": "nearest_sample", "seeds": 2}]
    with np.load(written.folder / entry["file"], allow_pickle=False) as kept:
        arrays = dict(kept)
    assert {array.shape for array in arrays.values()} == {(len(IDS),)}
    assert all(np.isfinite(array).all() for array in arrays.values())
    top = arrays["record_id"][arrays["membership"]][np.argsort(-arrays["exposure"][arrays["membership"]])][:SHOWN]
    assert [shown["record_id"] for shown in entry["most_exposed"]] == top.tolist()
    for shown in entry["most_exposed"]:
        place = np.flatnonzero(arrays["record_id"] == shown["record_id"])[0]
        assert shown["exposure"] == arrays["exposure"][place]
        assert shown["worst_attack"] == entry["attacks"][arrays["worst_attack"][place]]["name"]
        assert shown["nearest_sample"] == 100 + place
    assert [name for name in written.files if name.startswith("plots/exposed-")]


def test_the_page_shows_the_members_and_says_whose_eyes_these_are(written: BoardFiles, board: Board) -> None:
    page = group_page(written)
    section = page[page.index('<h2 id="exposed"') : page.index('<h2 id="privacy"')]
    (exposure,) = board.exposures
    out = exposure.found.standing_out()
    assert "2 attacks, 2 training runs each." in section
    assert f"{out.members} of 200 are above the 3rd most exposed non-member, where chance puts 2.0." in section
    assert "Samples of seed 0." in section
    assert "an attacker does not know who is a member" in section
    for place in exposure.top:
        assert f'<th scope="row" class="n">{IDS[place]}</th>' in section
    assert "plots/exposed-" in section


def test_a_digest_sees_exposures(written: BoardFiles, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(written.folder, copy)
    assert digest(copy) == digest(written.folder)
    (path,) = (copy / "exposure").glob("*.npz")
    with np.load(path) as kept:
        arrays = dict(kept)
    arrays["exposure"][0] += 1e-12
    np.savez(path, **arrays)
    assert digest(copy) != digest(written.folder)


COLUMNS = (
    Column("age", (), 1.0, 40.0, 10.0),
    Column("sex", ("f", "<m>")),
    *(Column(f"c{i}", (), 1.0, 0.0, 1.0) for i in range(9)),
)


def patients() -> Records:
    raw = generator(2, "planted table").normal(40, 10, (len(IDS), 11)).astype(np.float32)
    raw[:, 1] = np.arange(len(IDS)) % 2
    return encode(Records(IDS, raw, None, Schema("table", (11,))), COLUMNS)


def test_rows_of_a_table_are_shown_in_their_own_units(tmp_path: Path) -> None:
    records = patients()
    found = tables({"none": 0.1})
    only = replace(found.trials[0], samples=lambda: records.x[::-1].copy(), quality=table_quality(0.1))
    made = build(replace(found, trials=(only,), candidates={"wine": lambda: records}))
    (exposure,) = made.exposures
    near = exposure.nearest
    assert near is not None
    np.testing.assert_array_equal(near.position, len(IDS) - 1 - exposure.top)
    names, members, samples = as_read(near, 2)
    assert names == ["age", "sex"]
    assert members == samples
    raw = generator(2, "planted table").normal(40, 10, (len(IDS), 11))[exposure.top, 0]
    assert [float(row[0]) for row in members] == pytest.approx(raw.tolist(), rel=1e-3)
    assert [row[1] for row in members] == [COLUMNS[1].categories[place % 2] for place in exposure.top]
    page = group_page(write_board(made, tmp_path / "board"))
    assert "The first 10 of 11 columns." in page
    assert "&lt;m&gt;<small>&lt;m&gt;</small>" in page
    assert "<m>" not in page


def test_a_table_without_columns_shows_its_values() -> None:
    schema = Schema("table", (3,))
    x = np.array([[0.25, 2.0, 3.0]], dtype=np.float32)
    near = Nearest(0, Records(np.array([7]), x, None, schema), x + 1, np.array([4]), np.array([1.0]))
    assert as_read(near, 2) == (["value 0", "value 1"], [["0.25", "2"]], [["1.25", "3"]])


# sets


def sized(own: bool = False, seeds: int = 3, sizes: tuple[int, ...] = (10, 5, 150)) -> Results:
    """Attacks on sets of several sizes; ``co`` has a score of its own for them, with twice the signal."""
    cells: list[Cell] = []
    for seed in range(seeds):
        cells += [cell(seed=seed, shift=0.3), *controls(seed=seed)]
        if own:
            cells.append(cell("co", seed=seed, shift=0.1, set_scores={s: own_scores(seed, s) for s in sizes}))
    found = results(tuple(trial(seed=seed) for seed in range(seeds)), tuple(cells))
    return replace(found, settings={**found.settings, "sets": list(sizes)})


def own_scores(seed: int, size: int) -> NDArray[np.float64]:
    member = np.array([MEMBER[place[0]] for place in sets_of(compose_sets(IDS, MEMBER, size))])
    return generator(seed, "own scores", size).normal(size=len(member)) + 1.0 * member


def reading(board: Board, attack: str, size: int) -> SetReading:
    (found,) = [r for row in board.attacks if row.attack == attack for r in row.sets if r.size == size]
    return found


@pytest.fixture(scope="module")
def of_sizes() -> Board:
    return build(sized(own=True))


def test_every_size_is_read_and_the_first_heads(of_sizes: Board) -> None:
    row = next(row for row in of_sizes.attacks if row.attack == "nearest_sample")
    assert [r.size for r in row.sets] == [10, 5, 150]
    for r in row.sets[:2]:
        means = [[np.mean(run[place]) for place in sets_of(r.set_id)] for run in row.scores]
        member = np.array([MEMBER[place[0]] for place in sets_of(r.set_id)])
        assert r.summary.set_auc == pytest.approx(np.mean([auc(np.array(run), member) for run in means]))
    for end in ("", "_low", "_high", "_seed_low", "_seed_high"):
        assert row.columns()[f"set_auc{end}"] == getattr(row.sets[0].summary, f"set_auc{end}") is not None
        assert row.columns()[f"set_accuracy{end}"] == getattr(row.sets[0].summary, f"set_accuracy{end}")


def test_own_scores_are_used_and_the_mean_stands_beside(of_sizes: Board) -> None:
    row = next(row for row in of_sizes.attacks if row.attack == "co")
    for size in (10, 5):
        found = reading(of_sizes, "co", size)
        member = np.array([MEMBER[place[0]] for place in sets_of(found.set_id)])
        assert found.summary.own_score
        assert found.summary.set_auc == pytest.approx(np.mean([auc(own_scores(s, size), member) for s in range(3)]))
        assert found.summary.mean_set_auc != found.summary.set_auc
    assert row.columns()["set_auc"] == reading(of_sizes, "co", 10).summary.set_auc


def test_too_few_sets_are_empty_and_never_zero(of_sizes: Board) -> None:
    found = reading(of_sizes, "co", 150).columns()
    assert (found["member_sets"], found["nonmember_sets"], found["own_score"]) == (1, 2, True)
    measured = {name: value for name, value in found.items() if "set_a" in name}
    assert len(measured) == 16
    assert set(measured.values()) == {None}


def test_sets_are_published(of_sizes: Board, tmp_path: Path) -> None:
    made = write_board(of_sizes, tmp_path / "board")
    with (made.folder / "sets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == SETS
    assert len(rows) == 3 * len(of_sizes.attacks)
    by = {(row["attack"], row["size"]): row for row in rows}
    assert by["co", "5"]["own_score"] == "true"
    assert by["nearest_sample", "5"]["own_score"] == "false"
    assert by["oracle", "5"]["control"] == "true"
    assert by["co", "150"]["set_auc"] == ""
    payload = json.loads((made.folder / "leaderboard.json").read_text())
    assert [str(row["size"]) for row in payload["sets"]] == [row["size"] for row in rows]
    (entry,) = [row for row in payload["attacks"] if row["attack"] == "co"]
    with np.load(made.folder / entry["cells"][1]["scores"], allow_pickle=False) as kept:
        assert {"set_id", "set_id_5", "set_id_150", "set_score_10", "set_score_5"} <= set(kept.files)
        member = np.array([kept["membership"][place[0]] for place in sets_of(kept["set_id_5"])])
        again = auc(kept["set_score_5"], member)
    assert again == pytest.approx(auc(own_scores(1, 5), member))
    section = (made.folder / "attacks.html").read_text().partition('id="sets"')[2].partition("</table>")[0]
    assert "sets of 150" in section
    assert f"by mean score {reading(of_sizes, 'co', 10).summary.mean_set_auc:.3f}" in section
    assert "oracle" not in section
    (made.folder / "sets.csv").write_text((made.folder / "sets.csv").read_text().replace("true", "false", 1))
    assert digest(made.folder) != digest(write_board(of_sizes, tmp_path / "again").folder)


def test_one_size_without_own_scores_needs_no_table(tmp_path: Path) -> None:
    made = write_board(build(results((trial(),), (cell(),))), tmp_path / "board")
    assert 'id="sets"' not in (made.folder / "attacks.html").read_text()
    assert (made.folder / "sets.csv").read_text().count("\n") == 2


def test_an_older_board_without_sets_has_a_digest(tmp_path: Path) -> None:
    made = write_board(build(results((trial(),), (cell(),))), tmp_path / "board")
    whole = digest(made.folder)
    (made.folder / "sets.csv").unlink()
    assert digest(made.folder) != whole


def test_own_scores_at_some_seeds_only_are_refused() -> None:
    found = sized(own=True, seeds=2)
    cells = tuple(replace(c, set_scores={}) if (c.attack, c.seed) == ("co", 1) else c for c in found.cells)
    with pytest.raises(PluginError, match="co to score sets of 10 at every seed of dcgan / none, got none at seed 1"):
        build(replace(found, cells=cells))


# what attacks know and cost


def test_known_candidates_and_the_cost_of_models_are_columns(tmp_path: Path) -> None:
    base: dict[str, Any] = {"known": 25, "models_trained": 8}
    cells = (cell("lira", models_s=60.0, **base), cell("lira", seed=1, models_s=30.0, **base), cell())
    found = build(results((trial(), trial(seed=1)), (*cells, cell(seed=1), idle("x", "failed", "boom"))))
    lira, plain, lost = (row.columns() for row in found.attacks)
    assert (lira["known"], lira["models_s"], lira["models_trained"]) == (25, 45.0, 8)
    assert (plain["known"], plain["models_s"]) == (0, None)
    assert (lost["known"], lost["models_s"]) == (None, None)
    assert {"known", "models_s"} <= set(ATTACKS)
    slow = replace(found.results, cells=tuple(replace(c, models_s=1e6) for c in found.results.cells))
    folders = [write_board(build(r), tmp_path / n).folder for n, r in (("a", found.results), ("b", slow))]
    assert digest(folders[0]) == digest(folders[1])
    assert "1000000" in (folders[1] / "attacks.csv").read_text()


def test_boards_of_small_results_still_have_exposures() -> None:
    found = build(small())
    assert [e.row.defense for e in found.exposures] == ["none", "dropout(rate=0.5)"]
    assert found.exposures[0].members_mean > found.exposures[1].members_mean
    assert found.exposures[1].members_mean == pytest.approx(
        np.mean([row.summary.auc for row in found.rows[1].attacks if row.summary]), abs=1e-12
    )
