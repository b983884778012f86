"""A site of several boards: what is in it, what is verified, what is left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError
from published_boards import edit_json, edit_npz, problems, rehash, scores_of
from site_of import files_in, site_of

from bench.board.bundle import write_baseline, write_bundle
from bench.board.site import group
from bench.board.site.entry import Entry
from bench.canonical import sha256_file
from bench.errors import InputError
from bench.published.open import open_results
from bench.site.examine import Examined, examine
from bench.site.publish import check_place, publish
from bench.version import __version__


@pytest.fixture(scope="module")
def passed_on(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The honest board as a bundle and as a baseline."""
    folder = tmp_path_factory.mktemp("passed on")
    write_bundle(honest, folder / "bundle.zip")
    write_baseline(honest, folder / "baseline")
    return folder


@pytest.fixture(scope="module")
def site(honest: Path, passed_on: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One board three times: its folder, its bundle and its baseline."""
    out = tmp_path_factory.mktemp("out") / "site"
    made = site_of(honest, passed_on / "bundle.zip", passed_on / "baseline", out=out)
    assert (made.folder, made.boards, made.rows, made.notes) == (out, 3, 6, ())
    return out


def boards(site: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((site / "site.json").read_text())["boards"]
    return found


def test_boards_of_one_name_have_folders_pages_and_titles_of_their_own(site: Path) -> None:
    assert [board["title"] for board in boards(site)] == ["planted", "bundle", "baseline"]
    folders = [board["folder"] for board in boards(site)]
    assert len(set(folders)) == 3
    assert {path.name for path in site.iterdir()} == {
        *folders, "index.html", "attacks.html", "method.html", "site.json", "trials", "assets",
    }  # fmt: skip
    assert len(list((site / "trials").iterdir())) == 6
    assert [path.name for path in site.parent.iterdir()] == ["site"]  # nothing beside it is left


def test_the_badge_says_what_was_checked(site: Path, honest: Path) -> None:
    for board in boards(site):
        assert board["verified"]["version"] == __version__
        assert board["verified"]["sha256"] == sha256_file(honest / "leaderboard.json")
        assert "2 rows, 4 trials" in board["verified"]["counted"]


def test_what_is_published_verifies_again(site: Path, honest: Path) -> None:
    for board in boards(site):
        folder = site / board["folder"]
        if board["title"] != "bundle":  # it has the files of the first, see below
            assert problems(folder) == []
        assert (folder / "leaderboard.json").read_bytes() == (honest / "leaderboard.json").read_bytes()


def test_every_file_of_numbers_is_there_whatever_was_given(site: Path, honest: Path) -> None:
    pages = ("trials/", "assets/", "index.html", "attacks.html", "method.html")
    numbers = {name for name in files_in(honest) if not name.startswith((*pages, "plots/"))}
    whole, bundle, baseline = (files_in(site / board["folder"]) for board in boards(site))
    assert {name for name in whole if not name.startswith("plots/")} == numbers
    assert whole == bundle
    assert {name for name in baseline if not name.startswith("plots/")} == numbers
    assert [name for name in whole if "plots/samples" in name]
    assert not [name for name in baseline if "plots/samples" in name]
    assert [name for name in baseline if "plots/roc" in name]


def test_the_same_board_gives_the_same_bytes(site: Path, passed_on: Path, tmp_path: Path) -> None:
    (folder,) = (site_of(passed_on / "bundle.zip", out=tmp_path / "again").folder).glob("planted-*")
    first, second, _ = (site / board["folder"] for board in boards(site))
    for other in (first, second):
        assert files_in(other) == files_in(folder)
        assert [n for n in files_in(folder) if (folder / n).read_bytes() != (other / n).read_bytes()] == []


def _score(folder: Path) -> None:
    name = scores_of(folder, "nearest_sample")
    edit_npz(folder, name, lambda arrays: arrays["score"].__setitem__(slice(0, 30), 9.0))


def _figure(folder: Path) -> None:
    edit_json(folder, lambda payload: payload["leaderboard"][0].__setitem__("auc", 0.5001))


@pytest.mark.parametrize("tamper", [_score, _figure])
def test_a_board_that_was_tampered_with_has_no_badge(theirs: Path, tmp_path: Path, tamper: Any) -> None:
    tamper(theirs)
    out = site_of(theirs, out=tmp_path / "site").folder
    (board,) = boards(out)
    assert board["verified"] is None
    folder = out / board["folder"]
    assert not (folder / "made-from.json").exists()
    # The files say what the pages say: what the scores give, and not what was published.
    made = json.loads((folder / "leaderboard.json").read_text())
    assert made["leaderboard"][0]["auc"] != 0.5001
    assert any("list of the board's files" in problem for problem in problems(folder))


def test_a_board_that_cannot_be_computed_again_is_left_out(theirs: Path, fine: Examined, tmp_path: Path) -> None:
    (theirs / scores_of(theirs, "nearest_sample")).unlink()
    with open_results(theirs) as published:
        broken = examine(theirs, published)
        assert broken.board is None
        assert broken.report.problems
        with pytest.raises(InputError, match="expected a board that can be computed again from its scores, got none"):
            publish([broken], tmp_path / "site")
        made = publish([broken, fine], tmp_path / "site")
    assert [board["title"] for board in boards(made.folder)] == ["planted"]


def test_what_cannot_be_drawn_is_an_error_that_names_the_board(
    fine: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no score can tell is drawn as it was published, so a board may verify and still not be drawn."""

    def fail(*_: object) -> None:
        raise ValueError("x and y differ in length")

    monkeypatch.setattr("bench.site.pictures.write_plots", fail)
    said = (
        r"planted: expected a board whose files can be written and drawn: ValueError: x and y differ .*; leave it out"
    )
    with pytest.raises(InputError, match=said):
        publish([fine], tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyError("noise"), UndefinedError("'None' has no attribute 'auc'")])
def test_a_board_without_pages_is_an_error_that_names_it(
    fine: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def page(entry: Entry, *given: Any) -> str:
        if entry.title == "another":
            raise error
        return made(entry, *given)

    made = group.page
    monkeypatch.setattr("bench.board.site.write.group.page", page)
    with pytest.raises(InputError, match=rf"another: expected a board whose .*{type(error).__name__}.*, page\)"):
        publish([fine, replace(fine, path=Path("another"))], tmp_path / "site")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_that_no_board_has_alone_is_not_blamed_on_one(
    fine: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def page(entries: Sequence[Entry], name: str) -> str:
        if len(entries) > 1:
            raise KeyError("ours")
        return ""

    monkeypatch.setattr("bench.board.site.write.leaderboard.page", page)
    with pytest.raises(KeyError, match="ours"):
        publish([fine, replace(fine, path=Path("another"))], tmp_path / "site")


def test_an_older_site_is_replaced_and_what_is_beside_it_stays(fine: Examined, tmp_path: Path) -> None:
    out = tmp_path / "site"
    publish([fine, replace(fine, path=Path("another"))], out)
    old = {board["folder"] for board in boards(out)}
    (out / "CNAME").write_text("lab.example")
    (out / "notes").mkdir()
    (out / "notes" / "a.txt").write_text("ours")
    publish([fine], out, name="Ours")
    (board,) = boards(out)
    assert json.loads((out / "site.json").read_text())["name"] == "Ours"
    assert board["title"] == "planted"
    assert (out / "CNAME").read_text() == "lab.example"
    assert (out / "notes" / "a.txt").read_text() == "ours"
    assert [name for name in old if (out / name).exists()] == [board["folder"]]
    assert len(list((out / "trials").iterdir())) == 2


def test_a_site_claims_no_folder_of_others(fine: Examined, tmp_path: Path) -> None:
    out = tmp_path / "site"
    (out / "notes").mkdir(parents=True)
    (out / "notes" / "thesis.tex").write_text("years of work")
    listed: list[Any] = ["notes", "../up", "a/b-0123456789", "", ".git", 5, None]
    (out / "site.json").write_text(json.dumps({"boards": [{"folder": name} for name in listed]}))
    publish([fine], out)
    assert (out / "notes" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("name", ["thesis.tex", "leaderboard.json"])
def test_a_folder_that_is_no_site_is_refused(fine: Examined, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("years of work")
    said = rf"empty folder or one with a site, but .*out holds {name} and no site\.json"
    with pytest.raises(InputError, match=said):
        check_place(tmp_path / "out")
    with pytest.raises(InputError, match=said):
        publish([fine], tmp_path / "out")
    with pytest.raises(InputError, match=r"expected a folder for a site, but .* is a file"):
        check_place(tmp_path / "out" / name)
    assert (tmp_path / "out" / name).read_text() == "years of work"


def test_without_records_no_file_and_no_page_names_one(theirs: Path, honest: Path, tmp_path: Path) -> None:
    from PIL import Image

    edit_json(theirs, lambda payload: payload["exposures"][0].update(samples_seed=0))
    for kind in ("exposed", "real"):
        for row in ("none", "dropout"):
            # Whatever these are called, one that shows records is under one of these names.
            for path in list((theirs / "plots").glob(f"training-*{row}*")):
                Image.new("L", (4, 4)).save(path.with_name(path.name.replace("training", kind)))
    rehash(theirs)
    out = site_of(theirs, out=tmp_path / "site", without_records=True).folder
    (board,) = boards(out)
    assert board["without_records"] is True
    assert board["verified"] is not None
    names = files_in(out / board["folder"])
    assert not [name for name in names if name.startswith(("scores", "splits", "exposure", "made-from"))]
    assert not [name for name in names if name.startswith(("plots/exposed", "plots/real", "plots/samples"))]
    assert "leaderboard.json" not in names
    assert {"leaderboard.csv", "attacks.csv", "leaderboard.md"} <= names
    assert not [name for name in names if name.startswith("plots/training")]
    assert [name for name in names if name.startswith("plots/roc")]
    assert all("no curves of losses on real records" in path.read_text() for path in (out / "trials").iterdir())
    shown = json.loads((honest / "leaderboard.json").read_text())["exposures"][0]["most_exposed"]
    pages = "".join(path.read_text() for path in out.rglob("*.html"))
    assert f">{shown[0]['record_id']}<" not in pages


def test_without_records_pages_count_problems_and_do_not_quote_them(theirs: Path, tmp_path: Path) -> None:
    """What differs may be the id of a member, on either side."""
    ids: list[str] = []

    def change(payload: dict[str, Any]) -> None:
        for nearest in payload["exposures"][0]["most_exposed"][:2]:
            ids.append(f"recomputed {nearest['record_id']}")
            nearest["record_id"] += 987_000_000
            ids.append(f"stored {nearest['record_id']}")

    edit_json(theirs, change)
    with_them = site_of(theirs, out=tmp_path / "open").folder
    assert all(each in (with_them / "index.html").read_text() for each in ids)
    out = site_of(theirs, out=tmp_path / "site", without_records=True).folder
    files = {name: (out / name).read_bytes() for name in files_in(out)}
    assert [name for name, content in files.items() for each in ids if each.encode() in content] == []
    for page in ("index.html", *(f"trials/{path.name}" for path in (out / "trials").iterdir())):
        assert b"found 2 problems" in files[page], page
        assert files[page].count(b"told where this site was made, and not here") == 1, page


def test_a_place_that_cannot_be_written_is_told_before_and_after(
    fine: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for out in (Path("/proc/x/y"), tmp_path / "file" / "x", tmp_path / "loop" / "x", tmp_path / ("long" * 100)):
        with pytest.raises(
            InputError, match=r"--out .*: expected a folder that can be written: .*; name another place"
        ):
            check_place(out)
        with pytest.raises(InputError, match="expected a folder that can be written"):
            publish([fine], out)
    check_place(tmp_path / "not" / "yet" / "there")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "loop"}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.site.publish.write_site", full)
    with pytest.raises(InputError, match="No space left on device"):
        publish([fine], tmp_path / "site")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "loop"}
